"""Which of the dates of a message is wished where it has several, but only one is wanted.

"I'm back on Saturday. Could I come on Monday?"           Monday: it stands where something is asked
"since Monday she has been ill, she stays at home today"  today: since when says what was
"my sister comes on Friday, a table for Saturday at 7"    Saturday: it stands beside the time
"he rang on Sunday and wants to come on Thursday"         Thursday: what is told of is over

Each rule counts only where it leaves a date; what several are left of is unclear, and asked.
"""

import re
from collections.abc import Callable, Sequence

from groundup.actions.message_form import asking_tail, message_form, sentences
from groundup.actions.reading import Reading

_ASKING = ("request", "please", "want", "wish")
_SINCE = re.compile(r"\b(?:since|ever since)\s+(?:(?:the|last|on)\s+)*\Z", re.IGNORECASE)
_CLAUSE = re.compile(r"[.;!?:,]|\s-+\s|\b(?:and|but|so|because|then)\b", re.IGNORECASE)
_OVER = re.compile(
    r"\b(?:was|were|had|did|didn't|died|got|went|came|left|rang|told|said|saw|broke|fell|found|lost"
    r"|bought|heard|began|started|(?!need|book|reserv|schedul)\w{3,}ed)\b",
    re.IGNORECASE,
)
_WISHED = re.compile(
    r"\b(?:would|'d|want\w*|please|can|could|will|'ll|need\w*|hop\w+|wonder\w*)\b", re.IGNORECASE
)
# Between a date and its time.
_BESIDE = re.compile(
    r"[\s,]*(?:(?:at|around|about|from|by|on|the|in|for|morning|afternoon|evening|night|lunch)"
    r"[\s,]*)*",
    re.IGNORECASE,
)
Rule = Callable[[Reading], bool]


def wished_dates(
    text: str, readings: Sequence[Reading], times: Sequence[Reading], *, past: bool
) -> list[Reading]:
    """Return the dates of a text that are wished. `times`: the times that it has, where one is
    wanted, too; `past`: what is wanted is a day that is over.
    """
    found = list(readings)
    asking = [] if past else _asking_spans(text)
    rules: list[Rule] = [
        lambda each: past or not _SINCE.search(text, 0, each.start),
        lambda each: any(start <= each.start < end for start, end in asking),
        lambda each: any(_is_beside(text, each, time) for time in times),
        lambda each: past or not _is_told(text, each),
    ]
    for rule in rules:
        if len({each.values for each in found}) > 1:
            found = [each for each in found if rule(each)] or found
    return found


def _asking_spans(text: str) -> list[tuple[int, int]]:
    """Return where a text asks for something."""
    spans, place = [], 0
    for sentence in sentences(text):
        start = text.find(sentence, place)
        if start < 0:
            continue
        place = start + len(sentence)
        tail = asking_tail(sentence)
        if tail or message_form(sentence) in _ASKING:
            spans.append((place - len(tail or sentence), place))
    return spans


def _is_beside(text: str, day: Reading, time: Reading) -> bool:
    first, second = sorted((day, time), key=lambda each: each.start)
    return first.end <= second.start and bool(_BESIDE.fullmatch(text, first.end, second.start))


def _is_told(text: str, day: Reading) -> bool:
    """Whether the clause of a date tells of what is over."""
    starts = [each.end() for each in _CLAUSE.finditer(text, 0, day.start)]
    after = _CLAUSE.search(text, day.end)
    clause = text[starts[-1] if starts else 0 : after.start() if after else len(text)]
    return _OVER.search(clause) is not None and not _WISHED.search(clause)
