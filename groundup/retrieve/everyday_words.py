"""Everyday words: the words of documents that mean what a question's words say.

    "what time do you shut"  ->  shut finds "close", "closing", "opening hours"

`everyday/en.txt`, `de.txt` and `fr.txt` are lists of groups of words and phrases that mean much the
same, written for this package: vocabulary of opening hours, prices, contracts, complaints. They are
looked up when a question is asked, and nothing of an index depends on them. A phrase of a question
is found where its words stand in order, with at most GAP others between; one of a document only
where they stand side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import terms, words

FOLDER = Path(__file__).parent / "everyday"
# Words that may stand within a phrase of a question: "pull a bad tooth".
GAP = 2


@dataclass(frozen=True)
class EverydayWords:
    """The groups of a language, in terms."""

    of_word: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For each term the terms and phrases ("pai back") that mean much the same."""
    of_phrase: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    """The same for phrases of several terms."""

    def phrases_in(self, asked: Sequence[str]) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return (place of its first term, number of its terms, what means the same) of each phrase
        in a question's terms.
        """
        first = {phrase[0] for phrase in self.of_phrase}
        if first.isdisjoint(asked):
            return []
        return [
            (place, len(phrase), same)
            for phrase, same in self.of_phrase.items()
            for place, term in enumerate(asked)
            if term == phrase[0] and _follows(asked[place + 1 :], phrase[1:])
        ]


def _follows(asked: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether terms follow in this order, with at most GAP others between them all."""
    left = list(asked[: len(wanted) + GAP])
    for term in wanted:
        if term not in left:
            return False
        left = left[left.index(term) + 1 :]
    return True


@cache
def everyday_words(language: str) -> EverydayWords:
    """Return the groups of a language; none where there is no list of it."""
    file = FOLDER / f"{language}.txt"
    if language not in STOP_WORDS or not file.is_file():
        return EverydayWords()
    same: dict[tuple[str, ...], dict[str, None]] = {}
    for line in file.read_text("utf-8").splitlines():
        asked, _, others = line.partition(" > ")
        if not asked or asked.startswith("#"):
            continue
        found = _members(asked, language)
        wanted = _members(others, language) or found
        for each in found:
            own = same.setdefault(each, {})
            own |= {" ".join(other): None for other in wanted if other != each}
    return EverydayWords(
        {each[0]: tuple(own) for each, own in same.items() if len(each) == 1},
        {each: tuple(own) for each, own in same.items() if len(each) > 1},
    )


def _members(listed: str, language: str) -> list[tuple[str, ...]]:
    """Return the terms of each word or phrase of a list, without words of grammar that stand
    alone.
    """
    stops = STOP_WORDS[language]
    found = []
    for member in listed.split(","):
        own = words(member)
        if own and not (len(own) == 1 and own[0] in stops):
            found.append(tuple(terms(member, language)))
    return found
