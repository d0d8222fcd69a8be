"""Vectors beside an index: made once for each passage, gone on with after an interruption, and searched alone or mixed with words."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_vectors import MemoryVectors
from tiny_encoder import save_encoder

from groundup.device import Compute
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.progress import Silent
from groundup.retrieve import vector_store
from groundup.retrieve import vectors as module
from groundup.retrieve.index import Index
from groundup.retrieve.known_stores import VECTOR_STORES
from groundup.retrieve.search import find
from groundup.retrieve.vector_store import MappedVectors
from groundup.retrieve.vectors import (
    Embed,
    Vectors,
    embed_with,
    make_vectors,
    mix,
    score_by_both,
    text_of,
)
from groundup.retrieve.vectors_info import read_vectors_info

from .conftest import Update

CPU = Compute(torch.device("cpu"))


def letters(texts: Sequence[str]) -> np.ndarray:
    """A vector of how often each letter stands in a text."""
    counts = np.array(
        [[1e-3 + text.lower().count(chr(97 + n)) for n in range(26)] for text in texts],
        dtype=np.float32,
    )
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def folder(index: Index) -> Path:
    return index.folder


def opened(folder: Path, embed: Embed = letters) -> Vectors:
    known = read_vectors_info(folder)
    assert known is not None
    return Vectors(known, embed)


def test_every_passage_has_a_row_and_a_second_call_makes_none(folder: Path, index: Index) -> None:
    assert read_vectors_info(folder) is None
    assert make_vectors(folder, letters, "letters", progress=Silent()) == index.passage_count > 2
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 0
    found, passages = opened(folder), index.all_passages()
    assert found.store.ids.tolist() == [passage.id for passage in passages]
    assert np.allclose(found.store.matrix, letters([text_of(passage) for passage in passages]))


def test_the_nearest_are_those_of_a_full_comparison(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_store, "BLOCK_ROWS", 2)
    make_vectors(folder, letters, "letters", progress=Silent())
    found = opened(folder)
    query = letters(["warm water"])[0]
    expected = sorted(
        zip((found.store.matrix @ query).tolist(), found.store.ids.tolist(), strict=True),
        key=lambda each: (-each[0], each[1]),
    )
    for limit in (1, 3, 100):
        near = found.store.nearest(query, limit)
        assert [id for id, _ in near] == [id for _, id in expected[:limit]]
        assert [cosine for _, cosine in near] == pytest.approx(
            [cosine for cosine, _ in expected[:limit]], abs=1e-6
        )
    assert found.cosines(query[None], [found.store.ids[1], 999]) == {
        found.store.ids[1]: pytest.approx(float(found.store.matrix[1] @ query))
    }


def test_another_vector_store_finds_the_same(
    index: Index, docs: Path, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VECTOR_STORES, "memory", MemoryVectors)
    folder, store = index.folder, "memory:here"
    with pytest.raises(ConfigError, match="no vector store 'memori'"):
        make_vectors(folder, letters, "letters", store="memori", progress=Silent())
    make_vectors(folder, letters, "letters", progress=Silent())
    rankings = [opened(folder).ranking, opened(folder).mixture()]
    expected = [find(index, "warm water", 9, ranking) for ranking in rankings]
    with pytest.raises(ConfigError, match="kept in 'files'"):
        make_vectors(folder, letters, "letters", store=store, progress=Silent())
    shutil.rmtree(folder / "vectors")
    count = make_vectors(folder, letters, "letters", store=store, progress=Silent())
    assert count == index.passage_count == len(MemoryVectors.kept["here"])
    assert not list((folder / "vectors").glob("*.f32"))
    rankings = [opened(folder).ranking, opened(folder).mixture()]
    for ranking, known in zip(rankings, expected, strict=True):
        found = find(index, "warm water", 9, ranking).passages
        assert {each.id: each.score for each in found} == pytest.approx(
            {each.id: each.score for each in known.passages}, abs=1e-5
        )
    (docs / "boiler.md").unlink()
    update()
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 0
    assert sorted(MemoryVectors.kept["here"]) == [each.id for each in index.all_passages()]


class Stopped(Exception):
    pass


def test_what_was_stopped_goes_on_from_the_last_whole_row(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", 1)
    calls = 0

    def stopping(texts: Sequence[str]) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 3:  # the first is the known sentence
            raise Stopped
        return letters(texts)

    with pytest.raises(Stopped):
        make_vectors(folder, stopping, "letters", progress=Silent())
    known = read_vectors_info(folder)
    assert known is not None
    kept = known.open_store()
    assert isinstance(kept, MappedVectors) and kept.count == 2
    assert (
        len(find(index, "warranty", 5, opened(folder).mixture()).passages) > 0
    )  # searched meanwhile
    for file, torn in zip(kept.files, (7, 3), strict=True):  # killed in the middle of a write
        with file.open("ab") as handle:
            handle.write(b"x" * torn)
    with kept.files[0].open("ab") as handle:
        handle.write(b"y" * kept.row_bytes)  # a row whose id was not written
    assert make_vectors(folder, letters, "letters", progress=Silent()) == index.passage_count - 2
    found = opened(folder)
    assert np.allclose(
        found.store.matrix, letters([text_of(passage) for passage in index.all_passages()])
    )


def test_rows_of_passages_that_are_gone_are_never_found_and_left_out_when_they_are_most(
    folder: Path, index: Index, docs: Path, update: Update
) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())
    old = index.all_passages()
    (docs / "boiler.md").unlink()
    update()
    assert index.passage_count < len(old) / 2
    assert {
        each.document for each in find(index, "warm water", 10, opened(folder).ranking).passages
    } == {"hostel.txt"}
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 0
    found = opened(folder)
    assert found.store.ids.tolist() == [each.id for each in index.all_passages()]
    assert np.allclose(
        found.store.matrix, letters([text_of(each) for each in index.all_passages()])
    )
    assert len(list((folder / "vectors").iterdir())) == 4
    (docs / "new.txt").write_text("Penguins live in the south.")
    update()
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 1
    (best,) = find(index, "penguins of the south", 1, opened(folder).ranking).passages
    assert best.document == "new.txt"


def test_a_mixture_ranks_what_either_finds_by_both_scores(folder: Path, index: Index) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())
    found = opened(folder)
    words, cosines = score_by_both(found, index, "warranty of the boiler", 100)
    assert set(words) == set(cosines) == {each.id for each in index.all_passages()}
    only_words = [id for id, _ in mix(words, cosines, 0.0) if words[id]]
    assert only_words == [each.id for each in find(index, "warranty of the boiler", 10).passages]
    only_vectors = [
        id for id, _ in found.store.nearest(found.embed(["warranty of the boiler"])[0], 100)
    ]
    assert [id for id, _ in mix(words, cosines, 1e6)] == only_vectors
    # without a vector: as near as the others are on average
    assert dict(mix({1: 2.0, 2: 1.0, 3: 1.0}, {1: 0.2, 2: 0.6}, 1.0)) == pytest.approx(
        {1: 1.2, 2: 1.1, 3: 0.9}
    )
    assert mix({}, {}, 1.0) == []


def test_the_vectors_of_another_encoder_are_not_compared(folder: Path, tmp_path: Path) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())

    def other(texts: Sequence[str]) -> np.ndarray:
        return letters(texts)[:, ::-1]

    for wrong in (other, lambda texts: letters(texts)[:, :5]):
        with pytest.raises(ModelError, match="made by letters"):
            make_vectors(folder, wrong, "other", progress=Silent())
        with pytest.raises(ModelError, match="made by letters"):
            opened(folder, wrong)
    (folder / "vectors" / "vectors.json").write_text('{"model": "letters", "probe": []}')
    with pytest.raises(FormatError, match="model, probe and store"):
        read_vectors_info(folder)


def test_a_real_encoder_makes_them(folder: Path, tmp_path: Path, index: Index) -> None:
    embed = embed_with(str(save_encoder(tmp_path / "encoder")), CPU, Silent())
    assert make_vectors(folder, embed, "encoder", progress=Silent()) == index.passage_count
    assert len(find(index, "clean the filter", 3, opened(folder, embed).mixture()).passages) == 3


def test_sentences_that_come_again_are_not_embedded_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return letters(texts)

    monkeypatch.setattr(module, "REMEMBERED", 3)
    found = opened(folder, counted)
    asked.clear()
    for texts in (["a", "b", "a"], ["b", "c"], ["b", "d", "e"], ["a"]):
        assert np.allclose(np.stack(found.embed_again(texts)), letters(texts))
    assert asked == ["a", "b", "c", "d", "e", "a"], "three are kept, those that came last"


def test_a_question_is_embedded_once(folder: Path) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())
    found, asked = opened(folder, letters), []

    def counted(texts: Sequence[str]) -> np.ndarray:
        asked.append(list(texts))
        return letters(texts)

    found.embed_query = counted
    for text in ("a", "a", "b", "a"):
        assert np.allclose(found.query_rows([text]), letters([text]))
    assert asked == [["a"], ["b"], ["a"]], "the last one is kept"
