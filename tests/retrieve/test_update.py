"""Updates: only what changed is read, what is gone is never found, and nothing that happens meanwhile damages an index."""

import os
import shutil
import sqlite3
import threading
import time
import zipfile
from pathlib import Path

import pytest
from forked_program import CODE, forker
from forked_program import run as run_forked

from groundup.cli.main import run
from groundup.data.reading import sources as data_sources
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, FormatError
from groundup.language import terms
from groundup.locks import only_one
from groundup.progress import Silent
from groundup.retrieve import doc_files, writer
from groundup.retrieve.index import INDEX_FILE, Index, IndexConfig
from groundup.retrieve.search import find, search
from groundup.retrieve.update import update_index

from .conftest import BOILER, Update


def settle(folder: Path) -> None:
    """Let the files' times lie far enough back to be relied on."""
    time.sleep(0.06)
    assert all(doc_files.state_of(file) for file in folder.rglob("*") if file.is_file())


def names(index: Index, query: str) -> list[str]:
    return [passage.document for passage in search(index, query)]


def test_unchanged_files_are_not_opened(
    docs: Path, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(docs)
    assert update().files_read == 2

    def refuse(*_: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(doc_files, "sha256_file", refuse)
    monkeypatch.setattr(doc_files, "read_texts", refuse)
    report = update()
    assert (report.files_read, report.files_unchanged, report.files_removed) == (0, 2, 0)


def test_passages_have_the_characters_of_windows_1252_at_the_places_of_the_file(
    docs: Path, tmp_path: Path, update: Update
) -> None:
    text = "It is 5 o\x92clock at the lighthouse.\n"
    (docs / "latin.txt").write_text(text, "utf-8")
    update()
    with Index(tmp_path / "index") as index:
        (passage,) = [each for each in search(index, "lighthouse") if each.document == "latin.txt"]
    assert passage.text == text.replace("\x92", "’").strip() and (passage.start, passage.end) == (
        0,
        len(text) - 1,
    )


def test_an_update_says_which_files_are_utf8_though_another_encoding_is_named(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index", str(docs), "--out", str(tmp_path / "index"), "--charset", "cp1251"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "1 files read as utf-8 (valid UTF-8, so the charset named is not used) (hostel.txt)" in said
    )


def test_a_new_index_of_nothing_to_read_is_refused_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "folder", tmp_path / "new.index"
    folder.mkdir()
    assert run(["index", str(folder), "--out", str(out)]) == 2
    assert "has no file to read" in " ".join(capsys.readouterr().err.split()) and not out.exists()
    (folder / "a.png").write_bytes(b"x")
    assert run(["index", str(folder), "--out", str(out)]) == 2
    assert "a.png" in capsys.readouterr().err and not out.exists()
    (folder / "a.txt").write_text("A text of some words.")
    assert run(["index", str(folder), "--out", str(out)]) == 0
    (folder / "a.txt").unlink()
    assert run(["index", str(folder), "--out", str(out)]) == 0  # what is gone is taken out


def test_a_touched_file_is_hashed_and_not_read(
    docs: Path, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    update()
    os.utime(docs / "boiler.md", (1, 1))
    monkeypatch.setattr(doc_files, "read_texts", lambda *_: pytest.fail("read"))
    assert update().files_unchanged == 2


def test_a_changed_and_a_deleted_file_are_gone_from_the_next_answer_without_an_update(
    docs: Path, index: Index
) -> None:
    assert names(index, "filter") == ["boiler.md"] and names(index, "hostel") == ["hostel.txt"]
    (docs / "boiler.md").write_text(BOILER.replace("filter", "Filter"))
    (docs / "hostel.txt").unlink()
    assert find(index, "filter").passages == () == find(index, "hostel").passages
    assert find(index, "hostel").outdated == (str(docs / "hostel.txt"),)


def test_an_update_replaces_what_changed_and_takes_out_what_is_gone(
    docs: Path, index: Index, update: Update
) -> None:
    (docs / "boiler.md").write_text("The kettle whistles.")
    (docs / "hostel.txt").unlink()
    (docs / "new.txt").write_text("A new kettle.")
    report = update()
    assert (report.files_read, report.files_removed) == (2, 1)
    assert sorted(names(index, "kettle")) == ["boiler.md", "new.txt"] and not names(index, "filter")
    with sqlite3.connect(index.file) as database:  # nothing of the old words is left
        words = {term for (term,) in database.execute("SELECT term FROM vocabulary")}
        assert words == {"the", "kettl", "whistl", "a", "new", "boiler"}
        database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    database.close()
    assert index.mean_terms == 3.0 and index.passage_count == 2


def test_ids_of_passages_are_never_used_twice(docs: Path, index: Index, update: Update) -> None:
    before = {each.id for each in index.all_passages()}
    for file in docs.iterdir():
        file.write_text(file.read_text() + "More.")
    update()
    assert before.isdisjoint(each.id for each in index.all_passages())


def test_bad_files_are_listed_with_the_reason_and_the_rest_is_read(
    docs: Path, update: Update, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "noise.txt").write_bytes(bytes(range(256)) * 8)
    (docs / "bad.zip").write_bytes(b"PK\3\4 no archive")
    (docs / "broken.json").write_text('[{"text": "a"}, {')
    (docs / "picture.jpg").write_bytes(b"\xff\xd8")
    update()
    with Index(tmp_path / "index") as index:
        faults = {Path(place).name: reason for place, reason in index.counts().faults}
        assert set(faults) == {"noise.txt", "bad.zip", "broken.json", "picture.jpg"} and all(
            faults.values()
        )
        assert names(index, "filter") == ["boiler.md"]
    assert run(["index", str(docs), "--out", str(tmp_path / "index")]) == 0
    assert "noise.txt looks binary" in capsys.readouterr().out


def test_a_file_whose_name_is_not_utf_8_can_be_met_again(
    docs: Path, update: Update, index: Index
) -> None:
    (docs / os.fsdecode(b"caf\xe9.txt")).write_text("The walrus.")
    update()
    update()
    ((place, reason),) = index.counts().faults
    assert "caf" in place and reason == "its name is not UTF-8"


def test_rows_and_members_of_archives_have_their_address(
    docs: Path, update: Update, index: Index
) -> None:
    with zipfile.ZipFile(docs / "a.zip", "w") as archive:
        archive.writestr("deep/rows.jsonl", '{"text": "walrus one"}\n{"text": "walrus two"}\n')
    update()
    found = sorted(passage.address for passage in search(index, "walrus"))
    assert found == [f"{docs}/a.zip!deep/rows.jsonl:1", f"{docs}/a.zip!deep/rows.jsonl:2"]


def test_spans_point_at_the_words_in_the_decoded_text_of_every_kind_of_file(
    docs: Path, update: Update, index: Index
) -> None:
    pytest.importorskip("docx")
    import docx

    word = docx.Document()
    for line in ("Intro", "The zebra is an animal. It lives.", "End"):
        word.add_paragraph(line)
    word.save(str(docs / "zebra.docx"))
    (docs / "zebra.html").write_text(
        "<html><body><article><p>Long intro here.</p><p>A zebra has stripes.</p></article></body></html>"
    )
    (docs / "zebra.eml").write_text(
        "Subject: Zebra\nContent-Type: text/plain\n\nThe zebra e-mail.\n"
    )
    (docs / "zebra.csv").write_text("id,text\n1,A zebra in a table\n")
    (docs / "latin.txt").write_bytes(
        "Zebra \u00e9t\u00e9 d\u00e9j\u00e0 vu, caf\u00e9.".encode("cp1252")
    )
    (docs / "crlf.txt").write_bytes("Ein Zebra.\r\n\r\nﬁne שָׁלוֹם zebra e\u0301".encode())
    update()
    found = search(index, "zebra")
    assert {Path(each.file).suffix for each in found} == {".docx", ".html", ".eml", ".csv", ".txt"}
    for passage in found:
        text = index.document_text(passage.document_id)
        assert text[passage.start : passage.end] == passage.text and "zebra" in passage.text.lower()
    crlf = next(each for each in found if each.document == "crlf.txt")
    assert index.document_text(crlf.document_id).encode() == (docs / "crlf.txt").read_bytes()


def test_a_second_writer_is_refused_and_readers_are_not(
    docs: Path, index: Index, update: Update
) -> None:
    with only_one(index.folder):
        with pytest.raises(ConfigError, match="Another process is writing"):
            update()
        assert names(index, "filter") == ["boiler.md"]


def test_an_index_is_searched_while_it_is_written(
    docs: Path, index: Index, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMMIT_EVERY_S", 0.0)
    for number in range(200):
        (docs / f"{number}.txt").write_text(f"Number {number} is a walrus.")
    counts = []
    thread = threading.Thread(target=update)
    thread.start()
    while thread.is_alive():
        counts.append(len(search(index, "walrus", 300)))
        assert names(index, "filter") == ["boiler.md"]
    thread.join()
    assert counts == sorted(counts) and len(search(index, "walrus", 300)) == 200


KILLED = """
import sys, time
from pathlib import Path
from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve import update, writer
writer.COMMIT_EVERY_S = 0.0
read = update.read_documents
def slowly(*given):
    time.sleep(0.005)
    yield from read(*given)
    print("read", flush=True)
update.read_documents = slowly
update.update_index(Path(sys.argv[1]), [Source(sys.argv[2])], progress=Silent())
"""


def test_a_killed_update_leaves_whole_files_and_the_next_one_goes_on(
    docs: Path, tmp_path: Path, update: Update
) -> None:
    for number in range(300):
        (docs / f"{number}.txt").write_text(
            f"Number {number} is a walrus.\n\nThe second paragraph of {number}."
        )
    asked = (KILLED, str(tmp_path / "index"), str(docs))
    process = forker().start(asked, program=CODE, imported=("groundup.retrieve.update",))
    for _ in range(40):
        process.stdout.readline()
    process.kill()
    process.communicate()
    with Index(tmp_path / "index") as index:
        there = len(search(index, "walrus", 400))
        assert 30 <= there < 300
        report = update()
        assert report.files_read == 302 - report.files_unchanged and report.files_unchanged >= there
        assert len(search(index, "walrus", 400)) == 300
        index.rows("SELECT * FROM words WHERE words MATCH 'walru'")


FULL = """
import resource, sys
from groundup.cli.main import run
from groundup.retrieve import writer
writer.COMMIT_EVERY_S = float("inf")  # however slow the machine is, all of it in one commit
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.exit(run(["index", sys.argv[2], "--out", sys.argv[1]]))
"""


def test_a_full_disk_ends_with_one_sentence_and_the_index_as_it_was(
    docs: Path, index: Index, update: Update
) -> None:
    for number in range(40):
        (docs / f"{number}.txt").write_text(" ".join(f"word{number}x{i}" for i in range(3000)))
    done = run_forked(FULL, index.folder, docs, program=CODE, imported=("groundup.cli.index",))
    assert (
        done.returncode == 2 and "No space left" in done.stderr and "Traceback" not in done.stderr
    )
    assert names(index, "filter") == ["boiler.md"] and index.rows("PRAGMA integrity_check") == [
        ("ok",)
    ]
    assert update().files_read == 40 and names(index, "word39x7") == ["39.txt"]


def test_terms_of_another_version_are_made_again_from_the_passages(
    docs: Path, index: Index, update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(docs)
    docs.mkdir()
    monkeypatch.setattr(terms, "TERMS_VERSION", 99)
    with writer.writing(index.file) as opened:
        assert not opened.words_are_current()
    report = update()
    assert report.files_removed == 2 and index.rows("SELECT count(*) FROM vocabulary") == [(0,)]


def test_an_index_keeps_its_options_and_refuses_others(
    docs: Path, tmp_path: Path, index: Index
) -> None:
    with pytest.raises(ConfigError, match="other options"):
        update_index(
            index.folder, [Source(str(docs))], IndexConfig(max_tokens=64), progress=Silent()
        )


def test_a_foreign_or_damaged_file_is_refused(tmp_path: Path, index: Index) -> None:
    for name, content in (("text", b"no database" * 100), ("empty", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / INDEX_FILE).write_bytes(content)
        with pytest.raises(FormatError):
            Index(tmp_path / name)
    with pytest.raises(FormatError, match="groundup index DOCS --out"):
        Index(tmp_path / "none")


def test_the_index_in_its_own_documents_folder_is_not_read(docs: Path) -> None:
    for _ in range(2):
        update_index(docs / "index", [Source(str(docs))], progress=Silent())
    with Index(docs / "index") as index:
        assert index.counts().files == 2 and index.counts().faults == ()


def test_a_source_that_is_gone_is_taken_out_and_one_that_never_was_is_refused(
    docs: Path, tmp_path: Path, index: Index, update: Update
) -> None:
    shutil.rmtree(docs)
    assert run(["index", str(tmp_path / "never"), "--out", str(index.folder)]) == 2
    assert (
        update_index(index.folder, [], progress=Silent()).files_removed == 2
        and index.passage_count == 0
    )


def test_reading_goes_through_the_data_door() -> None:
    assert doc_files.read_texts is data_sources.read_texts


def test_an_index_of_files_without_text_says_that_it_answers_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scan.docx").write_text("no zip")
    index = str(tmp_path / "index")
    assert run(["index", str(tmp_path / "docs"), "--out", index, "--vectors", "none"]) == 0
    said = capsys.readouterr().out
    assert "There is no text in it: every question is answered by not found." in said
    assert "scan.docx: scan.docx can't be read" in said
