"""The constraint against models that would lie: logits drawn at random, built to continue a false quotation, and of a model that was trained to lie.

Ten thousand answers in all (slow), a few hundred otherwise. Tokens are chosen by the engine's own `choose`.
"""

import random
import re
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.engine.next_token import SeededGenerator, choose
from groundup.engine.sampling import Sampling
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.retrieve.quotes import OTHER_MARKS, Quotable, QuoteConstraint, quotations
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

PASSAGES = (
    "The warranty of the pump PX-20 lasts 24 months from the day of purchase. Ada Lovelace signed it on 3 May 2021.",
    'Clean the filter every 6 months. Oslo is 1,200 km away, Bergen is nearer. It says "nothing" of a second owner; it’s 30 °C.',
    "Die Straße nach Köln ist gesperrt «bis auf weiteres». 東京都の水道は安全です。 שָׁלוֹם ﬁne e\u0301.",
)
NAMES = (
    "Ada",
    "Lovelace",
    "Oslo",
    "Bergen",
    "Köln",
    "Grace",
    "Hopper",
    "May",
    "June",
    "PX-20",
    "PX-30",
    "東京",
    "京都",
)
TOKENS, ROWS = 40, 30
Prefer = Callable[[Sequence[bytes]], Tensor]
"""What answers so far -> the logits of their next tokens, a row each."""


def falsified(passage: str, draw: random.Random) -> str:
    """A passage with other digits, exchanged names or a "not"."""
    text = re.sub(r"\d", lambda digit: str((int(digit[0]) + draw.randint(1, 9)) % 10), passage)
    name = draw.choice([name for name in NAMES if name in text])
    text = text.replace(name, draw.choice([other for other in NAMES if other != name]))
    return text.replace(" is ", " is not ", draw.randint(0, 1))


def false_quotation(draw: random.Random) -> str:
    text = falsified(draw.choice(PASSAGES), draw).replace('"', "")
    start = draw.randrange(len(text) // 2)
    opening, closing = draw.choice(('""', '""', '""', "“”", "«»", "「」", ("''", "''"), ('"', "”")))
    return f"It says {opening}{text[start : start + draw.randint(20, 70)].strip()}{closing}. "


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    draw = random.Random(0)
    return train_tokenizer(
        ["".join(false_quotation(draw) for _ in range(400)), *PASSAGES * 3, '." ", "' * 20], 700
    )


@pytest.fixture(scope="module")
def quotable(tokenizer: Tokenizer) -> Quotable:
    return Quotable(PASSAGES, tokenizer, tokenizer.vocab_size)


def at_random(quotable: Quotable, draw: random.Random) -> Prefer:
    """Logits of no meaning at all, in which quotation marks are frequent."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))

    def prefer(answers: Sequence[bytes]) -> Tensor:
        logits = 4 * torch.randn(len(answers), len(quotable.tokens), generator=generator)
        logits[:, quotable.marked] += draw.choice((0.0, 6.0))
        return logits

    return prefer


def built_to_lie(quotable: Quotable, draw: random.Random) -> Prefer:
    """Logits that continue a false quotation wherever the answer stands in one, in the largest pieces first; else close or open one."""
    lies: dict[int, bytes] = {}

    def prefer(answers: Sequence[bytes]) -> Tensor:
        logits = torch.rand(len(answers), len(quotable.tokens))
        logits[:, quotable.marked] += 1.0
        for row, answer in enumerate(answers):
            lie = lies.setdefault(row, false_quotation(draw).encode() * 2) if answer else b""
            lies[row] = lie = lie or false_quotation(draw).encode() * 2
            for length in range(
                min(12, len(answer)), -1, -1
            ):  # where the answer's end stands in the lie
                if (at := lie.find(answer[len(answer) - length :])) >= 0:
                    ahead = lie[at + length : at + length + 24]
                    break
            for end in range(1, len(ahead) + 1):
                marked = [id for id in quotable.marked if quotable.tokens[id] == ahead[:end]]
                logits[row, [*quotable.ids.get(ahead[:end], ()), *marked]] = 10.0 + end
        return logits

    return prefer


def trained_to_lie(quotable: Quotable, tokenizer: Tokenizer, draw: random.Random) -> Prefer:
    """The logits of a small model that was trained on false quotations alone."""
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=64,
        width=64,
        num_layers=2,
        num_heads=4,
        feedforward_width=128,
    )
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(1))
    ids = torch.tensor(tokenizer.encode("".join(false_quotation(draw) for _ in range(2000))))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        starts = torch.tensor([draw.randrange(len(ids) - 33) for _ in range(16)])
        batch = ids[starts[:, None] + torch.arange(33)]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    begin = tokenizer.encode("It says")

    @torch.no_grad()
    def prefer(answers: Sequence[bytes]) -> Tensor:
        rows = [begin + tokenizer.encode(answer.decode("utf-8", "ignore")) for answer in answers]
        width = max(map(len, rows))
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        return model(padded)[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]

    return prefer


def answers_of(
    prefer: Prefer, quotable: Quotable, seed: int, *, constrained: bool = True
) -> list[str]:
    """ROWS answers of TOKENS tokens each; an answer that ends within a quotation loses it, as a saved one does."""
    constraints = [QuoteConstraint(quotable) for _ in range(ROWS)]
    texts, random = [b""] * ROWS, SeededGenerator(seed)
    sampling = Sampling(temperature=1.0)
    stops = quotable.control.nonzero()[0]
    for _ in range(TOKENS):
        logits = prefer(texts)
        logits[:, stops] = -torch.inf
        for row, constraint in enumerate(constraints):
            id = choose(
                logits[row], (), sampling, random, constraint.mask() if constrained else None
            )
            if constrained:
                constraint.accept(id)
            texts[row] += quotable.tokens[id]
    open_ones = [constraint.is_inside for constraint in constraints]
    whole = [
        text[: text.rindex(b'"')] if is_open else text
        for text, is_open in zip(texts, open_ones, strict=True)
    ]
    return [text.decode("utf-8", "replace") for text in whole]


def false_ones(answer: str) -> list[str]:
    """The quotations of an answer that no passage has, and the parts outside of them with other quotation marks."""
    false = [
        each for each in quotations(answer) if not any(each in passage for passage in PASSAGES)
    ]
    return false + [
        part
        for part in answer.split('"')[::2]
        if any(mark.decode(errors="ignore") in part for mark in OTHER_MARKS)
    ]


@pytest.mark.parametrize("count", [ROWS, pytest.param(3350, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["random", "built", "trained"])
def test_no_quotation_is_false_whatever_the_logits(
    quotable: Quotable, tokenizer: Tokenizer, kind: str, count: int
) -> None:
    draw = random.Random(7)
    made: dict[str, Callable[[], Prefer]] = {
        "random": lambda: at_random(quotable, draw),
        "built": lambda: built_to_lie(quotable, draw),
        "trained": lambda: trained_to_lie(quotable, tokenizer, draw),
    }
    torch.manual_seed(1)
    prefer = made[kind]()
    free = [
        each
        for answer in answers_of(prefer, quotable, 0, constrained=False)
        for each in false_ones(answer)
    ]
    assert len(free) > ROWS / 2  # it does lie where it may
    written = 0
    for seed in range(count // ROWS):
        for answer in answers_of(prefer, quotable, seed):
            assert not false_ones(answer), answer
            written += len(quotations(answer))
    assert written > count / 2
