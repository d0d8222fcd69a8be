"""The configuration of a classifier's training."""

import math
from dataclasses import dataclass
from typing import Literal

from groundup.errors import ConfigError, require_choices, require_counts
from groundup.finetune.multi_label import MULTI_LABEL_LOSSES
from groundup.train.steps.config import TrainPrecision
from groundup.train.steps.losses import finetune_loss

Trained = Literal["last-block", "head", "lora", "all", "stacked", "auto"]


@dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is trained. The defaults suit some 1,600 short messages.

    Raises ConfigError.
    """

    max_tokens: int | None = None
    """Tokens of a window; None: the shortest of WINDOW_TOKENS that holds 95 of 100 training
    messages whole.
    """
    windows: int = 8
    """Windows that are read of a longer message; their scores are averaged."""
    train: Trained = "last-block"
    """What learns: the score head, the last block and the head, adapters of all blocks (LoRA) and
    the head, or everything; "stacked": regressions on hidden states and on TF-IDF of letters
    (`finetune.stacked`); "auto": of AUTO the better one on the validation messages."""
    encoder: str = ""
    """An encoder, by its name or path, whose vectors of the texts a stacked classifier reads, too;
    "": none.
    """
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced": the labels weigh the same in the loss, however rare they are."""
    cost_false_alarm: float = 1.0
    """What it costs to say the positive label of a message that has another."""
    cost_miss: float = 1.0
    """What it costs not to say it of a message that has it."""
    abstain: float | None = None
    """Abstain where less sure, so that the answered validation messages have this accuracy; None:
    never.
    """
    epochs: int = 4
    """Times through the training messages."""
    batch_size: int = 16
    """Messages of one step."""
    learning_rate: float | None = None
    """The highest learning rate, after the warm-up; None: of LEARNING_RATES the one with the lowest
    loss on the validation messages.
    """
    weight_decay: float = 0.1
    """AdamW's."""
    positive: str | None = None
    """The label to detect, whose F1 is reported where there are two (of more: macro F1); None: the
    rarest.
    """
    precision: TrainPrecision = "auto"
    """Arithmetic of the frozen blocks, or of the whole model where it learns; "auto" takes the
    faster. Features are learned from in float32.
    """
    learning_curve: bool = False
    """Whether to learn from fewer messages too, to see what more of them would bring."""
    find_wrong_labels: bool = False
    """Whether to list the texts whose labels are probably wrong, of all splits, to be read."""
    loss: str | None = None
    """Its name in `train.steps.losses.FINETUNE_LOSSES`; None: cross-entropy, of texts with several
    labels binary cross-entropy.
    """
    seed: int = 0
    """Seed of the score head's first weights and of the order of messages."""

    def __post_init__(self) -> None:
        require_counts(
            self,
            "epochs",
            "batch_size",
            "windows",
            *(["max_tokens"] if self.max_tokens is not None else []),
        )
        for name in ("cost_false_alarm", "cost_miss"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name} must be a positive number (got {getattr(self, name)}).",
                    fix="Give 1 for the cheaper of the two.",
                )
        if self.abstain is not None and not 0 < self.abstain < 1:
            raise ConfigError(
                f"abstain must be an accuracy between 0 and 1 (got {self.abstain}).",
                fix="For example 0.99.",
            )
        require_choices(self)
        if self.encoder and self.train not in ("stacked", "auto"):
            fix = "Leave it out, or train stacked or auto."
            raise ConfigError(
                f"train = {self.train} reads no encoder (got {self.encoder!r}).", fix=fix
            )
        if self.loss not in MULTI_LABEL_LOSSES:
            finetune_loss("classifier", self.loss)
        if self.loss is not None and self.train == "stacked":
            raise ConfigError(
                f"train = stacked solves regressions and has no loss to choose (got {self.loss!r}).",
                fix="Leave it out.",
            )
