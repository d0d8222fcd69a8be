"""The config of a training run: one dataclass, checked once, and the defaults of pretraining. Its
own defaults suit a model of one to two million parameters on two cores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from groundup.config import build_config
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.errors import ConfigError, require, require_choices, require_counts

TrainPrecision = Literal["float32", "bf16", "auto"]
Compile = Literal["off", "on", "auto"]
Schedule = Literal["cosine", "wsd"]
OptimizerName = Literal["adamw", "muon", "sgd"]
Parallel = Literal["ddp", "fsdp"]

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

# Defaults of pretraining by optimizer, measured on small models from random weights (docs/log.md,
# `benchmarks/pretrain.py`). Those of `FitConfig` suit any training, fine-tuning too. Muon at
# AdamW's number of steps was 0.2 bits per byte better on quickstart, at 1.2 times the time a step.
OPTIMIZER: OptimizerName = "muon"
BY_OPTIMIZER: dict[OptimizerName, dict[str, Any]] = {
    "muon": {
        "learning_rate": 6e-3,  # of tables, head and vectors, which AdamW takes: 3e-3 to 1e-2 are level
        "muon_learning_rate": 0.015,  # 0.01 and 0.02 are a little behind
        "muon_momentum": 0.9,  # 0.85 is ahead for some hundred steps, 0.95 still behind after 1,200
        "beta2": 0.95,
        "schedule": "wsd",
        "min_learning_rate": 0.0,
    },
    "adamw": {},
    "sgd": {},
}


@dataclass(frozen=True)
class FitConfig:
    """One run of `fit()`. Fields left at None follow from the others, by the property named.

    Raises ConfigError.
    """

    steps: int
    """Updates of the weights."""
    batch_size: int = 8
    """Rows of one batch, over all processes; the caller makes its BatchSource with it."""
    accumulation: int = 1
    """Batches whose gradients are summed before one update: the effect of a batch so many times as
    large in the memory of one.
    """
    initial_weights: str = ""
    """Pretraining: SHA-256 of the weights of the model whose training is continued
    (`starting_model.py`); "": random weights, by the seed.
    """
    start_context_tokens: int | None = None
    """Pretraining begins with rows of this many tokens, and more of them; None: whole rows from the
    first step.
    """
    start_share: float = 0.5
    """With start_context_tokens: the share of the planned steps, and so of the tokens, that are
    read in such rows.
    """
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    """Pretraining: what share of the tokens comes from each source; by default as they come."""
    stride: int | None = None
    """Pretraining: tokens from the start of a window to that of the next; None: the context, so
    that no token is read twice in an epoch.
    """
    packing: bool = False
    """Pretraining: rows are packed with whole documents (`data/batches/packing.py`) instead of
    windows; no token attends to another document.
    """
    learning_rate: float = 2e-3
    """The highest learning rate, reached after the warm-up. 2e-3: best of 1e-3 to 6e-3 for
    quickstart (docs/log.md); larger models need less.
    """
    min_learning_rate: float | None = None
    """The learning rate of the last step; None: a tenth of the highest (`lowest_learning_rate`)."""
    warmup_steps: int | None = None
    """Steps over which the learning rate rises; None: a twentieth of all (`warmup`)."""
    schedule: Schedule = "cosine"
    """How it falls: "cosine", or "wsd" (warm-up, stable, decay: the highest rate for most of the
    run, then linearly down).
    """
    decay_steps: int | None = None
    """With wsd: the last steps, over which the learning rate falls; None: three fifths of all
    (`decay`).
    """
    optimizer: OptimizerName = "adamw"
    """The optimizer: "adamw"; "muon" (the blocks' matrices by Muon, the rest by AdamW); "sgd", as a
    baseline.
    """
    muon_learning_rate: float = 0.02
    """With muon: the highest learning rate of the blocks' matrices; it rises and falls as the
    other. 0.02 as in Jordan et al. 2024.
    """
    muon_momentum: float = 0.95
    """With muon: decay of the gradient's running mean; 0.95 as in Jordan et al. 2024."""
    muon_precision: TrainPrecision = "auto"
    """With muon: the precision in which matrices are orthogonalised; "auto": bf16, but float32
    where the processor only emulates it.
    """
    weight_decay: float = 0.1
    """How strongly matrices are pulled to zero, times the learning rate; 0.1 as in GPT-3's appendix
    B.
    """
    beta1: float = 0.9
    """Decay of the gradient's running mean (with sgd: of its running sum)."""
    beta2: float = 0.99
    """Decay of the gradient's running square; below Adam's 0.999, as runs are short."""
    clip_norm: float = 1.0
    """The largest gradient norm: larger gradients are scaled down to it."""
    max_skipped: int = 5
    """A step whose loss or gradient is not finite is skipped, before the weights change; so many in
    a row end the run. 1: the first ends it.
    """
    spike_factor: float | None = None
    """A step whose gradient norm is above the running median times this is skipped; None: none is.
    Clipping is enough for most spikes, and where hardly any error is left (fine-tuning) a large
    gradient is the one to learn from; for long pretraining 10 is a wide margin."""
    rollback_nats: float | None = None
    """A loss that stays so far above its running median for eight steps rolls the run back to its
    last checkpoint; the text that led there is skipped (`loss_spikes.py`); None: never. For long
    pretraining 1 is a wide margin; sources that differ much in turn need more."""
    max_rollbacks: int = 3
    """The most roll-backs of a run; one more ends it."""
    balance_weight: float = 0.01
    """With experts: how strongly they are kept evenly used when a model is trained from random
    weights; 0.01 as in Fedus et al. 2021.
    """
    precision: TrainPrecision = "auto"
    """Precision of the matrix products; "auto" measures this model's step in both and takes the
    faster.
    """
    compile: Compile = "auto"
    """Whether torch.compile makes the steps: "auto" on CUDA, and on a CPU where it is measured to
    pay; for batches of one shape.
    """
    recompute: bool = False
    """Keep only the input of each block and recompute the rest in the backward pass: the same
    gradients for a third more arithmetic and far less memory, so that a larger model or batch fits.
    """
    evaluate_every: int | None = None
    """Steps between evaluations; None: an eighth of all (`evaluation_interval`).

    The first and the last step always have one.
    """
    checkpoint_every: int | None = None
    """Steps between checkpoints; None: as often as evaluations, and every 500
    (`checkpoint_interval`).
    """
    keep_checkpoints: int = 2
    """How many of the last checkpoints stay on disk, beside the best."""
    snapshots: int = 0
    """How many snapshots of the weights are kept over the run, to see how it learned (`groundup lab
    RUN --film`); 0: none.
    """
    parallel: Parallel = "ddp"
    """Under torchrun: "ddp", a copy of the model in each process; "fsdp", each has a share of it,
    for models too large for one GPU.
    """
    seed: int = 0
    """Seed of what is random while training (dropout); data order and initial weights are seeded by
    the caller.
    """

    def __post_init__(self) -> None:
        require_counts(
            self,
            "steps",
            "batch_size",
            "accumulation",
            "keep_checkpoints",
            "max_skipped",
            "max_rollbacks",
        )
        require_counts(self, "evaluate_every", "checkpoint_every", "start_context_tokens", "stride")
        require_choices(self)
        require(
            0 <= self.snapshots <= MAX_SNAPSHOTS,
            "snapshots",
            self.snapshots,
            f"0 to {MAX_SNAPSHOTS}",
        )
        require(0 < self.start_share <= 1, "start_share", self.start_share, "above 0 and at most 1")
        for name in ("learning_rate", "muon_learning_rate"):
            require(0 < getattr(self, name) < 10, name, getattr(self, name), "above 0 and below 10")
        low = self.lowest_learning_rate
        require(
            0 <= low <= self.learning_rate, "min_learning_rate", low, f"0 to {self.learning_rate:g}"
        )
        require(
            0 <= self.warmup <= self.steps,
            "warmup_steps",
            self.warmup,
            f"0 to {self.steps} (steps)",
        )
        left = self.steps - self.warmup
        require(
            0 <= self.decay <= left,
            "decay_steps",
            self.decay,
            f"0 to {left} (steps after the warm-up)",
        )
        for name in ("muon_momentum", "beta1", "beta2"):
            require(
                0 <= getattr(self, name) < 1, name, getattr(self, name), "0 or more and below 1"
            )
        for name in ("weight_decay", "balance_weight"):
            require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")
        require(0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "above 0")
        if self.packing and self.stride is not None:
            fix = "Omit one of them: packed rows hold whole documents, each once."
            raise ConfigError(f"packing and stride {self.stride} can't be combined.", fix=fix)
        factor, nats = self.spike_factor, self.rollback_nats
        require(factor is None or 1 < factor < math.inf, "spike_factor", factor, "above 1")
        require(nats is None or 0 < nats < math.inf, "rollback_nats", nats, "above 0")

    @property
    def warmup(self) -> int:
        """Steps of warm-up."""
        return round(self.steps * WARMUP_SHARE) if self.warmup_steps is None else self.warmup_steps

    @property
    def decay(self) -> int:
        """Steps of decay in a wsd schedule: where not given, three fifths of all, or what the
        warm-up leaves.
        """
        if self.decay_steps is None:
            return min(round(self.steps * DECAY_SHARE), self.steps - self.warmup)
        return self.decay_steps

    @property
    def lowest_learning_rate(self) -> float:
        """Where the learning rate ends."""
        return (
            self.learning_rate * MIN_SHARE
            if self.min_learning_rate is None
            else self.min_learning_rate
        )

    @property
    def evaluation_interval(self) -> int:
        """Steps between evaluations."""
        return self.evaluate_every or -(
            -self.steps // EVALUATIONS
        )  # rounded up: never more than planned for

    @property
    def checkpoint_interval(self) -> int:
        """Steps between checkpoints."""
        return self.checkpoint_every or min(self.evaluation_interval, MAX_STEPS_BETWEEN_CHECKPOINTS)

    @property
    def start_steps(self) -> int:
        """Steps that read rows of `start_context_tokens`."""
        return 0 if self.start_context_tokens is None else round(self.start_share * self.steps)

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """After which steps a snapshot is kept: the k-th of n after step round(steps (k / (n -
        1))^2), from 0 to the last, no step twice.
        """
        last = max(1, self.snapshots - 1)
        found = {round(self.steps * (k / last) ** SNAPSHOT_POWER) for k in range(self.snapshots)}
        return tuple(sorted(found))


def pretraining_config(steps: int, fields: Mapping[str, Any] | None = None) -> FitConfig:
    """Return a config of `steps` steps with these `fields` and the chosen optimizer's defaults for
    the others. Raises ConfigError.

    >>> pretraining_config(100).optimizer, pretraining_config(100, {"optimizer": "adamw"}).learning_rate
    ('muon', 0.002)
    """
    given = {"steps": steps, "optimizer": OPTIMIZER, **(fields or {})}
    return build_config(
        FitConfig, {**BY_OPTIMIZER.get(given["optimizer"], {}), **given}, where="fit."
    )
