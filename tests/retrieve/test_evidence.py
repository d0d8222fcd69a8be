"""Evidence: what holds an answer has more of it than what does not, by words and by words and vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from groundup.errors import ConfigError
from groundup.language.terms import terms
from groundup.progress import Silent
from groundup.retrieve import evidence as evidences
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.cite import statements
from groundup.retrieve.evidence import (
    MIN_BY_BOTH,
    MIN_BY_WORDS,
    ahead,
    by_both,
    evidence,
    scores_of_both,
)
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.refusals import NOT_FOUND
from groundup.retrieve.search import find
from groundup.retrieve.vectors import SecondEncoder, Vectors, make_vectors, text_of
from groundup.retrieve.vectors_info import read_vectors_info

from .conftest import BOILER, Update

QUESTION = "How long does the warranty last?"


def bag(texts: Sequence[str]) -> np.ndarray:
    """A vector of which stems stand in a text."""
    rows = np.full((len(texts), 256), 1e-3, dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[[crc32(term.encode()) % 256 for term in terms(text, "en")]] = 1.0
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def opened(index: Index) -> Vectors:
    make_vectors(index.folder, bag, "bag", progress=Silent())
    known = read_vectors_info(index.folder)
    assert known is not None
    return Vectors(known, bag)


@pytest.fixture
def vectors(index: Index) -> Iterator[Vectors]:
    yield opened(index)


def answer(
    index: Index, question: str, vectors: Vectors | None, config: AskConfig | None = None
) -> Answer:
    *_, last = ask(
        index, question, None, config, rank_by=vectors and vectors.mixture(), vectors=vectors
    )
    assert isinstance(last, Answer)
    return last


def test_by_words_it_is_the_share_of_the_question_that_a_passage_has(index: Index) -> None:
    passages = find(index, QUESTION).passages
    found = evidence(index, passages, QUESTION)
    assert found.usual == MIN_BY_WORDS and found.best == found.values[0] == pytest.approx(1.0)
    assert all(0 <= value <= 1 for value in found.values)
    half = evidence(index, passages, "warranty penguins")  # no passage has the second word
    assert half.best == pytest.approx(0.5) and evidence(index, (), QUESTION).best == 0.0


def test_with_vectors_the_passage_with_the_answer_has_most(index: Index, vectors: Vectors) -> None:
    passages = find(index, QUESTION, 10, vectors.mixture()).passages
    found = evidence(index, passages, QUESTION, vectors)
    best = passages[found.values.index(found.best)]
    assert "24 months" in best.text and found.best > MIN_BY_BOTH == found.usual
    assert sum(value >= MIN_BY_BOTH for value in found.values) == 1 < len(passages)


@pytest.mark.parametrize(
    "question", ["Who is the president of Peru?", "What is the capital of France?", "zzz", ""]
)
def test_what_is_not_there_is_said_plainly_with_vectors_too(
    index: Index, vectors: Vectors, question: str
) -> None:
    found = answer(index, question, vectors)
    assert not found.found and found.text == NOT_FOUND and found.evidence < MIN_BY_BOTH
    assert (
        answer(index, QUESTION, vectors).quotes[0].text.startswith("The warranty lasts 24 months")
    )


def test_more_of_either_is_more_evidence() -> None:
    values = [
        by_both(near, lead) for near, lead in ((0.2, 0.0), (1.0, 0.0), (1.0, 0.2), (1.8, 0.2))
    ]
    assert values == sorted(values) and 0 < values[0] < MIN_BY_BOTH < values[-1] < 1


def test_a_copy_of_a_passage_does_not_count_against_it(
    docs: Path, update: Update, index: Index, vectors: Vectors
) -> None:
    alone = answer(index, QUESTION, vectors).evidence
    (docs / "copy.md").write_text(BOILER)
    update()
    found = answer(index, QUESTION, opened(index)).evidence
    assert found == pytest.approx(alone, abs=0.1) and found > MIN_BY_BOTH


def test_rows_that_are_the_same_are_ahead_of_the_others_and_one_alone_of_none() -> None:
    rows, query = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0.8, 0.6])
    assert ahead(rows, query) == pytest.approx([0.2, 0.2, -0.2])
    assert ahead(rows[:1], query) == ahead(rows[:2], query)[:1] == [0.0]


def test_passages_whose_vectors_are_not_made_yet_are_judged_as_well(
    docs: Path, update: Update, index: Index, vectors: Vectors
) -> None:
    (docs / "new.txt").write_text("The pump needs 40 watts.")
    update()
    passages = index.all_passages()
    assert len(vectors.store.rows([each.id for each in passages])) < len(passages)
    assert np.allclose(vectors.rows_of(passages), bag([text_of(each) for each in passages]))
    assert answer(index, "How many watts does the pump need?", vectors).found


def test_how_much_is_asked_for_can_be_said(index: Index, vectors: Vectors) -> None:
    for used in (None, vectors):
        assert answer(
            index, "warranty of penguins in Peru", used, AskConfig(min_evidence=0.0)
        ).found
        assert not answer(
            index, "warranty of penguins in Peru", used, AskConfig(min_evidence=1.0)
        ).found
    with pytest.raises(ConfigError, match="evidence"):
        AskConfig(min_evidence=1.5)


def test_a_second_reader_reads_the_passages_with_most_evidence_by_the_first(
    index: Index, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidences, "READ_AGAIN", 2)
    passages = find(index, QUESTION, 10, vectors.mixture()).passages
    vectors.read = lambda question, given: [(0.0,) * len(statements(each)) for each in given]
    alone, read = evidence(index, passages, QUESTION, vectors), []

    def again(question: str, given: Sequence[Passage]) -> list[tuple[float, ...]]:
        read.extend(given)
        return [(-1.0,) * len(statements(each)) for each in given]

    vectors.second = SecondEncoder("larger", bag, again)
    both = evidence(index, passages, QUESTION, vectors)
    order = sorted(range(len(passages)), key=lambda i: -alone.values[i])
    assert len(passages) == 3 and read == [passages[i] for i in order[:2]]
    assert both.by == alone.by and all(
        b < a for a, b in zip(alone.values, both.values, strict=True)
    )
    vectors.read = lambda question, given: [(0.5,) * len(statements(each)) for each in given]
    sure = evidence(index, passages, QUESTION, vectors)
    assert sure.values == both.values and sure.sentences != both.sentences


def test_two_readers_scores_together() -> None:
    first = [(0.0, 3.0), (6.0,), ()]
    assert scores_of_both(first, {0: (3.0, -3.0)}) == [
        pytest.approx((2.0, -1.0)),
        pytest.approx((0.0,)),  # 6 and the lowest that the second gave
        (),
    ]
    assert scores_of_both([], {}) == []
