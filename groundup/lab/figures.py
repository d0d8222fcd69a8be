"""The same values as pictures for a notebook (matplotlib, the extra `lab`): tokens, attention, loss, a map of embeddings.

Each function takes plain values (what `tokens`, `attention`, `embeddings` return, or a run's metrics) and gives a figure, closed, so that a
notebook shows it once, as the value of its cell. Raises MissingExtra where matplotlib is not installed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.errors import MissingExtra

COLOURS = ("#d9e6f4", "#f6dfca", "#d7ead9", "#ece0f0")
ONE, TWO = "#23568f", "#b4531a"
LINE_CHARACTERS = 64
ID_SIZE = 7
HABITS = {
    "previous": "to the token just before",
    "first": "to the first token",
    "same": "to earlier copies of itself",
}


def draw_tokens(picture: Mapping[str, Any]) -> Any:
    """A text as coloured pieces with their ids below; `picture` is from `token_picture`."""
    plt = _pyplot()
    lines = _token_lines(picture["pieces"])
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(lines) + 0.2))
    for row, line in enumerate(lines):
        for left, index, piece, label in line:
            middle = left + len(label) / 2
            box = plt.Rectangle(
                (left + 0.08, -row - 0.42), len(label) - 0.16, 0.84, color=COLOURS[index % len(COLOURS)]
            )
            axes.add_patch(box)
            axes.text(middle, -row + 0.1, label, ha="center", va="center", family="monospace", fontsize=10)
            axes.text(
                middle, -row - 0.27, str(piece["id"]), ha="center", va="center", fontsize=ID_SIZE, color="#5e646d"
            )
    axes.set_xlim(0, LINE_CHARACTERS)
    axes.set_ylim(-len(lines) + 0.45, 0.55)
    axes.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)
    return _closed(plt, figure)


def _token_lines(pieces: Iterable[Mapping[str, Any]]) -> list[list[tuple[float, int, Mapping[str, Any], str]]]:
    """Pieces set in lines: (left edge in characters, number, piece, label); at least one line."""
    lines: list[list[tuple[float, int, Mapping[str, Any], str]]] = [[]]
    left = 0.0
    for index, piece in enumerate(pieces):
        label = f" {show_spaces(piece['text'])} ".center(len(str(piece["id"])) + 1)
        if left and left + len(label) > LINE_CHARACTERS:
            lines.append([])
            left = 0.0
        lines[-1].append((left, index, piece, label))
        left += len(label)
    return lines


def show_spaces(piece: str) -> str:
    """A piece with spaces, tabs and line ends made visible; what a font can't draw stays as it is."""
    return piece.replace(" ", "·").replace("\n", "↵").replace("\t", "→").replace("$", r"\$")


def draw_attention(record: Mapping[str, Any]) -> Any:
    """A square for each head of `attention_record`: row = the token that looks, column = where."""
    plt = _pyplot()
    labels = [show_spaces(piece["text"]) for piece in record["pieces"]]
    heads = record["heads"]
    figure, grid = plt.subplots(1, max(1, len(heads)), figsize=(4.2 * max(1, len(heads)), 4.4), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        axes.imshow(head["weights"], cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", family="monospace", fontsize=7)
        axes.set_yticks(range(len(labels)), labels, family="monospace", fontsize=7)
        axes.set_title(_habit(head), fontsize=9)
    if not heads:
        grid[0][0].axis("off")
    figure.tight_layout()
    return _closed(plt, figure)


def _habit(head: Mapping[str, Any]) -> str:
    """What a head does most, and how much."""
    habit = HABITS.get(head["kind"], head["kind"])
    return f"block {head['block']}, head {head['head']}\n{100 * head['score']:.0f} % {habit}"


def draw_loss(metrics: Iterable[Mapping[str, Any]]) -> Any:
    """Training loss and, where it was measured, validation loss over steps; `metrics` are the records of a metrics.jsonl."""
    plt = _pyplot()
    records = list(metrics)
    training = [(record["step"], record["loss"]) for record in records if "event" not in record and "loss" in record]
    measured = [(record["step"], record["validation_loss"]) for record in records if "validation_loss" in record]
    figure, axes = plt.subplots(figsize=(7, 3.6))
    _line(axes, training, "training", ONE, "-")
    _line(axes, measured, "validation", TWO, "o-")
    axes.set_xlabel("training step")
    axes.set_ylabel("loss, nats a token")
    if training or measured:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return _closed(plt, figure)


def _line(axes: Any, points: Sequence[tuple[float, float]], label: str, colour: str, style: str) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.4, markersize=4)


def draw_embeddings(map: Mapping[str, Any]) -> Any:
    """Tokens on their first two principal components; `map` is from `embedding_map`."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 5.2))
    for point in map["points"]:
        axes.text(
            point["x"], point["y"], show_spaces(point["text"]), ha="center", va="center", family="monospace", fontsize=8
        )
    for set_limits, name in ((axes.set_xlim, "x"), (axes.set_ylim, "y")):
        values = [point[name] for point in map["points"]]
        margin = 0.08 * (max(values) - min(values)) + 1e-6
        set_limits(min(values) - margin, max(values) + margin)
    axes.set_title(
        f"The two directions along which these tokens differ most ({100 * map['explained']:.0f} % of it)", fontsize=9
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return _closed(plt, figure)


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtra("matplotlib", "lab") from error
    return plt


def _closed(plt: Any, figure: Any) -> Any:
    """Taken out of pyplot's list: a notebook would show an open figure a second time."""
    plt.close(figure)
    return figure
