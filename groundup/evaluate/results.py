"""EvaluationResults: what an evaluation measured, for what is returned, written and shown;
`to_plain` gives the contents of results.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from groundup.evaluate.config import Over
from groundup.evaluate.item_overlap import ItemOverlap
from groundup.evaluate.paired import Difference
from groundup.evaluate.task import Better, ExcludedItems, Measure

POINT = ("x", "value", "low", "high", "n", "is_chance")


@dataclass(frozen=True, kw_only=True)
class EvaluationRow(Measure):
    task: str
    model: str
    elapsed_s: float
    """Of the whole task."""
    settings: Mapping[str, int | str] = field(default_factory=dict)
    """What the value depends on besides the items; of suites shots, template, bos, and prompts, a
    hash of all prompts.
    """
    curve: str = ""
    """Of `over`: the curve, as named by the user."""
    x: float = 0.0
    """Of `over`: the step, the parameters or the shots."""

    def plain(self) -> dict[str, float | str | None]:
        named = {"task": self.task, "model": self.model}
        own = {name: getattr(self, name) for name in Measure.__dataclass_fields__}
        shown = {"thin": self.thin, "is_chance": self.is_chance, "elapsed_s": self.elapsed_s}
        place = {"curve": self.curve, "x": self.x} if self.curve else {}
        return {**named, **own, **shown, **self.settings, **place}


@dataclass(frozen=True, kw_only=True)
class ModelChange(Difference):
    task: str
    from_model: str
    to_model: str
    metric: str
    better: Better
    """Which direction is good."""
    curve: str = ""

    def to_plain(self) -> dict[str, float | str | None]:
        named = {"task": self.task, "from": self.from_model, "to": self.to_model}
        own = {name: getattr(self, name) for name in Difference.__dataclass_fields__}
        found = {"thin": self.thin, "verdict": self.verdict(self.better)}
        place = {"curve": self.curve} if self.curve else {}
        return {**named, "metric": self.metric, **own, **found, **place}


@dataclass(frozen=True)
class MetricCurve:
    """A metric of a task over steps, sizes or shots."""

    model: str
    """The curve, as named by the user."""
    over: Over
    points: tuple[EvaluationRow, ...]
    """In order of x."""
    change: ModelChange | None
    """From the first point to the last."""

    def to_plain(self) -> dict[str, Any]:
        first = self.points[0]
        head = {name: getattr(first, name) for name in ("task", "metric", "better", "chance")}
        points = [{name: getattr(each, name) for name in POINT} for each in self.points]
        return {
            **head,
            "model": self.model,
            "over": self.over,
            "points": points,
            "change": self.change and self.change.to_plain(),
        }


@dataclass(frozen=True)
class EvaluationResults:
    """What an evaluation measured."""

    rows: tuple[EvaluationRow, ...] = ()
    changes: tuple[ModelChange, ...] = ()
    details: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Task -> model -> JSON values for a page."""
    left_out: ExcludedItems | None = None
    """Of held-out data: items that a model was trained on."""
    over: Over | None = None
    curves: tuple[MetricCurve, ...] = ()
    overlap: Mapping[str, Mapping[str, ItemOverlap]] | None = None
    """Of suites: suite -> model -> items in the model's training text, where that is there."""

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        if self.over:
            plain["over"] = self.over
        plain["rows"] = [row.plain() for row in self.rows]
        plain["changes"] = [change.to_plain() for change in self.changes]
        plain["details"] = {task: dict(models) for task, models in self.details.items()}
        if self.left_out:
            plain["left_out"] = asdict(self.left_out)
        if self.over:
            plain["curves"] = [curve.to_plain() for curve in self.curves]
        if self.overlap is not None:
            plain["overlap"] = {
                suite: {model: vars(found) for model, found in models.items()}
                for suite, models in self.overlap.items()
            }
        return plain


def merge_results(parts: Sequence[EvaluationResults]) -> EvaluationResults:
    details: dict[str, dict[str, Mapping[str, Any]]] = {}
    for part in parts:
        for task, models in part.details.items():
            details.setdefault(task, {}).update(models)
    rows = tuple(row for part in parts for row in part.rows)
    return EvaluationResults(rows, tuple(row for part in parts for row in part.changes), details)
