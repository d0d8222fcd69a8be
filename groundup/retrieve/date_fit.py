"""Whether a sentence is about a day that a question means.

"are you open on Christmas Day?"   25 December   in  "Closed 24 December to 2 January"  -> HOLDS
"open tomorrow?", on a 29 November 30 November   in  "1 May to 30 September"            -> MISSES
"""

from datetime import date

from groundup.language.calendar_dates import BANK_HOLIDAY, asked_days, days_in, is_bank_holiday
from groundup.retrieve.number_ranges import HOLDS, MISSES


def fit_of_date(question: str, text: str, today: date) -> int:
    """Return HOLDS where a sentence is about a day that a question means, MISSES where it states
    other days alone, 0 where one of them has no date.

    >>> ask = "Are you open on Christmas Day?"
    >>> [fit_of_date(ask, text, date(2026, 11, 29)) for text in
    ...  ("Closed 24 December to 2 January.", "In August we close at 4.", "Open 9 to 5.")]
    [1, -1, 0]
    """
    asked = [each for each in asked_days(question, today) if not each.is_open]
    if not asked:
        return 0
    if BANK_HOLIDAY.search(text) and any(is_bank_holiday(each.first) for each in asked):
        return HOLDS
    stated = days_in(text, today)
    closed = [each for each in stated if not each.is_open]
    if any(one.meets(other) for one in asked for other in closed):
        return HOLDS
    return (
        MISSES
        if closed and closed == list(stated) and not all(each.is_guess for each in asked)
        else 0
    )
