"""The interface of an evaluation task, its result, and the kinds of held-out data that tasks are
built from. A task holds its items, already limited to the budget: every model is measured on the
same ones.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from groundup.data.preparation.trained_on import TrainedOn
from groundup.data.reading.data import Data
from groundup.data.reading.example_rows import AnyExample
from groundup.data.reading.layouts import Layout
from groundup.device import Compute
from groundup.errors import DataError, ModelError
from groundup.evaluate.metrics import SHARES, THIN_ITEMS, Interval
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import KIND_NAMES, ModelKind
from groundup.weights.model_io import OpenModel

Item = TypeVar("Item", bound=AnyExample | str)
Better = Literal["higher", "lower"]
AT_CHANCE = "not distinguishable from chance"


@dataclass(frozen=True)
class Measure:
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
    """The value of guessing (the most frequent label, the uniform distribution); None:
    undefined.
    """
    better: Better = "higher"
    """Which direction is good."""

    @property
    def thin(self) -> bool:
        """Whether there are too few items for a reliable value."""
        return self.n < THIN_ITEMS

    @property
    def is_chance(self) -> bool:
        """The interval holds the value of guessing, or lies on the wrong side of it."""
        if self.chance is None or self.low is None or self.high is None:
            return False
        if self.better == "higher":
            return self.low <= self.chance
        return self.high >= self.chance

    def plain(self) -> dict[str, float | str | None]:
        return {**asdict(self), "thin": self.thin, "is_chance": self.is_chance}


def as_measure(
    metric: str, found: Interval, n: int, *, chance: float | None = None, better: Better = "higher"
) -> Measure:
    return Measure(metric, found.value, found.low, found.high, n, chance, better)


@dataclass(frozen=True)
class PerItem:
    """The summands of a ratio (a loss, a share) for each item, for paired comparison of two
    models.
    """

    totals: tuple[float, ...]
    """Of a share 1 where the model is right, else 0."""
    counts: tuple[float, ...]

    @classmethod
    def of_right(cls, right: Iterable[bool]) -> "PerItem":
        """Return the items of a share, from whether each was right."""
        totals = tuple(map(float, right))
        return cls(totals, (1.0,) * len(totals))


@dataclass(frozen=True)
class TaskResult:
    """The result of one model on one task."""

    measures: tuple[Measure, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that a page shows beside the measures."""
    per_item: PerItem | None = None
    """The summands of the first measure; None where it is not a ratio."""
    settings: Mapping[str, int | str] = field(default_factory=dict)
    """What the figures depend on besides the items: shots, template.

    Each row of a table has them.
    """


@runtime_checkable
class EvaluationTask(Protocol):
    """An evaluation of an open model."""

    @property
    def name(self) -> str:
        """The task's name in tables, unique in one evaluation."""

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult: ...


@dataclass
class ExcludedItems:
    """Items that are not measured, as a model was trained on them."""

    items: int = 0
    of: int = 0
    """Items of the data."""
    models: dict[str, int] = field(default_factory=dict)
    """Model -> how many of them it was trained on; models of which that is not known are not
    listed.
    """


@dataclass(frozen=True)
class HeldOut:
    """Which items are measured depends on the data and the seed alone: every model gets the same
    ones.
    """

    data: Data
    items: int
    """The largest number of answers, labels or documents that a figure is measured on."""
    question: str | None = None
    """What language models are asked on labels; None: which label fits."""
    seed: int = 0
    trained_on: Mapping[str, TrainedOn] = field(default_factory=dict)
    """Model -> what it was trained on, of models of which it is known.

    No model is measured on what one of them has seen.
    """
    left_out: ExcludedItems = field(default_factory=ExcludedItems)
    """Filled by `unseen`."""

    def unseen(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items that no model was trained on, and count the others. Raises DataError at
        the end if none was left.
        """
        counts: Counter[str] = Counter()
        total = left_out = 0
        for item in items:
            total += 1
            seen_by = [name for name, known in self.trained_on.items() if known.has(item)]
            left_out += bool(seen_by)
            counts.update(seen_by)
            if not seen_by:
                yield item
        self.left_out.items, self.left_out.of = left_out, total
        self.left_out.models = {name: counts[name] for name in self.trained_on}
        if total and left_out == total:
            by = ", ".join(f"{name} on {count:,}" for name, count in counts.items())
            raise DataError(
                f"Nothing of {self.data.path} is left to measure on: of its {total:,} item(s), "
                f"models were trained on all ({by}).",
                fix="Give data that they have not seen; of a pretraining run, its test texts: "
                "RUN/data/test.jsonl.",
            )


@dataclass(frozen=True)
class TaskKind:
    """All are listed in `KINDS` of `run.py`."""

    name: str
    """Its name for users: `groundup evaluate --as NAME`, `groundup pretrain --task NAME=DATA`."""
    tasks: Callable[[HeldOut, ModelKind, Progress], list[EvaluationTask]]
    """Build the tasks for models of one kind. Raises DataError."""
    layouts: tuple[Layout, ...] = ()
    """The layouts of data that it is for (see `data.reading.format_detection`)."""
    field: str = ""
    """Data that have this column are recognised before any layout, unless it is ""."""
    prefer: Literal["chat", "classifier"] = "chat"
    """The stage of a build whose model does these tasks."""


def language_model(opened: OpenModel) -> tuple[LanguageModel, Tokenizer]:
    """Raises ModelError for another kind of model, or without a tokenizer."""
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is {KIND_NAMES[opened.kind]}; this needs a language model.",
            fix="Give the folder of a model that generates text.",
        )
    return opened.model, opened.require_tokenizer()


def describe(measure: Measure) -> str:
    """Return a measure as text.

    >>> describe(Measure("accuracy", 0.984, 0.969, 0.992, 500, chance=0.876))
    'accuracy 98.4 % (95 % interval 96.9 to 99.2, n = 500, chance 87.6 %)'
    """
    factor, digits, unit = 1, 3, ""
    if measure.metric in SHARES:
        factor, digits, unit = 100, 1, " %"

    def show(value: float) -> str:
        return f"{factor * value:.{digits}f}"

    parts = []
    if measure.low is not None and measure.high is not None:
        parts.append(f"95 % interval {show(measure.low)} to {show(measure.high)}")
    parts.append(f"n = {measure.n:,}")
    if measure.thin:
        parts.append("thin")
    if measure.chance is not None:
        parts.append(f"chance {show(measure.chance)}{unit}")
        if measure.is_chance:
            parts[-1] += f": {AT_CHANCE}"
    return f"{measure.metric} {show(measure.value)}{unit} ({', '.join(parts)})"
