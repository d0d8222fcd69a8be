"""LoRA adapters of a fine-tuned language model: put around its matrices before the training, written
at the end in PEFT's format, alone or beside the whole model that they are merged into.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.device import generator
from groundup.evaluate.task import language_model
from groundup.files import write_text
from groundup.finetune.config import ChatTraining
from groundup.finetune.reward_config import RewardConfig
from groundup.model.lora import add_lora, lora_weights, merge_lora
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import finish, with_figures, write_finished
from groundup.weights.adapter import Adapter, base_hashes, write_adapter
from groundup.weights.card import CARD_FILE
from groundup.weights.catalog import CATALOG
from groundup.weights.model_io import ModelCard, OpenModel

ADAPTER_FOLDER = "adapter"
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
class AdapterBase:
    """What an adapter must know of its base, read before it is changed."""

    base: str
    """Its name in the catalog, or its path."""
    hashes: Mapping[str, str]


def begin_training(opened: OpenModel, config: ChatTraining) -> AdapterBase | None:
    """Make a model ready for training. None: all weights are trained. Raises ConfigError."""
    model, _ = language_model(opened)
    if config.train == "all":
        model.requires_grad_(True)
        return None
    return add_adapters(opened, config)


def add_adapters(opened: OpenModel, config: ChatTraining | RewardConfig) -> AdapterBase:
    """Put LoRA adapters around the matrices of a language model. Raises ConfigError."""
    model, _ = language_model(opened)
    trained = AdapterBase(base_of(opened.path), base_hashes(model))
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
    """A pulled base has its name in the catalog, another one its path."""
    pulled = path.name in CATALOG and path.parent.name == "models"
    return path.name if pulled else str(path.resolve())


def finish_chat(
    run: RunFolder,
    opened: OpenModel,
    trained: AdapterBase | None,
    results: dict[str, Any],
    card: ModelCard | None,
    figures: Mapping[str, str],
    *,
    merge: bool,
) -> None:
    card = with_figures(card, figures)
    model, tokenizer = language_model(opened)
    if trained is None:
        finish(run, model, tokenizer, results, card)
        return
    adapter = Adapter(lora_weights(model), trained.base, trained.hashes)
    merge_lora(model)
    if merge:
        write_adapter(adapter, model.config, run.path / ADAPTER_FOLDER)
        finish(run, model, tokenizer, results, card)
        return
    write_adapter(adapter, model.config, run.path, tokenizer)
    if card is not None:
        write_text(run.path / CARD_FILE, card.markdown())
    write_finished(run, results)
