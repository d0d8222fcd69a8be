"""The words of a message by which the wish for an action is known: stems, with one word for those
that mean much the same, and the types of its values in place of them.

    words_of("Pls scrap our booking tonight")  ->  {"cancel", "book", "<date>"}
"""

import re
from datetime import date
from functools import lru_cache
from pathlib import Path

from groundup.actions.read_dates import read_dates
from groundup.actions.read_times import read_times
from groundup.actions.reading import Respelled, blanked
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words

FILE = Path(__file__).parent / "same_words_en.txt"
_POLITE = (
    "please pls plz hi hello hey hiya dear thanks thank cheers sorry like want need would could"
    " can "
    "also get u ur ok okay good morning afternoon evening well possible may might let know"
    " wondering "
    "us im ive id went go got one two three four five six seven eight nine ten really just still"
)
_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])\w{5,12}\b|\b[A-Z]{6}\b(?![^.!?]*\b[A-Z]{6}\b)")
_MONEY = re.compile(r"[£$€]\s?\d[\d,.]*|\b\d[\d,.]*\s?(?:pounds?|quid|euros?)\b", re.IGNORECASE)
_COUNT = re.compile(
    r"\b\d{1,3}\b|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.IGNORECASE
)
ANY_DAY = date(2026, 1, 1)
TODAY = ANY_DAY.isoformat()
DATE, PAST_DATE, TIME, CODE, MONEY, COUNT = (
    "<date>",
    "<past date>",
    "<time>",
    "<code>",
    "<money>",
    "<count>",
)
# "my booking", "our table"
OWN_BOOKING = "ownbook"
VALUE_TYPES = frozenset([DATE, PAST_DATE, TIME, CODE, MONEY, COUNT])

_QUOTED = re.compile(r"[\"“„][^\"“”]*[\"”“]")
_NAMED = re.compile(
    r"(?:,|\band\b)?\s*(?:(?:my|the|her|his|our)\s+)?(?<![Ww]hole )(?:[Ss]ur)?[Nn]ame"
    r"(?:'s|’s| is|:)?\s+"
    r"[A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+){0,2}"
)
# "can you please fix my", with what stands between an order and its thing.
_LEAD = (
    r"(?:can|could|would|will|may) (?:you|u|ya|i|we) "
    r"|(?:please|pls|hi|hello|hey|and|so|just|then|i|we)\b[\s,]+"
    r"|(?:i|we)(?:'d| would|d) (?:like|love) to |(?:want|need|like) to "
)
_THING = (
    r"(?:(?:me|us) )?((?:an?|my|our|the|some) (?:[^\W\d_]+ ){0,3}?[^\W\d_]+)"
    r"(?=\s*(?:[.,;:!?()–—-]|\Z|\d)|\s(?:for|on|at|in|to|from|of|with|while|when|because|please"
    r"|pls|and|so|as|by|that|which|tomorrow|today|tonight|next|this|instead|now|too|again|asap)\b)"
)
_CAPITALS = re.compile(r"\b[A-ZÀ-ÖØ-Þ]{2,}\b")
# The share of capitals among the letters of a message that is shouted.
SHOUTED = 0.6
# A code, and the one word beside it at the end of a clause: "HQWKTR bramley - ...".
_CODES = re.compile(
    r"\b(?:[A-Z]{5,}|(?=[^\W\d]*\d)[A-Z\d]{4,})\b(?:[\s,(]+[\w'’-]+\)?(?=\s*(?:[-–—,.;]|\Z)))?\s*[-–—,:;]?"
)
# What leads to a code's last digits: "my card ending in 4417".
_ENDING = re.compile(
    r",?\s+(?:(?:that|which|it) )?(?:ending|ends?|finishing)(?: in| with| on)?:?(?=\s+\d{2,}\b)",
    re.IGNORECASE,
)
_PASTED = re.compile(r":\s+\S+(?:\s+\S+){2,}\Z")


def _same_words() -> dict[tuple[str, ...], str]:
    """Return the stems of each wording of FILE with the stem that stands for it."""
    found: dict[tuple[str, ...], str] = {}
    for line in FILE.read_text("utf-8").splitlines():
        first, colon, others = line.partition(": ")
        if colon and not line.startswith("#"):
            for wording in (first, *others.split(", ")):
                found[tuple(stems(words(wording), "en"))] = stems([first], "en")[0]
    return found


@lru_cache(maxsize=1)
def _same() -> tuple[dict[tuple[str, ...], str], int]:
    found = _same_words()
    return found, max(map(len, found))


@lru_cache(maxsize=1)
def _left_out() -> frozenset[str]:
    return frozenset(stems([*STOP_WORDS["en"], *_POLITE.split()], "en"))


@lru_cache(maxsize=4096)
def words_of(text: str) -> frozenset[str]:
    """Return the words of a text that say what is wished, and the types of its values.

    >>> sorted(words_of("Pls scrap our booking tonight"))
    ['<date>', 'book', 'cancel']
    """
    rest, found = Respelled(text.replace("’", "'")).text, set[str]()
    for kind, readings in ((DATE, read_dates(rest, ANY_DAY)), (TIME, read_times(rest))):
        if readings:
            is_past = kind == DATE and all(str(day) < TODAY for r in readings for day in r.values)
            found.add(PAST_DATE if is_past else kind)
            rest = blanked(rest, readings)
    for kind, pattern in ((CODE, _CODE), (MONEY, _MONEY), (COUNT, _COUNT)):
        if pattern.search(rest):
            found.add(kind)
            rest = pattern.sub(" ", rest)
    return frozenset(found) | frozenset(_merged(stems(words(rest), "en")))


def _merged(own: list[str]) -> list[str]:
    """Return stems, the longest listed wordings first as what stands for them, without words of
    grammar.
    """
    same, longest = _same()
    found, place = list[str](), 0
    while place < len(own):
        for length in range(min(longest, len(own) - place), 0, -1):
            if kept := same.get(tuple(own[place : place + length])):
                found.append(kept)
                place += length
                break
        else:
            if own[place] not in _left_out() and not own[place].isdigit():
                found.append(own[place])
            place += 1
    return found


def ordered_thing(text: str, verbs: frozenset[str]) -> frozenset[str]:
    """Return the word for the thing that a text orders something to be done with, the last one before
    a preposition or pause; empty where it names none. `verbs`: those of orders.

    >>> ordered_thing("can you fix my apple watch on Monday?", frozenset(["fix"]))
    frozenset({'watch'})
    >>> ordered_thing("fix it please", frozenset(["fix"]))
    frozenset()
    """
    match = re.match(rf"(?:{_LEAD})*(?:{'|'.join(verbs)}) {_THING}", text, re.IGNORECASE)
    own = _merged(stems(words(match[1]), "en")) if match else []
    return frozenset(own[-1:])


def in_small_letters(message: str, known: frozenset[str]) -> str:
    """Return a message with its ordinary words in small letters where they are in capitals, which may
    be taken for codes. `known`: stems and words that are ordinary.

    >>> in_small_letters("FREEZE 4417 NOW! Booking PLMNVS", frozenset(["freez"]))
    'freeze 4417 now! Booking PLMNVS'
    """
    letters = [each for each in message if each.isalpha()]
    is_shouted = sum(each.isupper() for each in letters) > SHOUTED * len(letters)

    def lowered(match: re.Match[str]) -> str:
        said = match[0].lower()
        is_ordinary = (
            said in known or said in STOP_WORDS["en"] or not known.isdisjoint(stems([said], "en"))
        )
        has_vowel = not set("aeiou").isdisjoint(said)
        return said if is_ordinary or (is_shouted and has_vowel) else match[0]

    return _CAPITALS.sub(lowered, message)


def names_in(text: str) -> frozenset[str]:
    """Return the stems of words with a capital within a sentence, which are names for the most."""
    found = re.findall(r"(?<=[^\s.!?:] )[A-ZÀ-ÖØ-Þ][^\W\d_]+", text)
    return frozenset(stems(words(" ".join(found)), "en"))


def unquoted(message: str) -> str:
    """Return a message without what it quotes and the name it gives, where it says something else:
    "please cancel my ticket, the name is Hossain" asks nothing about a name.
    """
    for pattern in (_QUOTED, _NAMED):
        rest = pattern.sub(" ", message)
        message = rest if words(rest) else message
    return message


def without_endings(message: str) -> str:
    """Return a message without the words that lead to the last digits of a code.

    >>> without_endings("freeze my card ending in 4417"), without_endings("the month ends")
    ('freeze my card 4417', 'the month ends')
    """
    return _ENDING.sub("", message)


def without_values(message: str) -> str:
    """Return a message without codes, the name beside one, and a text behind a colon:
    "HQWKTR bramley - what is my seat?", "is this title ok: Screens and sleep".
    """
    if message == message.upper():
        return message
    return " ".join(_PASTED.sub("", _CODES.sub(" ", message)).split())
