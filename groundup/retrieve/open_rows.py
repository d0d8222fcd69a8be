"""A question on a table that names none of its rows is answered by all of them.

    | Branch   | Saturday     |   "when does the branch close on Saturday?"
    | Brookend | 9 am to 1 pm |   -> Brookend: 9 am to 1 pm (Saturday); Hawkley: closed (Saturday)
    | Hawkley  | closed       |

A row is named by a word of its first cell, by a number or a day in its band, or by the reader, for
which one row fits much better than the next: "pull a tooth" is "Extraction", though no word says
so. A table that is too long to be read out stays with its best row.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from groundup.language.weekdays import days_of
from groundup.retrieve.choice import is_in_band
from groundup.retrieve.cite import MAX_QUOTE_CHARACTERS, Quote, quote_of, statements
from groundup.retrieve.everyday_words import everyday_words
from groundup.retrieve.number_ranges import asked_numbers
from groundup.retrieve.scored_statements import ScoredStatement, same_table, table_of
from groundup.retrieve.table_rows import Table, cell_terms, rows_in_words

# Of the value of the best row what the next one needs, so that neither is meant; and where the
# question has a word for what the rows are, as "branch".
MIN_OF_NEXT, MIN_OF_KIND = 0.9, 0.4
MAX_ROWS = 6


def open_rows(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str, today: date
) -> Quote | None:
    """Return all rows of the best one's table as a quotation, in words, where a question names
    none; else None.
    """
    passage, table = best.passage, table_of(best.passage, best.place)
    if table is None or not 2 <= len(table.rows) <= MAX_ROWS:
        return None
    if _is_named(table, question, passage.language, today):
        return None
    others = [
        each.value
        for each in found
        if each.source == best.source and each is not best and same_table(each.said, best.said)
    ]
    kind = cell_terms("".join(table.columns[:1]), passage.language)
    is_of_kind = kind & cell_terms(question, passage.language) and not asked_numbers(question)
    if max(others, default=0.0) < (MIN_OF_KIND if is_of_kind else MIN_OF_NEXT) * best.value:
        return None
    said = rows_in_words(table, question, passage.language)
    if len(said) > MAX_QUOTE_CHARACTERS:
        return None
    listed = statements(passage)[best.place - table.row :][: len(table.rows)]
    start, end = listed[0].start, listed[-1].end
    whole = replace(best.said, start=start, end=end, text=passage.text[start:end])
    return replace(quote_of(passage, best.source, whole), table=table, in_words=said)


def _is_named(table: Table, question: str, language: str, today: date) -> bool:
    """Whether a question names a row, or a weekday, number or day that rows are of."""
    names = [cell_terms(row[0], language) for row in table.rows]
    same = everyday_words(language).of_word
    asked = cell_terms(question, language)
    asked = asked.union(*(same.get(each, ()) for each in asked))
    of_all = set(names[0]).intersection(*names)
    if any(asked & (each - of_all) for each in names):
        return True
    if days_of(question, language, today) and any(days_of(row[0], language) for row in table.rows):
        return True
    return is_in_band(question, table, today)
