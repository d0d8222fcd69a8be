"""Keep a document or drop it, with the reason. A filter is a function from a cleaned document to a reason, or None: keep."""

from collections.abc import Callable

from groundup.data.documents import Document

Filter = Callable[[Document], str | None]


def is_empty(document: Document) -> str | None:
    """Nothing but white space."""
    return None if document.text.strip() else "empty"


# Asked in this order; the first reason counts.
FILTERS: tuple[Filter, ...] = (is_empty,)


def reason_to_drop(document: Document) -> str | None:
    """The first reason to drop a document, or None."""
    return next((reason for keep in FILTERS if (reason := keep(document))), None)
