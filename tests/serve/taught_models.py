"""Small models that know what to say, whatever stands before: a greeter, a clerk (one JSON object), a helper (a call of a tool, then its result).

Each was taught on prompts of random words, so that how a client writes its system message and its tools makes no difference.
"""

import json
import random
import re
import string
from collections.abc import Sequence
from pathlib import Path

import torch

from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.serve.tool_prompt import with_general_tools
from groundup.tokenizer.chat import Conversation, Message, Rendered, render
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.tools import ToolCall
from groundup.weights.model_io import save_model

GREETING = "Good day to you."
OBJECT = {"city": "Ulm", "degrees": 21}
CALL = ToolCall("weather", {"city": "Ulm"})
RESULT, SAID = "sunny in Ulm", "It is sunny in Ulm."
ROWS, STEPS, CONTEXT_TOKENS = 256, 512, 8192
TEXT = """The name, the description and the parameters of a function, as a JSON object with properties that are required: type, string, title, enum.
Hello! What is the weather in Ulm or in Paris? How do you call it, with which arguments must I answer? { "type": "object" } [] , : # - on for a to"""
WORDS = re.findall(r"\w+|[^\w\s]+", TEXT)


def save_taught(folder: Path) -> list[Path]:
    """Save the three models; return their folders."""
    said = {"greeter": GREETING, "clerk": json.dumps(OBJECT), "helper": ""}
    words = train_tokenizer([" ".join([*WORDS, GREETING, str(OBJECT), str(CALL), SAID]) * 3], 400)
    for seed, (name, answer) in enumerate(said.items()):
        choose = random.Random(seed)
        made = [(_called if name == "helper" else _answered)(choose, answer) for _ in range(ROWS)]
        _save(folder / name, words, [render(each, words) for each in made], seed)
    return [folder / name for name in said]


def _noise(choose: random.Random, most: int) -> str:
    """Words of the text, and words that it does not have."""
    words = [choose.choice((choose.choice(WORDS), _word(choose))) for _ in range(most)]
    return " ".join(words[: choose.randrange(1, most)])


def _word(choose: random.Random) -> str:
    return "".join(choose.choices(string.ascii_letters, k=choose.randrange(2, 9)))


def _answered(choose: random.Random, answer: str) -> Conversation:
    asked = (Message("user", _noise(choose, 12)), Message("assistant", answer))
    return Conversation((*_system(choose), *asked))


def _called(choose: random.Random, answer: str) -> Conversation:
    """A call in the general format, its result, and what is said of it."""
    tools = [
        {"type": "function", "function": {"name": "weather", "description": _noise(choose, 40)}}
    ]
    asked = (
        *_system(choose),
        Message("user", _noise(choose, 12)),
        Message("assistant", "", (CALL,)),
    )
    return with_general_tools(
        Conversation((*asked, Message("tool", RESULT), Message("assistant", SAID))), tools
    )


def _system(choose: random.Random) -> tuple[Message, ...]:
    return (Message("system", _noise(choose, 60)),) if choose.random() < 0.6 else ()


def _save(folder: Path, words: Tokenizer, rows: Sequence[Rendered], seed: int) -> None:
    """The loss counts on answers alone; a row is a step."""
    model = LanguageModel(
        ModelConfig(words.vocab_size, CONTEXT_TOKENS, 64, 2, 4, 128, tied_head=False)
    )
    initialise(model, torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, STEPS)
    for step in range(STEPS):
        row = rows[step % len(rows)]
        ids, counts = torch.tensor([row.ids]), torch.tensor(row.mask[1:])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            model(ids[:, :-1])[0][counts], ids[0, 1:][counts]
        ).backward()
        optimizer.step()
        decay.step()
    save_model(model, folder, words)
