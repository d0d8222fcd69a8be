"""Measures of every head of a model as heatmaps, a row for each block, a column for each head."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.lab.drawing.attention import BLOCKS, PATTERNS
from groundup.lab.style import LABEL_SIZE, SHARES, SMALL_SIZE, finished, pyplot

# Inches of a cell, and of the margin of a heatmap with a colour scale and of one without.
SQUARE, AROUND, AROUND_WITHOUT_SCALE = 0.24, 1.5, 0.5
NARROWEST, LOWEST = 2.3, 1.8
# The best of many heads is above chance by luck; it counts as found from this many times chance on.
TIMES_CHANCE = 3
FIELDS = (
    ("distance_beyond_first_tokens", "How far back\n(first token left out)", "mean distance, tokens"),
    ("entropy_bits", "How widely", "entropy, bits"),
    ("first_share", "Attention to\nthe first token", "share of attention"),
)


def draw_head_search(found: Mapping[str, Any]) -> Any:
    """Draw the scores of all heads for each pattern; `found` is from `search_heads`."""
    heads = found["heads"]
    figure, fields = by_head_figure(heads, len(found["kinds"]), scales=False)
    image = None
    for axes, kind in zip(fields, found["kinds"], strict=True):
        name, best = kind["kind"], kind["best"][0]
        image = draw_by_head(axes, heads, [head["scores"][name] for head in heads], top=1.0)
        found_one = best["score"] > TIMES_CHANCE * kind["chance"]
        if found_one:
            mark_head(axes, best)
        said = f"block {best['block']}, head {best['head']}: {best['score']:.2f}" if found_one else "none found"
        axes.set_title(f"{name}:\n{PATTERNS[name]}\n{said}\n(chance {kind['chance']:.2f})", fontsize=LABEL_SIZE)
    colours = (image, "share of attention", (0, 0.25, 0.5, 0.75, 1))
    return finished(figure, title=_title(heads), caption=f"{found['caption']}{_losses(found['loss'])}", colours=colours)


def _title(heads: Sequence[Mapping[str, Any]]) -> str:
    """Return how many heads have each pattern."""
    counts = Counter(head["named"] for head in heads if head["named"] is not None)
    if not counts:
        return f"None of {len(heads)} heads gives more than half of its attention to one pattern"
    said = ", ".join(f"{count} {PATTERNS[kind]}" for kind, count in counts.most_common())
    return f"{sum(counts.values())} of {len(heads)} heads give most of their attention to one pattern: {said}"


def _losses(loss: Mapping[str, float] | None) -> str:
    if loss is None:
        return ""
    return f" Loss: {loss['first_half']:.2f} nats per token in the first half, {loss['second_half']:.2f} in the second."


def draw_head_distances(reach: Mapping[str, Any]) -> Any:
    """Draw three heatmaps with a cell for each head; `reach` is from `head_distances`."""
    heads = reach["heads"]
    figure, fields = by_head_figure(heads, len(FIELDS), scales=True)
    for axes, (measure, name, unit) in zip(fields, FIELDS, strict=True):
        top = 1.0 if measure == "first_share" else None
        draw_by_head(axes, heads, [head[measure] for head in heads], unit=unit, top=top)
        axes.set_title(name, fontsize=LABEL_SIZE)
    alike = reach["uniform"]
    evenly = (
        f"Uniform attention would have {alike['distance_beyond_first_tokens']:.1f} tokens, "
        f"{alike['entropy_bits']:.1f} bits and a share of {alike['first_share']:.2f} on the first token."
    )
    title = f"How far back each head attends: {len(heads)} heads on {reach['tokens']} tokens"
    return finished(figure, title=title, caption=f"{reach['caption']} {evenly}")


def by_head_figure(heads: Iterable[Mapping[str, Any]], fields: int, *, scales: bool) -> tuple[Any, list[Any]]:
    """Return a figure with `fields` axes side by side, each with room for a cell for every head, and (`scales`) a scale beside it."""
    blocks, most = _shape(heads)
    around = AROUND if scales else AROUND_WITHOUT_SCALE
    size = (fields * max(most * SQUARE + around, NARROWEST) + 0.6, max(blocks * SQUARE, LOWEST) + 1.9)
    figure, grid = pyplot().subplots(1, fields, figsize=size, squeeze=False)
    grid[0][0].set_ylabel(BLOCKS, fontsize=LABEL_SIZE)
    return figure, list(grid[0])


def draw_by_head(
    axes: Any, heads: Iterable[Mapping[str, Any]], values: Iterable[float], *, unit: str = "", top: float | None = None
) -> Any:
    """Draw the heatmap of one measure; `top` is the darkest value (None: the largest), `unit` the name of a scale beside it ("": none)."""
    heads = list(heads)
    blocks, most = _shape(heads)
    field = [[float("nan")] * most for _ in range(blocks)]
    for head, value in zip(heads, values, strict=True):
        field[head["block"] - 1][head["head"] - 1] = value
    image = axes.imshow(field, cmap=SHARES, vmin=0, vmax=top, aspect="equal", origin="lower")
    axes.set_xticks(*_ticks(most), fontsize=SMALL_SIZE)
    axes.set_yticks(*_ticks(blocks), fontsize=SMALL_SIZE)
    axes.set_xlabel("head", fontsize=LABEL_SIZE)
    if unit:
        _draw_bar(axes, image, unit)
    return image


def _draw_bar(axes: Any, image: Any, unit: str) -> None:
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.08, pad=0.06)
    bar.set_label(unit, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def mark_head(axes: Any, head: Mapping[str, Any]) -> None:
    """Draw a frame around one head's cell."""
    left, below = head["head"] - 1.5, head["block"] - 1.5
    axes.add_patch(pyplot().Rectangle((left, below), 1, 1, fill=False, edgecolor="black", linewidth=1.3))


def _shape(heads: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    heads = list(heads)
    return max(head["block"] for head in heads), max(head["head"] for head in heads)


def _ticks(count: int) -> tuple[list[int], list[str]]:
    """Return positions and labels: all of a few, every fifth of many."""
    step = 1 if count <= 12 else 5
    numbers = [number for number in range(1, count + 1) if number == 1 or number % step == 0]
    return [number - 1 for number in numbers], [str(number) for number in numbers]
