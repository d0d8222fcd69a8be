"""A tokenizer of a few merges and a tiny model with seeded weights."""

import pytest
import torch

from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT * 3], 320)


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> LanguageModel:
    shape = {
        "width": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "feedforward_width": 64,
    }
    model = LanguageModel(ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=32, **shape))
    initialise(model, torch.Generator().manual_seed(3))
    return model.eval()
