"""Token files: the ids of the documents, and any altered byte refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from groundup.data.batches import shards as shards_module
from groundup.data.batches.shards import ShardSet, open_shards, token_file, write_shards
from groundup.data.split import SPLITS, read_split
from groundup.errors import DataError, FormatError
from groundup.files import verify_folder, write_hashed_json
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer


def test_the_tokens_are_each_document_and_then_end_of_text(
    data_folder: Path, tokenizer: Tokenizer, shards: ShardSet
) -> None:
    for split in SPLITS:
        documents = [document.text for document in read_split(data_folder, split)]
        expected = [
            id
            for text in documents
            for id in [*tokenizer.encode(text), tokenizer.special.tokens["<|endoftext|>"]]
        ]
        assert shards.tokens(split).tolist() == expected
        assert shards.num_tokens(split) == len(expected)
        assert shards.num_bytes(split) == sum(len(text.encode()) for text in documents)


def test_batches_of_documents_change_nothing(
    data_folder: Path,
    tokenizer: Tokenizer,
    shards: ShardSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards_module, "BATCH_CHARACTERS", 1000)
    again = write_shards(data_folder, tokenizer, tmp_path / "again", progress=Silent())
    assert again.fingerprint == shards.fingerprint
    assert again.tokens("train").tolist() == shards.tokens("train").tolist()


def test_what_was_written_is_what_is_opened(shards: ShardSet, tokenizer: Tokenizer) -> None:
    opened = open_shards(shards.folder)
    assert opened == shards and opened.fingerprint == shards.fingerprint
    assert opened.tokenizer_fingerprint == tokenizer.fingerprint
    assert opened.dtype == "uint16" and opened.tokens("train").dtype == np.uint16
    verify_folder(shards.folder)


def test_control_tokens_in_a_document_stay_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for split in SPLITS:
        row = {"text": "He typed <|endoftext|> and <|im_end|>.", "source": "s", "name": "n"}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    ids = (
        write_shards(tmp_path, tokenizer, tmp_path / "shards", progress=Silent())
        .tokens("train")
        .tolist()
    )
    assert not set(ids[:-1]) & set(tokenizer.special.tokens.values())
    assert tokenizer.decode(ids[:-1]) == "He typed <|endoftext|> and <|im_end|>."


@pytest.fixture
def copy(shards: ShardSet, tmp_path: Path) -> Path:
    for file in shards.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_one_altered_byte_is_refused(copy: Path) -> None:
    data = bytearray(token_file(copy, "validation").read_bytes())
    data[len(data) // 2] ^= 1
    token_file(copy, "validation").write_bytes(data)
    with pytest.raises(FormatError, match=r"validation\.bin: sha256"):
        open_shards(copy)


def test_a_truncated_file_is_refused_without_hashing(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "HASH_AT_OPEN_BYTES", 0)
    token_file(copy, "train").write_bytes(token_file(copy, "train").read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"train\.bin: size"):
        open_shards(copy)
    token_file(copy, "train").unlink()
    with pytest.raises(FormatError, match="missing"):
        open_shards(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dtype", "object"),
        ("dtype", ["uint16"]),
        ("vocab_size", -1),
        ("vocab_size", True),
        ("tokenizer_fingerprint", 5),
        ("splits", {}),
        ("splits", {"train": {}, "validation": {}}),
        ("splits", {"train": 1, "validation": 2}),
        ("extra", 1),
    ],
)
def test_a_table_that_is_not_ours_is_refused(copy: Path, key: str, value: object) -> None:
    table = json.loads((copy / "shards.json").read_text())
    (copy / "shards.json").write_text(json.dumps({**table, key: value}))
    with pytest.raises(FormatError, match=r"shards\.json"):
        open_shards(copy)


def test_an_altered_count_is_refused_even_where_files_are_too_large_to_hash(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "HASH_AT_OPEN_BYTES", 0)
    text = (copy / "shards.json").read_text()
    place = text.index('"utf8_bytes": ') + len('"utf8_bytes": ')
    (copy / "shards.json").write_text(
        text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    )
    with pytest.raises(FormatError, match=r"shards\.json: sha256"):
        open_shards(copy)


def test_a_manifest_that_leaves_a_file_out_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["train.bin"]
    write_hashed_json(copy / "manifest.json", manifest)
    with pytest.raises(FormatError, match=r"does not name train\.bin"):
        open_shards(copy)


def test_an_unknown_split_is_named(shards: ShardSet) -> None:
    with pytest.raises(DataError, match="no split 'dev'; they have: train, validation, test"):
        shards.tokens("dev")
