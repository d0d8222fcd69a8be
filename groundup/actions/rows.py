"""A value that is chosen from rows of the world (`Slot.rows`): how they are listed, and which one a
message means.

    Q69X3R  Philadelphia to LaGuardia, 20 May          "the one from Philadelphia to LaGuardia"
    ZC1K0T  Newark to Chicago, 25 May                  "my last one": the first row
"""

import itertools
import re
from collections.abc import Sequence

from groundup.actions.amounts import with_amounts
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import is_within, stems, words

Rows = Sequence[tuple[str, ...]]
# In a question; of more rows the first ones.
MAX_LISTED = 10
# From so many letters on, a word may be misspelt.
LONG_WORD = 5
# A query gives its rows in the order in which they count: the first is the last one made.
_FIRST = re.compile(
    r"\b(?:(?:most )?recent|latest|newest|last (?:one|booking|reservation|order)|the first one)\b",
    re.IGNORECASE,
)

_PARTS = re.compile(r"[,;()]|\.\s")
_AMOUNT = re.compile(r"[$£€]\s?\d+")

_NO_OTHER = re.compile(
    r"\b(?:same|that one|forgot|no idea|(?:don'?t|dont|not) (?:know|kno|sure|remember|have))\b",
    re.IGNORECASE,
)


def names_none(reply: str) -> bool:
    """Whether a reply names none of what may be chosen: it is about what the one before was about.

    >>> names_none("I don't know the number"), names_none("the one to Oslo")
    (True, False)
    """
    return _NO_OTHER.search(reply) is not None


def listed(rows: Rows) -> str:
    """Return rows as a list for a question.

    >>> listed([("A1", "to Rome"), ("B2", "to Oslo")])
    'A1 (to Rome), B2 (to Oslo)'
    """
    shown = [f"{value} ({', '.join(filter(None, more))})" for value, *more in rows]
    text = with_amounts(", ".join(each.removesuffix(" ()") for each in shown[:MAX_LISTED]))
    if len(shown) > MAX_LISTED:
        text += f" and {len(shown) - MAX_LISTED} more"
    return text


def meant_row(rows: Rows, message: str, least: int = 1) -> str | None:
    """Return the value of the row that a message names by its words; None where none, or more than
    one, fits best, or with fewer words than `least`. Words count that not all rows have, without
    amounts, and neighbours ("to Rome") count twice.

    >>> rows = [("A1", "Rome to Oslo"), ("B2", "Oslo to Rome"), ("C3", "Rome to Bern")]
    >>> meant_row(rows, "the one from Oslo to Rome"), meant_row(rows, "to Rome?")
    ('B2', 'B2')
    >>> meant_row(rows, "something to Paris"), meant_row(rows, "my last booking")
    (None, 'A1')
    """
    if len(rows) < 2:
        return None
    own = [_features(", ".join(row)) for row in rows]
    said = _features(message, frozenset().union(*own))
    common = frozenset.intersection(*own)
    fits = [len(said & each - common) for each in own]
    best = max(fits)
    if best >= least and fits.count(best) == 1:
        return rows[fits.index(best)][0]
    if best < least and _FIRST.search(message):
        return rows[0][0]
    return None


def _features(text: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the words of a text that say something, and its pairs of neighbours. A long word with
    one slip counts as the `known` one.
    """
    found: set[str] = set()
    for part in _PARTS.split(_AMOUNT.sub(" ", text)):
        own = [_respelt(word, known) for word in stems(words(part), "en")]
        found |= {each for each in own if each not in STOP_WORDS["en"]}
        found |= {f"{one} {other}" for one, other in itertools.pairwise(own)}
    return frozenset(found)


def _respelt(word: str, known: frozenset[str]) -> str:
    if len(word) < LONG_WORD or word in known or not word.isalpha():
        return word
    near = sorted(each for each in known if each[:1] == word[:1] and is_within(word, each, 1))
    return (near or [word])[0]
