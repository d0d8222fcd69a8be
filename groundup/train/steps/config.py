"""The config of a training run: one dataclass with a part for each subject, each checked once, and
the defaults of pretraining. Its own defaults suit one to two million parameters on two cores.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from groundup.config import apply_sets, build_config, to_plain
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.errors import ConfigError, require, require_choices, require_counts
from groundup.train.optimizers.adamw import AdamW
from groundup.train.optimizers.known import AnyOptimizer, optimizer_class
from groundup.train.optimizers.muon import Muon

TrainPrecision = Literal["float32", "bf16", "auto"]
Compile = Literal["off", "on", "auto"]
Parallel = Literal["ddp", "fsdp"]
InitialTables = Literal["random", "bigrams"]

WARMUP_SHARE = 1 / 20
# Hägele et al. 2024: a fifth is as good as a cosine in long runs; the short ones here gain from
# more (docs/log.md).
DECAY_SHARE = 3 / 5
MIN_SHARE = 1 / 10
EVALUATIONS = 8
# Of fine-tuning: the highest learning rate of a classifier and of LoRA.
FINETUNE_LEARNING_RATE = 5e-4
MAX_STEPS_BETWEEN_CHECKPOINTS = 500
MAX_SNAPSHOTS = 64
# A model changes most in its first steps, which evenly spread snapshots would miss.
SNAPSHOT_POWER = 2
# Tables by bigrams are good from the start: their learning rate with Muon, of that for random ones.
# Less is better for some hundred steps, the whole for a thousand (docs/log.md).
BIGRAM_RATE_SHARE = 1 / 2
# Metadata of a field on which no result depends, but for last bits.
FREE = {"free": True}


@dataclass(frozen=True)
class Decay:
    left: Callable[[float], float]
    """The share of the way (0 to 1) -> the share of the difference that is left (1 to 0)."""
    from_warmup: bool = True
    """Whether it falls from the warm-up on; otherwise over the last `decay_steps`."""


SCHEDULES = {
    # Loshchilov & Hutter 2017, eq. 5: low + (high - low) (1 + cos(pi way)) / 2
    "cosine": Decay(lambda way: (1 + math.cos(math.pi * way)) / 2),
    "wsd": Decay(lambda way: 1 - way, from_warmup=False),
}


@dataclass(frozen=True)
class Schedule:
    """Raises ConfigError."""

    name: str = "cosine"
    """How it falls, by a name in `SCHEDULES`: "cosine", or "wsd" (warm-up, stable, decay: the
    highest rate for most of the run, then linearly down).
    """
    min_learning_rate: float | None = None
    """The learning rate of the last step; None: a tenth of the highest."""
    warmup_steps: int | None = None
    """None: a twentieth of all."""
    decay_steps: int | None = None
    """With wsd: the last steps, over which the learning rate falls; None: three fifths of all."""

    def __post_init__(self) -> None:
        require(self.name in SCHEDULES, "schedule.name", self.name, " or ".join(SCHEDULES))

    @property
    def fall(self) -> Decay:
        return SCHEDULES[self.name]


@dataclass(frozen=True)
class Rows:
    """How rows are cut from the text. Raises ConfigError."""

    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    """What share of the tokens comes from each source."""
    stride: int | None = None
    """Tokens from the start of a window to that of the next; None: the context."""
    packing: bool = False
    """Rows hold whole documents (`data/batches/packing.py`); no token attends to another document.
    """
    start_context_tokens: int | None = None
    """The run begins with more, shorter rows; None: whole rows from the first step."""
    start_batch_size: int | None = None
    """The run begins with batches of fewer rows; None: whole batches from the first step."""
    start_share: float = 0.5
    """The share of the steps that start_context_tokens and start_batch_size are for."""

    def __post_init__(self) -> None:
        require_counts(self, "start_context_tokens", "start_batch_size", "stride")
        require(0 < self.start_share <= 1, "start_share", self.start_share, "above 0 and at most 1")
        if self.packing and self.stride is not None:
            fix = "Omit one of them: packed rows hold whole documents, each once."
            raise ConfigError(f"packing and stride {self.stride} can't be combined.", fix=fix)


@dataclass(frozen=True)
class Blocks:
    """Which blocks a step computes (`steps/block_schedule.py`). Raises ConfigError."""

    start: int | None = None
    """Pretraining: the run begins with so many of the first blocks, and the others, which begin as
    identities, join them; None: with all.
    """
    start_share: float = 0.25
    """With `start`: the share of the steps without the others."""
    drop: float = 0.0
    """How often a step leaves out the last block, earlier ones in proportion (stochastic depth)."""

    def __post_init__(self) -> None:
        require_counts(self, "start")
        require(0 < self.start_share < 1, "start_share", self.start_share, "above 0 and below 1")
        require(0 <= self.drop < 1, "drop", self.drop, "0 or more and below 1")

    @property
    def vary(self) -> bool:
        return self.start is not None or self.drop > 0


@dataclass(frozen=True)
class Stability:
    """What keeps a run from diverging. Raises ConfigError."""

    clip_norm: float = 1.0
    """Larger gradient norms are scaled down to it."""
    max_skipped: int = 5
    """A step whose loss or gradient is not finite is skipped; this many in a row end the run."""
    spike_factor: float | None = None
    """A step whose gradient norm is above the running median times this is skipped; None: none is.
    Clipping is enough for most spikes, and where hardly any error is left (fine-tuning) a large
    gradient is the one to learn from; for long pretraining 10 is a wide margin."""
    rollback_nats: float | None = None
    """A loss that stays this far above its running median for eight steps rolls the run back to its
    last checkpoint; the text that led there is skipped (`loss_spikes.py`); None: never. For long
    pretraining 1 is a wide margin; sources that differ much in turn need more."""
    max_rollbacks: int = 3
    """One more ends the run."""
    balance_weight: float = 0.01
    """With experts: how strongly they are kept evenly used; 0.01 as in Fedus et al. 2021."""
    z_weight: float = 0.0
    """Pretraining: of the squared logarithm of the softmax's denominator beside each token's loss,
    against logits that drift; PaLM's is 1e-4.
    """

    def __post_init__(self) -> None:
        require_counts(self, "max_skipped", "max_rollbacks")
        require(0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "above 0")
        factor, nats = self.spike_factor, self.rollback_nats
        for name in ("balance_weight", "z_weight"):
            weight = getattr(self, name)
            require(0 <= weight < math.inf, name, weight, "0 or more")
        require(factor is None or 1 < factor < math.inf, "spike_factor", factor, "above 1")
        require(nats is None or 0 < nats < math.inf, "rollback_nats", nats, "above 0")


@dataclass(frozen=True)
class Checkpoints:
    """What of a run stays on the disk. Raises ConfigError."""

    every: int | None = None
    """None: as often as evaluations, and every 500 steps."""
    keep: int = 2
    """How many of the last stay, beside the best."""
    snapshots: int = 0
    """How many snapshots of the weights are kept, to see how it learned (`groundup lab RUN
    --film`).
    """

    def __post_init__(self) -> None:
        require_counts(self, "every", "keep")
        expected = f"0 to {MAX_SNAPSHOTS}"
        require(0 <= self.snapshots <= MAX_SNAPSHOTS, "snapshots", self.snapshots, expected)


def _named(value: object) -> object:
    """A table with this name, for a name alone."""
    return {"name": value} if isinstance(value, str) else value


def optimizer_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the optimizer among those of a FitConfig that are set."""
    found = _named(fields.get("optimizer", {}))
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class FitConfig:
    """One run of `fit()`. Fields left at None follow from the others. Raises ConfigError."""

    steps: int
    """Updates of the weights."""
    batch_size: int = 8
    """Rows of one batch, over all processes."""
    accumulation: int = 1
    """Batches whose gradients are summed before one update: a larger batch in the memory of one."""
    optimizer: AnyOptimizer = field(default_factory=AdamW)
    """AdamW, Muon or SGD (`train/optimizers`)."""
    schedule: Annotated[Schedule, BeforeValidator(_named)] = Schedule()
    rows: Rows = field(default_factory=Rows)
    blocks: Blocks = Blocks()
    stability: Stability = Stability()
    checkpoints: Checkpoints = field(default=Checkpoints(), metadata=FREE)
    evaluate_every: int | None = None
    """Steps between evaluations; None: an eighth of all. The first and last always have one."""
    patience: int | None = None
    """The run ends after this many evaluations in a row without a lower validation loss than the
    best; None: after the last step.
    """
    precision: TrainPrecision = "auto"
    """Of the matrix products; "auto" measures this model's step in both and takes the faster."""
    compile: Compile = "auto"
    """"auto": on CUDA, and on a CPU where it is measured to pay; for batches of one shape."""
    recompute: bool = field(default=False, metadata=FREE)
    """Keep only the input of each block and recompute the rest in the backward pass: the same
    gradients for a third more arithmetic and far less memory, so that a larger model or batch fits.
    """
    parallel: Parallel = field(default="ddp", metadata=FREE)
    """Under torchrun: "ddp", a copy of the model in each process; "fsdp", each has a share of it.
    """
    initial_weights: str = ""
    """Pretraining: SHA-256 of the weights whose training is continued; "": random weights."""
    initial_tables: InitialTables = "random"
    """Pretraining, of embedding and head: "bigrams", fitted to what follows each token in the text
    (`train/bigram_start.py`); the head is then a matrix of its own.
    """
    seed: int = 0
    """Of what is random while training (dropout); data order and initial weights are seeded by the
    caller.
    """

    def __post_init__(self) -> None:
        require_counts(self, "steps", "batch_size", "accumulation", "evaluate_every", "patience")
        require_choices(self)
        low, high = self.lowest_learning_rate, self.optimizer.learning_rate
        require(0 <= low <= high, "min_learning_rate", low, f"0 to {high:g}")
        most = f"0 to {self.steps} (steps)"
        require(0 <= self.warmup <= self.steps, "warmup_steps", self.warmup, most)
        left = self.steps - self.warmup
        most = f"0 to {left} (steps after the warm-up)"
        require(0 <= self.decay <= left, "decay_steps", self.decay, most)

        if self.blocks.drop and self.compile == "on":
            raise ConfigError(
                "fit.blocks.drop changes the blocks of each step, and compile is on.",
                fix="Leave one of them out.",
            )

    def with_fields(self, changed: Mapping[str, Any]) -> "FitConfig":
        """Return the config with these fields, "optimizer.learning_rate" for one of a part. Raises
        ConfigError.

        >>> FitConfig(10).with_fields({"batch_size": 2, "checkpoints.keep": 3}).checkpoints.keep
        3
        """
        return build_config(FitConfig, apply_sets(to_plain(self), changed), where="fit.")

    def require_tables(self, *, tied_head: bool, continued: bool = False) -> None:
        """Refuse tables by bigrams for a model that can't begin with them. Raises ConfigError."""
        if self.initial_tables == "random":
            return
        if continued:
            raise ConfigError(
                "fit.initial_tables=bigrams is for a new model, and `init_from` and `cut_from` name "
                "one that has its tables.",
                fix="Leave one of them out.",
            )
        if tied_head:
            raise ConfigError(
                "fit.initial_tables=bigrams needs a head of its own, and model.tied_head is true.",
                fix="Set model.tied_head to false, or leave it out.",
            )

    @property
    def warmup(self) -> int:
        if self.schedule.warmup_steps is None:
            return round(self.steps * WARMUP_SHARE)
        return self.schedule.warmup_steps

    @property
    def decay(self) -> int:
        """Of a wsd schedule: three fifths of all, or what the warm-up leaves."""
        if self.schedule.decay_steps is None:
            return min(round(self.steps * DECAY_SHARE), self.steps - self.warmup)
        return self.schedule.decay_steps

    @property
    def lowest_learning_rate(self) -> float:
        if self.schedule.min_learning_rate is None:
            return self.optimizer.learning_rate * MIN_SHARE
        return self.schedule.min_learning_rate

    @property
    def evaluation_interval(self) -> int:
        """By default rounded up: never more than planned for."""
        return self.evaluate_every or -(-self.steps // EVALUATIONS)

    @property
    def checkpoint_interval(self) -> int:
        every = self.checkpoints.every
        return every or min(self.evaluation_interval, MAX_STEPS_BETWEEN_CHECKPOINTS)

    @property
    def start_steps(self) -> int:
        """The first steps, of shorter or fewer rows."""
        if self.rows.start_context_tokens is None and self.rows.start_batch_size is None:
            return 0
        return round(self.rows.start_share * self.steps)

    @property
    def start_block_steps(self) -> int:
        """The first steps, without the last blocks."""
        if self.blocks.start is None:
            return 0
        return round(self.blocks.start_share * self.steps)

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """After which steps a snapshot is kept: the k-th of n after step round(steps (k / (n -
        1))^2), from 0 to the last, no step twice.
        """
        count = self.checkpoints.snapshots
        last = max(1, count - 1)
        found = {round(self.steps * (k / last) ** SNAPSHOT_POWER) for k in range(count)}
        return tuple(sorted(found))


FREE_FIELDS = tuple(each.name for each in fields(FitConfig) if each.metadata.get("free"))


def decisive_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in FREE_FIELDS}


def pretraining_config(steps: int, given: Mapping[str, Any] | None = None) -> FitConfig:
    """Return a config of `steps` steps with these fields, and for the others the defaults of
    pretraining: Muon, its learning rate for the initial tables, and the schedule of the chosen
    optimizer. Raises ConfigError.

    >>> pretraining_config(100).optimizer.name, pretraining_config(100, {"optimizer": "adamw"}).schedule.name
    ('muon', 'cosine')
    """
    table: dict[str, Any] = {"steps": steps, **(given or {})}
    optimizer, schedule = (_named(table.get(name, {})) for name in ("optimizer", "schedule"))
    if isinstance(optimizer, Mapping):
        chosen = optimizer_class(optimizer.get("name", Muon.name))
        first: dict[str, Any] = {"name": Muon.name}
        if table.get("initial_tables") == "bigrams" and chosen is Muon:
            first["learning_rate"] = BIGRAM_RATE_SHARE * Muon.learning_rate
        table["optimizer"] = {**first, **optimizer}
        if isinstance(schedule, Mapping):
            table["schedule"] = {**chosen.schedule, **schedule}
    return build_config(FitConfig, table, where="fit.")
