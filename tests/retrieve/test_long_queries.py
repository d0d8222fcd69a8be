"""A message of many sentences is searched for sentence by sentence, a question as it is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.search import bm25, find
from groundup.retrieve.sentences import MAX_SENTENCES, MIN_SENTENCES, searched_for
from groundup.retrieve.vectors import Vectors, make_vectors, pooled
from groundup.retrieve.vectors_info import read_vectors_info

from .conftest import Update

ABOUT = {
    "lost": "A lost card is blocked at once by telephone.",
    "limit": "The limit of a card is raised in the app.",
    "garden": "The garden has roses, tulips and a bench by the pond.",
}
BESIDE = "I have been with you for years. My sister is well. It rains. The dog barks."
MESSAGE = f"{BESIDE} My card is lost. Please raise the limit of my card. {BESIDE}"


@pytest.fixture
def asked(docs: Path, update: Update, index: Index) -> Index:
    for file in docs.iterdir():
        file.unlink()
    for name, text in ABOUT.items():
        (docs / f"{name}.txt").write_text(text)
    update()
    return index


def by_subject(texts: Sequence[str]) -> np.ndarray:
    """A vector of which subjects a text names, and of what it has beside."""
    rows = [[each in text.lower() for each in ABOUT] + [0.5] for text in texts]
    made = np.array(rows, dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_only_a_message_of_many_sentences_is_taken_apart() -> None:
    sentences = [f"Sentence number {n}." for n in range(MAX_SENTENCES + 9)]
    few = " ".join(sentences[: MIN_SENTENCES - 1])
    assert searched_for(few) == [few] and searched_for("") == [""]
    assert searched_for(" ".join(sentences[:MIN_SENTENCES])) == sentences[:MIN_SENTENCES]
    assert searched_for("\n\n".join(sentences)) == sentences[:MAX_SENTENCES]


def test_by_words_a_message_has_the_scores_of_its_sentences_together(asked: Index) -> None:
    total: dict[int, float] = {}
    for sentence in searched_for(MESSAGE):
        for id, score in bm25(asked, sentence, 100):
            total[id] = total.get(id, 0.0) + score
    assert dict(bm25(asked, MESSAGE, 100)) == pytest.approx(total) and len(total) == 2


def test_a_message_finds_the_document_of_each_of_its_wishes(asked: Index) -> None:
    make_vectors(asked.folder, by_subject, "by subject", progress=Silent())
    known = read_vectors_info(asked.folder)
    assert known is not None
    ranking = Vectors(known, by_subject).mixture()
    found = find(asked, MESSAGE, 2, ranking).passages
    assert {each.document for each in found} == {"lost.txt", "limit.txt"}


def test_the_cosines_of_sentences_are_pooled_between_their_mean_and_the_highest() -> None:
    cosines = np.array([[0.1, 0.7], [0.4, 0.4]], dtype=np.float32)
    first, second = pooled(cosines)
    assert 0.4 < first < 0.7 and second == pytest.approx(0.4)
    assert pooled(cosines[:, :1]).tolist() == cosines[:, 0].tolist()
