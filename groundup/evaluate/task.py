"""The interface of an evaluation task, and its result.

    result = task.measure(opened, compute=compute, progress=progress)
    result.measures   metrics: value, 95 % interval, number of items, chance level
    result.details    plain values for a page: confusion matrix, answers

A task holds its items, already limited to the budget: every model is measured on the same ones.
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
    """One metric of one model on one task."""

    metric: str
    """Its name, with the unit if it has one: accuracy, f1, loss_nats, bits_per_byte."""
    value: float
    low: float | None
    """Lower bound of the 95 % interval; None: unknown."""
    high: float | None
    """Upper bound."""
    n: int
    """Number of items (messages, answers, windows of text)."""
    chance: float | None = None
    """The value of guessing (the most frequent label, the uniform distribution); None: undefined."""
    better: Better = "higher"
    """Which direction is good."""

    @property
    def thin(self) -> bool:
        """Whether there are too few items for a reliable value."""
        return self.n < THIN_ITEMS

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "thin": self.thin}


def as_measure(
    metric: str, found: Interval, n: int, *, chance: float | None = None, better: Better = "higher"
) -> Measure:
    """Return an Interval as a Measure."""
    return Measure(metric, found.value, found.low, found.high, n, chance, better)


@dataclass(frozen=True)
class PerItem:
    """The summands of a ratio (a loss) for each item, for paired comparison of two models."""

    totals: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True)
class TaskResult:
    """The result of one model on one task."""

    measures: tuple[Measure, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that a page shows beside the measures."""
    per_item: PerItem | None = None
    """The summands of the first measure; None where it is not a ratio."""


@runtime_checkable
class Task(Protocol):
    """An evaluation of an open model."""

    @property
    def name(self) -> str:
        """The task's name in tables, unique in one evaluation."""

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Measure a model. Raises ModelError for a model of the wrong kind or without a tokenizer."""
        ...


def language_model(opened: OpenModel) -> tuple[LanguageModel, Tokenizer]:
    """Return the language model and its tokenizer. Raises ModelError for a classifier, or without a tokenizer."""
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is a classifier; this needs a language model.",
            fix="Give the folder of a model that generates text.",
        )
    return opened.model, opened.require_tokenizer()


def describe(measure: Measure) -> str:
    """Return a measure as text.

    >>> describe(Measure("accuracy", 0.984, 0.969, 0.992, 500, chance=0.876))
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
