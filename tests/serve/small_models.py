"""Small models on disk: random weights spread wide, so that choices are clear, and a tokenizer that knows bytes and a few words."""

from pathlib import Path

import torch

from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.weights.door import save_model

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "
HARD = "öß é 中文字符 😀😀 \u2028"


def tokenizer() -> Tokenizer:
    return train_tokenizer([(TEXT + HARD) * 3], 400)


def small_config(vocab_size: int, context_tokens: int = 256) -> ModelConfig:
    return ModelConfig(vocab_size, context_tokens, 32, 2, 4, 64, num_kv_heads=2, tied_head=False)


def _fill(model: torch.nn.Module, seed: int) -> None:
    initialise(model, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)


def save_language(folder: Path, *, seed: int = 1, context_tokens: int = 256, ends: bool = False) -> Path:
    """A language model; unless it `ends`, a control token is never its best choice: greedily it writes until it is stopped."""
    words = tokenizer()
    model = LanguageModel(small_config(words.vocab_size, context_tokens))
    _fill(model, seed)
    if not ends:
        assert model.head is not None
        with torch.no_grad():
            model.head.weight[list(words.special.tokens.values())] = 0
    save_model(model, folder, words)
    return folder


def save_classifier(folder: Path) -> Path:
    words = tokenizer()
    model = Classifier(small_config(words.vocab_size), 2)
    _fill(model, 2)
    save_model(model, folder, words, labels=("ham", "spam"))
    return folder


def save_parrot(folder: Path, question: str, answer: str, *, steps: int = 250) -> Path:
    """A language model that has learnt one answer by heart; greedily it gives that answer, letter for letter, and ends."""
    words = train_tokenizer([(question + answer) * 2], 600)
    told = render(Conversation((Message("user", question), Message("assistant", answer))), words)
    ids = torch.tensor([told.ids])
    model = LanguageModel(ModelConfig(words.vocab_size, max(256, 2 * ids.shape[1]), 64, 2, 4, 128, tied_head=False))
    initialise(model, torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:]).backward()
        optimizer.step()
    save_model(model, folder, words)
    return folder
