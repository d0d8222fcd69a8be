"""A text shaded by the surprise of each token, and surprise and entropy as curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, MUTED, ONE, SHARES, SMALL_SIZE, TWO, finished, plain, pyplot, show_spaces

LINE_CHARACTERS = 88
LINE_INCHES = 0.34
# The darkest shade; a uniform choice among 49,152 tokens is 15.6 bits.
DARKEST_BITS = 16.0
SHOWN_TOKENS = 300
# Most tokens with names below the curve.
NAMED_TOKENS = 60
DARK = 0.55


def draw_surprise(picture: Mapping[str, Any]) -> Any:
    """Draw the first 300 tokens: shaded text above, curves below; `picture` is from `surprise`."""
    tokens = picture["tokens"][:SHOWN_TOKENS]
    lines = _lines(tokens)
    plt = pyplot()
    above, below = len(lines) * LINE_INCHES, 2.6
    figure, (text, curve) = plt.subplots(2, 1, figsize=(9.5, above + below + 1.2), height_ratios=[above, below])
    _text(text, lines)
    _curve(curve, tokens)
    most = max(tokens, key=lambda token: token["bits"])
    title = f"Darker: more surprising. The most surprising token is {show_spaces(most['text']).strip('·')!r}, {most['bits']:.1f} bits"
    return finished(figure, title=title, caption=f"{_means(picture)} {picture['caption']}{LEGEND}{_left_out(picture)}")


LEGEND = f" Shade: white 0 bits, darkest {DARKEST_BITS:.0f} and more."


def _left_out(picture: Mapping[str, Any]) -> str:
    more = len(picture["tokens"]) - SHOWN_TOKENS
    return f" {more:,} more tokens are counted but not shown." if more > 0 else ""


def _means(picture: Mapping[str, Any]) -> str:
    words = picture["bits_per_word"]
    by_word = "" if words is None else f", {words:.2f} bits per word"
    entropy = picture["entropy_bits_per_token"]
    return f"{picture['bits_per_token']:.2f} bits per token{by_word}; expected {entropy:.2f} bits per token."


def _lines(tokens: Sequence[Mapping[str, Any]]) -> list[list[tuple[int, str, Mapping[str, Any]]]]:
    """Return tokens in lines: (left edge in characters, text as shown, token); a line end in the text begins a new one."""
    lines: list[list[tuple[int, str, Mapping[str, Any]]]] = [[]]
    left = 0
    for token in tokens:
        shown = show_spaces(token["text"]).replace("·", " ")
        if left and left + len(shown) > LINE_CHARACTERS:
            lines.append([])
            left = 0
        lines[-1].append((left, shown, token))
        left += len(shown)
        if "\n" in token["text"]:
            lines.append([])
            left = 0
    return [line for line in lines if line]


def _text(axes: Any, lines: Sequence[Sequence[tuple[int, str, Mapping[str, Any]]]]) -> None:
    plt = pyplot()
    colours = plt.get_cmap(SHARES)
    for row, line in enumerate(lines):
        for left, shown, token in line:
            shade = min(token["bits"] / DARKEST_BITS, 1.0)
            axes.add_patch(
                plt.Rectangle(
                    (left, -row - 0.44), len(shown), 0.88, facecolor=colours(shade), edgecolor="white", linewidth=0.8
                )
            )
            colour = "white" if shade > DARK else "black"
            for place, letter in enumerate(shown):  # letter by letter, so that a font of another width keeps to its box
                axes.text(
                    left + place + 0.5,
                    -row,
                    letter,
                    ha="center",
                    va="center",
                    family="monospace",
                    fontsize=9,
                    color=colour,
                )
    axes.set_xlim(0, LINE_CHARACTERS)
    axes.set_ylim(-len(lines) + 0.5, 0.5)
    axes.axis("off")


def _curve(axes: Any, tokens: Sequence[Mapping[str, Any]]) -> None:
    places = range(1, len(tokens) + 1)
    axes.plot(
        places,
        [token["bits"] for token in tokens],
        "o-",
        color=ONE,
        markersize=3,
        linewidth=1.3,
        label="surprise of the token",
    )
    axes.plot(
        places,
        [token["entropy_bits"] for token in tokens],
        "--",
        color=TWO,
        linewidth=1.3,
        label="entropy: expected surprise",
    )
    axes.set_ylabel("bits", fontsize=LABEL_SIZE)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, len(tokens) + 0.5)
    axes.tick_params(labelsize=SMALL_SIZE)
    if len(tokens) <= NAMED_TOKENS:
        names = [show_spaces(token["text"]) for token in tokens]
        axes.set_xticks(places, names, rotation=90, family="monospace", fontsize=SMALL_SIZE)
    axes.set_xlabel("token of the text, in order", fontsize=LABEL_SIZE)
    axes.grid(axis="y", color=MUTED, alpha=0.2)
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    plain(axes)
