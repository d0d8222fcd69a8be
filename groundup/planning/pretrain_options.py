"""What is asked of a pretraining run: its length, and which of shape, batch and learning rate are
given. No data is read here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import Settings, apply_sets, build_config, duration_s, to_plain
from groundup.data.batches.mixture_config import mixture_config
from groundup.data.preparation.config import DataConfig
from groundup.data.processing.steps import process_fields
from groundup.data.reading.decoding import AUTO
from groundup.data.reading.source_list import read_sources
from groundup.data.runners.runner import Runner, check_runner
from groundup.errors import ConfigError, require
from groundup.model.config import ModelConfig
from groundup.model.heads import require_causal
from groundup.model.presets import preset
from groundup.model.shape_from_size import parse_size, shape_of_depth, shape_of_size
from groundup.planning.continued import named_shares, replay_shares, require_own_parts, start_fields
from groundup.train.monitor.config import MonitorConfig
from groundup.train.monitor.time_budget import TimeBudget
from groundup.train.starting_model import StartingModel, starting_model
from groundup.train.steps.config import (
    FitConfig,
    decisive_fields,
    optimizer_fields,
    pretraining_config,
)

PRESET = "quickstart"
DEFAULT_MINUTES = 3.0
TABLES = ("fit", "model", "data")
# With one of these fields the shape is given.
SHAPE_FIELDS = ("width", "num_layers")
# The smallest time: most of a shorter run would be start and evaluation.
MIN_S = 3.0
# Stands for a number of steps that is not known yet, so that no warm-up given in steps is longer.
UNKNOWN_STEPS = 10**9


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
            named = " and ".join(given).replace("seconds", "a time")
            raise ConfigError(
                f"The length of the training must be given once (got {named or 'none'}).",
                fix="Give one of --minutes (or --budget), --steps, --tokens, --epochs.",
            )
        name, value = next(iter(given.items()))
        require(0 < value < math.inf, name, value, "above 0 and finite")
        if self.seconds is not None and self.seconds < MIN_S:
            raise ConfigError(
                f"{self.seconds:g} s is too short to train in.", fix=f"Give at least {MIN_S:g}s."
            )

    def steps_of(self, step_tokens: int, data_tokens: int) -> int | None:
        """Steps of `step_tokens`, at least one; None where the length is a time."""
        if self.steps is not None:
            return self.steps
        tokens = (
            self.tokens if self.tokens is not None else self.epochs and self.epochs * data_tokens
        )
        return None if tokens is None else max(1, round(tokens / step_tokens))


@dataclass(frozen=True)
class PretrainOptions:
    """The options of `plan` and `pretrain`.

    Raises ConfigError where two of them give the model's shape.
    """

    data: tuple[str, ...]
    """Token shards, a data folder, or sources."""
    length: Length
    preset: str | None = None
    size: str | None = None
    depth: int | None = None
    start: StartingModel | None = None
    """The model whose training is continued; it gives shape and tokenizer."""
    tokenizer: Path | None = None
    seed: int = 0
    tables: dict[str, dict[str, Any]] = field(default_factory=lambda: tables([]))
    law: Path | None = None
    """A sweep's folder, whose scaling law replaces the built-in one."""
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    runner: Runner = "auto"
    """Who reads and processes the texts; the result does not depend on it, so it is in no key."""
    fixed_choices: bool = False
    """Whether nothing is chosen by measuring (`Compute.fixed_choices`)."""

    def __post_init__(self) -> None:
        if self.fixed_choices and self.length.seconds is not None:
            raise ConfigError(
                "--fixed-choices chooses nothing by measuring, and how many steps a time has room for is measured.",
                fix="Give --steps, --tokens or --epochs.",
            )
        given = [
            f"--{name}" for name in ("preset", "size", "depth") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            fix = "Give one of --preset, --size, --depth."
            raise ConfigError(f"{' and '.join(given)} both give the model's shape.", fix=fix)
        if self.start is not None:
            given += [
                f"--{name}" for name in ("tokenizer", "law") if getattr(self, name) is not None
            ]
            require_own_parts(self.start, given, self.tables["model"])

    @property
    def by_size(self) -> bool:
        """Whether --size or --depth gives the shape."""
        return self.size is not None or self.depth is not None

    @property
    def open_shape(self) -> bool:
        """Whether the planner chooses the shape: a time is given, and nothing that names a
        shape.
        """
        named = (
            self.by_size
            or self.start is not None
            or self.preset is not None
            or any(name in self.tables["model"] for name in SHAPE_FIELDS)
        )
        return self.length.seconds is not None and not named

    @property
    def in_family(self) -> bool:
        """Whether the shape is of the family whose batch and learning rate follow from it.

        A preset keeps the defaults.
        """
        return self.open_shape or self.by_size or self.start is not None

    @property
    def open_batch(self) -> bool:
        """Whether the batch size follows from the shape."""
        return self.in_family and "batch_size" not in self.tables["fit"]

    @property
    def vocab_size(self) -> int:
        """Ids that a tokenizer trained for this model has at most."""
        if self.start is not None:
            return self.start.config.vocab_size
        return int(self.tables["model"].get("vocab_size", preset(self.preset or PRESET).vocab_size))

    @property
    def time_budget(self) -> TimeBudget | None:
        """The time that the run keeps; None where its length is given in another unit, or steps are
        set beside the time.
        """
        seconds = self.length.seconds
        return None if seconds is None or "steps" in self.tables["fit"] else TimeBudget(seconds)

    def fit(self, optimizer: str | None = None) -> FitConfig:
        """The training config with the fields of --set, its steps unknown unless set.

        Raises ConfigError.
        """
        table = {"seed": self.seed, **self.tables["fit"]}
        if optimizer is not None:
            table["optimizer"] = {**optimizer_fields(table), "name": optimizer}
        return pretraining_config(UNKNOWN_STEPS, table)

    def shape(self, vocab_size: int) -> ModelConfig:
        """The shape that is given, or quickstart's, with the fields of --set.

        Raises ConfigError.
        """
        if self.start is not None:
            return self.start.shape(
                self.tables["model"].get("context_tokens", self.start.config.context_tokens)
            )
        if self.size is not None:
            base = shape_of_size(parse_size(self.size), vocab_size=vocab_size)
        elif self.depth is not None:
            base = shape_of_depth(self.depth, vocab_size=vocab_size)
        else:
            base = preset(self.preset or PRESET)
        return self.with_fields(base, vocab_size)

    def with_fields(self, base: ModelConfig, vocab_size: int) -> ModelConfig:
        """A shape with the fields of --set and the tokenizer's vocabulary; the head width follows a
        changed width unless it is its own.
        """
        table = {**self.tables["model"], "vocab_size": vocab_size}
        values = {**to_plain(base), **table}
        if "head_width" not in table and base.head_width * base.num_heads == base.width:
            values["head_width"] = 0
        shape = build_config(ModelConfig, values, where="model.")
        require_causal(shape, "Pretraining")
        return shape

    def key(self) -> dict[str, Any]:
        """What a plan was made for: the plan in a run folder holds as long as this is the same."""
        fit = decisive_fields(self.tables["fit"])
        shape = {
            name: getattr(self, name)
            for name in ("preset", "size", "depth")
            if getattr(self, name) is not None
        }
        key = {"length": to_plain(self.length), **shape, "fit": fit, "model": self.tables["model"]}
        fixed = {"fixed_choices": True} if self.fixed_choices else {}
        return {**key, **fixed, "law": str(self.law or ""), "seed": self.seed}


def pretrain_options(
    data: str | Path | Sequence[str | Path],
    *,
    budget: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    size: str | None = None,
    depth: int | None = None,
    preset: str | None = None,
    init_from: str | Path | None = None,
    replay: str | Sequence[str] | Mapping[str, float] = (),
    law: str | Path | None = None,
    tokenizer: str | Path | None = None,
    text: str = "",
    charset: str = AUTO,
    test_fraction: float | None = None,
    keep_dropped: bool = False,
    follow_links: bool = False,
    process: str | Sequence[str] = (),
    rules: str | Sequence[str] = (),
    languages: str | Sequence[str] = (),
    decontaminate: Sequence[str] | None = None,
    mixture: str | Mapping[str, float] | None = None,
    max_epochs_per_source: float | None = None,
    packing: bool = False,
    stride: int | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    monitor: MonitorConfig = MonitorConfig(),
    runner: str = "auto",
    fixed_choices: bool = False,
    default_minutes: float = DEFAULT_MINUTES,
) -> PretrainOptions:
    """Return the options of a run, each as a user writes it; `default_minutes` where no length is
    given. Raises ConfigError.

    `init_from`: the model whose training is continued; `replay`: general text that is read as well,
    with its share: "books=0.1", several, or {"books": 0.1}. `mixture`: the share of each source,
    {"letters": 2, "books": 1}, or as on the command line; None: the weights of a .toml list, or as
    they come.
    """
    if budget is not None and minutes is not None:
        raise ConfigError("--budget and --minutes both give a time.", fix="Give one of them.")
    if all(value is None for value in (budget, minutes, steps, tokens, epochs)):
        minutes = default_minutes
    seconds = (
        duration_s(budget) if budget is not None else None if minutes is None else 60 * minutes
    )
    length, found = Length(seconds, steps, tokens, epochs), tables(settings)
    found["data"] |= reading_fields(text, charset, test_fraction, keep_dropped, follow_links)
    if processing := process_fields(process, rules, languages, decontaminate):
        found["data"] = with_steps(found["data"], processing)
    rows = found["fit"].setdefault("rows", {})
    if packing:
        rows["packing"] = True
    if stride is not None:
        rows["stride"] = stride
    folders = [None if path is None else Path(path) for path in (tokenizer, law)]
    specs = tuple(map(str, [data] if isinstance(data, str | Path) else data))
    replayed = replay_shares(replay)
    if replayed and init_from is None:
        raise ConfigError(
            "Replay is for a model whose training is continued.",
            fix="Name the model with --from, or use --mixture.",
        )
    mixed = mixture_config(
        mixture, max_epochs_per_source, read_sources(specs), named_shares(replayed)
    )
    if not mixed.as_they_come:
        rows["mixture"] = to_plain(mixed)
    specs += tuple(replayed)
    start = None if init_from is None else starting_model(init_from)
    if start is not None:
        found["fit"] = start_fields(start, found["fit"])
    who = check_runner(runner)
    return PretrainOptions(
        *(
            specs,
            length,
            preset,
            size,
            depth,
            start,
            folders[0],
            seed,
            found,
            folders[1],
            monitor,
            who,
        ),
        fixed_choices=fixed_choices,
    )


def with_steps(data: Mapping[str, Any], processing: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of DataConfig with these of its `process`.

    Raises ConfigError where --set gave it a value.
    """
    process = data.get("process", {})
    if not isinstance(process, Mapping):
        raise ConfigError(
            "--set data.process is a table.", fix="Set its fields: data.process.personal_data=drop."
        )
    return {**data, "process": {**process, **processing}}


def reading_fields(
    text: str,
    charset: str,
    test_fraction: float | None,
    keep_dropped: bool,
    follow_links: bool,
) -> dict[str, Any]:
    """Return the options of reading texts that are not the defaults, as fields of DataConfig."""
    given = {"text": text, "charset": charset, "test_fraction": test_fraction}
    given |= {"keep_dropped": keep_dropped, "follow_links": follow_links}
    return {
        name: value
        for name, value in given.items()
        if value is not None and value != getattr(DataConfig, name)
    }


def tables(sets: Settings | None) -> dict[str, dict[str, Any]]:
    """Return the fields of --set as one table for each of TABLES. Raises ConfigError for any
    other.
    """
    found = apply_sets({}, sets)
    for name, value in found.items():
        if name not in TABLES or not isinstance(value, dict):
            known = ", ".join(f"{table}." for table in TABLES)
            fix = f"Fields begin with {known}: fit.batch_size=16."
            raise ConfigError(f"--set {name}: no such field.", fix=fix)
    return {**{name: {} for name in TABLES}, **found}
