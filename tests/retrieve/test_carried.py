"""A copy of an index for another machine answers there from the documents beside it."""

import shutil
import zipfile
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.errors import ConfigError
from groundup.retrieve.carried import carry_index
from groundup.retrieve.index import Index
from groundup.retrieve.search import find, search

from .conftest import Update


@pytest.fixture
def carried(tmp_path: Path, docs: Path, update: Update) -> Path:
    """A copy with its documents, carried to another place; what it was made of is gone."""
    (docs / "deeper").mkdir()
    with zipfile.ZipFile(docs / "deeper" / "ferries.zip", "w") as archive:
        archive.writestr("ferry.txt", "The ferry to Rhodes leaves at 7 am.\n")
    update()
    carry_index(tmp_path / "index", tmp_path / "copy")
    moved = tmp_path / "another place" / "index"
    moved.parent.mkdir()
    (tmp_path / "copy").rename(moved)
    shutil.rmtree(docs)
    shutil.rmtree(tmp_path / "index")
    return moved


def test_passages_are_found_with_the_files_beside_them(carried: Path) -> None:
    with Index(carried) as index:
        (boiler, *_) = search(index, "warranty months")
        assert boiler.file == str(carried / "documents" / "1" / "boiler.md")
        (ferry, *_) = search(index, "ferry Rhodes")
        assert ferry.address == f"{carried}/documents/1/deeper/ferries.zip!ferry.txt"


def test_an_altered_document_is_not_found_any_more(carried: Path) -> None:
    (carried / "documents" / "1" / "boiler.md").write_text("The warranty lasts 240 months.")
    with Index(carried) as index:
        result = find(index, "warranty months", 5)
        assert "boiler.md" not in {each.document for each in result.passages}
        assert len(result.outdated) == 1


def test_no_path_of_the_first_machine_is_in_it(carried: Path, tmp_path: Path) -> None:
    content = (carried / "index.sqlite").read_bytes()
    assert str(tmp_path).encode() not in content and b"./documents/1/boiler.md" in content


def test_an_altered_passage_is_found_by_its_hash(carried: Path) -> None:
    content = (carried / "index.sqlite").read_bytes()
    assert content.count(b"lasts 24 months") == 1
    (carried / "index.sqlite").write_bytes(content.replace(b"lasts 24 months", b"lasts 99 months"))
    (carried / "manifest.json").unlink()
    with Index(carried) as index, pytest.raises(Exception, match="differs from its hash"):
        search(index, "warranty months")


def test_a_copy_is_not_brought_up_to_date(
    carried: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index", "--out", str(carried)]) == 2
    assert "is the copy of an index in an app" in capsys.readouterr().err


def test_documents_that_were_changed_since_are_named(
    tmp_path: Path, docs: Path, update: Update
) -> None:
    update()
    (docs / "hostel.txt").write_text("The hostel has closed for good.")
    with pytest.raises(ConfigError, match=r"1 documents were changed .*hostel\.txt"):
        carry_index(tmp_path / "index", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
