"""The constraint: no model, however it draws its tokens, can put something between quotation marks that no passage says."""

import random

import pytest

from groundup.engine.request import Constraint
from groundup.retrieve.quotes import OTHER_MARKS, Quotable, QuoteConstraint, quotations
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

PASSAGES = [
    'The warranty lasts 24 months. It says "nothing" of a second owner; l’été it’s 30 °C.',
    "Die Straße ist gesperrt «bis auf weiteres». 東京都の水道は安全です。 שָׁלוֹם ﬁne",
]
LIES = 'The warranty lasts 99 months, "free of charge" and "for ever." “Yes” «non» he said. '


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([(" ".join(PASSAGES) + LIES + '." ", "' * 20) * 3], 420)


@pytest.fixture(scope="module")
def quotable(tokenizer: Tokenizer) -> Quotable:
    return Quotable(PASSAGES, tokenizer, tokenizer.vocab_size + 5)


def answer(
    quotable: Quotable,
    tokenizer: Tokenizer,
    wanted: "random.Random",
    lie: list[int],
    tokens: int = 40,
) -> str:
    """An answer of a model that would rather write `lie`, and anything else where it may not."""
    constraint = QuoteConstraint(quotable)
    out = b""
    place = 0
    for _ in range(tokens):
        mask = constraint.mask()
        assert mask.any()
        preferred = lie[place % len(lie)] if lie else -1
        if lie and mask[preferred]:
            chosen, place = preferred, place + 1
        else:
            allowed = mask.nonzero()[0].tolist()
            marked = [id for id in allowed if b'"' in quotable.tokens[id]]
            chosen = wanted.choice(marked if marked and wanted.random() < 0.3 else allowed)
        if chosen in tokenizer.special.stop_ids:
            assert not constraint.is_inside
            break
        constraint.accept(chosen)
        out += quotable.tokens[chosen]
    if constraint.is_inside:
        out = out[: out.rindex(b'"')]
    return out.decode("utf-8", "replace")


def require_verbatim(text: str) -> int:
    """Every quotation of the answer stands in a passage, and it has no other quotation mark outside; returns how many it has."""
    found = quotations(text)
    for quotation in found:
        assert any(quotation in passage for passage in PASSAGES), (quotation, text)
    outside = "".join(text.split('"')[::2])
    assert not any(
        mark.decode() in part for mark in OTHER_MARKS for part in text.split('"')[::2]
    ), outside
    return len(found)


@pytest.mark.parametrize("answers", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_quotation_of_any_answer_is_false(
    quotable: Quotable, tokenizer: Tokenizer, answers: int
) -> None:
    draw = random.Random(1)
    lies = [
        tokenizer.encode(lie) for lie in (LIES, '"99 months"', '“Yes”, "24 months. Not!"', '"' * 20)
    ]
    count = 0
    for number in range(answers):
        count += require_verbatim(
            answer(quotable, tokenizer, draw, lies[number % 5] if number % 5 < 4 else [])
        )
    assert count > answers / 2


def test_a_true_quotation_can_be_written_in_any_tokens(
    quotable: Quotable, tokenizer: Tokenizer
) -> None:
    for passage in PASSAGES:
        for piece in passage.split('"'):
            constraint = QuoteConstraint(quotable)
            text = f'So: "{piece.strip()}" (1).'
            for ids in (
                tokenizer.encode(text),
                [
                    id
                    for byte in text.encode()
                    for id in quotable.ids.get(bytes([byte]), []) or quotable.marked[:1]
                ],
            ):
                constraint = QuoteConstraint(quotable)
                for id in ids:
                    assert constraint.mask()[id], (text, quotable.tokens[id])
                    constraint.accept(id)


def test_an_answer_cannot_end_inside_a_quotation_nor_use_control_tokens_there(
    quotable: Quotable, tokenizer: Tokenizer
) -> None:
    constraint = QuoteConstraint(quotable)
    stops = list(tokenizer.special.stop_ids)
    assert (
        isinstance(constraint, Constraint)
        and constraint.mask()[stops].all()
        and not constraint.finished
    )
    for id in tokenizer.encode('"The'):
        constraint.accept(id)
    assert not constraint.mask()[list(tokenizer.special.tokens.values())].any()


def test_an_empty_quotation_and_padded_ids_are_not_allowed(
    quotable: Quotable, tokenizer: Tokenizer
) -> None:
    constraint = QuoteConstraint(quotable)
    assert not constraint.mask()[tokenizer.vocab_size :].any()
    mark = next(id for id in quotable.marked if quotable.tokens[id] == b'"')
    constraint.accept(mark)
    assert not constraint.mask()[mark] and constraint.mask().dtype == bool
