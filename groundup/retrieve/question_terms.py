"""Question terms: what a question looks for in passages.

    question -> words that say what it is about -> groups of terms (`Group`): the word's own in each
        language of the index, and related ones

Related are words that mean much the same (`everyday_words.py`), the same word written apart or
together ("check up", "checkup"), the days that a word means (`language/weekdays.py`), and, for a word that
no passage has, words of passages that are spelled nearly so. A related one counts
RELATED of an own one. What is related is found when the question is asked: an index knows nothing
of it.

Parts of a question: two things that are asked together, and the word that a follow-up changes.

    "How much is a crown and how long does it last?"  ->  "How much is a crown", "how long does it
                                                          last", the second with the first's subject
    "How much is a ticket?\\nAnd for children?"        ->  one part, which turns on "children"

A question in its context has the turns before on lines of their own (`follow_up.py`): they are
read, and not asked again. Plain rules, without a model.

Spelling: the words of an index that a word of a question stands for which no passage has.

    spelled_like    "aplication" -> "application": within one edit, from FAR_FROM characters on two
                    (an edit: a character left out, added, exchanged, or two neighbours swapped)
    written_apart   "checkup" -> "check up"; "Kartengebühr" -> "Karte", "Gebühr"
    of_compounds    "Gebühr" -> "Kontogebühr", in languages that write compounds together

The first character is taken to be right, as in Lucene's fuzzy queries: so only terms with the same
one are compared.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
from groundup.language.terms import is_pair, is_within, stems, terms, words
from groundup.language.weekdays import implied_days, names_day, relative_days
from groundup.retrieve.everyday_words import everyday_words
from groundup.retrieve.follow_up import is_elliptical, own_words, stands_alone

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


MAX_PARTS = 2
# Of a follow-up that is no question by itself; and what in it only stands for the subject before.
MAX_BARE_WORDS = 3
_STAND_INS = frozenset({"ok", "okay", "one", "ones", "please"})
_ASKS = (
    r"(?:(?:until |till |from |by )when|how|what|what's|whats|when|where|where's|who|which|why|whose|wie|was|wann|wo|wer|warum|"
    r"welche[rsnm]?|combien|comment|quand|o[uù]|qui|quels?|quelles?|pourquoi)"
)
_VERBS = r"(?:is|are|do|does|did|can|could|will|would|should|may|must|have|has|am)"
# What a second question follows: "... and how", "...? When", "..., and can I".
_BETWEEN = re.compile(
    rf"(?:\s*[?;.]\s+(?:(?:and|but|also|und|et)\s+)?|\s*,?\s+(?:and|&|plus|as well as|und|et)\s+)"
    rf"(?:if so,?\s+)?(?=(?:also\s+)?(?:{_ASKS}\b|{_VERBS}\s+(?:i|we|you|it|they|there|my|the)\b))",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    rf"(?:{_ASKS}|{_VERBS})\b|(?:\w+[,:]?\s+){{1,2}}(?:how|what|when|where|who|which|why)\b"
    rf"|[^?]{{1,120}}[,;:.]\s+(?:{_ASKS}|{_VERBS})\b",
    re.IGNORECASE,
)
_ASKING_WORD = re.compile(rf"\b{_ASKS}\b", re.IGNORECASE)
_REFERS = re.compile(
    r"\b(?:it|its|it's|they|them|their|that|this|these|those|he|she|him|her|one|es|sie|ihn|il|"
    r"elle)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class QuestionPart:
    """One of the things that are asked."""

    asked: str
    """As it stands in the question."""
    question: str
    """The same with the subject that it lacks."""


def question_parts(question: str) -> list[QuestionPart]:
    """Return the things that a question asks, at most MAX_PARTS; the question itself where it asks
    one, or more than that.

    >>> [each.question for each in question_parts("How much is a crown and how long does it last?")]
    ['How much is a crown', 'crown\\nhow long does it last?']
    >>> [each.asked for each in question_parts("Do you mend shoes and bags?")]
    ['Do you mend shoes and bags?']
    """
    context, _, last = question.rpartition("\n")
    pieces = [piece.strip() for piece in _BETWEEN.split(last) if piece.strip(" ?!.,;")]
    if len(pieces) != MAX_PARTS or not _BEGINS.match(pieces[0]):
        return [QuestionPart(question.strip(), question)]
    first, second = pieces
    of_first, of_second = first, second
    if not (_subject(first) or stands_alone(first)):
        of_first = f"{' '.join(_subject(second))}\n{first}"
    if _REFERS.search(second) or not (_subject(second) and stands_alone(second)):
        of_second = f"{' '.join(_subject(first))}\n{second}"
    asked = [QuestionPart(first, of_first), QuestionPart(second, of_second)]
    if not context:
        return asked
    return [QuestionPart(each.asked, f"{context}\n{each.question}") for each in asked]


def _subject(piece: str) -> list[str]:
    """What a piece of a question is about, without the word that asks."""
    return own_words(_ASKING_WORD.sub("", piece))


def focus_words(question: str) -> list[str]:
    """Return the words that a follow-up changes in the question before it; [] of any other.

    >>> focus_words("How much is a ticket?\\nAnd for children?"), focus_words("And for children?")
    (['children'], [])
    """
    context, _, last = question.rpartition("\n")
    if not context.strip() or not (is_elliptical(last) or _is_bare(last)):
        return []
    return [word for word in own_words(last) if word not in _STAND_INS]


def _is_bare(turn: str) -> bool:
    """Whether a turn is some words without a question of its own: "children?"."""
    return not _BEGINS.match(turn) and len(own_words(turn)) <= MAX_BARE_WORDS


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
