"""`RewardConfig`: how a model learns from rewards. Comes without torch."""

import math
from dataclasses import dataclass
from pathlib import Path

from groundup.config import budget_s, checked_fields
from groundup.errors import require, require_choices, require_counts
from groundup.finetune.config import require_loss
from groundup.train.steps.config import TrainPrecision

MAX_GROUP = 64


@checked_fields
@dataclass(frozen=True)
class RewardConfig:
    """How a model learns from rewards (GRPO): groups of answers are sampled, and those with more
    reward than the others of their group become more probable. Raises ConfigError.

    >>> config = groundup.RewardConfig(prompts=4, group=16)
    >>> config.prompts * config.group
    64
    """

    steps: int = 200
    """Rounds: answers are sampled, then the weights are updated once."""
    prompts: int = 8
    """Prompts of one round."""
    group: int = 8
    """Answers to each prompt."""
    answer_tokens: int = 32
    """An answer is cut after this many tokens."""
    reward: str = ""
    """What scores the rows that name no reward: exact, number, regex, json, json_schema,
    supported, or a function of
    your own as module:function or file.py:function (your code, which is run).
    """
    beta: float = 0.01
    """How strongly the model is held to what it was: the weight of the KL divergence."""
    normalise: bool = False
    """Divide advantages by the standard deviation of their group, as the first publication of GRPO
    does.
    """
    items: int = 2000
    """Prompts to learn from that a generated task has."""
    validation: int = 64
    """At most this many other prompts choose the weights that are kept."""
    test: int = 200
    """At most this many further ones are answered before and after."""
    rank: int = 16
    """Rank of the LoRA adapters."""
    alpha: float = 32.0
    """LoRA's scale is alpha / rank."""
    targets: tuple[str, ...] = ()
    """Matrices with adapters: query, key, value, output, gate, up, down (or PEFT's q_proj, ...);
    default: all.
    """
    merge: bool = False
    """Save the whole model with the adapters in it, not the adapters alone."""
    learning_rate: float = 2e-4
    """The highest learning rate, after the warm-up."""
    precision: TrainPrecision = "auto"
    """Precision of the matrix products of an update; auto: the faster one."""
    sampling: TrainPrecision = "auto"
    """Precision of the weights that answers are sampled with; auto: bf16 where the processor has
    it.
    """
    general: str | Path | None = None
    """A file of general text on which forgetting is measured; default: the packaged one."""
    budget: str | None = None
    """The time from the start, in which it ends: 10m, 1h30m; `steps` are then the most rounds."""
    loss: str | None = None
    """Name of the loss in `train.steps.losses.FINETUNE_LOSSES`; default: grpo."""
    seed: int = 0
    """Random seed of the task's items, their sides and order, of the answers and LoRA's weights."""

    def __post_init__(self) -> None:
        counts = ("steps", "prompts", "answer_tokens", "items", "validation", "test", "rank")
        require_counts(self, *counts)
        require(2 <= self.group <= MAX_GROUP, "group", self.group, f"2 to {MAX_GROUP}")
        require(0 <= self.beta < math.inf, "beta", self.beta, "0 or more")
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "above 0, below 1")
        require_choices(self)
        require_loss(self.loss, "reward")
        if self.budget is not None:
            budget_s(self.budget)
