"""The loss of a run over its steps, of a text by the number of context tokens, and of sentences
alone and after those before them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.lab.style import ONE, SMALL_SIZE, TWO, close, finish, plain, pyplot, shorten
from groundup.lab.values import ContextLosses, ContextPoint, SentenceLosses
from groundup.palette import PALE_LINE

SENTENCE_CHARACTERS = 44
UNIT = "loss, nats per token"


def draw_loss(metrics: Iterable[Mapping[str, Any]]) -> Any:
    """Draw the training loss and, where it was measured, the validation loss; `metrics` are the
    records of a metrics.jsonl.
    """
    records = list(metrics)
    training = [
        (record["step"], record["loss"])
        for record in records
        if "event" not in record and "loss" in record
    ]
    measured = [
        (record["step"], record["validation_loss"])
        for record in records
        if "validation_loss" in record
    ]
    figure, axes = pyplot().subplots(figsize=(7, 3.6))
    width = {"linewidth": 1.4, "markersize": 4}
    if training:
        axes.plot(*zip(*training, strict=True), "-", color=ONE, label="training", **width)
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", color=TWO, label="validation", **width)
    axes.set(xlabel="training step", ylabel=UNIT)
    if training or measured:
        axes.legend(frameon=False)
    plain(axes)
    figure.tight_layout()
    return close(figure)


def draw_loss_by_context(losses: ContextLosses) -> Any:
    """Draw a line with its error band over a logarithmic axis of context tokens."""
    points = losses["points"]
    middles = [(point["from"] * point["to"]) ** 0.5 for point in points]
    means, errors = [point["loss"] for point in points], [point["error"] for point in points]
    figure, axes = pyplot().subplots(figsize=(7, 4.2))
    axes.plot(middles, means, "o-", color=ONE, linewidth=1.6, markersize=4)
    known = [error for error in errors if error is not None]
    if len(known) == len(points):
        below = [mean - error for mean, error in zip(means, known, strict=True)]
        above = [mean + error for mean, error in zip(means, known, strict=True)]
        axes.fill_between(middles, below, above, color=ONE, alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(middles, [_span(point) for point in points], fontsize=SMALL_SIZE)
    axes.minorticks_off()
    plain(axes, x="context tokens", y=UNIT)
    return finish(figure, title=_context_title(points), caption=losses["caption"])


def _context_title(points: Sequence[ContextPoint]) -> str:
    """Whether the loss fell by more than two standard errors, or at all where there are none."""
    first, last = points[0], points[-1]
    unsure = 2 * math.hypot(first["error"] or 0.0, last["error"] or 0.0)
    said = "More context does not improve the predictions"
    if first["loss"] - last["loss"] > unsure:
        said = "More context, better predictions"
    return (
        f"{said}: {first['loss']:.1f} nats per token after one token, "
        f"{last['loss']:.1f} after {_span(last)}"
    )


def draw_sentence_losses(losses: SentenceLosses) -> Any:
    """Draw two joined dots for each sentence: alone, and after all before it."""
    rows = losses["sentences"]
    places = range(len(rows))
    alone, after = [row["alone"] for row in rows], [row["after"] for row in rows]
    names = [" ".join(row["text"].split()).replace("$", r"\$") for row in rows]
    figure, axes = pyplot().subplots(figsize=(8, 0.34 * len(rows) + 2.0))
    axes.hlines(places, after, alone, color=PALE_LINE, linewidth=2)
    axes.plot(alone, places, "o", color=TWO, markersize=6, label="the sentence alone")
    axes.plot(after, places, "s", color=ONE, markersize=5, label="after those before it")
    labels = [shorten(name, SENTENCE_CHARACTERS) for name in names]
    axes.set_yticks(places, labels, fontsize=SMALL_SIZE)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "borderpad": 0}
    axes.legend(frameon=False, fontsize=SMALL_SIZE, **above)
    plain(axes, x=UNIT)
    return finish(figure, title=_gain_title(losses), caption=losses["caption"])


def _gain_title(losses: SentenceLosses) -> str:
    """The effect of earlier sentences on the loss, if it is more than two standard errors."""
    gain, error, unsure, effect = losses["gain"], losses["error"], "", "raise"
    if gain > 0:
        effect = "lower"
    if error is not None:
        unsure = f" ± {error:.2f}"
        if abs(gain) < 2 * error:
            none = "Earlier sentences make no significant difference"
            return f"{none}: {gain:.2f}{unsure} nats per token"
    return f"Earlier sentences {effect} the loss by {abs(gain):.2f}{unsure} nats per token"


def _span(point: ContextPoint) -> str:
    if point["from"] == point["to"]:
        return str(point["from"])
    return f"{point['from']} to {point['to']}"
