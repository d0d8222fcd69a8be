"""Texts that repeat one another, or nearly: the share of their runs of three words that they have
in common (Jaccard); and questions that ask the same in other words, by the share of the words that
say what they are about.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words

RUN_WORDS = 3
# Above this share two texts are one: they differ in a word or two.
ALIKE = 0.5
# Of the words of two questions that ask the same; chosen on 60 written questions (docs/log.md).
ASKS_THE_SAME = 0.35


class Text(NamedTuple):
    """A text and where it stands."""

    place: str
    text: str


def normalise(text: str) -> str:
    """Return a text in lower case with single spaces and without Markdown's marks of emphasis.

    >>> normalise("Costs **£5**\\n a  month")
    'costs £5 a month'
    """
    return " ".join(text.replace("*", "").replace("’", "'").lower().split())


def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of three words of a text; of a shorter one its words."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(
        tuple(words[start : start + RUN_WORDS])
        for start in range(max(1, len(words) - RUN_WORDS + 1))
    )


def nearly_repeats(first: str, second: str) -> bool:
    """Whether two texts are one but for a word or two."""
    own, other = runs(first), runs(second)
    return len(own & other) > ALIKE * len(own | other)


def repeats(texts: Sequence[Text]) -> Iterator[tuple[Text, Text, float]]:
    """Yield each text that nearly repeats an earlier one, that one, and how far they are alike.

    Texts that are alike share one of the rarest runs of each (Bayardo et al. 2007, section 3): runs
    that stand everywhere are not followed.
    """
    all_runs = [runs(each.text) for each in texts]
    frequency = Counter(run for own in all_runs for run in own)
    first: dict[frozenset[tuple[str, ...]], int] = {}
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, own in enumerate(all_runs):
        if own in first:
            yield texts[place], texts[first[own]], 1.0
            continue
        first[own] = place
        rarest = sorted(own, key=lambda run: (frequency[run], run))[
            : len(own) - ceil(ALIKE * len(own)) + 1
        ]
        candidates = sorted({earlier for run in rarest for earlier in seen[run]})
        for run in rarest:
            seen[run].append(place)
        alike = {
            earlier: len(own & all_runs[earlier]) / len(own | all_runs[earlier])
            for earlier in candidates
        }
        nearest = max(alike, key=alike.__getitem__, default=None)
        if nearest is not None and alike[nearest] > ALIKE:
            yield texts[place], texts[nearest], alike[nearest]


def content_words(question: str, language: str = "en") -> frozenset[str]:
    """Return the stems of the words that say what a question is about; of one without any such
    word all of them.
    """
    found = words(question)
    stop = STOP_WORDS.get(language, ())
    return frozenset(stems([each for each in found if each not in stop] or found, language))


def shared(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the share of the words of two questions that both have (Jaccard)."""
    return len(first & second) / max(1, len(first | second))


def ask_the_same(first: str, second: str, language: str = "en") -> bool:
    """Whether two questions ask nearly the same, by their words.

    >>> ask_the_same("What does a night guard cost?", "How much is a night guard?")
    True
    """
    own, other = content_words(first, language), content_words(second, language)
    return shared(own, other) >= ASKS_THE_SAME
