"""A tiny language model for the functions that `import groundup` hands out."""

from pathlib import Path

import pytest

from groundup.device import generator
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import save_model

SENTENCE = "how often is the filter cleaned user assistant system "


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = train_tokenizer([SENTENCE * 3], 300)
    config = ModelConfig(tokenizer.vocab_size, 512, 32, 2, 2, 64, tied_head=True)
    model = LanguageModel(config)
    initialise(model, generator(1, "tiny"))
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(model, folder, tokenizer)
    return folder
