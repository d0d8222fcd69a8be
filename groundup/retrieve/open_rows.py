"""A question on a table that names none of its rows is answered by all of them; one that several
rows have the words of, by these.

    | Branch   | Saturday     |   "when does the branch close on Saturday?"
    | Brookend | 9 am to 1 pm |   -> Brookend: 9 am to 1 pm (Saturday); Hawkley: closed (Saturday)
    | Hawkley  | closed       |

    "how much to clean a dress?" -> Day dress: £13 (Price); Wedding dress: £140 (Price)

A row is named by a word of its first cell, by a number or a day in its band, or by other words than
the table's: "pull a tooth" is "Extraction". Whether they name it the reader says, for which one row
fits better than the next. A question without such words leaves the rows open ("whats the deposit",
"when are you open?"); one with several days means the rows that are of them ("at the weekend").
More rows than can be read out stay with the best one.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from groundup.language.terms import words
from groundup.language.weekdays import SHORT_DAYS, days_of
from groundup.retrieve.asked_values import VALUE_KINDS
from groundup.retrieve.choice import is_in_band
from groundup.retrieve.cite import Quote, quote_of, statements
from groundup.retrieve.everyday_words import everyday_words
from groundup.retrieve.number_ranges import asked_numbers
from groundup.retrieve.scored_statements import ScoredStatement, table_of
from groundup.retrieve.table_rows import ALL_ROWS, Table, cell_terms, rows_in_words

# Of the value of the best row what the next one needs, so that neither is meant: where the question
# has words of its own, and where all are known from above the table, its columns and the rows.
MIN_OF_NEXT, MIN_OF_OPEN = 0.9, 0.4
FILLERS = {
    *("hi", "hiya", "hello", "please", "pls", "whats", "wheres", "im", "u"),
    *("get", "may", "number", "time", "times"),
}
# Rows that several words of a question fit; those of a question without: a week, a timetable.
MAX_ROWS, MAX_OPEN_ROWS = 6, 12
MAX_CHARACTERS = 1200
_WHICH_DAY = re.compile(r"\b(?:which|what|any|welche[mn]?|quels?) (?:days?|tage?n?|jours?)\b", re.I)


def open_rows(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str, today: date
) -> Quote | None:
    """Return the rows of the best one's table among which a question does not choose as a
    quotation, in words; None where it means one.
    """
    passage, table = best.passage, table_of(best.passage, best.place)
    if table is None or is_in_band(question, table, today):
        return None
    rows, least = _of_days(table, question, passage.language, today) or _left_open(
        best, table, question
    )
    if not 2 <= len(rows) <= (MAX_ROWS if least == MIN_OF_NEXT else MAX_OPEN_ROWS):
        return None
    first = best.place - table.row
    values = [
        each.value
        for each in found
        if each.source == best.source and each is not best and each.place - first in rows
    ]
    if max(values, default=0.0) < least * best.value:
        return None
    told = replace(table, rows=tuple(table.rows[row] for row in rows), row=ALL_ROWS)
    said = rows_in_words(told, question, passage.language)
    if len(said) > MAX_CHARACTERS:
        return None
    listed = statements(passage)
    start, end = listed[first + rows[0]].start, listed[first + rows[-1]].end
    whole = replace(best.said, start=start, end=end, text=passage.text[start:end])
    return replace(quote_of(passage, best.source, whole), table=told, in_words=said)


def _left_open(best: ScoredStatement, table: Table, question: str) -> tuple[list[int], float]:
    """Return the rows that a question may mean, and what the next of them needs of the best one's
    value: all where it has a word of none; else those that have the same of its words as the best
    row, unless one of them has no other words or another row has more.
    """
    language = best.passage.language
    same = everyday_words(language).of_word
    names = [cell_terms(row[0], language) for row in table.rows]
    of_all = set(names[0]).intersection(*names)
    asked = cell_terms(question, language)
    asked = asked.union(*(same.get(each, ()) for each in asked))
    shared = [asked & (each - of_all) for each in names]
    own = shared[table.row]
    if any(shared) and (not own or len(own) < max(map(len, shared))):
        return [], 0.0
    rows = [row for row, each in enumerate(shared) if each == own]
    if own and any(names[row] <= own | of_all for row in rows):
        return [], 0.0
    above = f"{best.passage.title} {best.said.above} {' '.join(table.columns)}"
    known = cell_terms(above, language) | own
    says_more = _says_more(question, known, language)
    if _is_week(table, language) and not (own or _asks_for_day(question, language)):
        return rows, MIN_OF_OPEN if says_more else 0.0
    return rows, MIN_OF_NEXT if says_more else MIN_OF_OPEN


def _says_more(question: str, known: set[str], language: str) -> bool:
    """Whether a question has a number, or a word that none of the known ones means, other than
    those for the kind of value that it asks for.
    """
    if asked_numbers(question):
        return True
    for kind in VALUE_KINDS:
        question = kind.asks.sub(" ", question)
    same = everyday_words(language).of_word
    said = cell_terms(" ".join(word for word in words(question) if word not in FILLERS), language)
    return any(
        not any(known.issuperset(other.split()) for other in (term, *same.get(term, ())))
        for term in said
    )


def _of_days(
    table: Table, question: str, language: str, today: date
) -> tuple[list[int], float] | None:
    """Return the rows that are of a question's weekdays and have the most of its other words, none
    where it has but one day, and 0; None where it has none, or no row is of days.
    """
    days = days_of(question, language, today)
    of_rows = [days_of(row[0], language) for row in table.rows]
    if not days or not any(of_rows):
        return None
    rows = [row for row, each in enumerate(of_rows) if len(days) > 1 and days & each]
    asked = cell_terms(question, language) - cell_terms(" ".join(days), language)
    shared = [len(asked & cell_terms(table.rows[row][0], language)) for row in rows]
    return [row for row, count in zip(rows, shared, strict=True) if count == max(shared)], 0.0


def _asks_for_day(question: str, language: str) -> bool:
    """Whether a question asks which day, or has a day's short name."""
    short = set(" ".join(SHORT_DAYS.get(language, ())).split())
    return bool(_WHICH_DAY.search(question) or short & set(words(question)))


def _is_week(table: Table, language: str) -> bool:
    """Whether more than half of the rows are of weekdays."""
    return 2 * sum(bool(days_of(row[0], language)) for row in table.rows) > len(table.rows)
