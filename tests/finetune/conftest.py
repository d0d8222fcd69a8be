"""A tiny language model of two blocks with a tokenizer of its own, and messages with a planted signal."""

import copy
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundup.data.documents import Example, InstructionExample
from groundup.device import Compute, generator
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.weights.model_io import OpenModel

SENTENCE = "see you at the station call me when it is over we can meet later today what is left of right up down"
WORDS = SENTENCE.split()


@pytest.fixture(scope="session")
def compute() -> Compute:
    return Compute(torch.device("cpu"))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([f"{' '.join(WORDS)} prize user assistant\n"] * 3, 360)


@pytest.fixture(scope="session")
def base_model(tokenizer: Tokenizer) -> LanguageModel:
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
    with torch.no_grad():
        model.transformer.embedding.weight.mul_(20)
    return model.eval()


@pytest.fixture
def open_base(base_model: LanguageModel, tokenizer: Tokenizer) -> Callable[[], OpenModel]:
    """Opens the model anew, as from a folder: a run may change what it was given."""
    return lambda: OpenModel(
        copy.deepcopy(base_model), tokenizer, base_model.config, Path("base"), "language"
    )


@pytest.fixture(scope="session")
def splits() -> dict[str, list[Example]]:
    """300 messages of 4 to 14 words; every third has the word "prize" somewhere and is spam."""
    draw, messages = random.Random(1), []
    for place in range(300):
        words = draw.choices(WORDS, k=draw.randint(4, 14))
        if place % 3 == 0:
            words[draw.randrange(len(words))] = "prize"
        messages.append(Example(" ".join(words), "ham" if place % 3 else "spam"))
    return {"train": messages[:180], "validation": messages[180:230], "test": messages[230:]}


@pytest.fixture(scope="session")
def instructions() -> list[InstructionExample]:
    """Say a word's opposite: 4 tasks, 12 times, in other words around it."""
    opposites = {"up": "down", "left": "right", "me": "you", "is": "was"}
    return [
        InstructionExample(
            f"{WORDS[number]} {word}", "", answer, f"{word}-{number}", "word", number % 6 == 0
        )
        for number in range(12)
        for word, answer in opposites.items()
    ]
