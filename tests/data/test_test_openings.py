"""The sealed test split: one hash whatever the tokenizer, and each opening is counted."""

import json
from pathlib import Path

import pytest

import groundup.data.test_openings
from groundup.data.batches.shards import open_shards, write_shards
from groundup.data.documents import Document
from groundup.data.split import SPLITS, SplitWriter
from groundup.data.test_openings import note_opening, opened_split
from groundup.files import cache_folder, sha256_file, write_manifest
from groundup.progress import Silent
from groundup.tokenizer.fast import train_tokenizer


def data(folder: Path, test: str) -> Path:
    """A data folder whose splits are one document each."""
    folder.mkdir()
    with SplitWriter(folder, SPLITS) as writer:
        for split in SPLITS:
            writer.write(split, Document(test if split == "test" else split * 9, "made", split))
    return folder


def test_the_hash_is_that_of_the_test_text_and_not_of_its_tokens(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", "a text to be judged on")
    found = [
        write_shards(folder, train_tokenizer([text * 9], 270), tmp_path / text, progress=Silent())
        for text in ("judged on ", "xyz ")
    ]
    assert found[0].splits["test"].sha256 != found[1].splits["test"].sha256
    expected = sha256_file(folder / "test.jsonl")
    assert [open_shards(each.folder).test_text_sha256 for each in found] == [expected] * 2
    other = data(tmp_path / "more", "another text")
    third = write_shards(other, train_tokenizer(["x" * 9], 270), tmp_path / "x", progress=Silent())
    assert third.test_text_sha256 != expected


def test_shards_without_the_hash_open_and_have_the_same_fingerprint(tmp_path: Path) -> None:
    """As an earlier version wrote them: no run that began with them changes."""
    folder = data(tmp_path / "data", "a text")
    shards = write_shards(
        folder, train_tokenizer(["ab" * 9], 270), tmp_path / "s", progress=Silent()
    )
    table = json.loads((tmp_path / "s/shards.json").read_text())
    del table["test_text_sha256"]
    (tmp_path / "s/shards.json").write_text(json.dumps(table))
    write_manifest(tmp_path / "s")
    older = open_shards(tmp_path / "s")
    assert older.test_text_sha256 == "" and older.fingerprint == shards.fingerprint
    assert note_opening(older.test_text_sha256, tmp_path) == 0


def test_each_opening_is_counted_and_says_by_whom(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", "opened three times")
    sha256 = sha256_file(folder / "test.jsonl")
    assert [note_opening(sha256, tmp_path / name) for name in "ab"] == [1, 2]
    assert [document.text for document in opened_split(folder, tmp_path / "c")] == [
        "opened three times"
    ]
    lines = (cache_folder("test_splits") / f"{sha256}.jsonl").read_text().splitlines()
    assert [json.loads(line)["by"] for line in lines] == [str(tmp_path / name) for name in "abc"]
    (folder / "test.jsonl").unlink()
    assert [document.name for document in opened_split(folder, tmp_path)] == ["validation"]
    assert note_opening(sha256, tmp_path) == 4


def test_no_figure_is_lost_where_the_cache_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(groundup.data.test_openings, "FOLDER", "file/below")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    assert note_opening("0" * 64, tmp_path) == 0
