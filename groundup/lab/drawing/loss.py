"""The loss of a run over its steps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.lab.style import ONE, TWO, closed, plain, pyplot


def draw_loss(metrics: Iterable[Mapping[str, Any]]) -> Any:
    """Draw the training loss and, where it was measured, the validation loss; `metrics` are the records of a metrics.jsonl."""
    plt = pyplot()
    records = list(metrics)
    training = [(record["step"], record["loss"]) for record in records if "event" not in record and "loss" in record]
    measured = [(record["step"], record["validation_loss"]) for record in records if "validation_loss" in record]
    figure, axes = plt.subplots(figsize=(7, 3.6))
    _line(axes, training, "training", ONE, "-")
    _line(axes, measured, "validation", TWO, "o-")
    axes.set_xlabel("training step")
    axes.set_ylabel("loss, nats per token")
    if training or measured:
        axes.legend(frameon=False)
    plain(axes)
    figure.tight_layout()
    return closed(figure)


def _line(axes: Any, points: Sequence[tuple[float, float]], label: str, colour: str, style: str) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.4, markersize=4)
