"""Requests of documents where they are shown: in the passages that were read, and that a refusal
opens. A sentence that asks its reader for a secret, for money or to follow a link
(`requests_to_reader.py`) is quoted nowhere in an answer, and stands marked elsewhere.
"""

from collections.abc import Sequence
from dataclasses import replace

from groundup.retrieve.cite import ANSWERS, Quote, quote_of, statements
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import WordStatistics
from groundup.retrieve.requests_to_reader import known_elsewhere, nothing_known, request_of
from groundup.retrieve.sentences import TextSpan

MARK = "[the document's own request]"
Requests = Sequence[Sequence[TextSpan]]
"""Of each of some passages the spans, in their documents, of its requests."""


def request_spans(index: WordStatistics, passage: Passage) -> tuple[TextSpan, ...]:
    """Return the spans, in its document, of the sentences of a passage that are requests."""
    is_own = known_elsewhere(index, passage) if isinstance(index, Index) else nothing_known
    return tuple(
        (passage.start + each.start, passage.start + each.end)
        for each in statements(passage)
        if request_of(each.text, is_own)
    )


def without_requests(quotes: Sequence[Quote], requests: Requests) -> tuple[Quote, ...]:
    """Leave out quotations that hold a request; what answers, as a whole list, ends before it."""
    kept = []
    for quote in quotes:
        held = [span for span in requests[quote.source - 1] if _meets(quote, span)]
        if not held:
            kept.append(quote)
        elif quote.role == ANSWERS and held[0][0] > quote.start:
            text = quote.text[: held[0][0] - quote.start].rstrip()
            kept.append(replace(quote, text=text, end=quote.start + len(text)))
    return tuple(kept)


def _meets(quote: Quote, span: TextSpan) -> bool:
    return span[0] < quote.end and quote.start < span[1]


def first_quote(passages: Sequence[Passage], requests: Requests) -> Quote | None:
    """Return the first sentence of the first passage that has one other than requests."""
    for number, (passage, spans) in enumerate(zip(passages, requests, strict=True), start=1):
        for each in statements(passage):
            quote = quote_of(passage, number, each)
            if not any(_meets(quote, span) for span in spans):
                return quote
    return None


def marked_text(passage: Passage, spans: Sequence[TextSpan]) -> str:
    """Return a passage's text with MARK before each of its requests."""
    text = passage.text
    for start, _ in sorted(spans, reverse=True):
        place = start - passage.start
        text = f"{text[:place]}{MARK} {text[place:]}"
    return text
