"""Data sets of the hub, from folders on disk laid out as the hub lays them, and object stores, on the in-memory file system."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import fsspec
import pyarrow
import pytest
from pyarrow import parquet

from groundup.data.reading import remote
from groundup.data.reading.containers import BUILD
from groundup.data.reading.data import Data
from groundup.data.reading.examples import read_labelled
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.remote import OTHER_SPLIT, is_store, parse_hub
from groundup.data.reading.source_files import Source, content_hash, disk_bytes
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import describe_source, read_source
from groundup.errors import ConfigError, DataError, MissingExtra, NetworkError

CLASSES = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': neg
          '1': pos
---
"""
CONFIGS = """---
configs:
- config_name: letters
  data_files: letters/*.jsonl
- config_name: poems
  data_files: poems/*.jsonl
---
"""


def texts_of(spec: str, report: SourceReport | None = None) -> list[tuple[str, str]]:
    found = read_source(Source(spec), SourceOptions(), report or SourceReport())
    return [(each.name, each.text) for each in found]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    (folder / "data").mkdir(parents=True)
    for split, words, labels in (
        ("train", ["good", "bad", "fine"], [1, 0, 1]),
        ("test", ["poor"], [0]),
    ):
        table = pyarrow.table({"text": words, "label": labels})
        parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text(CLASSES)
    return folder


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("hf:a/b", ("a/b", "", "", "")),
        ("hf:a/b/test", ("a/b", "", "", "test")),
        ("hf:a/b:c", ("a/b", "", "c", "")),
        ("hf:a/b@f00d:c/test", ("a/b", "f00d", "c", "test")),
        ("hf:imdb:plain/test", ("imdb", "", "plain", "test")),
    ],
)
def test_the_parts_of_an_address(address: str, parts: tuple[str, ...]) -> None:
    assert tuple(vars(parse_hub(address)).values()) == parts


@pytest.mark.parametrize(
    "address", ["hf:", "hf:a b", "hf:a/b/c/d", "hf:a/b:", "hf:a/../b:c:d", "hf://a/b"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises((ConfigError, DataError), match="hf:"):
        texts_of(address)


def test_a_data_set_is_read_by_its_train_split_and_the_others_are_reported(dataset: Path) -> None:
    report = SourceReport()
    found = texts_of(f"hf:{dataset}", report)
    assert found == [
        (f"{dataset}/train:{line}", word)
        for line, word in enumerate(["good", "bad", "fine"], start=1)
    ]
    assert report.skipped[OTHER_SPLIT].examples == [f"{dataset}/test"]
    assert (report.files, report.lines, report.documents) == (1, 3, 3)
    assert [text for _, text in texts_of(f"hf:{dataset}/test")] == ["poor"]


def test_integer_classes_have_their_names(dataset: Path) -> None:
    found = read_labelled(Data(f"hf:{dataset}"))
    assert [(each.text, each.label) for each in found] == [
        ("good", "pos"),
        ("bad", "neg"),
        ("fine", "pos"),
    ]


def test_a_data_set_with_configs_needs_one(tmp_path: Path) -> None:
    for name in ("letters", "poems"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(json.dumps({"text": name}) + "\n")
    (tmp_path / "README.md").write_text(CONFIGS)
    assert [text for _, text in texts_of(f"hf:{tmp_path}:poems")] == ["poems"]
    assert texts_of(f"hf:{tmp_path}:letters/train")[0][0] == f"{tmp_path}:letters/train:1"
    with pytest.raises(DataError, match=r"\['letters', 'poems'\]"):
        texts_of(f"hf:{tmp_path}")
    with pytest.raises(DataError, match=r"'songs' not found.*\['letters', 'poems'\]"):
        texts_of(f"hf:{tmp_path}:songs")


def test_a_split_that_is_not_there_is_said_with_those_that_are(dataset: Path) -> None:
    with pytest.raises(DataError, match="has no split 'dev'; there are: train, test"):
        texts_of(f"hf:{dataset}:default/dev")
    with pytest.raises(DataError, match="there is no folder"):
        texts_of("hf:./nothing/here")
    (dataset / "data" / "train-00000-of-00001.parquet").rename(
        dataset / "data" / "dev-00000-of-00001.parquet"
    )
    with pytest.raises(DataError, match="names no split; there are: "):
        texts_of(f"hf:{dataset}")


def test_times_are_text_and_pictures_null(tmp_path: Path) -> None:
    rows = {
        "text": ["a"],
        "when": [datetime(2020, 1, 2)],
        "image": [b"\x89PNG"],
        "more": [{"deep": [1.5]}],
    }
    parquet.write_table(pyarrow.table(rows), tmp_path / "train.parquet")
    file = next(remote.hub_files(f"hf:{tmp_path}", lambda *_: None))
    with file.open() as stream:
        assert json.loads(stream.read()) == {
            "text": "a",
            "when": "2020-01-02T00:00:00",
            "image": None,
            "more": {"deep": [1.5]},
        }


def test_a_damaged_data_set_and_one_of_pictures_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(DataError, match="can't be read"):
        texts_of(f"hf:{tmp_path}")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="of format 'imagefolder'"):
        texts_of(f"hf:{tmp_path}/pictures")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="can't be read"):
        texts_of(f"hf:{tmp_path}/empty")


def test_a_data_set_is_streamed(tmp_path: Path) -> None:
    rows = "".join(
        f'{{"text": "{row}", "more": "{"-" * 1000}"}}\n' for row in range(10_000)
    )  # more than is read ahead
    (tmp_path / "train-00000-of-00002.jsonl").write_text(rows)
    (tmp_path / "train-00001-of-00002.jsonl").write_text("damaged")
    documents = read_source(Source(f"hf:{tmp_path}"), SourceOptions(), SourceReport())
    assert [each.text for each in islice(documents, 3)] == ["0", "1", "2"]
    with pytest.raises(DataError, match="can't be read"):
        list(documents)


def test_the_hash_of_a_data_set_on_disk_changes_with_it(dataset: Path) -> None:
    before = content_hash(Source(f"hf:{dataset}"))
    assert before == content_hash(Source(f"hf:{dataset}"))
    (dataset / "data" / "dev.jsonl").write_text('{"text": "x", "label": 0}\n')
    assert content_hash(Source(f"hf:{dataset}")) != before
    assert len(remote.hub_fingerprint(f"hf:{dataset}")) == 64
    assert disk_bytes(Source(f"hf:{dataset}")) == 0


def test_without_its_package_an_address_answers_with_the_install_command(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    for spec, extra in (
        (f"hf:{dataset}", "hub"),
        ("s3://bucket/a.txt", "s3"),
        ("gs://bucket/a.txt", "gs"),
    ):
        with pytest.raises(MissingExtra, match=rf"pip install 'groundup\[{extra}\]'"):
            texts_of(spec)


@pytest.fixture
def store() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    system.pipe("/shelf/a.txt", b"ay")
    system.pipe("/shelf/b.txt.gz", gzip.compress(b"bee"))
    system.pipe("/shelf/deep/c.jsonl", b'{"text": "sea"}\n{"text": "si"}\n')
    system.pipe("/shelf/deep/.hidden.txt", b"no")
    system.pipe("/shelf/picture.png", b"no")
    yield "memory://shelf"
    system.rm("/shelf", recursive=True)


def test_a_folder_of_a_store_is_read_as_one_on_disk(store: str) -> None:
    report = SourceReport()
    expected = [
        ("a.txt", "ay"),
        ("b.txt.gz", "bee"),
        ("deep/c.jsonl:1", "sea"),
        ("deep/c.jsonl:2", "si"),
    ]
    assert texts_of(store, report) == texts_of(f"{store}/") == expected
    assert [tally.examples for tally in report.skipped.values()] == [["picture.png"]]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.txt", ["a.txt"]),
        ("*.txt", ["a.txt"]),
        ("**/*.jsonl", ["deep/c.jsonl:1", "deep/c.jsonl:2"]),
        ("d*p/*.json?", ["deep/c.jsonl:1", "deep/c.jsonl:2"]),
        ("*.txt*", ["a.txt", "b.txt.gz"]),
        ("**/.h*", ["deep/.hidden.txt"]),
    ],
)
def test_files_and_globs_of_a_store_are_those_of_a_disk(
    store: str, pattern: str, expected: list[str]
) -> None:
    assert [name for name, _ in texts_of(f"{store}/{pattern}")] == expected


def test_archives_parquet_and_builds_of_a_store(store: str) -> None:
    system, archive, table = fsspec.filesystem("memory"), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("in/d.txt", "dee")
    parquet.write_table(pyarrow.table({"text": ["e", "f"]}), table)
    system.pipe({"/shelf/x.zip": archive.getvalue(), "/shelf/y.parquet": table.getvalue()})
    system.pipe(
        {
            "/shelf/run/recipe.toml": b"",
            "/shelf/run/build.json": b"{}",
            "/shelf/run/texts.txt": b"no",
        }
    )
    report = SourceReport()
    found = texts_of(store, report)
    assert found[-3:] == [("x.zip!in/d.txt", "dee"), ("y.parquet:1", "e"), ("y.parquet:2", "f")]
    assert report.skipped[BUILD].examples == ["run"]
    assert not [name for name, _ in found if name.startswith("run")]


def test_sizes_and_hash_of_a_store(store: str) -> None:
    assert (
        disk_bytes(Source(f"{store}/deep")) == 31 and disk_bytes(Source(store)) == 0
    )  # with a compressed file
    before = content_hash(Source(store))
    assert before == content_hash(Source(store))
    fsspec.filesystem("memory").pipe("/shelf/a.txt", b"other")
    assert content_hash(Source(store)) != before


def test_the_description_of_a_store_is_that_of_its_rows(store: str) -> None:
    found = describe_source(Source(f"{store}/deep"), SourceOptions())
    assert [(each.layout, dict(each.roles)) for each in found] == [("text", {"text": "text"})]


def test_what_is_not_in_a_store_is_said(store: str) -> None:
    with pytest.raises(DataError, match="memory://shelf/none does not exist, or is empty"):
        texts_of(f"{store}/none")
    with pytest.raises(DataError, match="has no file to read"):
        texts_of(f"{store}/*.png")


def test_what_a_store_raises_is_one_sentence(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(fsspec.filesystem("memory"), "open", refuses)
    with pytest.raises(
        NetworkError, match=r"memory:///?shelf/a\.txt can't be read: no credentials"
    ):
        texts_of(f"{store}/a.txt")


@pytest.mark.parametrize(
    "address", ["ftp://host/a.txt", "s3://a::zip://b", "file:///etc/passwd", "HTTP://host/a.txt"]
)
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"is not (read|fetched)"):
        is_store(address)
