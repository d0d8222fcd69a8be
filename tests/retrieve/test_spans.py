"""Spans point at the words in every kind of file, and a saved answer is verified there: ligatures, combining marks, text from right to left."""

import email.message
import gzip
import json
import mailbox
import tarfile
import zipfile
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.index import Index
from groundup.retrieve.saved import AS_CITED, CHANGED, save_answer, verify_answer
from groundup.retrieve.search import search
from groundup.retrieve.update import update_index

from .conftest import Update

# "office" with a ligature, "café" with a combining accent, Hebrew with points, Arabic, Chinese, an emoji of two code points each.
HARD = "The oﬃce of the cafe\u0301 is ‏שָׁלוֹם‎ street 7. مرحبا بالعالم is written on its door. 東京 zebra 👩‍🚀 lives there."
FIRST = "Some words come before.\n\n"
PARAGRAPH = f"{HARD} And this is a second sentence, that it is long enough."


def write_docx(path: Path) -> None:
    docx = pytest.importorskip("docx")
    made = docx.Document()
    for text in ("Some words come before.", PARAGRAPH, "The end."):
        made.add_paragraph(text)
    made.save(str(path))


def page() -> str:
    return f"<html><head><meta charset='utf-8'></head><body><article><p>Some words come before.</p><p>{PARAGRAPH}</p></article></body></html>"


def mail() -> email.message.EmailMessage:
    made = email.message.EmailMessage()
    made["Subject"], made["From"] = "Adresse, naïve", "a@example.org"
    made.set_content(FIRST + PARAGRAPH)
    return made


def write_mbox(path: Path) -> None:
    box = mailbox.mbox(path)
    for _ in range(2):
        box.add(mail().as_bytes())
    box.close()


def write_epub(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as book:
        root = '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/>'
        start = '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        book.writestr("META-INF/container.xml", f"{start}{root}</rootfiles></container>")
        item = '<item id="c" href="c.xhtml" media-type="application/xhtml+xml"/>'
        spine = '<spine><itemref idref="c"/></spine>'
        book.writestr(
            "b.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{item}</manifest>{spine}</package>',
        )
        book.writestr("c.xhtml", page())


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("deep/below/a note.md", FIRST + PARAGRAPH)
        archive.writestr(
            "rows.jsonl", json.dumps({"text": "Other."}) + "\n" + json.dumps({"text": PARAGRAPH})
        )


def write_tar(path: Path) -> None:
    (path.parent / "inner.txt").write_text(FIRST + PARAGRAPH)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(path.parent / "inner.txt", "sub/inner.txt")
    (path.parent / "inner.txt").unlink()


KINDS = {
    "a.txt": lambda path: path.write_text(FIRST + PARAGRAPH),
    "utf16.txt": lambda path: path.write_bytes((FIRST + PARAGRAPH).encode("utf-16")),
    "crlf.txt": lambda path: path.write_bytes((FIRST + PARAGRAPH).replace("\n", "\r\n").encode()),
    "a.md": lambda path: path.write_text(f"# Where\n\n{FIRST}## Street\n\n{PARAGRAPH}"),
    "a.html": lambda path: path.write_text(page()),
    "a.docx": write_docx,
    "a.eml": lambda path: path.write_bytes(mail().as_bytes()),
    "a.mbox": write_mbox,
    "a.epub": write_epub,
    "a.csv": lambda path: path.write_text(f'id,text\n1,Other\n2,"{PARAGRAPH}"\n'),
    "a.jsonl": lambda path: path.write_text(
        f"{json.dumps({'text': 'Other.'})}\n{json.dumps({'text': PARAGRAPH})}\n"
    ),
    "a.json": lambda path: path.write_text(json.dumps([{"text": "Other."}, {"text": PARAGRAPH}])),
    "a.txt.gz": lambda path: path.write_bytes(gzip.compress((FIRST + PARAGRAPH).encode())),
    "a.zip": write_zip,
    "a.tar.gz": write_tar,
}


def answer_to(index: Index, question: str) -> Answer:
    *_, last = ask(index, question)
    assert isinstance(last, Answer)
    return last


@pytest.mark.parametrize("name", KINDS)
def test_what_is_cited_stands_at_its_place_and_is_verified_as_cited(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    KINDS[name](docs / name)
    update_index(tmp_path / "index", [Source(str(docs))], progress=Silent())
    with Index(tmp_path / "index") as index:
        for question in (
            "Where is the office of the café?",
            "What is שלום street?",
            "Where does the zebra live?",
            "東京",
        ):
            answer = answer_to(index, question)
            assert answer.found, question
            for quote in answer.quotes:
                document = index.document_text(answer.sources[quote.source - 1].document_id)
                assert document[quote.start : quote.end] == quote.text
            assert any(word in answer.quotes[0].text for word in ("oﬃce", "zebra"))
        for passage in search(index, "zebra"):
            assert (
                index.document_text(passage.document_id)[passage.start : passage.end]
                == passage.text
            )
        save_answer(answer, index, tmp_path / "answer.json")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "answer.json").rename(tmp_path / "elsewhere" / "moved.json")
    assert {each.state for each in verify_answer(moved)} == {AS_CITED}
    with (docs / name).open("ab") as file:
        file.write(b"\n")
    assert {each.state for each in verify_answer(moved)} == {CHANGED}


def test_relative_paths_hold_from_everywhere(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["index", "docs", "--out", "own.index"]) == 0
    assert (
        run(["ask", "own.index", "How long does the warranty last?", "--out", "answer.json"]) == 0
    )
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert run(["verify", "../answer.json"]) == 0
    assert "as cited" in capsys.readouterr().out
    assert run(["ask", "../own.index", "How long does the warranty last?"]) == 0
    assert "24 months" in capsys.readouterr().out


def test_words_are_found_in_any_of_their_forms(docs: Path, update: Update, index: Index) -> None:
    (docs / "hard.txt").write_text(PARAGRAPH)
    update()
    for query in (
        "office",
        "cafe",
        "café",
        "CAFÉ",
        "שלום",
        "שָׁלוֹם",
        "مرحبا",
        "مَرْحَبًا",
        "東京",
        "東",
        "zebra",
    ):
        assert [each.document for each in search(index, query)] == ["hard.txt"], query
