"""The loss of a run over its steps, of a text by the number of context tokens, and of sentences
alone and after those before them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.lab.style import ONE, SMALL_SIZE, TWO, closed, finished, plain, pyplot
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
    for points, label, colour, style in (
        (training, "training", ONE, "-"),
        (measured, "validation", TWO, "o-"),
    ):
        if points:
            axes.plot(
                *zip(*points, strict=True),
                style,
                color=colour,
                label=label,
                linewidth=1.4,
                markersize=4,
            )
    axes.set(xlabel="training step", ylabel=UNIT)
    if training or measured:
        axes.legend(frameon=False)
    plain(axes)
    figure.tight_layout()
    return closed(figure)


def draw_loss_by_context(losses: Mapping[str, Any]) -> Any:
    """Draw a line with its error band over a logarithmic axis of context tokens; `losses` is from
    `loss_by_context`.
    """
    points = losses["points"]
    middles = [(point["from"] * point["to"]) ** 0.5 for point in points]
    figure, axes = pyplot().subplots(figsize=(7, 4.2))
    axes.plot(
        middles, [point["loss"] for point in points], "o-", color=ONE, linewidth=1.6, markersize=4
    )
    if all(point["error"] is not None for point in points):
        below = [point["loss"] - point["error"] for point in points]
        above = [point["loss"] + point["error"] for point in points]
        axes.fill_between(middles, below, above, color=ONE, alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(middles, [_span(point) for point in points], fontsize=SMALL_SIZE)
    axes.minorticks_off()
    plain(axes, x="context tokens", y=UNIT)
    return finished(figure, title=_context_title(points), caption=losses["caption"])


def _context_title(points: Sequence[Mapping[str, Any]]) -> str:
    """Return whether the loss fell by more than two standard errors, or at all where there are
    none.
    """
    first, last = points[0], points[-1]
    unsure = 2 * math.hypot(first["error"] or 0.0, last["error"] or 0.0)
    helped = first["loss"] - last["loss"] > unsure
    said = (
        "More context, better predictions"
        if helped
        else "More context does not improve the predictions"
    )
    return f"{said}: {first['loss']:.1f} nats per token after one token, {last['loss']:.1f} after {_span(last)}"


def draw_sentence_losses(losses: Mapping[str, Any]) -> Any:
    """Draw two joined dots for each sentence: alone, and after all before it; `losses` is from
    `sentence_losses`.
    """
    rows = losses["sentences"]
    places, alone, after = (
        range(len(rows)),
        [row["alone"] for row in rows],
        [row["after"] for row in rows],
    )
    figure, axes = pyplot().subplots(figsize=(8, 0.34 * len(rows) + 2.0))
    axes.hlines(places, after, alone, color=PALE_LINE, linewidth=2)
    axes.plot(alone, places, "o", color=TWO, markersize=6, label="the sentence alone")
    axes.plot(after, places, "s", color=ONE, markersize=5, label="after those before it")
    axes.set_yticks(places, [_short(row["text"]) for row in rows], fontsize=SMALL_SIZE)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.legend(
        frameon=False,
        fontsize=SMALL_SIZE,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderpad=0,
    )
    plain(axes, x=UNIT)
    return finished(figure, title=_gain_title(losses), caption=losses["caption"])


def _gain_title(losses: Mapping[str, Any]) -> str:
    """Return the effect of earlier sentences on the loss, if it is more than two standard
    errors.
    """
    gain, error = losses["gain"], losses["error"]
    if error is not None and abs(gain) < 2 * error:
        return f"Earlier sentences make no significant difference: {gain:.2f} ± {error:.2f} nats per token"
    unsure = "" if error is None else f" ± {error:.2f}"
    return f"Earlier sentences {'lower' if gain > 0 else 'raise'} the loss by {abs(gain):.2f}{unsure} nats per token"


def _span(point: Mapping[str, Any]) -> str:
    return (
        str(point["from"]) if point["from"] == point["to"] else f"{point['from']} to {point['to']}"
    )


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("$", r"\$")
    return line if len(line) <= SENTENCE_CHARACTERS else line[: SENTENCE_CHARACTERS - 1] + "…"
