"""Sentence vectors: made once for each sentence, gone on with after an interruption; they choose the sentence and refuse nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import groundup
from groundup.engine.engine import Engine
from groundup.errors import ConfigError, DiskError, FormatError, ModelError
from groundup.progress import Silent
from groundup.retrieve.cite import statements
from groundup.retrieve.evidence import evidence, read_passages
from groundup.retrieve.index import SENTENCES_FOLDER, Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import every
from groundup.retrieve.sentence_vectors import (
    CHOSEN_AMONG,
    SentenceVectors,
    make_sentence_vectors,
    sentence_texts,
    update_sentence_vectors,
)
from groundup.retrieve.vector_store import MappedVectors
from groundup.retrieve.vectors import Vectors, make_vectors, text_of
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.weights.catalog import DEFAULT_ENCODER

from .conftest import Update
from .test_evidence import bag
from .test_vectors import letters

QUESTION = "How long does the warranty last?"


def made(folder: Path, embed=letters) -> int:
    return make_sentence_vectors(folder, embed, "letters", progress=Silent())


def opened(folder: Path, embed=letters) -> SentenceVectors:
    known = read_vectors_info(folder, SENTENCES_FOLDER)
    assert known is not None
    return SentenceVectors(known, embed)


def texts_of(index: Index) -> int:
    """How many different texts the passages have."""
    return sum(len({text_of(each), *sentence_texts(each)}) for each in index.all_passages())


def no_texts(texts: Sequence[str]) -> np.ndarray:
    """`letters` of one text: a question's, or what an encoder is known by."""
    assert len(texts) == 1
    return letters(texts)


@pytest.fixture
def folder(index: Index) -> Path:
    make_vectors(index.folder, bag, DEFAULT_ENCODER, progress=Silent())
    return index.folder


def test_every_sentence_has_a_row_and_new_documents_get_theirs(
    folder: Path, index: Index, docs: Path, update: Update
) -> None:
    assert made(folder) == index.passage_count > 1
    store = opened(folder).store
    assert store.count == texts_of(index) and store.matrix.dtype == np.float16
    assert made(folder) == 0 and opened(folder).store.count == store.count
    (docs / "new.txt").write_text("The pump needs 40 watts. It hums.")
    (docs / "hostel.txt").unlink()
    update()
    made(folder)
    passages = index.all_passages()
    assert opened(folder, no_texts).chosen("pump", passages, values_of(passages))


def values_of(passages: Sequence[Passage]) -> list[list[float]]:
    """The same for every sentence."""
    return [[1.0] * len(statements(each)) for each in passages]


def test_what_was_interrupted_within_a_passage_is_gone_on_with(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = MappedVectors.append

    def half(self: MappedVectors, ids: Sequence[int], rows: np.ndarray) -> None:
        append(self, ids[: len(ids) // 2], rows[: len(ids) // 2])
        raise DiskError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(MappedVectors, "append", half)
        with pytest.raises(DiskError):
            made(folder)
    assert 0 < opened(folder).store.count < texts_of(index)
    made(folder)
    store = opened(folder).store
    assert store.count == texts_of(index) and (np.diff(store.ids) > 0).all()


def test_the_nearest_of_the_best_is_chosen_with_and_without_rows(
    folder: Path, index: Index
) -> None:
    passages = index.all_passages()
    values = values_of(passages)
    values[0][0] = 0.0  # was refused before: never chosen
    made(folder)
    with_rows = opened(folder, no_texts).chosen(QUESTION, passages, values)
    for file in (folder / SENTENCES_FOLDER).glob("*-*"):
        file.unlink()
    (folder / SENTENCES_FOLDER / "manifest.json").unlink()
    found = opened(folder).chosen(QUESTION, passages, values)
    for ours, theirs in zip(with_rows, found, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-2)
    flat = [each for values in found for each in values]
    assert max(flat) == 1 and min(flat) >= 0 and found[0][0] == 0
    assert sum(each > 0 for each in flat) <= CHOSEN_AMONG
    query = letters([QUESTION])[0]
    places = [(i, j) for i, each in enumerate(values) for j, v in enumerate(each) if v][
        :CHOSEN_AMONG
    ]

    def near(place: tuple[int, int]) -> float:
        passage = passages[place[0]]
        rows = letters([sentence_texts(passage)[place[1]], text_of(passage)])
        return float(np.dot((2.347, 1.214), rows @ query))

    i, j = max(places, key=near)
    assert found[i][j] == 1
    none = [[0.0] * len(each) for each in values]
    assert opened(folder).chosen(QUESTION, passages, none) == tuple(map(tuple, none))


def test_it_chooses_and_leaves_refusals_as_they_are(folder: Path, index: Index) -> None:
    known = read_vectors_info(folder)
    assert known is not None

    def read(question: str, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        return [tuple(float(j) for j in range(len(statements(each)))) for each in passages]

    vectors = Vectors(known, bag, read)
    passages = index.all_passages()
    before = evidence(index, passages, QUESTION, vectors)
    made(folder)
    vectors.choose = opened(folder).chosen
    after = evidence(index, passages, QUESTION, vectors)
    assert (after.values, after.by) == (before.values, before.by)
    assert after.sentences != before.sentences
    found, judged = read_passages(index, QUESTION, 2, every, vectors.mixture(), vectors)
    assert max(judged.sentences[0]) == 1 and [each.score for each in found.passages] == list(
        judged.values
    )


def test_what_does_not_fit_is_refused(folder: Path, index: Index, tmp_path: Path) -> None:
    made(folder)
    with pytest.raises(ModelError, match="is another encoder"):
        made(folder, bag)
    with pytest.raises(ModelError, match="is another encoder"):
        opened(folder, bag)
    rows = next((folder / SENTENCES_FOLDER).glob("rows-*"))
    rows.write_bytes(b"x" + rows.read_bytes()[1:])
    with pytest.raises(FormatError, match="rows-"):
        opened(folder)


def test_an_index_without_vectors_of_the_usual_encoder_is_refused(index: Index) -> None:
    with pytest.raises(ConfigError, match=f"has no vectors of {DEFAULT_ENCODER}"):
        update_sentence_vectors(index.folder, "all-mpnet-base-v2", "cpu", Silent())
    assert update_sentence_vectors(index.folder, "", "cpu", Silent()).encoder == ""
    assert update_sentence_vectors(index.folder, "none", "cpu", Silent()).encoder == ""


def test_what_is_no_encoder_is_refused_before_the_documents_are_read(
    docs: Path, engine: Engine, tmp_path: Path
) -> None:
    for name, says in (
        (str(engine.opened.path), "is a language model"),
        ("mpnet", "no model 'mpnet'"),
    ):
        with pytest.raises(ModelError, match=says):
            groundup.index(docs, tmp_path / "new", vectors=(None, name))
    assert not (tmp_path / "new").exists()


def test_an_encoder_that_is_gone_is_named_and_the_index_works_on(
    folder: Path, docs: Path, tmp_path: Path
) -> None:
    make_sentence_vectors(folder, letters, str(tmp_path / "gone"), progress=Silent())
    unchanged = groundup.index(docs, folder, vectors="none").sentences
    assert unchanged is not None and not unchanged.note
    (docs / "new.txt").write_text("The pump needs 40 watts.")
    results = groundup.index(docs, folder, vectors="none")
    assert results.sentences is not None
    assert "not on this machine" in results.sentences.note
    assert "--encoder" in results.sentences.fix
