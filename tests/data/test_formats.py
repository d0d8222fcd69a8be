"""Documents of other formats, compressed files and archives: each read from a file made here; damaged ones cost themselves and are named."""

import email.message
import gzip
import io
import json
import mailbox
import tarfile
import zipfile
from pathlib import Path

import docx
import pyarrow
import pypdf
import pytest
import zstandard
from pyarrow import parquet
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from groundup.data.documents import Document
from groundup.data.reading.decoding import MAX_LINE_CHARACTERS
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source, content_hash, disk_bytes
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import DataError, FormatError

STORY = "The traveller came to the inn at dusk, asked for bread and water, and told a long story."
PAGE = f"<html><head><title>T</title></head><body><nav>Home About</nav><article><h1>Dusk</h1>{f'<p>{STORY}</p>' * 6}</article></body></html>"

HTML = PAGE.encode()


def read(path: Path, report: SourceReport | None = None) -> list[Document]:
    return list(read_source(Source(str(path)), SourceOptions(), report or SourceReport()))


def texts_of(path: Path, report: SourceReport | None = None) -> list[str]:
    return [document.text for document in read(path, report)]


def write_pdf(path: Path, *pages: str, password: str = "") -> Path:
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject(k): NameObject(v)
            for k, v in (("/Type", "/Font"), ("/Subtype", "/Type1"), ("/BaseFont", "/Helvetica"))
        }
    )
    for text in pages:
        page = writer.add_blank_page(612, 792)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(path)
    return path


def write_epub(path: Path, *chapters: str) -> Path:
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in reversed(range(len(chapters))))
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        rootfile = (
            '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>'
        )
        container = f'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>{rootfile}</rootfiles></container>'
        book.writestr("META-INF/container.xml", container)
        book.writestr(
            "OEBPS/book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>',
        )
        for number, chapter in enumerate(chapters):
            book.writestr(
                f"OEBPS/text/c {number}.xhtml", f"<html><body><p>{chapter}</p></body></html>"
            )
    return path


def message(
    subject: str, body: str, *, html: str = "", attach: str = ""
) -> email.message.EmailMessage:
    made = email.message.EmailMessage()
    made["Subject"], made["From"] = subject, "a@example.org"
    if body:
        made.set_content(body)
    if html:
        made.add_alternative(html, subtype="html") if body else made.set_content(
            html, subtype="html"
        )
    if attach:
        made.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename=attach)
    return made


def test_the_article_of_a_html_page_is_read_and_its_navigation_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (text,) = texts_of(tmp_path)
    assert STORY in text and "About" not in text


def test_a_page_without_an_article_gives_all_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.htm").write_text("<html><body><div>Two words</div></body></html>")
    assert texts_of(tmp_path) == ["Two words"]


def test_headings_of_html_and_word_are_marked_where_that_is_asked_for(tmp_path: Path) -> None:
    sections = "".join(
        f"<h{n}>Part <em>{n}</em></h{n}><p>{STORY} Number {n}.</p>" for n in (1, 2, 3)
    )
    table = "<table><tr><td><h3>In a cell</h3></td><td>Two</td></tr></table>"
    page = f"<html><body><article>{sections}{table}</article></body></html>"
    (tmp_path / "a.html").write_text(page)
    made = docx.Document()
    for text, level in (("Title", 0), ("Part 1", 1), ("Part 2", 2)):
        made.add_heading(text, level)
        made.add_paragraph(STORY)
    made.save(str(tmp_path / "b.docx"))
    (tmp_path / "c.eml").write_bytes(message("Hello", "", html=page).as_bytes())
    plain = texts_of(tmp_path)
    found = read_source(Source(str(tmp_path)), SourceOptions(headings=True), SourceReport())
    marked = [document.text for document in found]
    for before, text in zip(plain, marked, strict=True):
        assert "#" not in before
        lines = [line.strip("# ") for line in text.splitlines() if line.strip()]
        assert lines == [line.strip() for line in before.splitlines() if line.strip()]
    assert [line for line in marked[0].splitlines() if "#" in line] == [
        "# Part 1",
        "## Part 2",
        "### Part 3",
    ]
    assert [line for line in marked[1].splitlines() if "#" in line] == [
        "# Title",
        "## Part 1",
        "### Part 2",
    ]
    assert "## Part 2" in marked[2]


def test_the_pages_of_a_pdf_are_one_document(tmp_path: Path) -> None:
    write_pdf(tmp_path / "a.pdf", "Page one.", "Page two.")
    assert texts_of(tmp_path) == ["Page one.\n\nPage two."]


def test_lines_of_a_pdf_that_end_with_prices_are_items_for_an_index(tmp_path: Path) -> None:
    lines = (
        "We take",
        "for the key $5",
        "a day.",
        "Fish soup $8.90",
        "Pie (vegan) $7",
        "Ask \\256sh",
    )
    path = write_pdf(tmp_path / "a.pdf", ") Tj 0 -14 Td (".join(lines))
    (found,) = EXTRACTORS[".pdf"].read(path, True)
    shown = "We take\nfor the key $5\na day.\n- Fish soup $8.90\n- Pie (vegan) $7\nAsk fish"
    assert found.text == shown
    (found,) = EXTRACTORS[".pdf"].read(path, False)
    assert found.text == shown.replace("- ", "")


def test_a_pdf_without_text_or_with_a_password_is_a_bad_file_with_its_reason(
    tmp_path: Path,
) -> None:
    write_pdf(tmp_path / "locked.pdf", "Secret.", password="p")
    write_pdf(tmp_path / "scan.pdf", "")
    (tmp_path / "torn.pdf").write_bytes(write_pdf(tmp_path / "b.pdf", "Page.").read_bytes()[:200])
    (tmp_path / "b.pdf").unlink()
    (tmp_path / "ok.txt").write_text("text")
    report = SourceReport()
    assert texts_of(tmp_path, report) == ["text"]
    assert report.bad_documents == 3 and report.documents == 1
    locked, scan, torn = report.bad_files.examples
    assert (
        locked == "locked.pdf is protected by a password: save a copy without one"
        and scan.startswith("scan.pdf holds no text: scanned")
        and torn.startswith("torn.pdf can't be read")
    )


def test_paragraphs_and_tables_of_a_word_file_are_read_in_order(tmp_path: Path) -> None:
    made = docx.Document()
    made.add_paragraph("First.")
    table = made.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    made.add_paragraph("Last.")
    made.save(str(tmp_path / "a.docx"))
    assert texts_of(tmp_path) == ["First.\n\na\tb\n\nLast."]


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    write_epub(tmp_path / "a.epub", "Second chapter.", "First chapter.")
    assert texts_of(tmp_path) == ["First chapter.\n\nSecond chapter."]


@pytest.mark.parametrize("suffix", [".docx", ".epub"])
def test_a_document_that_expands_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    made = docx.Document()
    made.add_paragraph(STORY)
    made.save(str(tmp_path / "a.docx"))
    write_epub(tmp_path / "a.epub", "word " * 10_000)
    monkeypatch.setattr("groundup.data.reading.extracted.MAX_EXPANDED_BYTES", 2**14)
    with pytest.raises(ValueError, match="it expands to more than 0 MiB"):
        list(EXTRACTORS[suffix].read(tmp_path / f"a{suffix}", False))


def test_an_email_is_its_subject_and_text_and_its_attachments_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(
        message("Dinner", "At eight.", html="<p>At eight.</p>", attach="map.png").as_bytes()
    )
    (tmp_path / "b.eml").write_bytes(message("Web", "", html=PAGE).as_bytes())
    report = SourceReport()
    plain, web = texts_of(tmp_path, report)
    assert plain == "Dinner\n\nAt eight." and web.startswith("Web\n\n") and STORY in web
    assert report.skipped["an attachment of an e-mail"].examples == ["a.eml: map.png"]


def test_a_mailbox_is_a_document_for_each_message(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "a.mbox")
    for number in range(3):
        box.add(message(f"S{number}", f"Body {number}."))
    box.close()
    found = read(tmp_path)
    assert [d.text for d in found] == [f"S{n}\n\nBody {n}." for n in range(3)] and found[
        2
    ].name == "a.mbox:message 3"
    half = (tmp_path / "a.mbox").read_bytes()
    (tmp_path / "a.mbox").write_bytes(half[: len(half) // 2])
    assert texts_of(tmp_path)[0] == "S0\n\nBody 0."


def test_an_array_of_json_is_a_document_for_each_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f'[{n}], "{n}" \u00e9'} for n in range(200)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    for piece_bytes in (7, 2**20):
        monkeypatch.setattr("groundup.data.reading.decoding.PIECE_BYTES", piece_bytes)
        assert texts_of(tmp_path) == [row["text"] for row in rows]
    for damaged in ('[{"text": "a"}', '[{"text": "a"}, {"te', '[{"text": "a"} x]', "[" * 100_000):
        (tmp_path / "a.json").write_text(damaged)
        with pytest.raises(FormatError, match=r"a\.json"):
            read(tmp_path)


def test_settings_among_texts_are_skipped_and_alone_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    with pytest.raises(DataError, match="are not recognised as texts"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    report = SourceReport()
    assert texts_of(tmp_path, report) == ["text"]
    assert report.skipped["no rows of this kind"].examples == ["package.json"]


def rows_file(path: Path) -> Path:
    """One of each row format, by suffix."""
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table({"text": ["one", "two"]}), path)
    else:
        content = {
            ".jsonl": '{"text": "one"}\n{"text": "two"}\n',
            ".json": '[{"text": "one"}, {"text": "two"}]',
            ".csv": "text,n\none,1\ntwo,2\n",
            ".tsv": "text\tn\none\t1\ntwo\t2\n",
        }
        path.write_text(content[path.suffix])
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".zip", ".tar", ".tar.gz", ".tgz"])
def test_rows_are_read_packed_as_well_as_plain(tmp_path: Path, suffix: str, packed: str) -> None:
    plain = rows_file(tmp_path / f"a{suffix}")
    if packed:
        pack(plain, packed).exists()
        plain.unlink()
    source = Source(str(tmp_path))
    assert texts_of(tmp_path) == ["one", "two"]
    assert (
        disk_bytes(source) == (0 if packed else plain.stat().st_size)
        and len(content_hash(source)) == 64
    )


def pack(path: Path, packed: str) -> Path:
    """Pack a file; an archive gets it in a folder."""
    made, data = path.with_name(path.name + packed), path.read_bytes()
    if packed == ".gz":
        made.write_bytes(gzip.compress(data))
    elif packed == ".zst":
        made.write_bytes(zstandard.compress(data))
    elif packed == ".zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, f"folder/{path.name}")
    else:
        with tarfile.open(made, "w" if packed == ".tar" else "w:gz") as archive:
            archive.add(path, f"folder/{path.name}")
    return made


def test_an_archive_is_read_member_by_member_and_says_what_it_passes_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name, data in (
            ("b/a.txt", b"one"),
            ("../up.txt", b"two"),
            ("x.png", b"?"),
            ("in.zip", b"PK"),
            (".hidden.txt", b"no"),
            ("p.html", HTML),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    report = SourceReport()
    found = {document.name: document.text for document in read(tmp_path, report)}
    assert (
        list(found) == ["a.tar.gz!b/a.txt", "a.tar.gz!../up.txt", "a.tar.gz!p.html"]
        and STORY in found["a.tar.gz!p.html"]
    )
    assert [(tally.count, tally.examples[0]) for tally in report.skipped.values()] == [
        (1, "a.tar.gz!x.png"),
        (1, "a.tar.gz!in.zip"),
        (1, "a.tar.gz!link.txt"),
    ]
    assert not (tmp_path.parent / "up.txt").exists()


@pytest.mark.parametrize("packed", [".gz", ".zst", ".zip", ".tar.gz"])
def test_what_expands_too_much_or_is_torn_is_one_error(
    tmp_path: Path, packed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.fetch.MIN_LIMIT_BYTES", 2**20)
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"0" * 20 * 2**20)
    bomb = pack(plain, packed)
    plain.unlink()
    with pytest.raises(FormatError, match="expand"):
        for document in read_source(Source(str(bomb)), SourceOptions(), SourceReport()):
            del document
    plain.write_text("".join(f"line {n}\n" for n in range(20_000)))
    torn = pack(plain, packed)
    plain.unlink()
    torn.write_bytes(torn.read_bytes()[:-100] if packed != ".zip" else torn.read_bytes()[:-5000])
    with pytest.raises(FormatError, match="damaged"):
        read(torn)


def test_without_the_extra_its_formats_are_skipped_with_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.data.reading.extract.find_spec", lambda module: None)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(
        DataError, match=r"1 needing pypdf \(pip install 'groundup\[documents\]'\) \(a\.pdf\)"
    ):
        read(tmp_path)
    (tmp_path / "b.txt").write_text("text")
    assert texts_of(tmp_path) == ["text"]


def test_a_long_line_has_the_same_limit_in_an_array(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "' + "x" * (MAX_LINE_CHARACTERS + 2**21))
    with pytest.raises(FormatError, match="element 1"):
        read(tmp_path)
