"""A tiny model with a tokenizer of its own; its logits are spread wide, so that greedy choices are clear."""

import pytest
import torch

from groundup.device import Compute
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "


@pytest.fixture(scope="session")
def compute() -> Compute:
    return Compute(torch.device("cpu"))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT * 3], 300)


@pytest.fixture(scope="session")
def config(tokenizer: Tokenizer) -> ModelConfig:
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=64,
        width=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        feedforward_width=64,
        tied_head=False,
    )


@pytest.fixture(scope="session")
def model(config: ModelConfig) -> LanguageModel:
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return model.eval()


@pytest.fixture(scope="session")
def classifier(config: ModelConfig) -> Classifier:
    model = Classifier(config, 3)
    initialise(model, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return model.eval()
