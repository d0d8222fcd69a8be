"""The texts that a tokenizer is trained on: all of them where they fit, else an even sample that memory holds."""

import random
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.tokenizer import training_sample
from groundup.tokenizer.bytelevel import split_text
from groundup.tokenizer.fast import SPLIT, train_tokenizer
from groundup.tokenizer.training_sample import BLOCK_BYTES, blocks_of, choose, cut

TEXT = st.text(st.sampled_from(" \t\n\r.,'\"-sSé1234abcß漢\u0301ſ"), max_size=200)


class Said:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def words(size: int, seed: int = 0) -> str:
    """A text of random words, each of them new."""
    drawn = random.Random(seed)
    return " ".join("".join(drawn.choices(string.ascii_lowercase, k=8)) for _ in range(size // 9))


@given(TEXT)
def test_a_text_that_is_cut_has_the_same_pieces(text: str) -> None:
    for characters in (1, 3, 10):
        parts = list(cut(text, characters))
        assert "".join(parts) == text
        assert [piece for part in parts for piece in split_text(part, SPLIT)] == split_text(
            text, SPLIT
        )


def test_digits_without_an_end_are_cut_between_pieces() -> None:
    text = "x" + "1234567" * 200
    parts = list(cut(text))
    assert len(parts) > 4 and [p for part in parts for p in split_text(part, SPLIT)] == split_text(
        text, SPLIT
    )


@pytest.mark.parametrize(
    "text", ["ACGT" * 50_000, "a1b2+/" * 50_000, "9" * 300_000, ". " * 150_000, " \n" * 150_000]
)
def test_no_part_is_long_whatever_the_text(text: str) -> None:
    assert max(map(len, cut(text))) < BLOCK_BYTES
    assert max(map(len, blocks_of([text]))) <= BLOCK_BYTES


def test_texts_below_the_limit_are_taken_whole_and_in_order() -> None:
    texts = [f"text {number} " * 5000 for number in range(10)]
    sample = choose(texts, SPLIT)
    assert (sample.sampled_bytes, sample.line()) == (sum(map(len, sample.blocks)), "")
    assert "".join(sample.parts()) == "".join(texts)


def test_a_sample_has_the_bytes_asked_for_and_is_even(monkeypatch: pytest.MonkeyPatch) -> None:
    block_bytes = BLOCK_BYTES // 8
    monkeypatch.setattr(training_sample, "BLOCK_BYTES", block_bytes)
    texts = [f"{number:03} " * (block_bytes // 4) for number in range(400)]
    sample = choose(texts, SPLIT, 100 * block_bytes)
    numbers = [int(block.split()[0]) for block in sample.blocks]
    assert 98 * block_bytes <= sample.sampled_bytes <= 100 * block_bytes
    assert sample.all_bytes == pytest.approx(400 * block_bytes, rel=1e-3)
    assert (
        min(Counter(number // 100 for number in set(numbers)).values()) >= 15
    )  # of each quarter, 25 expected
    assert sample == choose(texts, SPLIT, 100 * block_bytes)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    texts = [words(BLOCK_BYTES, seed) for seed in range(30)]
    small, large = (set(choose(texts, SPLIT, count * BLOCK_BYTES).blocks) for count in (5, 12))
    assert small < large


def test_text_of_new_words_only_is_sampled_so_that_memory_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_sample, "MAX_DISTINCT_BYTES", 2**19)
    monkeypatch.setattr(training_sample, "PROBE_BYTES", 2**18)
    new = choose([words(2**17, seed) for seed in range(16)], SPLIT)
    assert 0.7 * 2**19 < new.sampled_bytes < 1.6 * 2**19 and "evenly at random" in new.line()
    same = choose([words(2**17)] * 16, SPLIT)
    assert same.sampled_bytes == same.all_bytes and "(all)" in same.line()


@pytest.mark.slow
def test_the_sample_is_said_and_the_tokenizer_is_the_same_twice() -> None:
    texts = [words(BLOCK_BYTES, seed) for seed in range(45)]
    said = Said()
    first = train_tokenizer(texts, 400, sample_bytes=20 * BLOCK_BYTES, progress=said)  # type: ignore[arg-type]
    assert (
        first.fingerprint == train_tokenizer(texts, 400, sample_bytes=20 * BLOCK_BYTES).fingerprint
    )
    assert first.fingerprint != train_tokenizer(texts, 400).fingerprint
    assert "on 1.3 of 2.9 MB (evenly at random)" in said.lines[0]
