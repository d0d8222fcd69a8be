"""Saved answers: an answer as JSON with the hash of each source's file and the span of each
quotation, to be checked later.

    save_answer(answer, index, path);   verify_answer(path) -> for each source "as cited", "changed
                                        since", "gone", "not as cited", "elsewhere"

"As cited": the file has the hash that it had, and its document, read again through the data door,
has the cited text at the cited place. "Not as cited": the file is the same and says something else
there, so the answer was changed. "Elsewhere": not a file on this disk, so not checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import FormatError, GroundupError
from groundup.files import read_json, sha256_file, write_json
from groundup.retrieve.answer import Answer
from groundup.retrieve.doc_files import doc_files, read_documents
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.index_config import IndexConfig
from groundup.tokenizer.spec import well_formed

FORMAT, VERSION = "groundup answer", 2
AS_CITED, CHANGED, GONE, NOT_AS_CITED, ELSEWHERE = (
    "as cited",
    "changed since",
    "gone",
    "not as cited",
    "elsewhere",
)


@dataclass(frozen=True)
class CheckedSource:
    """A source of a saved answer, checked."""

    number: int
    address: str
    state: str
    """One of the states above."""
    detail: str = ""
    """What differs, or ""."""


def saved_plain(answer: Answer, index: Index | GivenPassages) -> dict[str, Any]:
    """Return an answer as it is saved; of the sources those that are cited."""
    plain = answer.to_plain()
    plain["sources"] = [each for each in plain["sources"] if each["number"] in answer.cited]
    return {"format": FORMAT, "version": VERSION, "reading": vars(index.config), **plain}


def save_answer(answer: Answer, index: Index | GivenPassages, path: Path) -> None:
    """Write an answer. Raises DiskError."""
    write_json(path, saved_plain(answer, index))


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
        listed = [
            each for quote in content["quotes"] for each in (quote, quote.get("head")) if each
        ]
        quotes = [
            (int(q["source"]), int(q["start"]), int(q["end"]), str(q["text"])) for q in listed
        ]
        sources = [_source(each) for each in content["sources"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            path, "content", f"is no saved answer ({type(error).__name__}: {error})"
        ) from error
    cited = {
        number: (address, file, sha256, [span]) for number, address, file, sha256, span in sources
    }
    for number, start, end, text in quotes:
        if number not in cited:
            raise FormatError(
                path, "quotes", f"cite the source {number}, which is not among the sources"
            )
        cited[number][3].append((start, end, text))
    return [_checked(number, *each, config) for number, each in sorted(cited.items())]


Span = tuple[int, int, str]


def _source(each: dict[str, Any]) -> tuple[int, str, str, str, Span]:
    span = (int(each["start"]), int(each["end"]), str(each["text"]))
    return int(each["number"]), str(each["address"]), str(each["file"]), str(each["sha256"]), span


def _checked(
    number: int, address: str, file: str, sha256: str, spans: list[Span], config: IndexConfig
) -> CheckedSource:
    path = Path(file)
    if not path.is_absolute():
        return CheckedSource(number, address, ELSEWHERE, "not a file on this disk")
    if not path.is_file():
        return CheckedSource(number, address, GONE, "the file does not exist")
    try:
        same = sha256_file(path) == sha256
        text = _document(path, address, config)
    except (OSError, GroundupError) as error:
        return CheckedSource(number, address, CHANGED, f"can't be read: {error}")
    missing = [cited for start, end, cited in spans if text is None or text[start:end] != cited]
    if same and not missing:
        return CheckedSource(number, address, AS_CITED)
    if same:
        return CheckedSource(
            number, address, NOT_AS_CITED, f"the document does not say {missing[0][:80]!r} there"
        )
    there = (
        ""
        if text is None or any(cited not in text for *_, cited in spans)
        else "; what is cited still stands in it"
    )
    return CheckedSource(number, address, CHANGED, f"the file has another hash{there}")


def _document(path: Path, address: str, config: IndexConfig) -> str | None:
    """Return the text of the document at an address of a file, read as it was for the index; None
    where there is none.
    """
    for file in doc_files(Source(str(path)), SourceReport()):
        for name, _, text in read_documents(file, config.options, SourceReport()):
            if well_formed(file.address_of(name)) == address:
                return well_formed(text)
    return None
