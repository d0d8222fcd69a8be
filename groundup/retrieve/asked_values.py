"""The kind of value that a question asks for, and the texts that have one: "how much" a sum of
money, "how long" a duration, "how wide" a length.

Of two sentences that are about as near to a question the one with such a value usually answers it
("How long may an abstract be?": "keep to 200 words", not "It states the main result."). What is
asked for is known by its form, in English, German and French.
"""

import re
from dataclasses import dataclass

_COUNTED = (
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty"
    r"|thirty|forty|fifty|sixty|ninety|hundred|half|once|twice|dozen|ein|eine|zwei|drei|vier|fünf"
    r"|une|deux|trois|quatre|cinq)\b)"
)
_MONTHS = (
    r"jan(?:uary)?|feb(?:ruary)?|march|april|may|june|july|august|sept(?:ember)?|october"
    r"|november|december"
)
_DAYS = r"mon|tues|wednes|thurs|fri|satur|sun"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


@dataclass(frozen=True)
class ValueKind:
    """A kind of value."""

    asks: re.Pattern[str]
    """Found in a question for it."""
    value: re.Pattern[str]
    """Found in a text that has one."""


MONEY = ValueKind(
    _pattern(
        r"\bhow (?:much|dear|expensive)\b|\b(?:sur)?charges?d?\b|\bcosts?\b|\bprices?\b|\bfees?\b"
        r"|\bfares?\b|\brates?\b|\bpay\b|\bfine[ds]?\b|\bdeposit\b|\bset (?:me|us) back\b|\bcheaper\b"
        r"|\bdearer\b|\bwie (?:teuer|viel)\b|\bkostet\b|\bcombien\b|\bprix\b|\btarifs?\b"
    ),
    _pattern(
        r"[£$€]|\d\s?(?:p|pence|pounds?|euros?|dollars?|%)(?!\w)|\bfree\b|\bno (?:extra )?(?:charge"
        r"|fee|cost)\b|\bcosts? nothing\b|\bkostenlos\b|\bgratuite?s?\b"
    ),
)
DURATION = ValueKind(
    _pattern(
        r"\bhow (?:long|soon|quickly|fast)\b|\bhow far (?:ahead|in advance)\b|\bcut.?off\b"
        r"|\bhow (?:many|much) (?:\w+ )?(?:days|weeks|months|years|hours|minutes|notice)\b"
        r"|\bwie (?:lange|schnell)\b|\bcombien de temps\b"
    ),
    _pattern(
        _COUNTED + r"[\w\s-]{0,12}?\b(?:seconds?|minutes?|mins?|hours?|days?|weeks?|months?|years?"
        r"|fortnights?|nights?|terms?|tage?n?|wochen?|stunden?|minuten?|monate?|jahre?|jours?"
        r"|semaines?|heures?|mois|ans)\b|\bat once\b|\bovernight\b|\b(?:straight|right) away\b"
    ),
)
FREQUENCY = ValueKind(
    _pattern(r"\bhow often\b|\bevery\b|\bhow many times\b|\bwie oft\b"),
    _pattern(r"\b(?:every|once|twice|daily|weekly|fortnightly|monthly|yearly|times)\b"),
)
TIME = ValueKind(
    _pattern(
        r"\b(?:when|what times?|what hours|open|close|shut|until|how late|how early|latest|earliest"
        r"|wann|um wie viel uhr|quand|à quelle heure)\b"
    ),
    _pattern(
        r"\d(?:[.:]\d\d)?\s?(?:am|pm|uhr|o'clock)\b|\b\d\d?[.:]\d\d\b|\d\s?h(?:\s?\d\d)?\b|\bnoon\b"
        r"|\bmidnight\b|\bclosed\b"
    ),
)
DAY = ValueKind(
    _pattern(
        r"\b(?:when|by when|(?:what|which) (?:day|date|week|month|year)s?|deadline|(?:last|first) day"
        r"|wann|quand|quels? jours?)\b"
    ),
    _pattern(rf"\b(?:{_MONTHS})\b|\b(?:{_DAYS})days?\b|\bweekdays?\b|\b(?:19|20)\d\d\b|\bdaily\b"),
)
SHARE = ValueKind(
    _pattern(r"\b(?:what|which) (?:share|percentage|proportion|fraction)\b|\binterest\b"),
    _pattern(r"%|\bper ?cent\b|\bhalf\b|\ba (?:third|quarter)\b|\d (?:out )?of\b"),
)
SIZE = ValueKind(
    _pattern(
        r"\bhow (?:wide|tall|high|heavy|far|big|hot|cold|deep|large|much (?:cooler|warmer))\b"
        r"|\bweigh(?:t|s)?\b|\bhow long (?:can|is|are|should|may|must)\b|\bword limit\b"
    ),
    _pattern(
        r"\d[\d.,]*\s?(?:mm|cm|m|km|kg|g|kilos?|grams?|ml|cl|l|lit(?:er|re)s?|met(?:er|re)s?|miles?"
        r"|°C?|degrees|words?|pages?|characters?|steps?|inch(?:es)?|feet|mb|gb|kwh|%)(?!\w)"
    ),
)
COUNT = ValueKind(
    _pattern(
        r"\bhow (?:many|much|old)\b|\b(?:max|min)imum\b|\bat most\b|\bmost\b.*\bcan\b|\blimit\b"
        r"|\bage\b|\bwie viele?\b|\bcombien\b"
    ),
    _pattern(_COUNTED),
)
# In the order in which the columns of a table are shown.
VALUE_KINDS = (MONEY, DURATION, FREQUENCY, TIME, DAY, SHARE, SIZE, COUNT)


def asked_kinds(question: str) -> list[ValueKind]:
    return [each for each in VALUE_KINDS if each.asks.search(question)]


def has_asked_value(question: str, text: str) -> bool:
    """Whether a question asks for a kind of value and a text has one.

    >>> has_asked_value("How much is it?", "It costs £5."), has_asked_value("How much is it?", "No.")
    (True, False)
    """
    return any(each.value.search(text) for each in asked_kinds(question))
