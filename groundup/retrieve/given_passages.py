"""GivenPassages: what takes the place of an index where something else finds the passages.

Nothing is known of the other documents there, so all words of a question weigh the same.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from groundup.retrieve.index import IndexConfig
from groundup.retrieve.passages import Passage, language_of_text
from groundup.retrieve.search import SearchResult

Finder = Callable[[str, int], list[Passage]]
"""A function of a question and a number that returns at most so many passages, best first."""


class GivenPassages:
    """A finder of passages, with the word statistics of an index in which every word is in one
    passage.
    """

    passage_count = 1
    config = IndexConfig()

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.languages: dict[str, int] = {}
        """Passages in each language, of those that were found last."""

    def find(self, question: str, k: int) -> SearchResult:
        """Return the passages that are found for a question."""
        found = self._finder(question, k)[:k]
        self.languages = dict(Counter(each.language for each in found).most_common())
        return SearchResult(tuple(found))

    def passages_with(self, term: str) -> int:
        """Return in how many passages a term occurs, as far as is known."""
        return 1

    def terms_from(self, beginning: str) -> dict[str, int]:
        """Return the terms that begin so: none is known."""
        return {}


def given_passage(number: int, text: str, source: str, title: str = "", start: int = 0) -> Passage:
    """Return a passage from elsewhere: its source is no file that could be checked, so it is the
    address of one.
    """
    inner = text.strip()
    start += len(text) - len(text.lstrip())
    file = source
    if Path(source).is_absolute():
        file = Path(source).as_uri()
    language = language_of_text(inner)
    return Passage(
        number, inner, title, source, source, file, "", start, start + len(inner), language, number
    )
