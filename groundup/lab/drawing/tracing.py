"""Causal tracing as heatmaps: what the stream, the attention and the feed-forward network restore
at each layer and token, and each head at all tokens.
"""

from collections.abc import Sequence
from typing import Any

from groundup.lab.style import (
    LABEL_SIZE,
    SCALE_INCHES,
    SHARES,
    SMALL_SIZE,
    few_ticks,
    finish,
    name_axes,
    name_tokens,
    pair_labels,
    pyplot,
    show_spaces,
)
from groundup.lab.values import CausalTrace, TracedSite

TITLES = {
    "stream": "the stream\nafter the layer",
    "attention": "what attention\nadds",
    "feedforward": "what feed-\nforward adds",
    "head": "one head,\nall tokens",
}
COLUMN_INCHES, HEAD_INCHES, ROW_INCHES, LEAST_INCHES = 0.2, 0.15, 0.17, 1.28
# The last ones are shown.
SHOWN_TOKENS = 24
HALF = 0.5
LEGEND = " Colour: none for nothing (or less), strongest for the whole difference."


def draw_trace(trace: CausalTrace) -> Any:
    """Draw the four sites side by side, layers upwards."""
    tables = [_shown(site) for site in trace["sites"]]
    columns = [COLUMN_INCHES] * (len(tables) - 1) + [HEAD_INCHES]
    widths = [
        max(len(table[0]) * each, LEAST_INCHES) for table, each in zip(tables, columns, strict=True)
    ]
    height = max(len(tables[0]) * ROW_INCHES, LEAST_INCHES)
    size = (sum(widths) + 0.9 + SCALE_INCHES, height + 3.0)
    figure, grid = pyplot().subplots(1, len(tables), figsize=size, width_ratios=widths, sharey=True)
    name_axes(grid[0], y="layer or block (layer 0: before block 1)")
    names = pair_labels(trace)[-SHOWN_TOKENS:]
    for axes, site, table in zip(grid, trace["sites"], tables, strict=True):
        image = _draw_site(axes, site, table, names)
    colours = (image, "share restored", (0, 0.25, 0.5, 0.75, 1))
    caption = trace["caption"] + LEGEND + _best_head(trace["sites"][-1])
    hidden = len(trace["pieces"]) - SHOWN_TOKENS
    if hidden > 0:
        caption += f" {hidden} earlier tokens are not shown."
    return finish(figure, title=trace_title(trace), caption=caption, colours=colours)


def _shown(site: TracedSite) -> Sequence[Sequence[float]]:
    if site["site"] == "head":
        return site["restored"]
    return [row[-SHOWN_TOKENS:] for row in site["restored"]]


def _draw_site(
    axes: Any, site: TracedSite, table: Sequence[Sequence[float]], names: Sequence[str]
) -> Any:
    first, end = site["first"], site["first"] + len(table)
    extent = (-0.5, len(table[0]) - 0.5, first - 0.5, end - 0.5)
    look = {"vmin": 0, "vmax": 1, "aspect": "auto", "origin": "lower", "extent": extent}
    image = axes.imshow(table, cmap=SHARES, **look)
    if first == 0:
        axes.set_ylim(-0.5, end - 0.5)
        axes.set_yticks(*few_ticks(range(end), 16), fontsize=SMALL_SIZE)
    axes.set_title(TITLES[site["site"]], fontsize=LABEL_SIZE)
    if site["site"] == "head":
        axes.set_xticks(*few_ticks(range(1, len(table[0]) + 1), 12), fontsize=SMALL_SIZE)
        name_axes(axes, "head")
    else:
        name_tokens(axes, x=names, rotation=90)
    return image


def _best_head(site: TracedSite) -> str:
    share, block, head = max(
        (share, block, head)
        for block, row in enumerate(site["restored"], start=1)
        for head, share in enumerate(row, start=1)
    )
    return f" The head that restores most is head {head} of block {block}: {100 * share:.0f} %."


def trace_title(trace: CausalTrace) -> str:
    """Which tokens of the stream restore more than half of the difference, and at which layers."""
    answer, wrong = (show_spaces(piece["text"]) for piece in (trace["answer"], trace["wrong"]))
    names, stream = pair_labels(trace), trace["sites"][0]["restored"]
    spans = []
    for place, name in enumerate(names):
        layers = [layer for layer, row in enumerate(stream) if row[place] > HALF]
        if layers:
            spans.append(f"“{name}” at {_span(layers)}")
    carried = " and ".join(spans) or "no single token"
    return f"“{answer}” rather than “{wrong}”: more than half of the difference is in {carried}"


def _span(layers: Sequence[int]) -> str:
    if layers[0] == layers[-1]:
        return f"layer {layers[0]}"
    return f"layers {layers[0]} to {layers[-1]}"
