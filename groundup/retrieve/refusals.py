"""Refusals: what is said where documents are not quoted, and the questions of which this is known
before anything is looked for: small talk (`small_talk.py`), and what is about another firm
(`other_firms.py`).
"""

from dataclasses import dataclass

from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.other_firms import other_firm
from groundup.retrieve.small_talk import REPLIES, small_talk

NOT_FOUND = "Not found in your documents."


@dataclass(frozen=True)
class Refusal:
    """Why nothing is quoted."""

    kind: str
    """One of "not found", "other firm" and the kinds of small talk."""
    text: str
    """What is said."""

    @property
    def is_small_talk(self) -> bool:
        """Whether nothing was asked, so that nothing need be searched."""
        return self.kind in REPLIES


NOTHING_FOUND = Refusal("not found", NOT_FOUND)


def refusal_of(index: Index | GivenPassages, question: str) -> Refusal | None:
    """Return why a question is refused whatever the documents hold; None: it isn't.

    Of documents that something else finds, it is not known which names stand there.
    """
    kind = small_talk(question)
    if kind:
        return Refusal(kind, REPLIES[kind])
    name = other_firm(index, question) if isinstance(index, Index) else None
    if name:
        return Refusal("other firm", f"{name} does not appear in these documents.")
    return None
