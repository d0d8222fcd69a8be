"""Small models on disk: random weights spread wide, so that choices are clear, and a tokenizer that knows bytes and a few words."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.retrieve.passages import Passage
from groundup.retrieve.support import question_conversation
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.tools import Tool
from groundup.weights.model_io import save_model

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "
TOOL_TEMPLATES = {
    file.stem: file.read_text()
    for file in (Path(__file__).parents[1] / "tool_templates").glob("*.jinja")
}
HARD = "öß é 中文字符 😀😀 \u2028"


def tokenizer(template: str | None = None) -> Tokenizer:
    words = train_tokenizer([(TEXT + HARD) * 3], 400)
    return words if template is None else with_template(words, template)


def with_template(words: Tokenizer, template: str) -> Tokenizer:
    return Tokenizer(words.table, {**words.config(), "chat_template": template})


def small_config(vocab_size: int, context_tokens: int = 256) -> ModelConfig:
    return ModelConfig(vocab_size, context_tokens, 32, 2, 4, 64, num_kv_heads=2, tied_head=False)


def _fill(model: torch.nn.Module, seed: int) -> None:
    initialise(model, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)


def save_language(
    folder: Path,
    *,
    seed: int = 1,
    context_tokens: int = 256,
    ends: bool = False,
    template: str | None = None,
    multiple: int = 1,
) -> Path:
    """A language model; unless it `ends`, a control token is never its best choice: greedily it writes until it is stopped.

    `multiple`: its vocabulary is filled up to a multiple of it.
    """
    words = tokenizer(template)
    size = -(-words.vocab_size // multiple) * multiple
    model = LanguageModel(small_config(size, context_tokens))
    _fill(model, seed)
    if not ends:
        assert model.head is not None
        with torch.no_grad():
            model.head.weight[[*words.special.tokens.values(), *range(words.vocab_size, size)]] = 0
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
    return _save_taught(folder, words, [told.ids], steps)


def save_caller(
    folder: Path, turns: tuple[Message, ...], tools: Sequence[Sequence[Tool]], *, steps: int = 150
) -> Path:
    """A parrot of a conversation with calls; `tools` are those that it may be told of, as each client writes them."""
    words = train_tokenizer([json.dumps(tools) + repr(turns)] * 2, 600)
    words = with_template(words, TOOL_TEMPLATES["tagged"])
    return _save_taught(
        folder,
        words,
        [render(Conversation(turns, tuple(told)), words).ids for told in tools],
        steps,
    )


def save_reader(
    folder: Path, question: str, source: Passage, answer: str, *, steps: int = 200
) -> Path:
    """A language model that gives an answer to a question where it is asked with a source, and without it says that it does not know."""
    unknown = "I don't know."
    chats = [
        Conversation(
            (*question_conversation(question, passages).messages, Message("assistant", text))
        )
        for passages, text in (([source], answer), ([], unknown))
    ]
    words = train_tokenizer(
        [message.content for chat in chats for message in chat.messages] * 2, 700
    )
    return _save_taught(folder, words, [render(chat, words).ids for chat in chats], steps)


def _save_taught(
    folder: Path,
    words: Tokenizer,
    rows: Sequence[Sequence[int]],
    steps: int,
    *,
    decays: bool = False,
) -> Path:
    """A model of rows that each have a learning step in turn; many rows are only told apart where the learning rate decays.

    One row is learnt where each of its tokens has 98 %.
    """
    context_tokens = max(256, 2 * max(map(len, rows)))
    model = LanguageModel(
        ModelConfig(words.vocab_size, context_tokens, 64, 2, 4, 128, tied_head=False)
    )
    initialise(model, torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        ids = torch.tensor([rows[step % len(rows)]])
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps if decays else 1)
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(
            model(ids[:, :-1])[0], ids[0, 1:], reduction="none"
        )
        if len(rows) == 1 and float(losses.detach().max()) < 0.02:
            break
        losses.mean().backward()
        optimizer.step()
    save_model(model, folder, words)
    return folder
