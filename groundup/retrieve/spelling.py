"""Spelling: the words of an index that a word of a question stands for which no passage has.

    spelled_like    "aplication" -> "application": within one edit, from FAR_FROM characters on two
                    (an edit: a character left out, added, exchanged, or two neighbours swapped)
    written_apart   "checkup" -> "check up"; "Kartengebühr" -> "Karte", "Gebühr"
    of_compounds    "Gebühr" -> "Kontogebühr", in languages that write compounds together

The first character is taken to be right, as in Lucene's fuzzy queries: so only terms with the same
one are compared.
"""

from collections.abc import Iterator
from typing import Protocol

from groundup.language.terms import is_within, stems

MIN_LENGTH, FAR_FROM, MAX_TERMS = 5, 8, 2
MIN_PART, MIN_IN_COMPOUND = 3, 5
# Languages that write compounds as one word, and what may stand between their parts.
COMPOUNDING = {"de", "nl", "da", "sv", "no"}
LINKS = ("", "s", "es", "n", "en", "er", "e")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Vocabulary(Protocol):
    """The terms of an index."""

    def passages_with(self, term: str) -> int: ...

    def terms_from(self, beginning: str) -> dict[str, int]: ...


def spelled_like(index: Vocabulary, word: str, language: str) -> list[str]:
    """Return the terms of the index that a misspelled word is nearest to, at most MAX_TERMS, the
    most frequent first; [] where none is near.
    """
    if len(word) < MIN_LENGTH or not word.isalpha():
        return []
    known = index.terms_from(word[0])
    near = {term for term in set(stems(list(_one_edit(word)), language)) if term in known}
    if not near and len(word) >= FAR_FROM:
        own = stems([word], language)[0]
        near = {term for term in known if len(term) > MIN_LENGTH and is_within(own, term, 2)}
    return sorted(near, key=lambda term: (-known[term], term))[:MAX_TERMS]


def _one_edit(word: str) -> Iterator[str]:
    """Yield the words within one edit behind the first character."""
    for place in range(1, len(word) + 1):
        before, after = word[:place], word[place:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in _LETTERS:
            yield before + letter + after
            if after:
                yield before + letter + after[1:]


def written_apart(index: Vocabulary, word: str, language: str) -> list[str]:
    """Return the two words of the index that a word is made of: as a phrase, in languages that
    write compounds together as two terms. [] where it is not made of such.
    """
    for place in range(len(word) - MIN_PART + 1, MIN_PART - 1, -1):
        first, last = word[:place], stems([word[place:]], language)[0]
        if not index.passages_with(last):
            continue
        if language not in COMPOUNDING:
            beginning = stems([first], language)[0]
            if index.passages_with(beginning):
                return [f"{beginning} {last}"]
            continue
        for link in LINKS:
            beginning = stems([first.removesuffix(link)], language)[0]
            if len(beginning) >= MIN_PART and index.passages_with(beginning):
                return [last, beginning]
    return []


def of_compounds(index: Vocabulary, word: str, language: str) -> list[str]:
    """Return the compounds of the index that end or begin with a word, in languages that write them
    together.
    """
    own = stems([word], language)[0]
    if language not in COMPOUNDING or len(own) < MIN_IN_COMPOUND:
        return []
    return [
        term
        for term in index.terms_from("")
        if len(term) >= len(own) + MIN_PART and (term.endswith(own) or term.startswith(own))
    ]
