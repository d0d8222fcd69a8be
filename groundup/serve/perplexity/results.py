"""Search results as clients see them: of each document the passage that fits best, word for word,
with the address that opens it in its document.

Their `source` is "web", the one value that Perplexity's types have; what it is here, a document of
an index, stands in `origin`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.retrieve.passages import BYTES_PER_TOKEN, Passage
from groundup.serve.indexes import passage_names, passage_path
from groundup.serve.perplexity.filters import changed_at

# A source's number at the end of a line, where `SourcedText` puts it.
MARK = re.compile(r"\[(\d{1,4})\]$", re.MULTILINE)


@dataclass(frozen=True)
class DocumentResult:
    """One result, with the fields that clients read, in their order."""

    title: str
    url: str
    snippet: str
    date: str | None
    """Of publication; None: a file has no such date."""
    last_updated: str | None
    source: str = "web"
    origin: str = "document"


def search_results(index: str, passages: Sequence[Passage], base_url: str) -> list[DocumentResult]:
    """Return one result for each passage. `base_url`: of this server.

    Looks at the files, so it runs in a thread.
    """
    return [_result(index, passage, base_url) for passage in passages]


def _result(index: str, passage: Passage, base_url: str) -> DocumentResult:
    title = passage_names(passage).document
    if passage.title:
        title = f"{passage.title} ({title})"
    changed, day = changed_at(passage), None
    if changed is not None:
        day = changed.date().isoformat()
    return DocumentResult(title, base_url + passage_path(index, passage), passage.text, None, day)


def cut(snippet: str, max_tokens: int) -> str:
    """Return the beginning of a snippet, at most `max_tokens` long (estimated by its bytes), cut
    between words.
    """
    data = snippet.encode()
    if len(data) <= max_tokens * BYTES_PER_TOKEN:
        return snippet
    text = data[: max_tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")
    return text.rpartition(" ")[0] or text


def citation_marks(
    text: str, results: Sequence[DocumentResult]
) -> list[tuple[int, int, DocumentResult]]:
    """Return (start, end, result) of each number of a source in an answer's text."""
    marks = ((found.span(), int(found[1])) for found in MARK.finditer(text))
    return [(*span, results[number - 1]) for span, number in marks if 1 <= number <= len(results)]
