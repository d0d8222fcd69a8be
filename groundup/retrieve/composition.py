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

Which of the sentences that fit about as well answers is `choice.py`'s.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from groundup.language import weekdays
from groundup.language.terms import stems, terms
from groundup.retrieve.asked_values import asked_kinds
from groundup.retrieve.choice import KIND, asks_how, factor, named_row, row_of_band, row_of_capacity
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
from groundup.retrieve.open_rows import open_rows
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import focus_words
from groundup.retrieve.referents import of_section_spoken_of, with_referent
from groundup.retrieve.scored_statements import (
    ScoredStatement,
    differing,
    own_terms,
    ranked,
    same_table,
    table_of,
)
from groundup.retrieve.table_rows import ROWS_APART, answer_in_words, cells, joined_in_words

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
_WHETHER = re.compile(
    r"\b(?:can|could|may|must|should|do|does|did|is|are|will|would|have|has) "
    r"(?:i|we|you|u|they|he|she|it|there|the|my|our|your|any|an?|people)\b|"
    r"\b(?:kann|darf|können|dürfen|muss|gibt|nehmen|haben|sind|ist) (?:ich|man|wir|sie|es)\b|"
    r"\b(?:est-ce qu|puis-je|peut-on|acceptez-vous|avez-vous|faut-il)",
    re.IGNORECASE,
)
_WHAT = re.compile(
    r"\b(?:what|which|who|whose|how|when|where|why|was|wer|wie|wann|wo|warum|welche[mnrs]?|"
    r"quel(?:le)?s?|qui|quand|où|comment|combien|pourquoi)\b",
    re.IGNORECASE,
)
_ASKS_ALL = re.compile(
    r"\b(?:what|which|who|how (?:do|can|to|should|must)|was|welche[rsn]?|wer|wie|que|quoi|"
    r"quel(?:le)?s|qui|comment)\b",
    re.IGNORECASE,
)
_PLACE_OR_WAY = re.compile(
    r"\b(?:where|how (?:do|can|could|should|to)|wo|wie (?:kann|komme)|où|comment)\b", re.IGNORECASE
)
# A sentence that says no of the whole of it.
_DENIES = re.compile(
    r"(?:there(?:'s| is| are)(?: no|n't)|(?:\w+,? )?(?:we|you|please) (?:have no|do not|don't|can't|cannot)"
    r"|no\b|not\b|es gibt kein|wir haben kein|kein|nous n')",
    re.IGNORECASE,
)
_FORBIDS = re.compile(r"(?:please,? )?(?:do not|don't|never)\b", re.IGNORECASE)
_ANY_PLACE = re.compile(r"\b(?:where|\w+where|is there|are there|do you have)\b", re.IGNORECASE)
_REST = re.compile(
    r"\b(?:further away|elsewhere|anywhere else|anyone else|everything else|anything else|outside|"
    r"beyond|others?|otherwise|sonst|andere[nrsm]?|ailleurs|autres?)\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*(?:[`~]{3,}[^\n]*\n)?\s*")
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
    quotes = [(not others and open_rows(best, found, question, today)) or _quote(best, question)]
    qualifying = (
        _instead(best, found, question)
        or _exception(best, found, question)
        or _exception_beside(best, question)
        or _of_the_rest(best, question)
        or (asks_how(question) and _code_behind(best))
        or qualifying_statement(best.passage, best.place)
    )
    if qualifying is not None and not _overlaps(qualifying, quotes[0], best.passage):
        quote = quote_of(best.passage, best.source, replace(qualifying, head=None, term=None))
        quotes.append(replace(quote, role=QUALIFIES))
    return quotes + [replace(_quote(each, question), role=DIFFERS) for each in others]


def _instead(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str
) -> Statement | None:
    """Return the sentence that says what to do instead, of the two behind one that only says no,
    where a place or a way is asked for: "There is no parking on Mill Lane. Use the car park behind
    the barn." of "where can I park?".
    """
    said, passage = best.said, best.passage
    if not _PLACE_OR_WAY.search(question) or not _DENIES.match(said.text) or best.is_row:
        return None
    behind = [
        each
        for each in found
        if each.source == best.source
        and 0 < each.place - best.place <= 2
        and not (each.is_row or is_item(each.said.text) or _CONDITION.search(each.said.text))
        and "\n\n" not in passage.text[said.end : each.said.start]
    ]
    return behind[0].said if behind else None


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


def _exception_beside(best: ScoredStatement, question: str) -> Statement | None:
    """Return the sentence right behind or before the best one, in its paragraph, that says no of a
    thing which the question names and the best sentence does not: "You can pay by card. We don't
    take cheques." of "can I pay by cheque?".
    """
    passage, said = best.passage, best.said
    if best.is_row or is_item(said.text) or _EXCEPTION.search(said.text):
        return None
    if not _WHETHER.search(question) or _WHAT.search(question):
        return None
    listed = statements(passage)
    lacking = own_terms(question, passage.language) - own_terms(best.whole, passage.language)
    for place in (best.place + 1, best.place - 1):
        if not 0 <= place < len(listed):
            continue
        beside = listed[place]
        between = sorted((said.start, said.end, beside.start, beside.end))[1:3]
        is_plain = not (beside.is_code or beside.text.startswith("|") or is_item(beside.text))
        if (
            not is_plain
            or beside.text.endswith((":", "?"))
            or "\n\n" in passage.text[slice(*between)]
        ):
            continue
        if _EXCEPTION.search(beside.text) and lacking & own_terms(beside.text, passage.language):
            return beside
    return None


def _of_the_rest(best: ScoredStatement, question: str) -> Statement | None:
    """Return the sentence behind the best one, in its paragraph, that says no of all that is not
    named there, where a yes-or-no question names another thing: "We deliver to A and B. To C it is
    £30. Further away we can't deliver." of "do you deliver to D?".
    """
    passage, said = best.passage, best.said
    if best.is_row or is_item(said.text) or _WHAT.search(question):
        return None
    language = passage.language
    if not _WHETHER.search(question) or not own_terms(question, language) - own_terms(
        best.whole, language
    ):
        return None
    for behind in statements(passage)[best.place + 1 :]:
        if "\n\n" in passage.text[said.end : behind.start]:
            break
        if _REST.search(behind.text) and _EXCEPTION.search(behind.text):
            return None if behind.is_code or behind.text.endswith((":", "?")) else behind
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
    if ROWS_APART in first.in_words or ROWS_APART in second.in_words:
        return max(first, second, key=lambda each: len(each.in_words))
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
    if focus and found[0].is_row and (beside := _row_with(found, focus)):
        return beside

    def value(each: ScoredStatement) -> float:
        found = factor(question, each.said.text, today, lambda: table_of(each.passage, each.place))
        if asks_how(question) and (each.said.is_code or _code_behind(each)):
            found = KIND
        return each.value * found

    near = [each for each in found if each.value >= MIN_CHOSEN * found[0].value]
    best = of_section_spoken_of(question, max(near, key=value), near)
    best = _before_forbidden(best, found, question)
    table = table_of(best.passage, best.place)
    if table is None:
        return best
    row = row_of_band(question, table, today)
    if row is None:
        row = row_of_capacity(question, table)
    if row is not None:
        place = best.place + row - table.row
        return replace(best, place=place, said=statements(best.passage)[place])
    rows = [each for each in near if each.is_row and each.value >= MIN_OF_NAMED * best.value]
    names = [cells(each.said.text)[0] for each in rows]
    named = named_row(question, cells(best.said.text)[0], names, best.passage.language)
    if named is None:
        return best
    return rows[named]


def _row_with(found: Sequence[ScoredStatement], words: list[str]) -> ScoredStatement | None:
    """Return the row of the best row's table that has some words: "and for students?"."""
    best = found[0]
    for each in found:
        if each.source == best.source and each.is_row and same_table(each.said, best.said):
            language = each.passage.language
            if set(stems(words, language)) <= set(terms(each.said.text, language)):
                return each
    return None


def _before_forbidden(
    best: ScoredStatement, found: Sequence[ScoredStatement], question: str
) -> ScoredStatement:
    """Return the sentence right before one that only forbids, of the same thing, where it is asked
    where that can be: "Parking is free in the yard. Please don't park in front of the shop." of "is
    there anywhere to park?". The other one qualifies it.
    """
    if not _ANY_PLACE.search(question) or not _FORBIDS.match(best.said.text):
        return best
    language = best.passage.language
    own = own_terms(best.said.text, language)
    for each in found:
        is_before = each.source == best.source and each.place == best.place - 1
        if is_before and not each.is_row and own & own_terms(each.said.text, language):
            return each
    return best


def _quote(best: ScoredStatement, question: str) -> Quote:
    """Return a sentence as it is shown."""
    passage, said = best.passage, best.said
    behind = _code_behind(best)
    if behind and behind.head == (said.start, said.end):
        return quote_of(passage, best.source, behind)
    if listed := _list_below(passage, best.place) or _list_around(best, question):
        return quote_of(passage, best.source, listed)
    quote = quote_of(passage, best.source, _announced(best) or with_referent(passage, best.place))
    table = table_of(passage, best.place)
    if table is None:
        return quote
    return replace(quote, table=table, in_words=answer_in_words(table, question, passage.language))


def _announced(best: ScoredStatement) -> Statement | None:
    """Return the sentence behind one that ends with a colon, below it: alone it says nothing."""
    passage, said = best.passage, best.said
    behind = statements(passage)[best.place + 1 : best.place + 2]
    if (
        said.is_code
        or best.is_row
        or is_item(said.text)
        or not said.text.endswith(":")
        or not behind
    ):
        return None
    following = behind[0]
    is_plain = not (following.is_code or is_item(following.text) or following.text.startswith("|"))
    if not is_plain or following.end - following.start > MAX_QUOTE_CHARACTERS:
        return None
    if passage.text[said.end : following.start].strip():
        return None  # a heading is between
    return replace(following, head=(said.start, said.end))


def _code_behind(best: ScoredStatement) -> Statement | None:
    """Return the code right behind a sentence: "Take it out of the index:" of "how do I unstage a
    file?" says nothing without it.
    """
    behind = statements(best.passage)[best.place + 1 : best.place + 2]
    if best.said.is_code or best.is_row or not behind or not behind[0].is_code:
        return None
    code = behind[0]
    between = best.passage.text[best.said.end : code.start]
    if code.end - code.start > MAX_QUOTE_CHARACTERS or not _FENCE.fullmatch(between):
        return None
    return code


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
