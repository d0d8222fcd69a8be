"""Each token of the validation split knows its source, where there are several; older shards are read as they are."""

import json
from pathlib import Path

import numpy as np
import pytest

from groundup.data.batches.shards import ShardSet, open_shards, write_shards
from groundup.data.batches.spans import MAX_LABELS, SPANS_FILE, LabelAt, SpanWriter, read_spans
from groundup.data.documents import Document
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.errors import FormatError
from groundup.files import MANIFEST, verify_folder, write_manifest
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShardSet, Tokenizer]:
    """Two sources, their documents in a data folder, and its shards."""
    root = tmp_path_factory.mktemp("sources")
    for source in ("ships", "stars"):
        (root / source).mkdir()
        for number in range(12):
            (root / source / f"{number}.txt").write_text(
                f"Of {source}, tale {number}: one sails, one shines. " * 9
            )
    prepare(
        [Source(str(root / "ships")), Source(str(root / "stars"))],
        root / "data",
        progress=Silent(),
        seed=2,
    )
    tokenizer = train_tokenizer((d.text for d in read_split(root / "data", "train")), 300)
    return (
        root,
        write_shards(root / "data", tokenizer, root / "shards", progress=Silent()),
        tokenizer,
    )


def test_tokens_are_counted_to_the_source_of_their_document(
    made: tuple[Path, ShardSet, Tokenizer],
) -> None:
    root, shards, tokenizer = made
    spans = read_spans(shards.folder, "validation", shards.num_tokens("validation"))
    expected: dict[str, int] = {}
    for document in read_split(root / "data", "validation"):
        expected[document.source] = (
            expected.get(document.source, 0) + len(tokenizer.encode(document.text)) + 1
        )
    assert dict(spans) == expected and len(expected) == 2
    verify_folder(shards.folder)
    assert open_shards(shards.folder).fingerprint == shards.fingerprint


def test_shards_without_the_table_are_the_same_shards(
    made: tuple[Path, ShardSet, Tokenizer], tmp_path: Path
) -> None:
    _, shards, _ = made
    for file in shards.folder.iterdir():
        if file.name not in (SPANS_FILE, MANIFEST):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    write_manifest(tmp_path)
    older = open_shards(tmp_path)
    assert older.fingerprint == shards.fingerprint
    assert read_spans(tmp_path, "validation", older.num_tokens("validation")) == []


@pytest.mark.parametrize(
    "damage",
    ["[]", '{"validation": [["a", 0]]}', '{"validation": [["a", 3]]}', '{"validation": 7}'],
)
def test_a_table_that_lies_is_one_sentence(tmp_path: Path, damage: str) -> None:
    (tmp_path / SPANS_FILE).write_text(damage)
    with pytest.raises(FormatError, match=r"sources\.json"):
        read_spans(tmp_path, "validation", 4)


def test_train_tokens_have_their_source_too(made: tuple[Path, ShardSet, Tokenizer]) -> None:
    _, shards, _ = made
    spans = read_spans(shards.folder, "train", shards.num_tokens("train"))
    assert len(spans) == 2 and sum(count for _, count in spans) == shards.num_tokens("train")


def written(*documents: tuple[str, str]) -> list[tuple[str, int]]:
    writer = SpanWriter()
    for source, name in documents:
        writer.add(Document("", source, name), 2)
    return writer.labelled()


def test_one_source_is_told_apart_by_its_folders() -> None:
    assert written(("s", "a/1"), ("s", "a/2"), ("s", "b/1"), ("s", "top")) == [
        ("a", 4),
        ("b", 2),
        (".", 2),
    ]
    assert written(("s", "a/1"), ("t", "a/2"), ("s", "b/3")) == [("s", 2), ("t", 2), ("s", 2)]
    assert written(("s", "1"), ("s", "2")) == [], "one source has the figure of the whole"
    assert written(*((f"s{n}", "1") for n in range(MAX_LABELS + 1))) == [], "too many to tell apart"


def test_labels_are_looked_up_by_place() -> None:
    labels = LabelAt(json.loads('[["a", 2], ["b", 3], ["a", 1]]'))
    assert labels.labels == ("a", "b") and len(labels) == 6
    assert labels[np.arange(6)].tolist() == [0, 0, 1, 1, 1, 0]
