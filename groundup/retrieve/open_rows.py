"""A question on a table that names none of its rows is answered by all of them; one that several
rows have the words of, by these.

    | Branch   | Saturday     |   "when does the branch close on Saturday?"
    | Brookend | 9 am to 1 pm |   -> Brookend: 9 am to 1 pm (Saturday); Hawkley: closed (Saturday)
    | Hawkley  | closed       |

    "how much to clean a dress?" -> Day dress: £13 (Price); Wedding dress: £140 (Price)

A row is named by a word of its first cell, by a number or a day in its band, or by other words than
the table's: "pull a tooth" is "Extraction". Whether they name it the reader says, for which one row
fits better than the next. A question without such words leaves the rows open ("whats the deposit").
More rows than can be read out stay with the best one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from groundup.language.terms import words
from groundup.language.weekdays import days_of
from groundup.retrieve.asked_values import VALUE_KINDS
from groundup.retrieve.choice import is_in_band
from groundup.retrieve.cite import MAX_QUOTE_CHARACTERS, Quote, quote_of, statements
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
MAX_ROWS = 6


def open_rows(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str, today: date
) -> Quote | None:
    """Return the rows of the best one's table among which a question does not choose as a
    quotation, in words; None where it means one.
    """
    passage, table = best.passage, table_of(best.passage, best.place)
    if table is None or _is_of_band(table, question, passage.language, today):
        return None
    rows, least = _left_open(best, table, question)
    if not 2 <= len(rows) <= MAX_ROWS:
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
    if len(said) > MAX_QUOTE_CHARACTERS:
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
    return rows, MIN_OF_NEXT if _says_more(question, known, language) else MIN_OF_OPEN


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


def _is_of_band(table: Table, question: str, language: str, today: date) -> bool:
    """Whether a question has a weekday, number or day that rows are of."""
    if days_of(question, language, today) and any(days_of(row[0], language) for row in table.rows):
        return True
    return is_in_band(question, table, today)
