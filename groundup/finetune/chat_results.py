"""`ChatResults`: results.json of a chat model that was trained on answers (`instruct`) or on pairs
of them (`preference`), for its writer and for its readers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundup.config import build_config

JsonObject = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ChatResults:
    """A field that is None was not measured and is not written, but for `lora`."""

    held_out_loss: dict[str, float]
    """before, after: nats a token of held-out answers, or DPO's loss of held-out pairs."""
    held_out: JsonObject | None = None
    """The loss after the training, with its interval. Of answers only, as the next two."""
    held_out_line: str | None = None
    supervised_share: float | None = None
    """The share of the training tokens that have labels."""
    accuracy: JsonObject | None = None
    """Share of held-out pairs whose chosen answer gained more than the rejected one, with its
    interval. Of pairs only, as the next three.
    """
    accuracy_line: str | None = None
    margin: float | None = None
    beta: float | None = None
    examples: dict[str, int]
    """train, held_out, left_out, repeats."""
    lengths: JsonObject
    """Of the training examples in tokens, and what was cut (`finetune.lengths`)."""
    mask: JsonObject | None = None
    """Which turns are trained, and the first examples (`finetune.loss_mask_view`)."""
    epochs: float
    tokens: int
    steps: int
    train_loss: float
    train: str
    """What was trained: lora or all."""
    lora: JsonObject | None
    """rank, alpha, parameters; None where all weights were trained."""
    parameters: int
    """How many were trained."""
    precision: str
    elapsed_s: float
    margins: JsonObject | None = None
    """before, after, paired difference: how much more the chosen answer gained, times beta."""
    prefers: JsonObject | None = None
    """before, after, paired difference: share of pairs whose chosen answer is the more probable
    one per token.
    """
    pairs: list[JsonObject] | None = None
    """Some held-out pairs, to be read."""
    forgetting: JsonObject | None = None
    """General text before and after (`evaluate.comparison.forgetting`)."""
    pretraining: JsonObject | None = None
    """What pretraining is worth (`finetune.pretraining_ablation`)."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "ChatResults":
        """Return the results that results.json holds. Raises ConfigError."""
        return build_config(cls, values)

    def plain(self) -> JsonObject:
        """Return JSON values, as in results.json."""
        return {
            name: value for name, value in vars(self).items() if value is not None or name == "lora"
        }
