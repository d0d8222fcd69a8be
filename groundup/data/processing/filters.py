"""Quality filters: functions from a cleaned document to a reason to drop it, or None to keep it."""

from collections.abc import Callable

from groundup.data.documents import Document

EMPTY = "empty"
Filter = Callable[[Document], str | None]


def is_empty(document: Document) -> str | None:
    """Drop documents of white space only."""
    if document.text.strip():
        return None
    return EMPTY


# Applied in this order; the first reason counts.
FILTERS: tuple[Filter, ...] = (is_empty,)


def reason_to_drop(document: Document) -> str | None:
    """Return the first reason to drop a document, or None."""
    return next(filter(None, (each(document) for each in FILTERS)), None)
