"""The date of a document: the one that it states near its beginning or in its name, else the time
of its file's last change.

    "Valid from 1 March 2026", "Valid from 01/03/2026"  ->  2026-03-01
    "prices-2026-03.md"                                 ->  2026-03
"""

import os
import re
from datetime import UTC, date, datetime

from groundup.language.calendar_dates import worded_dates

# Of a document: what is dated stands in its first lines.
BEGINNING_CHARACTERS = 1000
_MONTHS = (
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "jan feb mär apr mai jun jul aug sep okt nov dez",
    "jan fév mar avr mai juin juil aoû sep oct nov déc",
)
_OF_MONTH = {name: number for each in _MONTHS for number, name in enumerate(each.split(), start=1)}
_YEAR = r"(?:19|20)\d\d"
_ISO = re.compile(rf"(?<!\d)({_YEAR})[-_./](\d\d)(?:[-_./](\d\d))?(?!\d)")
_IN_WORDS = re.compile(
    rf"(?:(\d{{1,2}})(?:st|nd|rd|th|\.)?\s+)?([^\W\d_]{{3,9}})\.?,?\s+({_YEAR})\b"
)
_AMERICAN = re.compile(rf"([^\W\d_]{{3,9}})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,\s+({_YEAR})\b")
_NAMED_YEAR = re.compile(rf"(?<!\d)({_YEAR})(?!\d)")
_DATED = re.compile(
    r"\b(?:valid|updated?|effective|as of|in force|apply|applies|dated?|version|reviewed|revised|"
    r"issued|published|stand|gültig|en vigueur|valable)\b",
    re.IGNORECASE,
)


def stated_date(name: str, beginning: str) -> str:
    """Return the date that a document's name or beginning states: of its headings, and of lines
    that say what the date is for ("updated", "valid from"); "" where it states none.

    >>> stated_date("prices.md", "# Prices\\n\\nValid from 1 March 2026.")
    '2026-03-01'
    >>> stated_date("prices-2025.md", "# Prices"), stated_date("a.md", "We opened in May 1999.")
    ('2025', '')
    """
    for line in beginning[:BEGINNING_CHARACTERS].splitlines():
        if (line.startswith("#") or _DATED.search(line)) and (found := _date_in(line)):
            return found
    plain = name.rpartition("/")[2]
    return _date_in(plain.replace("_", " ").replace("-", " ")) or _date_in(plain) or _year_in(name)


def is_later(first: str, second: str, today: date) -> bool:
    """Whether a date is later than another, as far as both are known, and not yet to come.

    >>> today = date(2026, 11, 29)
    >>> [is_later(first, "2026-03", today) for first in ("2026-05-01", "2026", "2027-01", "")]
    [True, False, False, False]
    """
    length = min(len(first), len(second))
    return bool(length) and first[:length] > second[:length] and not is_to_come(first, today)


def is_to_come(stated: str, today: date) -> bool:
    """Whether a date begins after today."""
    return stated > today.isoformat()[: len(stated)]


def _date_in(text: str) -> str:
    """Return the first date of a text with a month; "" without one."""
    for found in _ISO.finditer(text):
        if made := _made(*found.groups()):
            return made
    text = worded_dates(text)
    for found in _AMERICAN.finditer(text):
        if made := _made(found[3], _month(found[1]), found[2]):
            return made
    for found in _IN_WORDS.finditer(text):
        if made := _made(found[3], _month(found[2]), found[1]):
            return made
    return _year_in(text) if text.startswith("#") else ""


def _month(name: str) -> str | None:
    folded = name.lower()
    number = _OF_MONTH.get(folded[:4]) or _OF_MONTH.get(folded[:3])
    return str(number) if number else None


def _made(year: str, month: str | None, day: str | None) -> str:
    """Return a date where there is such a day; "" else."""
    try:
        made = date(int(year), int(month or ""), int(day or 1))
    except ValueError:
        return ""
    return made.isoformat() if day else made.isoformat()[:7]


def _year_in(text: str) -> str:
    found = _NAMED_YEAR.search(text)
    return found[1] if found else ""


def changed(file: str) -> str:
    """Return the day of a file's last change; "" for what is no file on this disk."""
    if not os.path.isabs(file):
        return ""
    try:
        return datetime.fromtimestamp(os.stat(file).st_mtime, UTC).date().isoformat()
    except (OSError, OverflowError, ValueError):
        return ""
