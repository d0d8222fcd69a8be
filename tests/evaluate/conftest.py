"""A tiny language model with a tokenizer of its own, opened without a folder."""

from pathlib import Path

import pytest
import torch

from groundup.device import Compute, generator
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.weights.model_io import OpenModel

TEXT = "Which label fits this text: ham or spam? Answer with one word. See you at the station, call now to win a prize. "


@pytest.fixture(scope="session")
def compute() -> Compute:
    return Compute(torch.device("cpu"))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT * 3], 320)


@pytest.fixture(scope="session")
def opened(tokenizer: Tokenizer) -> OpenModel:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=160,
        width=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        feedforward_width=64,
    )
    model = LanguageModel(config)
    initialise(model, generator(1, "test"))
    with torch.no_grad():  # spread the logits, so that choices are clear
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return OpenModel(model.eval(), tokenizer, config, Path("tiny"), "language")
