"""Vectors beside an index: made once for each passage, gone on with after an interruption, and searched alone or mixed with words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import save_encoder

from groundup.device import Compute
from groundup.errors import FormatError, ModelError
from groundup.progress import Silent
from groundup.retrieve import vectors as module
from groundup.retrieve.index import Index
from groundup.retrieve.search import find
from groundup.retrieve.vectors import (
    Embed,
    Vectors,
    about,
    both,
    embed_with,
    make_vectors,
    mixed,
    text_of,
)

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
    known = about(folder)
    assert known is not None
    return Vectors(known, embed)


def test_every_passage_has_a_row_and_a_second_call_makes_none(folder: Path, index: Index) -> None:
    assert about(folder) is None
    assert make_vectors(folder, letters, "letters", progress=Silent()) == index.passage_count > 2
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 0
    found, passages = opened(folder), index.all_passages()
    assert found.ids.tolist() == [passage.id for passage in passages]
    assert np.allclose(found.rows, letters([text_of(passage) for passage in passages]))


def test_the_nearest_are_those_of_a_full_comparison(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    make_vectors(folder, letters, "letters", progress=Silent())
    found = opened(folder)
    query = letters(["warm water"])[0]
    expected = sorted(
        zip((found.rows @ query).tolist(), found.ids.tolist(), strict=True),
        key=lambda each: (-each[0], each[1]),
    )
    for limit in (1, 3, 100):
        near = found.nearest(query, limit)
        assert [id for id, _ in near] == [id for _, id in expected[:limit]]
        assert [cosine for _, cosine in near] == pytest.approx(
            [cosine for cosine, _ in expected[:limit]], abs=1e-6
        )
    assert found.cosines(query, [found.ids[1], 999]) == {
        found.ids[1]: pytest.approx(float(found.rows[1] @ query))
    }


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
    known = about(folder)
    assert known is not None and known.count == 2
    assert (
        len(find(index, "warranty", 5, opened(folder).mixture()).passages) > 0
    )  # searched meanwhile
    for file, torn in zip(known.files, (7, 3), strict=True):  # killed in the middle of a write
        with file.open("ab") as handle:
            handle.write(b"x" * torn)
    with known.files[0].open("ab") as handle:
        handle.write(b"y" * known.row_bytes)  # a row whose id was not written
    assert make_vectors(folder, letters, "letters", progress=Silent()) == index.passage_count - 2
    found = opened(folder)
    assert np.allclose(found.rows, letters([text_of(passage) for passage in index.all_passages()]))


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
    assert found.ids.tolist() == [each.id for each in index.all_passages()]
    assert np.allclose(found.rows, letters([text_of(each) for each in index.all_passages()]))
    assert len(list((folder / "vectors").iterdir())) == 4
    (docs / "new.txt").write_text("Penguins live in the south.")
    update()
    assert make_vectors(folder, letters, "letters", progress=Silent()) == 1
    (best,) = find(index, "penguins of the south", 1, opened(folder).ranking).passages
    assert best.document == "new.txt"


def test_a_mixture_ranks_what_either_finds_by_both_scores(folder: Path, index: Index) -> None:
    make_vectors(folder, letters, "letters", progress=Silent())
    found = opened(folder)
    words, cosines = both(found, index, "warranty of the boiler", 100)
    assert set(words) == set(cosines) == {each.id for each in index.all_passages()}
    only_words = [id for id, _ in mixed(words, cosines, 0.0) if words[id]]
    assert only_words == [each.id for each in find(index, "warranty of the boiler", 10).passages]
    only_vectors = [id for id, _ in found.nearest(found.embed(["warranty of the boiler"])[0], 100)]
    assert [id for id, _ in mixed(words, cosines, 1e6)] == only_vectors
    # without a vector: as near as the others are on average
    assert dict(mixed({1: 2.0, 2: 1.0, 3: 1.0}, {1: 0.2, 2: 0.6}, 1.0)) == pytest.approx(
        {1: 1.2, 2: 1.1, 3: 0.9}
    )
    assert mixed({}, {}, 1.0) == []


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
    with pytest.raises(FormatError, match="model, probe and number"):
        about(folder)


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
