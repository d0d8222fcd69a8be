"""Predictions along a text: the logit lens as a heatmap, a text shaded by its surprise, and bars of
what each token contributed to a decision.
"""

from collections.abc import Sequence
from typing import Any

from groundup.lab.drawing.embeddings import in_lines
from groundup.lab.style import (
    LABEL_SIZE,
    MUTED,
    ONE,
    SHARES,
    SMALL_SIZE,
    TWO,
    WIDTH_INCHES,
    few_ticks,
    finish,
    ink_on,
    legend,
    name_axes,
    name_tokens,
    plain,
    plain_numbers,
    pyplot,
    shorten,
    show_spaces,
    token_labels,
    write_at,
)
from groundup.lab.values import (
    Attribution,
    LensCell,
    LensLayer,
    LensPicture,
    SurprisePicture,
    SurprisingPiece,
)
from groundup.palette import PALE_TWO

# Of the lens: columns of a readable picture, and characters in one.
LENS_TOKENS = 12
CELL_CHARACTERS = 10
CELL_INCHES, ROW_INCHES = 1.15, 0.25
LENS_LEGEND = (
    " Colour: probability, none 0, strongest 1; · is a space. Framed: the prediction is the actual "
    "next token."
)
# Of the surprise: the darkest shade; a uniform choice among 49,152 tokens is 15.6 bits.
DARKEST_BITS = 16.0
SHOWN_TOKENS = 300
# Most tokens with names below the curve.
NAMED_TOKENS = 40
LINE_CHARACTERS = 72
LINE_INCHES = 0.34
SURPRISE_LEGEND = f" Colour: none 0 bits, strongest {DARKEST_BITS:.0f} and more."
# Of the attribution.
ATTRIBUTED_TOKENS = 40
BAR_INCHES = 0.2
# A bar that lowers the score.
AGAINST = {"facecolor": PALE_TWO, "edgecolor": "black", "hatch": "////", "linewidth": 0.5}


def draw_lens(picture: LensPicture, *, first: int = 1) -> Any:
    """Draw the predictions at 12 pieces from number `first` on, layers upwards (all of them, or
    some); a frame marks correct ones.
    """
    layers, names, start = picture["layers"], token_labels(picture["pieces"]), first - 1
    shown = names[start : start + LENS_TOKENS]
    size = (len(shown) * CELL_INCHES + 2.45, max(len(layers) * ROW_INCHES, 1.5) + 2.6)
    ratios = [len(shown) * CELL_INCHES, 1.3]
    figure, (field, side) = pyplot().subplots(1, 2, figsize=size, width_ratios=ratios, sharey=True)
    rows = [layer["cells"][start : start + LENS_TOKENS] for layer in layers]
    image = [[cell["probability"] for cell in row] for row in rows]
    field.imshow(image, cmap=SHARES, vmin=0, vmax=1, aspect="auto", origin="lower")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            _draw_cell(field, x, y, cell)
    after = [f"→ {name}"[:14] for name in [*names, "?"][start + 1 :]]
    labels = [f"{name[:14]}\n{following}" for name, following in zip(shown, after, strict=False)]
    field.set_xticks(range(len(labels)), labels, family="monospace", fontsize=SMALL_SIZE)
    places, ticks = few_ticks([layer["layer"] for layer in layers], 16)
    if places[-1] != len(layers) - 1:
        places, ticks = [*places, len(layers) - 1], [*ticks, str(layers[-1]["layer"])]
    field.set_yticks(places, ticks, fontsize=SMALL_SIZE)
    name_axes(field, "token read → next token", "layer (0: before block 1)")
    _draw_bits(side, layers)
    title = (
        f"Predictions layer by layer: after the last one {100 * layers[-1]['right']:.0f} % of the "
        "next tokens are correct"
    )
    if len(shown) < len(names):
        title += f" (pieces {first} to {start + len(shown)} of {len(names)} shown)"
    return finish(figure, title=title, caption=picture["caption"] + LENS_LEGEND)


def _draw_cell(axes: Any, x: int, y: int, cell: LensCell) -> None:
    short = shorten(show_spaces(cell["text"]), CELL_CHARACTERS)
    label = f"{short} {100 * cell['probability']:.0f}%"
    style = {"color": ink_on(cell["probability"])}
    write_at(axes, x, y, label, family="monospace", **style)
    if cell["rank"] == 1:
        frame = {"fill": False, "edgecolor": "black", "linewidth": 1.2}
        axes.add_patch(pyplot().Rectangle((x - 0.5, y - 0.5), 1, 1, **frame))


def _draw_bits(axes: Any, layers: Sequence[LensLayer]) -> None:
    """Draw the bits per token of each layer, over all tokens of the text."""
    bits = [layer["bits_per_token"] for layer in layers]
    axes.barh(range(len(bits)), bits, color=ONE, height=0.7)
    axes.set_xscale("symlog", linthresh=1)
    plain_numbers(axes.xaxis)
    axes.set_xlim(left=0)
    axes.text(bits[-1], len(bits) - 1, f" {bits[-1]:.1f}", va="center", fontsize=SMALL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes, x="bits per token\n(less is better)")


def draw_surprise(picture: SurprisePicture) -> Any:
    """Draw the first 300 tokens: shaded text above, surprise and entropy as curves below."""
    tokens = picture["tokens"][:SHOWN_TOKENS]
    labels = [name.replace("·", " ") for name in token_labels(tokens)]
    ends = [place for place, token in enumerate(tokens) if "\n" in token["text"]]
    lines = in_lines(labels, LINE_CHARACTERS, ends=ends)
    above, below = len(lines) * LINE_INCHES, 2.6
    size = (WIDTH_INCHES, above + below + 1.4)
    figure, (text, curve) = pyplot().subplots(2, 1, figsize=size, height_ratios=[above, below])
    for row, line in enumerate(lines):
        for left, index in line:
            shade = min(tokens[index]["bits"] / DARKEST_BITS, 1.0)
            _draw_shaded(text, left, row, labels[index], shade)
    text.set(xlim=(0, LINE_CHARACTERS), ylim=(-len(lines) + 0.5, 0.5))
    text.axis("off")
    _draw_curves(curve, tokens)
    most = max(tokens, key=lambda token: token["bits"])
    word = show_spaces(most["text"]).strip("·")
    title = f"Stronger colour: more surprising. Most of all {word!r}, {most['bits']:.1f} bits"
    caption = f"{_means(picture)} {picture['caption']}{SURPRISE_LEGEND}"
    more = len(picture["tokens"]) - SHOWN_TOKENS
    if more > 0:
        caption += f" {more:,} more tokens are counted but not shown."
    return finish(figure, title=title, caption=caption)


def _means(picture: SurprisePicture) -> str:
    said = f"{picture['bits_per_token']:.2f} bits per token"
    if picture["bits_per_word"] is not None:
        said += f", {picture['bits_per_word']:.2f} bits per word"
    return f"{said}; expected {picture['entropy_bits_per_token']:.2f} bits per token."


def _draw_shaded(axes: Any, left: int, row: int, label: str, shade: float) -> None:
    plt = pyplot()
    style = {"facecolor": plt.get_cmap(SHARES)(shade), "edgecolor": "white", "linewidth": 0.8}
    axes.add_patch(plt.Rectangle((left, -row - 0.44), len(label), 0.88, **style))
    letters = {"family": "monospace", "color": ink_on(shade)}
    # letter by letter, so that a font of another width keeps to its box
    for place, letter in enumerate(label):
        write_at(axes, left + place + 0.5, -row, letter, **letters)


def _draw_curves(axes: Any, tokens: Sequence[SurprisingPiece]) -> None:
    places = range(1, len(tokens) + 1)
    bits, entropy = [token["bits"] for token in tokens], [token["entropy_bits"] for token in tokens]
    line = {"linewidth": 1.3, "markersize": 3}
    axes.plot(places, bits, "o-", color=ONE, label="surprise of the token", **line)
    axes.plot(places, entropy, "--", color=TWO, linewidth=1.3, label="entropy: expected surprise")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, len(tokens) + 0.5)
    axes.tick_params(labelsize=SMALL_SIZE)
    if len(tokens) <= NAMED_TOKENS:
        style = {"rotation": 90, "family": "monospace", "fontsize": SMALL_SIZE}
        axes.set_xticks(places, token_labels(tokens), **style)
    axes.grid(axis="y", color=MUTED, alpha=0.2)
    legend(axes)
    plain(axes, x="token of the text, in order", y="bits")


def draw_attribution(record: Attribution) -> Any:
    """Draw a bar for each of the first 40 tokens, hatched where it lowers the score, and beside
    it the loss of score without the token.
    """
    pieces = record["pieces"][:ATTRIBUTED_TOKENS]
    columns = {"gradient times input": [piece["contribution"] for piece in pieces]}
    if record["agreement"] is not None:
        columns["loss when left out"] = [piece["without"] or 0.0 for piece in pieces]
    size = (1.6 + 3.6 * len(columns), len(pieces) * BAR_INCHES + 2.3)
    figure, (grid,) = pyplot().subplots(1, len(columns), figsize=size, sharey=True, squeeze=False)
    for axes, (title, values) in zip(grid, columns.items(), strict=True):
        for place, value in enumerate(values):
            if value >= 0:
                axes.barh(place, value, height=0.72, color=ONE)
            else:
                axes.barh(place, value, height=0.72, **AGAINST)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(title, fontsize=LABEL_SIZE)
        axes.tick_params(axis="x", labelsize=SMALL_SIZE)
        plain(axes, x=f"← against   score of {_quote(record['decision'])} (logits)   for →")
    name_tokens(grid[0], y=token_labels(pieces), size=SMALL_SIZE + 1)
    grid[0].invert_yaxis()
    name_axes(grid[0], y="tokens, in reading order")
    caption, more = record["caption"], len(record["pieces"]) - ATTRIBUTED_TOKENS
    if more > 0:
        caption += f" {more} more tokens are not shown."
    return finish(figure, title=_attribution_title(record), caption=caption)


def _attribution_title(record: Attribution) -> str:
    """A title about the token that matters most, by leaving it out where that was measured."""
    against = _quote(record["against"])
    decision = f"{_quote(record['decision'])} ({100 * record['probability']:.0f} % probable)"
    if record["agreement"] is None:
        most = max(record["pieces"], key=lambda piece: piece["contribution"])
        return f"{_quote(most['text'])} contributes most to {decision} rather than {against}"
    most = max(record["pieces"], key=lambda piece: piece["without"] or 0.0)
    return (
        f"{decision} rather than {against}: without {_quote(most['text'])} the score of "
        f"{record['score']:.1f} loses most, {most['without']:.1f}"
    )


def _quote(text: str) -> str:
    return f'"{show_spaces(text)}"'
