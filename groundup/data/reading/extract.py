"""Text extraction: the documents of a .html, .pdf, .epub, .eml, .mbox or Office file, read in a child
process with limits on processor time, memory and output.

    extract_documents(path, ".pdf", headings) -> Extracted(part, text, fault), ...

HTML goes through trafilatura, which leaves navigation and advertisements out (a page on which it
finds no article gives all of its text); PDF through pypdf, Office files through `office`; an EPUB
is a zip of HTML pages in the order of its spine (EPUB 3.3, section 5.7); e-mail is the standard
library's. Scanned pages hold no text: a PDF of them is reported, not read. A file that a library
can't parse is one bad document, never an error of the source. `headings`: those of HTML and Office
files are marked by # as in Markdown, so that a text can be divided at them; training texts have
none.

A document that exceeds a limit, or ends the process, is one `Extracted` with its fault; the next
file gets a new process. Time and text grow with the size of the file, as what an archive may expand
to does (`fetch.expansion_limit`). A process that needed much memory is not kept. Each reading that
is under way has a process for itself, so that two sources can be read in turns; a few that are idle
are kept for the next files.
"""

import atexit
import email
import email.policy
import email.utils
import logging
import mailbox
import os
import posixpath
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from email.message import EmailMessage
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from groundup.data.reading.extracted import (
    Extracted,
    require_few_tags,
    whole_document,
    zip_parts,
)
from groundup.data.reading.html_disclosures import open_disclosures
from groundup.data.reading.html_documentation import (
    mark_article,
    prepare_documentation,
    put_code,
)
from groundup.data.reading.html_site import CONTACT, banner, contact_lines, is_site_page
from groundup.data.reading.html_tree import prepare_tree, separate_paragraphs
from groundup.data.reading.office import read_odf, read_pptx, read_xlsx
from groundup.data.reading.pdf import read_pdf
from groundup.data.reading.word import read_docx
from groundup.errors import FormatError
from groundup.fetch import expansion_limit
from groundup.limited_process import (
    LimitedProcess,
    ProcessEnded,
    ProcessLimits,
    over_memory,
    peak_memory_bytes,
    serve_requests,
)

# The largest file that is parsed whole. A book of 1,000 pages has some 10 MB as PDF.
MAX_FILE_BYTES = 256 * 2**20
# Of one tag of an HTML page.
MAX_ATTRIBUTES = 1000
# Of one header of an e-mail. RFC 5322 allows lines of 998, of which the longest headers in use have
# a few.
MAX_HEADER_CHARACTERS = 8192
DOCUMENTS_EXTRA = "documents"

_LONG_TAG = re.compile(rb"<[A-Za-z][^<>]{4000,}")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True)
class Extractor:
    read: Callable[[Path, bool], Iterator[Extracted]]
    """A function of its path and `headings`."""
    module: str = ""
    """The module that it needs beside the standard library."""

    @property
    def is_installed(self) -> bool:
        return not self.module or find_spec(self.module) is not None


def html_text(data: bytes | str, headings: bool = False, *, site: bool = False) -> str:
    """Return the text of an HTML page: its article, or all of its text where no article is
    found; with `headings` below the page's own, with `site` and the contacts of its footer.
    """
    if isinstance(data, str):
        _require_plain_tags(data.encode("utf-8", "surrogatepass"))
    else:
        _require_plain_tags(data)
    trafilatura = _trafilatura()
    tree = trafilatura.load_html(data)
    if tree is None:
        return trafilatura.html2txt(data) or ""
    extract, title, contacts, code = trafilatura.extract, list[str](), list[str](), list[str]()
    if headings:
        open_disclosures(tree)
        code = prepare_documentation(tree)
    tree = prepare_tree(tree, headings)
    if headings:
        extract, title = _with_headings, banner(tree)
    if site and headings:
        contacts = contact_lines(deepcopy(tree))
    found = extract(tree, include_comments=False, favor_recall=True)
    text = put_code(found or "", code) or trafilatura.html2txt(data) or ""
    if title and title[0].lstrip("# ") not in text:
        text = "\n\n".join((*title, text))
    if any(line not in text for line in contacts if not line.startswith("\n")):  # no heading
        text = "\n".join((f"{text.rstrip()}\n\n{CONTACT}\n", *contacts))
    return text


def _require_plain_tags(data: bytes) -> None:
    """Raise ValueError for a page with too many tags or attributes: the time that the parser takes
    grows with the square of a tag's attributes.
    """
    require_few_tags(data.count(b"<"))
    for tag in _LONG_TAG.finditer(data):
        if len(_QUOTED.sub(b"", tag[0]).split()) > MAX_ATTRIBUTES:
            raise ValueError(f"a tag has more than {MAX_ATTRIBUTES:,} attributes")


def _with_headings(page: Any, **options: bool) -> str:
    """What `trafilatura.extract` returns, with # before each heading that has a line of its own."""
    from trafilatura.xml import xmltotxt
    from trafilatura.xpaths import BODY_XPATH

    if not any(find(page) for find in BODY_XPATH):
        mark_article(page)
    found = _trafilatura().bare_extraction(page, **options)
    if found is None or found.body is None:
        return ""
    for heading in found.body.iter("head"):
        if next(heading.iterancestors("cell", "item"), None) is not None:
            continue
        if not "".join(heading.itertext()).strip():
            continue
        level = heading.get("rend", "")[1:]
        if level not in tuple("123456"):
            level = "2"
        heading.text = f"{'#' * int(level)} {(heading.text or '').lstrip()}"
    return unicodedata.normalize(
        "NFC", separate_paragraphs(xmltotxt(found.body, include_formatting=False))
    )


@cache
def _trafilatura() -> Any:
    import trafilatura

    # it reports each page without an article as an error
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return trafilatura


def _html(path: Path, headings: bool) -> Iterator[Extracted]:
    site = headings and is_site_page(path)
    yield whole_document(html_text(path.read_bytes(), headings, site=site))


def _epub(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the book as one document, its chapters in the order of the spine."""
    files = {
        member.name: member.read()
        for member in zip_parts(path)
        if member.name.endswith(_EPUB_SUFFIXES)
    }
    package = ElementTree.fromstring(files["META-INF/container.xml"]).find(".//{*}rootfile")
    if package is None:
        yield Extracted("", fault="names no package document")
        return
    opf = package.attrib["full-path"]
    book = ElementTree.fromstring(files[opf])
    pages = {
        item.attrib["id"]: item.attrib["href"] for item in book.iterfind(".//{*}manifest/{*}item")
    }
    spine = [item.attrib["idref"] for item in book.iterfind(".//{*}spine/{*}itemref")]
    names = [
        posixpath.normpath(posixpath.join(posixpath.dirname(opf), unquote(pages[idref])))
        for idref in spine
    ]
    # Each once: the spine must not name an item twice (EPUB 3.3, section 5.7.2).
    chapters = [html_text(files[name], headings) for name in dict.fromkeys(names) if name in files]
    yield whole_document("\n\n".join(text for text in chapters if text.strip()))


_EPUB_SUFFIXES = (".xml", ".opf", ".xhtml", ".html", ".htm")


class _BoundedHeaders(email.policy.EmailPolicy):
    """Parses the first MAX_HEADER_CHARACTERS of a header: the memory of the standard library's
    parser grows with the square of its length.
    """

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if len(value) > MAX_HEADER_CHARACTERS:
            value = value[:MAX_HEADER_CHARACTERS].rpartition(" ")[0]  # no half of an encoded word
        return super().header_fetch_parse(name, value)


_MAIL_POLICY: Any = _BoundedHeaders()


def _eml(path: Path, headings: bool) -> Iterator[Extracted]:
    yield _message(path.read_bytes(), "", headings)


def _mbox(path: Path, headings: bool) -> Iterator[Extracted]:
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), start=1):
            yield _message(box.get_bytes(key), f"message {number}", headings)
    finally:
        box.close()


def _message(data: bytes, part: str, headings: bool) -> Extracted:
    """Return the subject and the text of an e-mail; its HTML only where it has no plain text."""
    try:
        message: EmailMessage = email.message_from_bytes(data, policy=_MAIL_POLICY)
        body, text = message.get_body(("plain", "html")), ""
        if body:
            text = str(body.get_content())
        if body and body.get_content_type() == "text/html":
            if not EXTRACTORS[".html"].is_installed:
                return Extracted("", part, f"is HTML, which the extra {DOCUMENTS_EXTRA!r} reads")
            text = html_text(text, headings)
        subject = str(message["subject"] or "")
        attached = tuple(
            item.get_filename() or item.get_content_type() for item in message.iter_attachments()
        )
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # observed on damaged headers and bodies
        return Extracted("", part, f"can't be parsed ({str(error)[:80]})")
    heading = subject
    if headings:
        heading = _dated(subject, str(message["date"] or ""))
        text = _QUOTED_LINES.sub("", text)
    whole = "\n\n".join(filter(None, (heading, text.strip())))
    return replace(whole_document(whole), part=part, attachments=attached, subject=subject)


# What a reply repeats of the message before it, with the line that says whose it is.
_QUOTED_LINES = re.compile(
    r"(?m)^(?:(?:On|Am|Le) [^\n]{5,100}(?:\n[^\n>]{0,60})?(?:wrote|schrieb[^\n]*|a écrit) ?:[ \t]*\n\s*"
    r"(?=>)|>[^\n]*(?:\n|\Z))"
)


def _dated(subject: str, sent: str) -> str:
    """Return an e-mail's subject as a heading that begins with its date; without one as it is."""
    try:
        date = email.utils.parsedate_to_datetime(sent)
    except (TypeError, ValueError, IndexError):  # observed on damaged dates
        return subject
    return f"# {date.day} {date:%B %Y}: {subject}".rstrip(": ")


EXTRACTORS = {
    ".html": Extractor(_html, "trafilatura"),
    ".htm": Extractor(_html, "trafilatura"),
    ".pdf": Extractor(read_pdf, "pypdf"),
    ".docx": Extractor(read_docx, "docx"),
    ".xlsx": Extractor(read_xlsx, "openpyxl"),
    ".pptx": Extractor(read_pptx, "pptx"),
    ".odt": Extractor(read_odf),
    ".ods": Extractor(read_odf),
    ".odp": Extractor(read_odf),
    ".epub": Extractor(_epub, "trafilatura"),
    ".eml": Extractor(_eml),
    ".mbox": Extractor(_mbox),
}


@dataclass(frozen=True)
class ExtractionLimits:
    cpu_seconds: float = 20.0
    cpu_seconds_per_mib: float = 10.0
    """Added for each MiB of the file. Pages and books of the clean kind take about 1 s."""
    memory_bytes: int = 2 * 2**30
    document_characters: int = 2**26
    """Of one document. All of Shakespeare has 5.1 million."""
    kept_bytes: int = 2**29
    """A process that had more memory than this ends after the file."""

    def cpu_limit(self, size_bytes: int) -> float:
        return self.cpu_seconds + self.cpu_seconds_per_mib * size_bytes / 2**20


LIMITS = ExtractionLimits()
KEPT_PROCESSES = 4
_DOCUMENT, _OS_ERROR, _END = "document", "os_error", "end"
_MODULE = "groundup.data.reading.extract"

# Idle processes of this process (a fork starts its own).
_idle: list[tuple[int, LimitedProcess]] = []
_lock = threading.Lock()


class OverLimit(Exception):
    """A document that is larger than its limit; the message says so."""


def extract_documents(path: Path, suffix: str, headings: bool) -> Iterator[Extracted]:
    """Yield the documents of a file, read by the extractor of `suffix`.

    Raises OSError for a file that can't be opened.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES and suffix != ".mbox":
        yield Extracted("", fault=f"is larger than {MAX_FILE_BYTES // 2**20} MiB")
        return
    request = {"path": os.path.abspath(path), "suffix": suffix, "headings": headings}
    process, is_kept = _take_idle(), False
    try:
        process.send(request, cpu_seconds=LIMITS.cpu_limit(size_bytes))
        while (answer := process.receive())["kind"] == _DOCUMENT:
            yield Extracted(**answer["document"])
        if answer["kind"] == _OS_ERROR:
            raise OSError(answer["errno"], answer["strerror"], str(path))
        is_kept = answer["is_kept"]
    except ProcessEnded as ended:
        yield Extracted("", fault=str(ended))
    finally:
        if is_kept:
            _give_back(process)
        else:  # also where the caller stopped: the answers that are left would be to its next request
            process.close()


def _take_idle() -> LimitedProcess:
    with _lock:
        for entry in reversed(_idle):
            if entry[0] == os.getpid() and entry[1].start == asdict(LIMITS):
                _idle.remove(entry)
                if entry[1].is_running:
                    return entry[1]
                entry[1].close()
    # JSON writes a character in up to 6 bytes.
    limits = ProcessLimits(LIMITS.memory_bytes, answer_bytes=6 * LIMITS.document_characters + 2**20)
    return LimitedProcess(_MODULE, limits, asdict(LIMITS))


def _give_back(process: LimitedProcess) -> None:
    """Keep an idle process; the one that was idle for longest may be ended for it."""
    with _lock:
        _idle.append((os.getpid(), process))
        own = [entry for entry in _idle if entry[0] == os.getpid()]
        ended = own[:-KEPT_PROCESSES]
        for entry in ended:
            _idle.remove(entry)
    for _, each in ended:
        each.close()


@atexit.register
def close_processes() -> None:
    """End all idle processes; the next file starts a new one."""
    with _lock:
        own = [entry for entry in _idle if entry[0] == os.getpid()]
        for entry in own:
            _idle.remove(entry)
    for _, each in own:
        each.close()


def main() -> None:
    """Answer requests of `extract_documents` until the parent closes the pipe; in the child
    process.
    """
    serve_requests(lambda start: partial(_answers, ExtractionLimits(**start)))


def _answers(limits: ExtractionLimits, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    path = Path(request["path"])
    fault, is_kept = "", True
    try:
        documents = EXTRACTORS[request["suffix"]].read(path, request["headings"])
        for found in _within_limits(documents, path, limits):
            yield {"kind": _DOCUMENT, "document": asdict(found)}
    except OverLimit as error:
        fault = str(error)
    except FormatError as error:  # of the zip that it is
        fault = f"can't be read ({error.place} {error.reason})"
    except MemoryError:
        fault, is_kept = over_memory(limits.memory_bytes), False
    except Exception as error:  # a parsing library raises anything; the file costs itself only
        # an OSError without a number is a library's, about the content
        if isinstance(error, OSError) and error.errno is not None:
            yield {"kind": _OS_ERROR, "errno": error.errno, "strerror": error.strerror}
            return
        fault = f"can't be read ({type(error).__name__}: {str(error)[:100]})"
    if fault:
        yield {"kind": _DOCUMENT, "document": asdict(Extracted("", fault=fault))}
    yield {"kind": _END, "is_kept": is_kept and peak_memory_bytes() < limits.kept_bytes}


def _within_limits(
    documents: Iterator[Extracted], path: Path, limits: ExtractionLimits
) -> Iterator[Extracted]:
    """Yield the documents of a file.

    Raises OverLimit where one has, or all have, too many characters.
    """
    size_bytes = path.stat().st_size
    left = max(2 * size_bytes, expansion_limit(size_bytes))
    for each in documents:
        characters = len(each.text) + len(each.subject) + sum(map(len, each.attachments))
        left -= characters
        if characters > limits.document_characters or left < 0:
            raise OverLimit("holds more text than a file of its size may")
        yield each
