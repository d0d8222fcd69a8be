"""Rows of tables as answers: the row in words, with the values that the question asks for first.

    | Treatment | Price | Guarantee |   "How long is a crown guaranteed?"
    | Crown     | £690  | 5 years   |   ->  Crown: 5 years (Guarantee)

A column is asked for where the question has a word of its name that not every column has and the
row's own name has not, or where the column's name is how the question asks ("When"), or a band that
holds its number ("1 to 3 kg" of "and for two kilos?"); else, of several columns, those whose value
is of the kind that is asked for ("how much": a sum of money) come first. A row in words is no
quotation: `says_row` checks that it says no more than the row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.retrieve.asked_values import VALUE_KINDS
from groundup.retrieve.markdown_marks import without_marks
from groundup.retrieve.number_ranges import HOLDS, MISSES, fit_of_number

_CELL = re.compile(r"(?<!\\)\|")
_DASH = re.compile(r"[-–—]+")
# A mark of a footnote.
_FOOTNOTE = re.compile(r"(?<=[\w)])\\?\*{1,3}\Z")


def cells(line: str) -> list[str]:
    r"""Return the cells of a table's line, without spaces, marks of Markdown and of footnotes.

    >>> cells("| **Crown**\\* | £690 | a \\| b | `max_tokens` |")
    ['Crown', '£690', 'a | b', 'max_tokens']
    """
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    parts = (part.strip().replace("\\|", "|") for part in _CELL.split(inner))
    return [_FOOTNOTE.sub("", without_marks(part, keep_code_marks=False)) for part in parts]


def row_in_words(head: str, row: str) -> str:
    """Return a row as a phrase: the first cell, then each other one with its column's name; empty
    cells are left out.

    >>> row_in_words("| Treatment | Price | Guarantee |", "| Crown | £690 | 5 years |")
    'Crown: £690 (Price), 5 years (Guarantee)'
    >>> row_in_words("", "| Crown | £690 |")
    'Crown: £690'
    """
    names, values = cells(head) if head else [], cells(row)
    parts = []
    for place, value in enumerate(values[1:], start=1):
        name = names[place] if place < len(names) else ""
        if value:
            parts.append(f"{value} ({name})" if name and name.lower() != value.lower() else value)
    if not values or not values[0]:
        return ", ".join(parts)
    return f"{values[0]}: {', '.join(parts)}" if parts else values[0]


_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"
_AS_DIGITS = {word: str(n) for n, word in enumerate(_NUMBERS.split(), start=1)}
# A column's name that asks; words that name no column in the phrase that they are in.
_ASKS = re.compile(
    r"(?:when|where|who|how (?:long|much|many|often|far)|wann|wo|wer|quand|où|qui)\b", re.IGNORECASE
)
_PHRASE = re.compile(
    r"\b(?:(?:t[ao]k\w+|in|first) place|opening (?:hours|times)|(?:are|is) (?:[\w']+ ){1,4}open)\b",
    re.IGNORECASE,
)
# What makes a column another one than a question names; a column that narrows another; a value that
# sends to another column.
_TURNS = re.compile(
    r"\b(?:not?|non|without|after|before|other|another|than|except|instead|\w+n'?t)\b",
    re.IGNORECASE,
)
_NARROWS = re.compile(
    r"\b(?:if|when|each|every|further|more|extra|from|after|before|only|paid"
    r"|mon|tue|wed|thu|fri|sat|sun|\w+days?)\b",
    re.IGNORECASE,
)
_NUMBER_OR_TIME = re.compile(r"\d+(?:[:.]\d\d)?")
_IS_NOT = re.compile(r"(?:closed|no|not|none|never)\b", re.IGNORECASE)
# Of the values by which columns are chosen.
_COLUMN_KINDS = VALUE_KINDS[:4]


ALL_ROWS = -1


@dataclass(frozen=True)
class Table:
    """The rows of a table that stand in the passage of a quoted one."""

    columns: tuple[str, ...]
    """Their names; () where the passage lacks the table's head."""
    rows: tuple[tuple[str, ...], ...]
    row: int
    """Which of them is quoted, from 0; ALL_ROWS: each."""


def answer_in_words(table: Table, question: str, language: str) -> str:
    """Return the quoted row in words: the column that is asked for first, without values of other
    kinds where no other row has the same name.

    Two prices are told together: which of them holds is for the reader to see.

    >>> rows = (("Filling", "£95", "1 year"), ("Crown", "£690", "5 years"))
    >>> table = Table(("Treatment", "Price", "Guarantee"), rows, 1)
    >>> answer_in_words(table, "What guarantee has a crown?", "en")
    'Crown: 5 years (Guarantee)'
    >>> answer_in_words(table, "Tell me about crowns", "en")
    'Crown: £690 (Price), 5 years (Guarantee)'
    >>> table = Table(("", "Dog", "Cat", "Rabbit"), (("Castration", "£198", "£82", "–"),), 0)
    >>> answer_in_words(table, "How much is castrating a cat?", "en")
    'Castration: £82 (Cat)'
    >>> answer_in_words(table, "How much is a castration?", "en")
    'Castration: £198 (Dog), £82 (Cat)'
    """
    values = table.rows[table.row]
    filled = _filled(values)
    fits = {place: fit_of_number(question, name) for place, name in enumerate(table.columns)}
    held = [place for place in filled if fits.get(place) == HOLDS]
    if held and MISSES in fits.values():
        return _in_words(table.columns, values, held)
    named = [place for place in _named(table, question, language) if place in filled]
    is_unique = [row[0] for row in table.rows].count(values[0]) == 1
    if not named:
        named, is_unique = _of_kind(values, question, filled), False
    others = [place for place in filled if place not in named]
    if is_unique:
        kinds = {kind for place in named for kind in _kinds(values[place])}
        others = [place for place in others if kinds & _kinds(values[place])]
        if _is_named_alone(table, named, others, question, language):
            others = []
    return _in_words(table.columns, values, [*named, *others])


# On a page each stands on a line of its own.
ROWS_APART = ";\n"


def rows_in_words(table: Table, question: str, language: str) -> str:
    r"""Return all rows in words, each as `answer_in_words` has it.

    >>> rows = (("Adult", "£9", "any"), ("Child", "£4", "under 16"))
    >>> rows_in_words(Table(("Ticket", "Price", "Age"), rows, 0), "What price is a ticket?", "en")
    'Adult: £9 (Price);\nChild: £4 (Price)'
    """
    tables = (replace(table, row=row) for row in range(len(table.rows)))
    return ROWS_APART.join(answer_in_words(each, question, language) for each in tables)


def _filled(values: Sequence[str]) -> list[int]:
    """Return the places of the values; those of dashes only where there is nothing else."""
    filled = [place for place in range(1, len(values)) if values[place]]
    return [place for place in filled if not _DASH.fullmatch(values[place])] or filled


def _kinds(value: str) -> set[int]:
    return {place for place, each in enumerate(_COLUMN_KINDS) if each.value.search(value)}


def joined_in_words(table: Table, first: str, second: str) -> str:
    """Return the values of two phrases of the same row as one phrase.

    >>> table = Table(("", "Price", "Guarantee"), (("Crown", "£690", "5 years"),), 0)
    >>> joined_in_words(table, "Crown: £690 (Price)", "Crown: 5 years (Guarantee)")
    'Crown: £690 (Price), 5 years (Guarantee)'
    """
    values = table.rows[table.row]
    filled = [place for place in range(1, len(values)) if values[place]]
    known = {place: _value_in_words(table.columns, values, place) for place in filled}
    chosen = [place for place in filled if known[place] in first or known[place] in second]
    return _in_words(table.columns, values, chosen)


def _in_words(columns: Sequence[str], values: Sequence[str], chosen: Sequence[int]) -> str:
    said = ", ".join(_value_in_words(columns, values, place) for place in chosen)
    name = _row_name(columns, values)
    return ": ".join(filter(None, [name, said]))


def _row_name(columns: Sequence[str], values: Sequence[str]) -> str:
    """Return the first cell; a bare number or time with the name of its column, as "Zone 3"."""
    if _NUMBER_OR_TIME.fullmatch(values[0]) and columns and columns[0]:
        return f"{columns[0]} {values[0]}"
    return values[0]


def _value_in_words(columns: Sequence[str], values: Sequence[str], place: int) -> str:
    name = columns[place] if place < len(columns) else ""
    if not name or name.lower() == values[place].lower():
        return values[place]
    return f"{values[place]} ({name})"


def says_row(said: str, head: str, row: str) -> bool:
    """Whether a phrase is a row of a table in words: its name and some of its values, each with the
    name of its column.

    >>> says_row("Crown: £690 (Price)", "| Treatment | Price |", "| Crown | £690 |")
    True
    >>> says_row("Crown: £960 (Price)", "| Treatment | Price |", "| Crown | £690 |")
    False
    """
    columns, values = cells(head) if head else [], cells(row)
    if name := _row_name(columns, values):
        if said == name:
            return True
        if not said.startswith(f"{name}: "):
            return False
        said = said[len(name) + 2 :]
    places = (place for place in range(1, len(values)) if values[place])
    known = [_value_in_words(columns, values, place) for place in places]
    for each in sorted(known, key=len, reverse=True):
        rest = f", {said}, ".replace(f", {each}, ", ", ", 1)
        said = rest[2:-2]
    return not said


def says_rows(said: str, head: str, rows: str) -> bool:
    r"""Whether a phrase is one row of a table in words, or several in their order.

    >>> rows = "| Crown | £690 |\n| Filling; white | £95 |"
    >>> said = ROWS_APART.join(("Crown: £690", "Filling; white: £95"))
    >>> says_rows(said, "", rows), says_rows("Crown: £690", "", rows)
    (True, False)
    """
    parts, lines = said.split(ROWS_APART), rows.splitlines()
    if not lines or len(parts) == 1 < len(lines) or not says_row(parts[-1], head, lines[-1]):
        return False
    left = iter(lines)
    found = [next((line for line in left if says_row(part, head, line)), None) for part in parts]
    return None not in found and says_row(parts[0], head, lines[0])


def _named(table: Table, question: str, language: str) -> list[int]:
    """Return the columns that a question names, those with most of their words first."""
    of_columns = [cell_terms(name, language) for name in table.columns]
    if len(of_columns) < 3:
        return []
    shared = set.intersection(*map(set, of_columns[1:]))
    asked = cell_terms(_PHRASE.sub(" ", question), language) - shared
    asked -= cell_terms(table.rows[table.row][0], language)
    matched = {
        place: len(asked & names)
        for place, names in enumerate(of_columns)
        if place and asked & names
    }
    for place, name in enumerate(table.columns):
        if place and _ASKS.fullmatch(name) and re.search(rf"\b{name}\b", question, re.IGNORECASE):
            matched[place] = 1
    most = max(matched.values(), default=0)
    return [place for place, count in matched.items() if count == most]


def _is_named_alone(
    table: Table, named: Sequence[int], others: Sequence[int], question: str, language: str
) -> bool:
    """Whether a question names one column and no other can hold: it has all words of its name that
    not all columns have, and none that turns it round ("not a member"), no other column is a part
    or a condition of it ("Time", "Fridays"), and its value is not "closed".
    """
    if len(named) != 1 or _TURNS.search(question):
        return False
    columns = [cell_terms(name, language) for name in table.columns]
    shared = set.intersection(*map(set, columns[1:]))
    own = columns[named[0]] - shared
    if not own <= cell_terms(question, language) or all(term.isdigit() for term in own):
        return False
    if _IS_NOT.match(table.rows[table.row][named[0]]):
        return False
    return not any(
        _NARROWS.search(table.columns[place]) for place in others if place < len(columns)
    )


def _of_kind(values: Sequence[str], question: str, filled: Sequence[int]) -> list[int]:
    """Return the columns whose value is of the kind that is asked for; [] where all are."""
    chosen: list[int] = []
    for kind in _COLUMN_KINDS:
        if kind.asks.search(question):
            chosen += [
                place
                for place in filled
                if kind.value.search(values[place]) and place not in chosen
            ]
    return chosen if len(chosen) < len(filled) else []


def cell_terms(text: str, language: str) -> set[str]:
    """Return the stems of a text's words but those of grammar; numbers up to twelve as digits."""
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    found = [_AS_DIGITS.get(word, word) for word in words(text) if word not in stops]
    return set(stems(found, language))
