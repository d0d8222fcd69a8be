"""Question terms: what a question looks for in passages.

    question -> words that say what it is about -> groups of terms (`Group`): the word's own in each
        language of the index, and related ones

Related are words that mean much the same (`everyday_words.py`), the same word written apart or
together ("check up", "checkup"), the days that a word means (`language/weekdays.py`), and, for a word that
no passage has, words of passages that are spelled nearly so (`spelling.py`). A related one counts
RELATED of an own one. What is related is found when the question is asked: an index knows nothing
of it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

from groundup.language import weekdays
from groundup.language.stop_words import (
    AFTER_HOW,
    ASKING_WORDS,
    STOP_WORDS,
    UNKNOWN,
    language_by_stop_words,
)
from groundup.language.terms import is_pair, stems, terms, words
from groundup.language.weekdays import implied_days, names_day, relative_days
from groundup.retrieve.everyday_words import everyday_words
from groundup.retrieve.spelling import of_compounds, spelled_like, written_apart

# A question's words, at most; of a long text that is searched with, the first.
MAX_WORDS = 256
MAX_LANGUAGES = 4
# What an occurrence of a related word counts, of an own one's 1.
RELATED = 0.6
# A word that is written together has at least so many characters: "email".
MIN_JOINED = 4


class WordStatistics(Protocol):
    """How often words are in passages: an `Index`, or what takes its place."""

    @property
    def languages(self) -> dict[str, int]: ...

    @property
    def passage_count(self) -> int: ...

    def passages_with(self, term: str) -> int: ...

    def terms_from(self, beginning: str) -> dict[str, int]:
        """Return the terms that begin so, with the number of passages of each."""
        ...


@dataclass(frozen=True)
class Group:
    """What one word of a question looks for."""

    terms: tuple[str, ...]
    """Its own terms, one for each language of the index."""
    related: tuple[str, ...] = ()
    """Terms and phrases ("pai back") of the index that mean much the same."""
    is_day: bool = False
    """Whether it means weekdays: a passage about "Monday to Thursday" is about Tuesday, too."""

    def passages_in(self, index: WordStatistics) -> int:
        """Return how many passages have it (some of them counted twice), by its own terms if any
        has these.
        """
        own = sum(map(index.passages_with, self.terms))
        return own or sum(passages_with_all(index, term) for term in self.related)


def question_terms(index: WordStatistics, query: str, *, is_strict: bool = False) -> list[Group]:
    """Return what each word of a question looks for that says what it is about, in order.

    Left out are words that ask; with `is_strict` all words of grammar. If nothing else is there,
    they stay.
    """
    asked = words(query)[:MAX_WORDS]
    found = list(dict.fromkeys(asked))
    language = _question_language(index, found)
    kept, stops = _kept(language, found, query, is_strict), STOP_WORDS.get(language, frozenset())
    languages = list(index.languages)[:MAX_LANGUAGES]
    related = _related(index, query, asked, languages, stops)
    groups = [_group(index, word, related.pop(word, []), languages) for word in _without_ends(kept)]
    # What a phrase of words of grammar means, as "where are you", is looked for, too; strictly only
    # where nothing else is asked, since an answer to "how much" needn't say "price".
    phrases = [tuple(others) for word, others in related.items() if word in stops and others]
    if not (is_strict and groups):
        groups += [Group(others) for others in dict.fromkeys(phrases)]
    return groups or [_group(index, word, [], languages) for word in _without_ends(found)]


def _kept(language: str, found: Sequence[str], query: str, is_strict: bool) -> list[str]:
    """Return the words of a question that say what it is about."""
    if not is_strict:
        return [word for word in found if word not in ASKING_WORDS.get(language, frozenset())]
    return [
        word
        for word in found
        if word not in STOP_WORDS.get(language, frozenset())
        and (word not in AFTER_HOW or not re.search(rf"\bhow {word}\b", query, re.IGNORECASE))
    ]


def _question_language(index: WordStatistics, found: Sequence[str]) -> str:
    """Return the language of a question among those of the index, by default its first one."""
    known = [code for code in index.languages if code in STOP_WORDS]
    if len(known) > 1:
        language = language_by_stop_words(found, known)
        if language != UNKNOWN:
            return language
    return next(iter(known), UNKNOWN)


def _without_ends(kept: Sequence[str]) -> list[str]:
    """Leave out single characters that only end a run of pairs."""
    ends = {word[1] for word in kept if len(word) == 2 and is_pair(word)}
    return [word for word in kept if word not in ends or not is_pair(word)]


def _related(
    index: WordStatistics,
    query: str,
    asked: Sequence[str],
    languages: Sequence[str],
    stops: frozenset[str],
) -> dict[str, list[str]]:
    """Return for each word of a question the related terms and phrases that the index has; those of
    a phrase stand at its first word that is none of grammar, else at its first.
    """
    found: dict[str, list[str]] = {word: [] for word in asked}
    for language in languages:
        everyday, own = everyday_words(language), stems(list(asked), language)
        of_phrases: set[str] = set()
        for place, length, others in everyday.phrases_in(own):
            phrase = asked[place : place + length]
            of_phrases.update(phrase)
            holder = next((word for word in phrase if word not in stops), asked[place])
            found[holder] += others
        for word, term in zip(asked, own, strict=True):
            if word not in of_phrases:  # to pay back is not to pay
                found[word] += everyday.of_word.get(term, ())
        for word, day in relative_days(query, weekdays.today()).items():
            found.setdefault(word, []).extend(stems([day], language))
    for first, second in pairwise(asked):
        holder = second if first in stops else first
        is_word = len(first + second) >= MIN_JOINED and not is_pair(first)
        if is_word and holder not in stops and first + second not in stops:
            found[holder] += [stems([first + second], language)[0] for language in languages]
    return {
        word: [term for term in dict.fromkeys(others) if passages_with_all(index, term)]
        for word, others in found.items()
    }


def passages_with_all(index: WordStatistics, phrase: str) -> int:
    """Return in how many passages a term is, of a phrase at most."""
    return min(map(index.passages_with, phrase.split()))


def _group(
    index: WordStatistics, word: str, related: Sequence[str], languages: Sequence[str]
) -> Group:
    if is_pair(word):
        return Group((f"{word}*" if len(word) == 1 else word,))
    own = tuple(dict.fromkeys(stems([word], language)[0] for language in languages))
    others = [term for term in related if term not in own]
    for language in languages:
        others += of_compounds(index, word, language)
    if not others and not any(map(index.passages_with, own)):
        for language in languages:
            others += written_apart(index, word, language) or spelled_like(index, word, language)
    is_day = names_day([word]) or any(names_day([term]) for term in others)
    return Group(own, tuple(dict.fromkeys(others)), is_day)


class Count(NamedTuple):
    """How often a text has one word of a question."""

    own: int
    related: int

    @property
    def is_there(self) -> bool:
        return self.own > 0 or self.related > 0

    @property
    def occurrences(self) -> float:
        """Each of a related word counts RELATED."""
        return self.own + RELATED * self.related

    @property
    def presence(self) -> float:
        """1 for a word that occurs, RELATED where only related ones do, else 0."""
        if self.own:
            return 1.0
        return RELATED * min(1, self.related)


_NONE = Count(0, 0)


class LookedFor:
    """What a question looks for, to be counted in many texts."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = tuple(groups)
        related = {term for group in self._groups for term in group.related}
        self._phrases = [term for term in related if " " in term]
        self._is_about_days = any(group.is_day for group in self._groups)
        self._beginnings = {
            place: group.terms[0][:-1]
            for place, group in enumerate(self._groups)
            if group.terms and group.terms[0].endswith("*")
        }
        self._places: dict[str, set[int]] = {}
        for place, group in enumerate(self._groups):
            for term in (*group.terms, *group.related):
                self._places.setdefault(term, set()).add(place)

    def counts(self, text: str, language: str, found: list[str] | None = None) -> list[Count]:
        """Return how often a text has each group, in order. `found`: its terms, where known."""
        if not text:
            return [_NONE] * len(self._groups)
        if found is None:
            found = terms(text, language)
        counts = Counter(found)
        if self._phrases:
            joined = f" {' '.join(found)} "
            counts.update({phrase: joined.count(f" {phrase} ") for phrase in self._phrases})
        if self._is_about_days:
            for day in stems(implied_days(text, language), language):
                counts[day] = max(1, counts[day])
        each = [_NONE] * len(self._groups)
        there = counts.keys() & self._places.keys()
        for place in set().union(*map(self._places.__getitem__, there)):
            group = self._groups[place]
            own = sum(counts[term] for term in group.terms)
            each[place] = Count(own, sum(counts[term] for term in group.related))
        for place, beginning in self._beginnings.items():
            own = sum(count for term, count in counts.items() if term.startswith(beginning))
            each[place] = Count(own, 0)
        return each
