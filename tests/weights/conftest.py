"""Small models and tokenizers for the tests of this room."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_weights import make_model

from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(
        ["the quick brown fox jumps over the lazy dog, and the dog sleeps on. "] * 20, 300
    )


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """Bytes, control tokens and a handful of merges."""
    return train_tokenizer(["the the the cat cat cat"], 268)


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer: Tokenizer) -> LanguageModel:
    """A model whose files are a few KB."""
    return make_model(
        ModelConfig(
            tiny_tokenizer.vocab_size,
            context_tokens=32,
            width=4,
            num_layers=1,
            num_heads=2,
            feedforward_width=8,
        )
    )
