"""The models that the page can train: its own, and small ones that read bytes; of each what the
page computes with and the files by which the trained one is opened again.
"""

from functools import lru_cache
from typing import TypedDict

import torch

from groundup.lab.live.tables import live_config, tokenizer_table, weight_shapes
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import CONFIG_FILE as TOKENIZER_CONFIG
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.tokenizer.kinds import byte_tokenizer
from groundup.weights.hf_config import CONFIG_FILE, HFConfig, own_config_json

CONTEXT_TOKENS = 128
# Blocks, heads and width: from one that trains in seconds and can have no induction head, to one
# that takes minutes.
SMALL = ((1, 4, 32), (2, 4, 32), (2, 4, 64), (4, 4, 64))


class Trainable(TypedDict):
    """As `model_file.js` reads it."""

    config: dict[str, object]
    """That of `live_config`."""
    shapes: dict[str, list[int]]
    files: dict[str, object]
    """Those of a model's folder by name, tokenizer.json without its vocabulary."""


class TrainingChoices(TypedDict):
    own: Trainable
    small: list[Trainable]
    bytes: dict[str, object]
    """The tokenizer table of the small ones."""


def training_choices(model: LanguageModel, tokenizer: Tokenizer) -> TrainingChoices:
    own = trainable(model.config, weight_shapes(model), tokenizer)
    return {"own": own, "small": small_models(), "bytes": tokenizer_table(byte_tokenizer())}


@lru_cache(maxsize=1)
def small_models() -> list[Trainable]:
    tokenizer, found = byte_tokenizer(), list[Trainable]()
    for layers, heads, width in SMALL:
        config = ModelConfig(
            tokenizer.vocab_size, CONTEXT_TOKENS, width, layers, heads, feedforward_width=3 * width
        )
        with torch.device("meta"):
            shapes = weight_shapes(LanguageModel(config))
        found.append(trainable(config, shapes, tokenizer))
    return found


def trainable(config: ModelConfig, shapes: dict[str, list[int]], tokenizer: Tokenizer) -> Trainable:
    files: dict[str, object] = {
        CONFIG_FILE: own_config_json(HFConfig(config, "language"), tokenizer, "float32"),
        TOKENIZER_FILE: _without_vocabulary(tokenizer),
        TOKENIZER_CONFIG: tokenizer.config(),
    }
    return {"config": live_config(config), "shapes": shapes, "files": files}


def _without_vocabulary(tokenizer: Tokenizer) -> dict[str, object]:
    """A tokenizer.json whose vocabulary has the added tokens alone: the page has the others."""
    content, added = tokenizer.table.to_json(), tokenizer.table.added
    vocabulary = {text: id for text, id in content["model"]["vocab"].items() if id in added}
    content["model"] |= {"vocab": vocabulary, "merges": []}
    return content
