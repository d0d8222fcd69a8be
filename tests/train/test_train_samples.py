"""What a model wrote, and how much of it is copied: exact, the same however the text is cut, bounded."""

import random

import numpy as np
import pytest

from groundup.train.monitor import samples
from groundup.train.monitor.samples import (
    MAX_SAMPLE_TOKENS,
    longest_copy,
    openings,
    repetition,
    searched_share,
)


def brute(ids: list[int], text: list[int]) -> int:
    """Every run of the sample, looked for at every place."""
    runs = {
        tuple(text[a:b])
        for a in range(len(text))
        for b in range(a + 1, min(len(text), a + len(ids)) + 1)
    }
    return max(
        (
            b - a
            for a in range(len(ids))
            for b in range(a + 1, len(ids) + 1)
            if tuple(ids[a:b]) in runs
        ),
        default=0,
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_longest_copy_is_what_looking_everywhere_finds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "PIECE_TOKENS", 37)  # copies lie across the borders of pieces
    draw = random.Random(seed)
    letters = draw.choice((3, 8, 40))
    text = [draw.randrange(letters) for _ in range(150)]
    ids = [draw.randrange(letters) for _ in range(20)]
    if seed % 2:
        ids[4:14] = text[30:40]
    found = longest_copy(ids, np.array(text, "<u2"), letters)
    assert found.num_tokens == brute(ids, text)
    run = ids[found.start : found.start + found.num_tokens]
    assert any(text[at : at + len(run)] == run for at in range(len(text)))


def test_a_whole_sample_can_be_a_copy_and_none_of_it() -> None:
    text = np.arange(1000, dtype="<u2") % 997
    assert longest_copy(list(range(100, 164)), text, 1000) == samples.Copy(0, MAX_SAMPLE_TOKENS)
    assert longest_copy([998, 999], text, 1000) == samples.Copy(0, 0)
    assert longest_copy([], text, 1000) == longest_copy([1], text[:0], 1000) == samples.Copy(0, 0)
    assert longest_copy([5, 6, 999, 5, 6], text, 1000) == samples.Copy(0, 2), (
        "the earliest of equally long ones"
    )


def test_a_text_too_long_is_searched_in_spread_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PIECE_TOKENS", 100)
    monkeypatch.setattr(samples, "MAX_SEARCHED_TOKENS", 400)
    starts = list(samples.piece_starts(10_000))
    assert (
        starts == [0, 2500, 5000, 7500]
        and searched_share(10_000) == 0.04
        and searched_share(400) == 1
    )
    text = np.zeros(10_000, "<u2")
    text[5050:5053], text[6050:6054] = (1, 2, 3), (4, 5, 6, 7)
    assert longest_copy([1, 2, 3], text, 8).num_tokens == 3
    assert longest_copy([4, 5, 6, 7], text, 8).num_tokens == 0, "it lies between the pieces"


def test_repetition_counts_runs_of_four_that_came_before() -> None:
    assert repetition([]) == repetition([1, 2, 3]) == repetition(list(range(9))) == 0
    assert repetition([7] * 8) == pytest.approx(4 / 5)
    assert repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)


def test_samples_go_on_from_the_first_words_and_from_beginnings_of_documents() -> None:
    tokens = np.tile(
        np.array([5, 6, 7, 8, 9, 0]), 40
    )  # documents of five tokens, each followed by 0
    found = openings(tokens, 0, 3)
    assert found == [[5, 6, 7]] * 4
    assert openings(tokens[:6], 0, 3) == [[5, 6, 7]], "one document has one beginning"
    assert openings(np.arange(1, 100), 0, 8) == [list(range(1, 9))]
