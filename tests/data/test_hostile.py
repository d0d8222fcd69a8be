"""Documents and archives of others can't take the machine: 114 hostile ones (`hostile.py`) cost themselves only, and the reasons are named."""

import dataclasses
import os
import resource
import signal
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pypdf
import pytest
from hostile import HOSTILE

from groundup.data.reading import extract
from groundup.data.reading.extract import EXTRACTORS, Extractor
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import ExpansionError

STORY = "The traveller came to the inn at dusk, asked for bread and water, and told a long story."
PAGE = f"<html><body><p>{STORY}</p></body></html>"
# What a reading may take of a processor beside the limit of its document: the start of the process, and its parent.
BESIDE_S = 60.0


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(HOSTILE[name]())
    return folder


def read(path: Path) -> tuple[dict[str, str], SourceReport]:
    report = SourceReport()
    found = read_source(Source(str(path)), SourceOptions(), report)
    return {document.name: document.text for document in found}, report


def reason_of(folder: Path, name: str) -> str:
    """Why a document is bad, read between two good texts."""
    write(folder, name)
    (folder / "0.txt").write_text(STORY)
    (folder / "z.html").write_text(PAGE)
    texts, report = read(folder)
    assert (texts["0.txt"], texts["z.html"]) == (STORY, STORY)
    assert report.bad_files.count == 1
    return report.bad_files.examples[0].removeprefix(f"{name} ")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    extract.close_processes()
    yield monkeypatch
    extract.close_processes()


def change_limits(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    monkeypatch.setattr(extract, "LIMITS", dataclasses.replace(extract.LIMITS, **changed))


def test_there_are_more_than_a_hundred() -> None:
    assert len(HOSTILE) == 114


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_itself_only_and_stays_within_the_limits(
    tmp_path: Path, name: str
) -> None:
    extract.close_processes()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    write(tmp_path, name)
    size_bytes = (tmp_path / name).stat().st_size
    (tmp_path / "0.txt").write_text(STORY)
    (tmp_path / "z.html").write_text(PAGE)
    tracemalloc.start()
    texts, report = read(tmp_path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    extract.close_processes()
    assert (texts["0.txt"], texts["z.html"]) == (STORY, STORY)
    assert len(texts) > 2 or report.bad_files.count or report.skipped
    assert peak_bytes < 2**28
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = 20 if name == "documents.zip" else 1
    assert cpu_seconds < count * extract.LIMITS.cpu_limit(size_bytes) + BESIDE_S


QUICK = [
    "subject-of-encoded-words.eml",
    "subject-of-folded-words.eml",
    "name-of-encoded-words.eml",
    "nested-parts.eml",
    "span-of-a-million.docx",
    "span-of-a-trillion.docx",
    "merged-rows.docx",
    "empty-paragraphs.docx",
    "entities.docx",
    "attributes.docx",
    "spine-that-repeats.epub",
    "entities.epub",
    "attributes.html",
    "nested-blocks.html",
    "form-of-itself.pdf",
    "character-map.pdf",
    "widths.pdf",
    "page-tree-loop.pdf",
    "members.zip",
    "false-size-bzip2.zip",
    "global-headers.tar",
    "number-in-header.tar",
    "size-of-header.tar",
]


def test_hostile_files_cost_themselves_only(tmp_path: Path) -> None:
    write(tmp_path, *QUICK)
    for name in ("0.txt", "z.txt"):
        (tmp_path / name).write_text(STORY)
    texts, report = read(tmp_path)
    assert texts["0.txt"] == texts["z.txt"] == STORY
    skipped = report.skipped["compressed by another method than deflate"].count
    assert report.bad_files.count + skipped + len(texts) - 2 == len(QUICK)


def test_the_memory_of_a_subject_does_not_grow_with_the_square_of_its_length(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "subject-of-encoded-words.eml") / "subject-of-encoded-words.eml"
    assert path.stat().st_size > 160_000
    tracemalloc.start()
    (found,) = EXTRACTORS[".eml"].read(path, False)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(found.subject.split()) == {"word"} and found.text.endswith("text")
    assert peak_bytes < 50 * 2**20


def test_a_damaged_message_of_a_mailbox_costs_itself_only(tmp_path: Path) -> None:
    texts, report = read(write(tmp_path, "bad-among-good.mbox"))
    assert list(texts.values()) == ["one", "three"] and report.bad_files.count == 1


@pytest.mark.parametrize("name", ["span-of-a-million.docx", "span-of-a-trillion.docx"])
def test_a_cell_over_many_columns_is_read_once(tmp_path: Path, name: str) -> None:
    texts, _ = read(write(tmp_path, name))
    assert list(texts.values()) == ["text"]


def test_a_cell_over_several_rows_is_in_each_of_them(tmp_path: Path) -> None:
    made = docx.Document()
    table = made.add_table(3, 3)
    for number, cell in enumerate(each for row in table.rows for each in row.cells):
        cell.text = str(number)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "both rows"
    table.cell(2, 0).merge(table.cell(2, 1)).text = "both columns"
    made.save(str(tmp_path / "a.docx"))
    (text,) = read(tmp_path)[0].values()
    assert text == "both rows\t1\t2\n\nboth rows\t4\t5\n\nboth columns\t\t8"


def test_pages_that_share_their_contents_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "pages-of-one-stream.pdf") / "pages-of-one-stream.pdf"
    calls = []

    def extract_text(page: pypdf.PageObject) -> str:
        calls.append(page)
        return "A page."

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract_text)
    (found,) = EXTRACTORS[".pdf"].read(path, False)
    assert len(calls) == 1 and found.text == "\n\n".join(["A page."] * 300)


def test_a_chapter_that_the_spine_repeats_is_read_once(tmp_path: Path) -> None:
    (text,) = read(write(tmp_path, "spine-that-repeats.epub"))[0].values()
    assert text.count("A sentence of the book.") == 400


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("attributes.html", "a tag has more than 1,000 attributes"),
        ("attributes.epub", "a tag has more than 1,000 attributes"),
        ("tags.html", "it has more than 2,000,000 tags"),
        ("more-empty-paragraphs.docx", "it has more than 2,000,000 tags"),
        ("long-line.pdf", "holds more text than a file of its size may"),
        ("members.zip", "members has more than 200000"),
        ("global-headers.tar", "global headers of more than 1000 fields"),
        ("size-of-header.tar", "asks for 8589934592 bytes at once"),
        ("number-in-header.tar", "has a header that is no valid one"),
    ],
)
def test_the_reason_is_named_and_the_reading_goes_on(tmp_path: Path, name: str, why: str) -> None:
    assert why in reason_of(tmp_path, name)


def test_a_page_with_a_long_tag_of_few_attributes_is_read(tmp_path: Path) -> None:
    image = f'<img src="data:image/png;base64,{"A" * 100_000}" alt="x">'
    drawing = f'<svg><path d="{"M 1 2 " * 10_000}"/></svg>'
    (tmp_path / "a.html").write_text(f"<html><body><p>{STORY}</p>{image}{drawing}</body></html>")
    assert STORY in read(tmp_path)[0]["a.html"]


def test_a_member_whose_expansion_zipfile_does_not_bound_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "false-size-bzip2.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", STORY)
        archive.writestr("b.txt", STORY, zipfile.ZIP_DEFLATED)
    texts, report = read(tmp_path)
    assert list(texts) == ["a.zip!b.txt"]
    (reason,) = report.skipped
    assert reason == "compressed by another method than deflate"
    assert report.skipped[reason].examples == ["a.zip!a.txt", "false-size-bzip2.zip!a.txt"]


def test_an_archive_over_its_limit_that_is_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExpansionError, match="more than 200000"):
        read(write(tmp_path, "members.zip"))


def test_a_document_that_takes_too_long_is_stopped_with_its_reason(
    tmp_path: Path, limits: pytest.MonkeyPatch
) -> None:
    change_limits(limits, cpu_seconds=1.0, cpu_seconds_per_mib=0.0)
    assert reason_of(tmp_path, "paragraphs.html") == "took over 1 s of processor time"


def test_a_document_that_takes_too_much_memory_is_stopped_with_its_reason(
    tmp_path: Path, limits: pytest.MonkeyPatch
) -> None:
    change_limits(limits, memory_bytes=300 * 2**20)
    (tmp_path / "a.eml").write_bytes(b"Subject: s\n\n" + b"x" * 90 * 2**20)
    (tmp_path / "b.html").write_text(PAGE)
    texts, report = read(tmp_path)
    assert report.bad_files.examples == ["a.eml takes more than 300 MiB of memory"]
    assert texts == {"b.html": STORY}


def process_ids() -> list[int]:
    return [process.process.pid for _, process in extract._idle if process.process]


def test_one_process_reads_many_files_and_one_that_is_gone_is_replaced(tmp_path: Path) -> None:
    extract.close_processes()
    for number in range(5):
        (tmp_path / f"{number}.html").write_text(PAGE)
    assert len(read(tmp_path)[0]) == 5
    (first,) = process_ids()
    assert len(read(tmp_path)[0]) == 5 and process_ids() == [first]
    process = extract._idle[0][1].process
    assert process
    os.kill(first, signal.SIGKILL)
    process.wait()
    assert len(read(tmp_path)[0]) == 5 and process_ids() != [first]


def test_a_process_that_needed_much_memory_is_not_kept(
    tmp_path: Path, limits: pytest.MonkeyPatch
) -> None:
    change_limits(limits, kept_bytes=1)
    (tmp_path / "a.html").write_text(PAGE)
    assert len(read(tmp_path)[0]) == 1 and not process_ids()


def test_two_mailboxes_are_read_in_turns_and_one_that_is_left_costs_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mbox").write_text(
            "".join(f"From x\nFrom: x\n\n{name}{n}\n\n" for n in range(50))
        )
    both = [
        read_source(Source(str(tmp_path / f"{n}.mbox")), SourceOptions(), SourceReport())
        for n in "ab"
    ]
    turns = [(a.text, b.text) for a, b in zip(*both, strict=True)]
    assert turns == [(f"a{n}", f"b{n}") for n in range(50)]
    left = read_source(Source(str(tmp_path / "a.mbox")), SourceOptions(), SourceReport())
    assert next(left).text == "a0"
    del left  # closes it
    assert list(read(tmp_path / "b.mbox")[0].values())[:2] == ["b0", "b1"]


def test_an_index_and_langchains_loader_read_documents_in_the_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundup.integrations.langchain_documents import GroundupLoader
    from groundup.progress import Silent
    from groundup.retrieve.update import update_index

    def refuse(path: Path, headings: bool) -> Iterator[Any]:
        pytest.fail("read in this process")

    for suffix, extractor in list(EXTRACTORS.items()):
        monkeypatch.setitem(EXTRACTORS, suffix, Extractor(refuse, extractor.module))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.html").write_text(PAGE)
    (found,) = GroundupLoader(str(tmp_path / "docs")).load()
    assert found.page_content == STORY
    report = update_index(tmp_path / "index", [Source(str(tmp_path / "docs"))], progress=Silent())
    assert report.files_read == 1
