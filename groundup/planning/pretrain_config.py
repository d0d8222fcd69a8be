"""`PretrainConfig`: what is asked of a pretraining run, in Python and on the command line alike
(`cli/` derives its options from the fields). No data is read here, and torch is not imported.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import Settings, apply_sets, checked_fields, to_plain
from groundup.errors import ConfigError, require
from groundup.train.monitor.callbacks import MonitorConfig
from groundup.train.optimizers.optimizer import Optimizer
from groundup.train.steps.config import Checkpoints, Rows, Schedule, Stability

DEFAULT_MINUTES = 3.0
TABLES = ("fit", "model", "data")
# Parts of FitConfig that a PretrainConfig has, too.
PARTS = ("optimizer", "schedule", "rows", "stability", "checkpoints")
# The smallest time: most of a shorter run would be start and evaluation.
MIN_S = 3.0


@dataclass(frozen=True)
class Length:
    """The length of a training run in one of four units.

    Raises ConfigError unless exactly one is given.
    """

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            named = " and ".join(given).replace("seconds", "minutes")
            raise ConfigError(
                f"The length of the training must be given once (got {named or 'none'}).",
                fix="Give one of `minutes`, `steps`, `tokens`, `epochs`.",
            )
        if self.seconds is not None and self.seconds < MIN_S:
            raise ConfigError(
                f"{self.seconds:g} s is too short to train in.", fix=f"Give at least {MIN_S:g}s."
            )
        name, value = next(iter(given.items()))
        require(0 < value < math.inf, name, value, "above 0 and finite")

    def steps_of(self, step_tokens: int, data_tokens: int) -> int | None:
        """Steps of `step_tokens`, at least one; None where the length is a time."""
        if self.seconds is not None:
            return None
        if self.steps is not None:
            return self.steps
        tokens = self.tokens or (self.epochs or 0) * data_tokens
        return max(1, round(tokens / step_tokens))


@checked_fields
@dataclass(frozen=True)
class ModelShape:
    """The shape of the model, by one of three. Raises ConfigError for more.

    Where none is given, the planner chooses for a time; for another length it is quickstart's.
    """

    size: str | None = None
    """Approximate number of parameters: 10M, 1.5B."""
    depth: int | None = None
    """Or number of blocks; the rest of the shape follows."""
    preset: str | None = None
    """Or a preset shape, by name."""

    def __post_init__(self) -> None:
        given = list(self.given)
        if len(given) > 1:
            raise ConfigError(
                f"{' and '.join(f'`{name}`' for name in given)} both give the model's shape.",
                fix="Give one of `size`, `depth`, `preset`.",
            )

    @property
    def given(self) -> dict[str, str | int]:
        return {name: value for name, value in vars(self).items() if value is not None}


@checked_fields
@dataclass(frozen=True)
class ContinuedTraining:
    """The model that the training starts from: it is continued, or a smaller one is cut from it.
    Raises ConfigError for both, and for replay without a model that is continued.
    """

    init_from: str | Path | None = None
    """Continue the training of this model, with its own tokenizer."""
    replay: str | Sequence[str] | Mapping[str, float] = ()
    """General text to be read, too, with its share: "books=0.1", several, or {"books": 0.1}; 0.05
    where none is given.
    """
    general: str | Path | None = None
    """What forgetting is measured on: texts and suites, between commas; default: a packaged text,
    40 questions.
    """
    cut_from: str | Path | None = None
    """Or begin with a smaller model of `size`, cut from this one, with a vocabulary of its own."""

    def __post_init__(self) -> None:
        if self.init_from is not None and self.cut_from is not None:
            raise ConfigError(
                "`init_from` continues a whole model, `cut_from` cuts a smaller one.",
                fix="Give one of them.",
            )
        if self.init_from is None and self.replay:
            raise ConfigError(
                "Replay is for a model whose training is continued.",
                fix="Name the model in `init_from`, or use `mixture`.",
            )
        if self.init_from is None and self.general is not None:
            raise ConfigError(
                "Forgetting is measured of a model whose training is continued.",
                fix="Leave `general` out, or name a model in `init_from`.",
            )


@checked_fields
@dataclass(frozen=True)
class TextPreparation:
    """How texts become token shards. Raises ConfigError."""

    tokenizer: str | Path | None = None
    """A tokenizer's folder; default: one is trained."""
    test_fraction: float | None = None
    """Share of the documents in the test split, 0 to 0.5; 0: none."""
    keep_dropped: bool = False
    """Write dropped documents, with the reason, to OUT/data/dropped.jsonl."""
    process: str | Sequence[str] = ()
    """Steps over documents: repair, repeated-lines, languages, rules, personal-data,
    near-duplicates, decontaminate.
    """
    rules: str | Sequence[str] = ()
    """Quality rules: web, books, code."""
    languages: str | Sequence[str] = ()
    """Languages to keep, and what is of no known one: en,fr."""
    decontaminate: Sequence[str] | None = None
    """Files whose evaluation items are kept out of the training."""
    runner: str = "auto"
    """Who reads and processes texts: one, processes, ray, or auto (processes where they pay)."""

    def fields(self) -> dict[str, float | dict[str, tuple[str, ...]]]:
        """Return the fields of DataConfig that are given. Raises ConfigError."""
        from groundup.data.processing.steps import process_fields

        found: dict[str, float | dict[str, tuple[str, ...]]] = {}
        if self.test_fraction is not None:
            found["test_fraction"] = self.test_fraction
        if self.keep_dropped:
            found["keep_dropped"] = True
        process = process_fields(self.process, self.rules, self.languages, self.decontaminate)
        if process:
            found["process"] = process
        return found


@checked_fields
@dataclass(frozen=True)
class SourceShares:
    mixture: str | Mapping[str, float] | None = None
    """Shares of the sources in what is read: letters=2,books=1, or temperature=2 (~ the square root
    of their tokens), or proportional.
    """
    max_epochs_per_source: float | None = None
    """Read no source more often; the others share its part."""


@checked_fields
@dataclass(frozen=True)
class PretrainConfig:
    """A pretraining run: its length in one unit (none: 3 minutes), and what is otherwise than by
    default. Raises ConfigError.

    >>> config = groundup.PretrainConfig(steps=300, model=groundup.ModelShape(depth=4))
    >>> config.model.depth
    4
    """

    minutes: float | None = None
    """Train for this many minutes."""
    steps: int | None = None
    """Or for this number of steps."""
    tokens: int | None = None
    """Or for this many tokens, repeats counted."""
    epochs: float | None = None
    """Or for this number of epochs."""
    model: ModelShape = ModelShape()
    start: ContinuedTraining = field(default_factory=ContinuedTraining)
    texts: TextPreparation = field(default_factory=TextPreparation)
    mixture: SourceShares = field(default_factory=SourceShares)
    optimizer: Optimizer | None = None
    """Taken as it is; None: Muon or AdamW, with the learning rate of the width."""
    schedule: Schedule | None = None
    """None: the optimizer's."""
    rows: Rows | None = None
    stability: Stability | None = None
    checkpoints: Checkpoints | None = None
    monitor: MonitorConfig | None = None
    """Prompts of samples, evaluation tasks, callbacks."""
    law: str | Path | None = None
    """The folder of a sweep, whose scaling law is used."""
    settings: Settings | None = None
    """Any field of the training, the shape and the reading, as `--set` writes it:
    {"fit.batch_size": 16, "model.width": 192, "data.strict": True}.
    """
    seed: int = 0
    """Random seed."""

    @property
    def length(self) -> Length:
        """The length. Raises ConfigError where two are given."""
        given = (self.minutes, self.steps, self.tokens, self.epochs)
        if given == (None, None, None, None):
            return Length(60 * DEFAULT_MINUTES)
        seconds = None if self.minutes is None else 60 * self.minutes
        return Length(seconds, self.steps, self.tokens, self.epochs)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return the fields that are given of FitConfig ("fit"), ModelConfig and DataConfig; those
        of `settings` replace others. Raises ConfigError.
        """
        parts = {name: getattr(self, name) for name in PARTS}
        fit = {name: to_plain(part) for name, part in parts.items() if part is not None}
        found: dict[str, dict[str, Any]] = {"fit": fit, "model": {}, "data": self.texts.fields()}
        return set_tables(self.settings, found)


def set_tables(
    settings: Settings | None, found: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the tables of TABLES with the fields of `settings`. Raises ConfigError for a field of
    another table.
    """
    tables = apply_sets(found or {name: {} for name in TABLES}, settings)
    for name, value in tables.items():
        if name not in TABLES or not isinstance(value, dict):
            known = ", ".join(f"{table}." for table in TABLES)
            raise ConfigError(
                f"{name}: no such field.", fix=f"Fields begin with {known}: fit.batch_size=16."
            )
    optimizer = tables["fit"].get("optimizer")
    if isinstance(optimizer, str):
        tables["fit"]["optimizer"] = {"name": optimizer}
    return tables
