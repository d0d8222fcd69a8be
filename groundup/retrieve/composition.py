"""Composition: from the values of the sentences of some passages to what is shown of them.

    the sentence with the highest value          among those about as good by choice; a row of a
                                                 table in words, an item below the head of its list,
                                                 a whole list where its head is asked
    at most one that qualifies it                a condition or exception beside it, of the same
                                                 subject
    sentences of other documents that differ     the same with other numbers; the
                                                 latest document first

Nothing else is shown. What qualifies and what differs are plain rules that would rather show
nothing; they were chosen on the questions of eight invented firms and of four packs (docs/log.md).

Choice: which of the sentences that fit about as well answers a question.

    value of a sentence (`evidence.py`)  x  a factor for each of these that holds

    the kind of thing that is asked for     "how much": a sum of money
    a band of a table                       "six thousand pounds": the row "£3,000 to £7,499", not
                                            its neighbours; "on 4 October": "| 4 and 5 October |"
    a day in a sentence's range             "on Christmas Day": "closed 24 December to 2 January"

and of two rows that fit about as well the one whose name is of what is asked ("a crown": "Porcelain
crown", not "Implant with crown"). Rules on question and sentence, whatever the values come from;
what was tried and left out stands in docs/log.md.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache

from groundup.language import weekdays
from groundup.language.calendar_dates import asked_days
from groundup.language.terms import stems, terms, words
from groundup.retrieve.asked_values import asked_kinds, has_asked_value
from groundup.retrieve.cite import (
    DIFFERS,
    MAX_QUOTE_CHARACTERS,
    QUALIFIES,
    Quote,
    Statement,
    is_item,
    quote_of,
    statements,
)
from groundup.retrieve.document_dates import is_later
from groundup.retrieve.follow_up import own_words
from groundup.retrieve.number_ranges import HOLDS, MISSES, asked_numbers, fit_of_date, fit_of_number
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import focus_words
from groundup.retrieve.scored_statements import (
    ScoredStatement,
    differing,
    own_terms,
    ranked,
    same_table,
    table_of,
)
from groundup.retrieve.table_rows import Table, answer_in_words, cells, joined_in_words

# Of the best value: what a sentence needs that has the word which a follow-up changes, one among
# which is chosen, a row that is of what is asked, an exception that the question names.
MIN_OF_FOCUSED, MIN_CHOSEN, MIN_OF_NAMED, MIN_OF_EXCEPTION = 0.6, 0.5, 0.7, 0.85
MAX_DIFFERING = 2
_CONDITION = re.compile(
    r"\A(?:if|unless|wenn|falls|si)\b|\b(?:unless|except(?:ions?|ing)?|only|until|only if|provided|"
    r"excluding|apart from|as long as|however|but not|doesn't|don't|isn't|"
    r"aren't|won't|can't|cannot|"
    r"not|no longer|nur|au(?:ss|ß)er|nicht|ausgenommen|sauf|seulement)\b",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"(?:this|that|these|those|it|they|then|both|otherwise|however|but|unless|except|exceptions?|"
    r"only|dies|das|sie|es|sonst|ausser|außer|nur)\b",
    re.IGNORECASE,
)
_EXCEPTION = re.compile(
    r"\b(?:no|not|never|none|nothing|without|except\w*|unless|apart from|free|instead of|"
    r"\w+n't|cannot|exempt\w*|kein\w*|nicht|ohne|außer|sauf|sans|gratuit\w*)\b",
    re.IGNORECASE,
)
_ASKS_ALL = re.compile(
    r"\b(?:what|which|who|how (?:do|can|to|should|must)|was|welche[rsn]?|wer|wie|que|quoi|"
    r"quel(?:le)?s|qui|comment)\b",
    re.IGNORECASE,
)
_FOOTNOTE = re.compile(r"\\?[*†¹²]")


def no_date(passage: Passage) -> str:
    """Know no document's date."""
    return ""


def compose(
    question: str,
    passages: Sequence[Passage],
    values: Sequence[Sequence[float]],
    *,
    date_of: Callable[[Passage], str] = no_date,
    today: date | None = None,
) -> list[Quote]:
    """Return what is shown: the sentence that answers, at most one that qualifies it, and those of
    other documents that differ, the latest of these and the first one first; [] where no value is
    above 0.

    `values`: of each passage those of its `statements`, as of `evidence`; `date_of`: the date that
    a passage's document states, or ""; `today`: None: that of this computer's clock.
    """
    found = ranked(passages, values)
    today = today or weekdays.today()
    if not found:
        return []
    best = _best_of(found, question, today)
    others = differing(question, best, found, today)[:MAX_DIFFERING]
    for each in others:
        if is_later(date_of(each.passage), date_of(best.passage), today):
            others = [best, *(other for other in others if other is not each)]
            best = each
    quotes = [_quote(best, question)]
    qualifying = _exception(best, found, question) or qualifying_statement(best.passage, best.place)
    if qualifying is not None and not _overlaps(qualifying, quotes[0], best.passage):
        quote = quote_of(best.passage, best.source, replace(qualifying, head=None))
        quotes.append(replace(quote, role=QUALIFIES))
    return quotes + [replace(_quote(each, question), role=DIFFERS) for each in others]


def _overlaps(said: Statement, quote: Quote, passage: Passage) -> bool:
    """Whether a statement is part of a quotation, as an item of a whole list."""
    start, end = quote.start - passage.start, quote.end - passage.start
    return said.start < end and start < said.end


def _exception(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str
) -> Statement | None:
    """Return the exception to the best sentence that the question names: a sentence of the same
    passage with a word of the question that the best one has, and one that it lacks.
    """
    language = best.passage.language
    asked, known = own_terms(question, language), own_terms(best.whole, language)
    for each in found:
        if each.value < MIN_OF_EXCEPTION * best.value:
            break
        said = each.said
        if each.source != best.source or each is best or each.is_row or is_item(said.text):
            continue
        own = own_terms(said.text, language)
        if own & (asked - known) and own & known & asked and _EXCEPTION.search(said.text):
            return None if said.is_code or said.text.endswith((":", "?")) else said
    return None


def nearest_quote(passages: Sequence[Passage], values: Sequence[Sequence[float]]) -> Quote | None:
    """Return the sentence that comes nearest to a question without an answer."""
    found = ranked(passages, values)
    return _quote(found[0], "") if found else None


def missing_words(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Return the words of a question that none of some passages has; () without passages."""
    if not passages:
        return ()
    known: dict[str, set[str]] = {}
    for passage in passages:
        found = known.setdefault(passage.language, set())
        found.update(terms(f"{passage.title} {passage.text}", passage.language))
    return tuple(
        word
        for word in own_words(question)
        if not any(stems([word], language)[0] in found for language, found in known.items())
    )


def both_said(first: Quote, second: Quote) -> Quote:
    """Return a quotation that answers two parts of a question; of a row of a table the values of
    both.
    """
    if not first.in_words or first.in_words == second.in_words or first.table is None:
        return first
    return replace(first, in_words=joined_in_words(first.table, first.in_words, second.in_words))


def _best_of(found: Sequence[ScoredStatement], question: str, today: date) -> ScoredStatement:
    """Return the best sentence, of those about as good one with the kind of thing that is asked
    for; of a follow-up one with the words that it changes.
    """
    focus = focus_words(question)
    for each in found if focus else ():
        language = each.passage.language
        if each.value < MIN_OF_FOCUSED * found[0].value:
            break
        if set(stems(focus, language)) <= set(terms(each.whole, language)):
            return each

    def value(each: ScoredStatement) -> float:
        return each.value * factor(
            question, each.said.text, today, lambda: table_of(each.passage, each.place)
        )

    near = [each for each in found if each.value >= MIN_CHOSEN * found[0].value]
    best = max(near, key=value)
    table = table_of(best.passage, best.place)
    if table is None:
        return best
    if (row := row_of_band(question, table, today)) is not None:
        place = best.place + row - table.row
        return replace(best, place=place, said=statements(best.passage)[place])
    rows = [each for each in near if each.is_row and each.value >= MIN_OF_NAMED * best.value]
    names = [cells(each.said.text)[0] for each in rows]
    named = named_row(question, cells(best.said.text)[0], names, best.passage.language)
    if named is None:
        return best
    return rows[named]


def _quote(best: ScoredStatement, question: str) -> Quote:
    """Return a sentence as it is shown."""
    passage, said = best.passage, best.said
    if listed := _list_below(passage, best.place) or _list_around(best, question):
        return quote_of(passage, best.source, listed)
    quote = quote_of(passage, best.source, said)
    table = table_of(passage, best.place)
    if table is None:
        return quote
    return replace(quote, table=table, in_words=answer_in_words(table, question, passage.language))


def _list_below(passage: Passage, place: int) -> Statement | None:
    """Return the head of a list with its items as one statement; None for other sentences."""
    listed = statements(passage)
    said = listed[place]
    span = (said.start, said.end)
    items = [each for each in listed[place + 1 :] if each.head == span]
    if not items or any(each.is_code for each in items):
        return None
    end = items[-1].end
    if end - said.start > MAX_QUOTE_CHARACTERS:
        return None
    return replace(said, end=end, text=passage.text[said.start : end], head=None)


def _list_around(best: ScoredStatement, question: str) -> Statement | None:
    """Return the whole list of an item, below its head, as one statement, where all of it is asked:
    "what should I bring?" has a word of the list's head or heading and none of the item "a towel".
    None for other sentences, and where a value or "whether" is asked.
    """
    passage, said = best.passage, best.said
    if not is_item(said.text) or not _ASKS_ALL.search(question) or asked_kinds(question):
        return None
    head = passage.title.rpartition(" > ")[2]
    if said.head:
        head = passage.text[slice(*said.head)]
    asked = own_terms(question, passage.language)
    if asked & own_terms(said.text, passage.language):
        return None
    if not asked & own_terms(head, passage.language):
        return None
    items = [each for each in _items_together(passage, best.place) if each.head == said.head]
    start, end = items[0].start, items[-1].end
    if said.head and not passage.text[said.head[1] : start].strip():
        start, said = said.head[0], replace(said, head=None)
    if len(items) < 2 or end - start > MAX_QUOTE_CHARACTERS:
        return None
    return replace(said, start=start, end=end, text=passage.text[start:end])


def _items_together(passage: Passage, place: int) -> list[Statement]:
    """Return the items of a list that stand around one of them with nothing between."""
    listed = statements(passage)
    first = last = place
    while first and is_item(listed[first - 1].text):
        first -= 1
    while last + 1 < len(listed) and is_item(listed[last + 1].text):
        last += 1
    return listed[first : last + 1]


def qualifying_statement(passage: Passage, place: int) -> Statement | None:
    """Return the statement that qualifies the one at a place: the next one, or the one right behind
    its table, if it has a condition, exception or negation and speaks of the same.
    """
    listed, said = statements(passage), statements(passage)[place]
    is_row = said.text.startswith("|") and not said.is_code
    after = place + 1
    while is_row and after < len(listed) and same_table(listed[after], said):
        after += 1
    if after >= len(listed) or said.is_code:
        return None
    behind = listed[after]
    text = behind.text
    is_plain = not (behind.is_code or behind.head or text.startswith("|") or is_item(text))
    if not is_plain or text.endswith((":", "?")) or len(text) > MAX_QUOTE_CHARACTERS:
        return None
    if is_row and _FOOTNOTE.match(text):
        return behind if _FOOTNOTE.search(said.text) else None
    if is_item(said.text) or not _CONDITION.search(text):
        return None
    if "\n\n" in passage.text[said.end : behind.start] and not is_row:
        return None
    refers = _REFERS.match(text) is not None
    shared = own_terms(said.text, passage.language) & own_terms(text, passage.language)
    return behind if refers or shared else None


KIND = 1 / 0.85
# Of a row in the band of numbers or of days that is asked for, of one beside it, and of a sentence
# about the day.
IN_BAND, IN_DAYS, BESIDE_BAND, OF_DAY = 1.25, 1.1, 0.6, 1.15
_PREPOSITION = re.compile(
    r"[(]|\b(?:with|without|for|per|plus|including|mit|ohne|für|avec|sans|pour)\b",
    re.IGNORECASE,
)


def factor(
    question: str, text: str, today: date, table: Callable[[], Table | None] = lambda: None
) -> float:
    """Return what a sentence's value is multiplied with; `table`: the table that it is a row of."""
    found = 1.0
    if has_asked_value(question, text):
        found = KIND
    if text.startswith("|"):
        if asked_numbers(question):
            found *= _in_band(table(), IN_BAND, lambda cell: fit_of_number(question, cell))
        if asked_days(question, today):
            found *= _in_band(table(), IN_DAYS, lambda cell: fit_of_date(question, cell, today))
        return found
    is_of_day = any(each.is_day for each in asked_days(question, today))
    if is_of_day and fit_of_date(question, text, today) == HOLDS:
        found *= OF_DAY
    return found


def _in_band(table: Table | None, inside: float, fit: Callable[[str], int]) -> float:
    """Return the factor of a row whose table has a column of bands: two rows or more with a range
    that can be compared, of which some hold what is asked and some don't.
    """
    if table is None:
        return 1.0
    for place in range(len(table.rows[table.row])):
        fits = _fits(table, place, fit)
        if HOLDS in fits and fits[table.row] == MISSES:
            return BESIDE_BAND
        if MISSES in fits and fits[table.row] == HOLDS:
            return inside
    return 1.0


def _fits(table: Table, place: int, fit: Callable[[str], int]) -> list[int]:
    """Return how the cells of a column fit; a row that has no such cell has an empty one."""
    return [fit("".join(row[place : place + 1])) for row in table.rows]


def row_of_band(question: str, table: Table, today: date) -> int | None:
    """Return the one row of a table whose band holds what is asked, where that of the quoted row
    doesn't; None: the quoted one stays.

    >>> rows = (("Under 5s", "free"), ("5 to 15", "£4"), ("16 and over", "£9"))
    >>> row_of_band("my son is nine", Table(("Who", "Entry"), rows, 2), date(2026, 11, 29))
    1
    """

    def of_number(cell: str) -> int:
        return fit_of_number(question, cell)

    def of_day(cell: str) -> int:
        return fit_of_date(question, cell, today)

    for fit in (of_number, of_day):
        for place in range(len(table.rows[table.row])):
            fits = _fits(table, place, fit)
            if fits[table.row] == MISSES and fits.count(HOLDS) == 1:
                return fits.index(HOLDS)
    return None


def named_row(question: str, best: str, others: Sequence[str], language: str) -> int | None:
    """Return which of some rows' names is of what is asked, where that of the best row has it only
    behind a preposition; None: the best one stays.

    >>> named_row("how much is a crown?", "Implant with crown", ["Filling", "Porcelain crown"], "en")
    1
    >>> named_row("how much is an implant with crown?", "Implant with crown", ["Crown"], "en")
    """
    asked = _asked(question, language)
    first, preposition, rest = _divided(best)
    behind = asked & set(stems(words(rest), language))
    if not preposition or not behind or asked & set(stems(words(first), language)):
        return None
    for place, name in enumerate(others):
        head = words(_divided(name)[0])[-1:]
        if set(stems(head, language)) & behind and behind <= set(stems(words(name), language)):
            return place
    return None


def _divided(name: str) -> tuple[str, str, str]:
    """Return what stands before the first preposition of a row's name, this, and the rest."""
    found = _PREPOSITION.search(name)
    if not found:
        return name, "", ""
    return name[: found.start()], found[0], name[found.end() :]


@lru_cache(maxsize=64)  # the same question for each sentence
def _asked(question: str, language: str) -> frozenset[str]:
    return frozenset(stems(own_words(question), language))
