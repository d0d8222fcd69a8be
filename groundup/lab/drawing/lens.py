"""The logit lens as a heatmap: layers upwards, tokens to the right, each cell the prediction, darker for a higher probability."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, ONE, SHARES, SMALL_SIZE, finished, plain, pyplot, show_spaces

# Columns of a readable picture, and characters in one.
SHOWN_TOKENS = 12
CELL_CHARACTERS = 10
CELL_INCHES, ROW_INCHES = 0.92, 0.23
DARK = 0.55


def draw_lens(picture: Mapping[str, Any], *, first: int = 1) -> Any:
    """Draw the predictions at 12 pieces from number `first` on; a frame marks correct ones. `picture` is from `logit_lens`."""
    layers, start = picture["layers"], first - 1
    shown = picture["pieces"][start : start + SHOWN_TOKENS]
    plt = pyplot()
    size = (len(shown) * CELL_INCHES + 3.2, max(len(layers) * ROW_INCHES, 1.5) + 2.4)
    figure, (field, side) = plt.subplots(1, 2, figsize=size, width_ratios=[len(shown) * CELL_INCHES, 1.6], sharey=True)
    rows = [layer["cells"][start : start + SHOWN_TOKENS] for layer in layers]
    image = [[cell["probability"] for cell in row] for row in rows]
    field.imshow(image, cmap=SHARES, vmin=0, vmax=1, aspect="auto", origin="lower")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            _cell(field, x, y, cell)
    _axes(field, shown, picture["pieces"][start + 1 : start + 1 + SHOWN_TOKENS], layers)
    _bits(side, layers)
    return finished(figure, title=_title(picture, start, len(shown)), caption=picture["caption"] + LEGEND)


LEGEND = " Shade: probability, white 0, dark 1; · is a space. Framed: the prediction is the actual next token."


def _cell(axes: Any, x: int, y: int, cell: Mapping[str, Any]) -> None:
    text = show_spaces(cell["text"])
    short = text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"
    colour = "white" if cell["probability"] > DARK else "black"
    label = f"{short} {100 * cell['probability']:.0f}%"
    axes.text(x, y, label, ha="center", va="center", family="monospace", fontsize=SMALL_SIZE - 0.5, color=colour)
    if cell["rank"] == 1:
        axes.add_patch(pyplot().Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.2))


def _axes(
    axes: Any, reads: Sequence[Mapping[str, Any]], comes: Sequence[Mapping[str, Any]], layers: Sequence[Any]
) -> None:
    names = [show_spaces(piece["text"]) for piece in reads]
    following = [f"→ {show_spaces(piece['text'])}" for piece in comes]
    following += ["→ ?"] * (len(names) - len(following))
    labels = [f"{name[:14]}\n{after[:14]}" for name, after in zip(names, following, strict=True)]
    axes.set_xticks(range(len(labels)), labels, family="monospace", fontsize=SMALL_SIZE)
    axes.set_xlabel("token read → next token", fontsize=LABEL_SIZE)
    step = 1 if len(layers) <= 16 else 5
    places = [layer["layer"] for layer in layers if layer["layer"] % step == 0 or layer is layers[-1]]
    axes.set_yticks(places, [str(place) for place in places], fontsize=SMALL_SIZE)
    axes.set_ylabel("layer (0: before block 1)", fontsize=LABEL_SIZE)


def _bits(axes: Any, layers: Sequence[Mapping[str, Any]]) -> None:
    """Draw the bits per token of each layer, over all tokens of the text."""
    axes.barh(
        [layer["layer"] for layer in layers], [layer["bits_per_token"] for layer in layers], color=ONE, height=0.7
    )
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    last = layers[-1]
    axes.text(last["bits_per_token"], last["layer"], f" {last['bits_per_token']:.1f}", va="center", fontsize=SMALL_SIZE)
    axes.set_xlabel("bits per token\n(less is better)", fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes)


def _title(picture: Mapping[str, Any], start: int, shown: int) -> str:
    last = picture["layers"][-1]
    whole = f"Predictions layer by layer: after the last one {100 * last['right']:.0f} % of the next tokens are correct"
    total = len(picture["pieces"])
    return whole if shown == total else f"{whole} (pieces {start + 1} to {start + shown} of {total} shown)"
