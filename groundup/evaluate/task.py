"""What a task is, and the form of what it finds out.

    outcome = task.measure(opened, compute=compute, progress=progress)
    outcome.measures   figures: value, 95 % interval, how many items, the chance line
    outcome.details    plain values for a page: confusion matrix, answers

A task holds its items, already cut to what the budget allows: every model is measured on the same ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from groundup.device import Compute
from groundup.errors import ModelError
from groundup.evaluate.metrics import THIN_ITEMS, Interval
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Measure:
    """One figure of one model on one task."""

    metric: str
    """Its name, with the unit where it has one: accuracy, f1, loss_nats, bits_per_byte."""
    value: float
    """The figure."""
    low: float | None
    """Lower end of the 95 % interval; None: not known."""
    high: float | None
    """Upper end."""
    n: int
    """Items (messages, answers, windows of text) it was computed from."""
    chance: float | None = None
    """What guessing gives: the most frequent label, the uniform distribution; None: undefined."""
    better: Better = "higher"
    """Which direction is good."""

    @property
    def thin(self) -> bool:
        """Too few items for more than a hint."""
        return self.n < THIN_ITEMS

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "thin": self.thin}


def as_measure(
    metric: str, found: Interval, n: int, *, chance: float | None = None, better: Better = "higher"
) -> Measure:
    """A Measure from an Interval."""
    return Measure(metric, found.value, found.low, found.high, n, chance, better)


@dataclass(frozen=True)
class PerItem:
    """What a ratio (a loss) was summed from, item by item: two models on the same items are compared pair by pair."""

    totals: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True)
class TaskResult:
    """What one model gave on one task."""

    measures: tuple[Measure, ...]
    """Its figures."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: what a page shows beside them."""
    per_item: PerItem | None = None
    """What the first measure was summed from; None where it is no ratio."""


@runtime_checkable
class Task(Protocol):
    """Something that can be measured of an open model."""

    @property
    def name(self) -> str:
        """Unique among the tasks of one evaluation; shown in tables."""

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Raises ModelError for a model of the wrong kind or without a tokenizer."""
        ...


def language_model(opened: OpenModel) -> tuple[LanguageModel, Tokenizer]:
    """A model that writes text, and its tokenizer. Raises ModelError for a classifier, or where there is no tokenizer."""
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is a classifier; this needs a language model.",
            fix="Give the folder of a model that writes text.",
        )
    return opened.model, opened.require_tokenizer()


def line(measure: Measure) -> str:
    """One figure for people.

    >>> line(Measure("accuracy", 0.984, 0.969, 0.992, 500, chance=0.876))
    'accuracy 98.4 % (95 % interval 96.9 to 99.2, n = 500, chance 87.6 %)'
    """
    share = measure.metric in ("accuracy", "f1", "macro_f1")

    def shown(value: float) -> str:
        return f"{100 * value:.1f}" if share else f"{value:.3f}"

    unit = " %" if share else ""
    parts = [f"n = {measure.n:,}{', thin' if measure.thin else ''}"]
    if measure.low is not None and measure.high is not None:
        parts.insert(0, f"95 % interval {shown(measure.low)} to {shown(measure.high)}")
    if measure.chance is not None:
        parts.append(f"chance {shown(measure.chance)}{unit}")
    return f"{measure.metric} {shown(measure.value)}{unit} ({', '.join(parts)})"
