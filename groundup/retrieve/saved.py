"""Saved answers: an answer as JSON with the hash of each source's file and the span of each
quotation, to be checked later.

    save_answer(answer, index, path);   verify_answer(path) -> for each source "as cited", "changed
                                        since", "gone", "not as cited", "elsewhere"

"As cited": the file has the hash that it had, and its document, read again through the data door,
has the cited text at the cited place. "Not as cited": the file is the same and says something else
there, so the answer was changed. "Elsewhere": not a file on this disk, so not checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import FormatError, GroundupError
from groundup.files import read_json, sha256_file, write_json
from groundup.retrieve.answer import Answer
from groundup.retrieve.doc_files import doc_files, read_documents
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index, IndexConfig
from groundup.retrieve.table_rows import says_rows
from groundup.tokenizer.spec import well_formed

FORMAT, VERSION = "groundup answer", 2
AS_CITED, CHANGED, GONE = "as cited", "changed since", "gone"
NOT_AS_CITED, ELSEWHERE = "not as cited", "elsewhere"


@dataclass(frozen=True)
class CheckedSource:
    """A source of a saved answer, checked."""

    number: int
    address: str
    state: str
    """One of the states above."""
    detail: str = ""
    """What differs, or ""."""


def answer_json(answer: Answer, index: Index | GivenPassages) -> dict[str, Any]:
    """Return an answer as it is saved, with the sources that it cites."""
    plain, kept = answer.to_plain(), set(answer.cited)
    if answer.nearest:
        kept.add(answer.nearest.source)
    plain["sources"] = [each for each in plain["sources"] if each["number"] in kept]
    return {"format": FORMAT, "version": VERSION, "reading": vars(index.config), **plain}


def save_answer(answer: Answer, index: Index | GivenPassages, path: Path) -> None:
    """Write an answer. Raises DiskError."""
    write_json(path, answer_json(answer, index))


def is_saved_answer(path: Path) -> bool:
    """Whether a file is a saved answer."""
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        content = read_json(path)
    except GroundupError:
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def verify_answer(path: Path) -> list[CheckedSource]:
    """Return what each cited source is today.

    Raises FormatError for a file that is no saved answer.
    """
    content = read_json(path)
    try:
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise FormatError(path, "format", f"is not {FORMAT}, version {VERSION}")
        config = IndexConfig(**content["reading"])
        said = [*content["quotes"], *filter(None, [content.get("nearest")])]
        quotes = [(int(quote["source"]), span) for quote in said for span in _spans(quote)]
        in_words = [(int(quote["source"]), quote) for quote in said if quote.get("in_words")]
        untrue = {number for number, quote in in_words if not _is_in_words(quote)}
        cited = {int(each["number"]): _cited(each) for each in content["sources"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"is no saved answer ({type(error).__name__}: {error})"
        raise FormatError(path, "content", reason) from error
    for number, span in quotes:
        if number not in cited:
            reason = f"cite the source {number}, which is not among the sources"
            raise FormatError(path, "quotes", reason)
        cited[number].spans.append(span)
    checked = []
    for number, source in sorted(cited.items()):
        state, detail = _check(source, config)
        if number in untrue and state != GONE:
            state, detail = NOT_AS_CITED, "its row in words says something else than the row"
        checked.append(CheckedSource(number, source.address, state, detail))
    return checked


Span = tuple[int, int, str]


class _Cited(NamedTuple):
    """A source of a saved answer, with what is cited of it."""

    address: str
    file: str
    sha256: str
    spans: list[Span]


def _cited(plain: Mapping[str, Any]) -> _Cited:
    address, file, sha256 = (str(plain[name]) for name in ("address", "file", "sha256"))
    return _Cited(address, file, sha256, [_span(plain)])


def _spans(quote: Mapping[str, Any]) -> list[Span]:
    """Return the span of a quotation, and of the head of its table or list."""
    return [_span(each) for each in (quote, quote.get("head")) if each]


def _is_in_words(quote: Mapping[str, Any]) -> bool:
    """Whether the words for a row of a table are those of the quoted row and of its head."""
    head = str(quote["head"]["text"]) if quote.get("head") else ""
    return says_rows(str(quote["in_words"]), head, str(quote["text"]))


def _span(plain: Mapping[str, Any]) -> Span:
    return int(plain["start"]), int(plain["end"]), str(plain["text"])


def _check(source: _Cited, config: IndexConfig) -> tuple[str, str]:
    """Return the state of a source, and what differs."""
    path = Path(source.file)
    if not path.is_absolute():
        return ELSEWHERE, "not a file on this disk"
    if not path.is_file():
        return GONE, "the file does not exist"
    try:
        is_same = sha256_file(path) == source.sha256
        text = _document(path, source.address, config)
    except (OSError, GroundupError) as error:
        return CHANGED, f"can't be read: {error}"
    missing = [
        cited for start, end, cited in source.spans if text is None or text[start:end] != cited
    ]
    if is_same and not missing:
        return AS_CITED, ""
    if is_same:
        return NOT_AS_CITED, f"the document does not say {missing[0][:80]!r} there"
    if text is None or any(cited not in text for *_, cited in source.spans):
        return CHANGED, "the file has another hash"
    return CHANGED, "the file has another hash; what is cited still stands in it"


def _document(path: Path, address: str, config: IndexConfig) -> str | None:
    """Return the text of the document at an address of a file, read as it was for the index; None
    where there is none.
    """
    for file in doc_files(Source(str(path)), SourceReport()):
        for name, _, text in read_documents(file, config.options, SourceReport()):
            if well_formed(file.address_of(name)) == address:
                return well_formed(text)
    return None
