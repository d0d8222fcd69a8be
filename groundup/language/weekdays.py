"""Weekdays: the days that a text is about without naming them, and the days that a question means.

    "Monday to Thursday 8 to 6"       is about Tuesday and Wednesday, too
    "weekdays", "at weekends", "daily" about their days
    "are you open tomorrow?"          means the Monday that tomorrow is

Days are words of English, German and French, folded as in `terms.words`. A range is read in the
order of the week and over its end ("Friday to Monday").
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta

from groundup.language.terms import fold, words

DAYS = {
    "en": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    "de": ["montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"],
    "fr": ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
}
SHORT_DAYS = {
    "en": ["mon", "tue tues", "wed weds", "thu thur thurs", "fri", "sat", "sun"],
    "de": ["mo", "di", "mi", "do", "fr", "sa sonnabend", "so"],
    "fr": ["lun", "mar", "mer", "jeu", "ven", "sam", "dim"],
}
_TO = {"en": "to|until|till|through|thru", "de": "bis", "fr": "au|a"}
_SEVERAL = {
    "en": {
        "weekday": range(5),
        "weekdays": range(5),
        "weekend": range(5, 7),
        "weekends": range(5, 7),
        "daily": range(7),
        "every day": range(7),
        "seven days a week": range(7),
        "7 days a week": range(7),
    },
    "de": {
        "werktags": range(5),
        "wochentags": range(5),
        "werktage": range(5),
        "wochenende": range(5, 7),
        "wochenenden": range(5, 7),
        "taglich": range(7),
        "jeden tag": range(7),
    },
    "fr": {
        "en semaine": range(5),
        "jours ouvrables": range(5),
        "week end": range(5, 7),
        "weekend": range(5, 7),
        "week ends": range(5, 7),
        "tous les jours": range(7),
        "7 jours sur 7": range(7),
    },
}
# The last word of a phrase stands for it. "Morgen" is the morning, too: "am Morgen".
_RELATIVE = {
    "en": {"today": 0, "tonight": 0, "tomorrow": 1, "day after tomorrow": 2},
    "de": {"heute": 0, "(?<!am )(?<!guten )(?<!jeden )morgen": 1, "ubermorgen": 2},
    "fr": {"aujourd'hui": 0, "ce soir": 0, "demain": 1},
}


def today() -> date:
    """Return the day that "tomorrow" is the next of."""
    return date.today()


def _days_by_name(language: str) -> dict[str, int]:
    found = {name: number for number, name in enumerate(DAYS[language])}
    for number, names in enumerate(SHORT_DAYS[language]):
        found |= dict.fromkeys(names.split(), number)
    return found


_BY_NAME = {language: _days_by_name(language) for language in DAYS}
_NAMES = {code: "|".join(sorted(names, key=len, reverse=True)) for code, names in _BY_NAME.items()}
_RANGE = {
    code: re.compile(rf"\b({names})s?\.?(?:\s*[-–—]\s*|\s+(?:{_TO[code]})\s+)({names})\b")
    for code, names in _NAMES.items()
}


def implied_days(text: str, language: str) -> list[str]:
    """Return the weekdays that a text is about without naming each: those of its ranges, "weekdays"
    and the like, in the words of its language.

    >>> implied_days("Monday to Thursday 8 to 6, Friday 8 to 4", "en")
    ['monday', 'tuesday', 'wednesday', 'thursday']
    """
    if language not in DAYS:
        return []
    folded, numbers = fold(text), set[int]()
    for first, last in _RANGE[language].findall(folded):
        start, end = (_BY_NAME[language][name] for name in (first, last))
        numbers.update(day % 7 for day in range(start, end + 1 + 7 * (end < start)))
    for name, several in _SEVERAL[language].items():
        if name in folded and re.search(rf"\b{name}\b", folded):
            numbers.update(several)
    return [DAYS[language][number] for number in sorted(numbers)]


def relative_days(question: str, today: date) -> dict[str, str]:
    """Return the weekday of each word of a question that names a day by today's: "tomorrow".

    >>> relative_days("Are you open tomorrow?", date(2026, 11, 29))
    {'tomorrow': 'monday'}
    """
    folded, found = fold(question), dict[str, str]()
    for language, names in _RELATIVE.items():
        for name, offset in names.items():
            if re.search(rf"(?<!after )\b{name}\b", folded):
                day = today + timedelta(days=offset)
                found[re.split(r"[ )']", name)[-1]] = DAYS[language][day.weekday()]
    return found


def days_of(text: str, language: str, today: date | None = None) -> set[str]:
    """Return the weekdays that a text names in full or implies; with `today` also those that
    "tomorrow" and the like mean.

    >>> sorted(days_of("On Sundays and bank holidays", "en")), days_of("Open 9 to 5", "en")
    (['sunday'], set())
    >>> days_of("are you open tomorrow", "en", date(2026, 12, 2))
    {'thursday'}
    """
    named = {word.removesuffix("s") for word in words(text)} & set(DAYS.get(language, ()))
    found = named.union(implied_days(text, language))
    return found if today is None else found.union(relative_days(text, today).values())


def names_day(folded: Sequence[str]) -> bool:
    """Whether folded words name a weekday, the plural included."""
    return not _ALL.isdisjoint(word.removesuffix("s") for word in folded)


_ALL = {day for names in DAYS.values() for day in names}
