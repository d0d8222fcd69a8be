"""Text extraction: the documents of a .html, .pdf, .docx, .epub, .eml or .mbox file.

    EXTRACTORS[".pdf"].read(path, headings) -> Extracted(part, text, fault), ...

HTML goes through trafilatura, which leaves navigation and advertisements out (a page on which it finds no article gives all of its text); PDF through
pypdf, Word through python-docx; an EPUB is a zip of HTML pages in the order of its spine (EPUB 3.3, section 5.7); e-mail is the standard library's.
Scanned pages hold no text: a PDF of them is reported, not read. A file that a library can't parse is one bad document, never an error of the source.
`headings`: those of HTML and Word are marked by # as in Markdown, so that a text can be divided at them; training texts have none.
"""

import email
import email.policy
import logging
import mailbox
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from groundup.data.reading.html_tree import parted, prepared
from groundup.fetch import Member, members

# The largest file that is parsed whole. A book of 1,000 pages has some 10 MB as PDF.
MAX_FILE_BYTES = 256 * 2**20
# What a .docx or .epub, both of which are zips, may expand to, pictures included: its parser has it in memory.
MAX_EXPANDED_BYTES = 2**30
DOCUMENTS_EXTRA = "documents"


@dataclass(frozen=True, slots=True)
class Extracted:
    """One document of a file, or why there is none."""

    text: str
    part: str = ""
    """Its place in the file ("message 3"); "" for the only one."""
    fault: str = ""
    """Why it has no text ("is encrypted"), or ""."""
    attachments: tuple[str, ...] = ()
    """The names of an e-mail's attachments, which are not read."""
    subject: str = ""
    """An e-mail's subject."""


@dataclass(frozen=True)
class Extractor:
    """A reader for one kind of file."""

    read: Callable[[Path, bool], Iterator[Extracted]]
    """A function of its path and `headings`."""
    module: str = ""
    """The module that it needs beside the standard library."""

    @property
    def is_installed(self) -> bool:
        """Whether its module can be imported."""
        return not self.module or find_spec(self.module) is not None


def html_text(data: bytes | str, headings: bool = False) -> str:
    """Return the text of an HTML page: its article, or all of its text where no article is found."""
    trafilatura = _trafilatura()
    tree = trafilatura.load_html(data)
    if tree is None:
        return trafilatura.html2txt(data) or ""
    article = _with_headings if headings else trafilatura.extract
    found = article(prepared(tree, headings), include_comments=False, favor_recall=True)
    return found or trafilatura.html2txt(data) or ""


def _with_headings(page: Any, **options: bool) -> str:
    """What `trafilatura.extract` returns, with # before each heading that has a line of its own."""
    from trafilatura.xml import xmltotxt

    found = _trafilatura().bare_extraction(page, **options)
    if found is None or found.body is None:
        return ""
    for heading in found.body.iter("head"):
        level = heading.get("rend", "")[1:]
        if next(heading.iterancestors("cell", "item"), None) is None and "".join(heading.itertext()).strip():
            heading.text = f"{'#' * (int(level) if level in tuple('123456') else 2)} {(heading.text or '').lstrip()}"
    return unicodedata.normalize("NFC", parted(xmltotxt(found.body, include_formatting=False)))


@cache
def _trafilatura() -> Any:
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it reports each page without an article as an error
    return trafilatura


def _html(path: Path, headings: bool) -> Iterator[Extracted]:
    yield _whole(html_text(path.read_bytes(), headings), "holds no text")


def _pdf(path: Path, _: bool) -> Iterator[Extracted]:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with pypdf.PdfReader(path) as reader:
        if reader.is_encrypted and not reader.decrypt(""):
            yield Extracted("", fault="is encrypted")
            return
        pages = [page.extract_text() for page in reader.pages]
    yield _whole("\n\n".join(page for page in pages if page.strip()), "holds no text: scanned pages need OCR first")


def _docx(path: Path, headings: bool) -> Iterator[Extracted]:
    import docx
    from docx.table import Table

    for _ in _parts(path):  # bounds what the zip expands to
        pass
    blocks = []
    for block in docx.Document(str(path)).iter_inner_content():
        if isinstance(block, Table):
            blocks += ["\t".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            blocks.append((_mark(block) if headings else "") + block.text)
    yield _whole("\n\n".join(block for block in blocks if block.strip()), "holds no text")


def _mark(paragraph: Any) -> str:
    """Return "## " for a heading of level 2 of a Word file, "" for other paragraphs."""
    found = re.fullmatch(r"Heading ([1-6])|(Title)", paragraph.style.name or "")
    return f"{'#' * int(found[1] or 1)} " if found and paragraph.text.strip() else ""


def _epub(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the book as one document, its chapters in the order of the spine."""
    files = {member.name: member.read() for member in _parts(path) if member.name.endswith(_EPUB_SUFFIXES)}
    package = ElementTree.fromstring(files["META-INF/container.xml"]).find(".//{*}rootfile")
    if package is None:
        yield Extracted("", fault="names no package document")
        return
    opf = package.attrib["full-path"]
    book = ElementTree.fromstring(files[opf])
    pages = {item.attrib["id"]: item.attrib["href"] for item in book.iterfind(".//{*}manifest/{*}item")}
    spine = [item.attrib["idref"] for item in book.iterfind(".//{*}spine/{*}itemref")]
    names = [posixpath.normpath(posixpath.join(posixpath.dirname(opf), unquote(pages[idref]))) for idref in spine]
    chapters = [html_text(files[name], headings) for name in names if name in files]
    yield _whole("\n\n".join(text for text in chapters if text.strip()), "holds no text")


_EPUB_SUFFIXES = (".xml", ".opf", ".xhtml", ".html", ".htm")


def _parts(path: Path) -> Iterator[Member]:
    """Yield the members of a zip that is one document. Raises ValueError for one that expands to more than MAX_EXPANDED_BYTES."""
    expanded = 0
    for member in members(path):
        expanded += member.size_bytes
        if expanded > MAX_EXPANDED_BYTES:
            raise ValueError(f"it expands to more than {MAX_EXPANDED_BYTES // 2**20:,} MiB")
        yield member


def _eml(path: Path, headings: bool) -> Iterator[Extracted]:
    yield _message(email.message_from_bytes(path.read_bytes(), policy=email.policy.default), "", headings)


def _mbox(path: Path, headings: bool) -> Iterator[Extracted]:
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), start=1):
            message = email.message_from_bytes(box.get_bytes(key), policy=email.policy.default)
            yield _message(message, f"message {number}", headings)
    finally:
        box.close()


def _message(message: EmailMessage, part: str, headings: bool) -> Extracted:
    """Return the subject and the text of an e-mail; its HTML only where it has no plain text."""
    try:
        body = message.get_body(("plain", "html"))
        text = str(body.get_content()) if body else ""
        if body and body.get_content_type() == "text/html":
            if not EXTRACTORS[".html"].is_installed:
                return Extracted("", part, f"is HTML, which the extra {DOCUMENTS_EXTRA!r} reads")
            text = html_text(text, headings)
        subject = str(message["subject"] or "")
        attached = tuple(item.get_filename() or item.get_content_type() for item in message.iter_attachments())
    except (LookupError, ValueError, TypeError, AttributeError) as error:  # observed on damaged headers and bodies
        return Extracted("", part, f"can't be parsed ({str(error)[:80]})")
    whole = "\n\n".join(piece for piece in (subject, text.strip()) if piece)
    return Extracted(whole, part, "" if whole else "holds no text", attached, subject)


def _whole(text: str, if_empty: str) -> Extracted:
    return Extracted(text, fault="" if text.strip() else if_empty)


EXTRACTORS = {
    ".html": Extractor(_html, "trafilatura"),
    ".htm": Extractor(_html, "trafilatura"),
    ".pdf": Extractor(_pdf, "pypdf"),
    ".docx": Extractor(_docx, "docx"),
    ".epub": Extractor(_epub, "trafilatura"),
    ".eml": Extractor(_eml),
    ".mbox": Extractor(_mbox),
}
