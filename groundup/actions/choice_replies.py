"""Which of several choices a reply names: "Do you mean A or B?".

"the second", "2 please", "B"    by its place
"yes, unfreeze it"               by words of one title
"the Saturday"                   by words that one value alone has
"""

import re
from collections.abc import Sequence

from groundup.actions.intent_words import VALUE_TYPES, words_of
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

_FIRST = re.compile(r"\b(?:first|former|1st)\b", re.I)
_SECOND = re.compile(r"\b(?:second|latter|last|2nd)\b", re.I)
# A place alone is the whole reply.
_LEAD = (
    r"\W*(?:(?:yes|yeah|yep|ok|okay|oh|i mean|i meant|i'd like|i want|the|its|it's|please)\b\W*)*"
)
_NAMED = r"(?:(?:number|nr|option|choice|answer)\b\W*)"
_END = r"\W*(?:(?:one|please|pls|then|thanks|thank you)\b\W*)*"
_PLACES = tuple(
    re.compile(rf"{_LEAD}(?:{_NAMED}?(?:{sign})|{_NAMED}{number}){_END}", re.I)
    for sign, number in (("1|a", "one"), ("2|b", "two"))
)
_OF_VALUES = tuple(
    re.compile(rf"{_LEAD}(?:{place}){_END}", re.I)
    for place in ("first|former|1st", "second|2nd|latter", "third|3rd")
)
_AGREEING = frozenset(("yes", "yeah", "yep", "ok", "okay", "oh", "please", "thanks", "one", "mean"))


def title_meant(message: str, titles: Sequence[str]) -> int | None:
    """Return which of two actions a reply names, by its place or by words of its title; None: it
    can't be told.

    >>> titles = ["Move a flight", "Cancel a booking"]
    >>> title_meant("cancel it please", titles), title_meant("B please", titles)
    (1, 1)
    """
    for place, patterns in enumerate(zip(_PLACES, (_FIRST, _SECOND), strict=True)):
        alone, anywhere = patterns
        if (alone.fullmatch(message) or anywhere.search(message)) and place < len(titles):
            return place
    own, as_typed = words_of(message) - VALUE_TYPES, {*words(message)} - STOP_WORDS["en"]
    named = [len(own & words_of(title)) + len(as_typed & set(words(title))) for title in titles]
    best = max(named, default=0)
    return named.index(best) if best and named.count(best) == 1 else None


def value_meant(message: str, shown: Sequence[str]) -> int | None:
    """Return which of several values, as they are shown, a reply names and says nothing else; None:
    it can't be told.

    >>> days = ["Sunday 7 February 2027", "Saturday 13 February 2027"]
    >>> value_meant("yes, the Saturday", days), value_meant("the 13th", days)
    (1, 1)
    >>> value_meant("the first one", days), value_meant("Saturday the 20th", days)
    (0, None)
    """
    for place, pattern in enumerate(_OF_VALUES[: len(shown)]):
        if pattern.fullmatch(message):
            return place
    own = {*map(_as_number, words(message))} - _AGREEING - STOP_WORDS["en"]
    fits = [n for n, each in enumerate(shown) if own <= {*map(_as_number, words(each))}]
    return fits[0] if own and len(fits) == 1 else None


def _as_number(word: str) -> str:
    """Return an ordinal number as its number: "13th" as "13"."""
    return re.sub(r"(?<=\d)(?:st|nd|rd|th)\Z", "", word)
