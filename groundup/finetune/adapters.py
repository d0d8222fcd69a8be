"""What of a chat model is trained, and what its folder holds: LoRA adapters (alone, or merged into
the model), or all weights.

trained = begin_training(opened, config)      adapters around the matrices; what was trained on is
                                              remembered
... fit() ...
finish_chat(run, opened, trained, ...)        the folder: an adapter in PEFT's format, or a whole
                                              model (with the adapter in `adapter/`)
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundup.device import generator
from groundup.errors import require, require_choices, require_counts
from groundup.evaluate.task import language_model
from groundup.files import write_text
from groundup.model.lora import add_lora, lora_weights, merge_lora
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import finish, write_finished
from groundup.train.steps.config import TrainPrecision
from groundup.weights.adapter import Adapter, base_hashes, write_adapter
from groundup.weights.card import CARD_FILE
from groundup.weights.catalog import CATALOG
from groundup.weights.model_io import ModelCard, OpenModel

ADAPTER_FOLDER = "adapter"
MAX_EPOCHS = 1000
# PEFT's names of targets -> ours.
PEFT_TARGETS = {
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "o_proj": "output",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}


@dataclass(frozen=True)
class ChatTraining:
    """What every training of a chat model is told: on answers (`instruct`) and on pairs of them
    (`preference`). Raises ConfigError.
    """

    tokens: int | None = None
    """Tokens read in training at most, prompts and repeats included; None: no cap."""
    epochs: float = 1.0
    """How often the whole set is read."""
    max_tokens: int | None = None
    """Examples are cut to this many tokens; one whose answer lies wholly behind is left out.

    None: as long as the longest, up to a limit.
    """
    train: Literal["lora", "all"] = "lora"
    """What is trained: LoRA adapters around the matrices of the blocks, or all weights."""
    rank: int = 8
    """R of LoRA."""
    alpha: float = 16.0
    """LoRA's scale is alpha / R."""
    targets: tuple[str, ...] = ()
    """Matrices with adapters: query, key, value, output, gate, up, down (or PEFT's q_proj, ...);
    none: all.
    """
    merge: bool = False
    """Whether the folder holds the whole model with the adapters in it, not the adapters alone."""
    batch_size: int = 8
    """Examples of one step."""
    learning_rate: float | None = None
    """The highest learning rate, after the warm-up; None: that of what is trained."""
    precision: TrainPrecision = "auto"
    """Arithmetic of the matrix products; "auto" takes the faster."""
    recompute: bool = False
    """Recompute activations in the backward pass: the same gradients, slower, in less memory."""
    loss: str | None = None
    """Its name in `train.steps.losses.FINETUNE_LOSSES`; None: the method's own."""
    seed: int = 0
    """Seed of LoRA's initial weights and of the order of examples."""

    def __post_init__(self) -> None:
        require_counts(self, "tokens", "max_tokens", "rank", "batch_size")
        require_choices(self)
        require(
            0 < self.epochs <= MAX_EPOCHS,
            "epochs",
            self.epochs,
            f"above 0 and at most {MAX_EPOCHS:,}",
        )


@dataclass(frozen=True)
class Trained:
    """What is known of the base before it is changed."""

    base: str
    """Its name in the catalog, or its path."""
    hashes: Mapping[str, str]


def begin_training(opened: OpenModel, config: ChatTraining) -> Trained | None:
    """Make an open model ready for training, and return what an adapter must know of it; None: all
    weights are trained. Raises ConfigError.
    """
    model, _ = language_model(opened)
    if config.train == "all":
        model.requires_grad_(True)
        return None
    trained = Trained(base_of(opened.path), base_hashes(model))
    targets = [PEFT_TARGETS.get(name, name) for name in config.targets]
    add_lora(
        model,
        rank=config.rank,
        alpha=config.alpha,
        generator=generator(config.seed, "lora"),
        targets=targets,
    )
    return trained


def base_of(path: Path) -> str:
    """Return how an adapter names its base: as the catalog does, where it was pulled, else by its
    path.
    """
    pulled = path.name in CATALOG and path.parent.name == "models"
    return path.name if pulled else str(path.resolve())


def finish_chat(
    run: RunFolder,
    opened: OpenModel,
    trained: Trained | None,
    results: dict[str, Any],
    card: ModelCard | None,
    figures: Mapping[str, str],
    *,
    merge: bool,
) -> None:
    """Write the trained model or adapter, its card and the results."""
    model, tokenizer = language_model(opened)
    if trained is None:
        finish(run, model, tokenizer, results, card, figures)
        return
    adapter = Adapter(lora_weights(model), trained.base, trained.hashes)
    merge_lora(model)
    if merge:
        write_adapter(adapter, model.config, run.path / ADAPTER_FOLDER)
        finish(run, model, tokenizer, results, card, figures)
        return
    write_adapter(adapter, model.config, run.path, tokenizer)
    if card is not None:
        card = dataclasses.replace(card, figures={**card.figures, **figures})
        write_text(run.path / CARD_FILE, card.markdown())
    write_finished(run, results)
