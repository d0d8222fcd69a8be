"""Composition: from the values of the sentences of some passages to what is shown of them.

    the sentence with the highest value          a row of a table in words, an item below the head
                                                 of its list, a whole list where its head is asked
    at most one that qualifies it                a condition or exception beside it, of the same
                                                 subject
    sentences of other documents that differ     the same words with other numbers

Nothing else is shown. What qualifies and what differs are plain rules that would rather show
nothing; they were chosen on the questions of eight invented firms and of four packs (docs/log.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from groundup.retrieve.follow_up import own_words
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_parts import focus_words
from groundup.retrieve.stop_words import STOP_WORDS
from groundup.retrieve.table_rows import Table, answer_in_words, has_asked_kind, joined_in_words
from groundup.retrieve.tables import cells
from groundup.retrieve.terms import stems, terms, words

# Of the best value: what a sentence needs that has the word which a follow-up changes, and one of
# another document that is compared with the best.
MIN_OF_FOCUSED, MIN_OF_OTHER = 0.6, 0.5
# And one with the kind of thing that is asked for, a sum of money for "how much".
MIN_OF_KIND = 0.85
# Two sentences speak of the same where they share this much of their words other than numbers.
MIN_SAME_WORDS = 0.75
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
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_FOOTNOTE = re.compile(r"\\?[*†¹²]")


@dataclass(frozen=True)
class ScoredStatement:
    """A sentence that could be shown."""

    value: float
    source: int
    """The number of its passage, from 1."""
    passage: Passage
    place: int
    """Among the passage's statements."""
    said: Statement

    @property
    def whole(self) -> str:
        """The sentence with what stands above it."""
        return f"{self.said.above} {self.said.text}"


def compose(
    question: str, passages: Sequence[Passage], values: Sequence[Sequence[float]]
) -> list[Quote]:
    """Return what is shown: the sentence that answers, at most one that qualifies it, and those of
    other documents that differ; [] where no value is above 0.

    `values`: of each passage those of its `statements`, as of `evidence`.
    """
    found = ranked(passages, values)
    if not found:
        return []
    best = _best_of(found, question)
    quotes = [_quote(best, question)]
    qualifying = qualifying_statement(best.passage, best.place)
    if qualifying is not None and qualifying.start >= quotes[0].end - best.passage.start:
        quote = quote_of(best.passage, best.source, replace(qualifying, head=None))
        quotes.append(replace(quote, role=QUALIFIES))
    for each in differing(best, found)[:MAX_DIFFERING]:
        quotes.append(replace(_quote(each, question), role=DIFFERS))
    return quotes


def ranked(passages: Sequence[Passage], values: Sequence[Sequence[float]]) -> list[ScoredStatement]:
    """Return the sentences that can be shown, those with the highest values first."""
    found = [
        ScoredStatement(value, number, passage, place, said)
        for number, (passage, each) in enumerate(zip(passages, values, strict=True), start=1)
        for place, (said, value) in enumerate(zip(statements(passage), each, strict=True))
        if value > 0 and said.end - said.start <= MAX_QUOTE_CHARACTERS
    ]
    return sorted(found, key=lambda each: (-each.value, each.source, each.said.start))


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


def _best_of(found: Sequence[ScoredStatement], question: str) -> ScoredStatement:
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
    for each in found:
        if each.value < MIN_OF_KIND * found[0].value:
            break
        if has_asked_kind(question, each.said.text):
            return each
    return found[0]


def _quote(best: ScoredStatement, question: str) -> Quote:
    """Return a sentence as it is shown."""
    passage, said = best.passage, best.said
    if listed := _list_below(passage, best.place):
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


def table_of(passage: Passage, place: int) -> Table | None:
    """Return the table that a statement is a row of, as far as the passage has it."""
    listed = statements(passage)
    said = listed[place]
    if said.is_code or not said.text.startswith("|"):
        return None
    first = last = place
    while first > 0 and _same_table(listed[first - 1], said):
        first -= 1
    while last + 1 < len(listed) and _same_table(listed[last + 1], said):
        last += 1
    columns = cells(passage.text[slice(*said.head)]) if said.head else []
    rows = tuple(tuple(cells(each.text)) for each in listed[first : last + 1])
    return Table(tuple(columns), rows, place - first)


def _same_table(other: Statement, said: Statement) -> bool:
    return not other.is_code and other.text.startswith("|") and other.head == said.head


def qualifying_statement(passage: Passage, place: int) -> Statement | None:
    """Return the statement that qualifies the one at a place: the next one, or the one right behind
    its table, if it has a condition, exception or negation and speaks of the same.
    """
    listed, said = statements(passage), statements(passage)[place]
    is_row = said.text.startswith("|") and not said.is_code
    after = place + 1
    while is_row and after < len(listed) and _same_table(listed[after], said):
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
    shared = _own_terms(said.text, passage.language) & _own_terms(text, passage.language)
    return behind if refers or shared else None


def differing(best: ScoredStatement, found: Sequence[ScoredStatement]) -> list[ScoredStatement]:
    """Return the sentences of other documents that say the same with other numbers, one of each."""
    language, kept = best.passage.language, dict[int, ScoredStatement]()
    mine = _own_terms(best.whole, language)
    for each in found:
        other = each.passage.document_id
        if each.value < MIN_OF_OTHER * best.value:
            break
        if other == best.passage.document_id or other in kept or not _is_like(each, best):
            continue
        if _has_other_values(each, best):
            own = _own_terms(each.whole, language)
            if len(mine & own) >= MIN_SAME_WORDS * len(mine | own):
                kept[other] = each
    return list(kept.values())


def _is_like(each: ScoredStatement, best: ScoredStatement) -> bool:
    """Whether two sentences are both prose, or rows of the same name."""
    if each.said.text.startswith("|") != best.said.text.startswith("|"):
        return False
    if not best.said.text.startswith("|"):
        return True
    return cells(each.said.text)[0].lower() == cells(best.said.text)[0].lower()


def _has_other_values(each: ScoredStatement, best: ScoredStatement) -> bool:
    """Whether two sentences have other numbers of the same units; of rows, in a column of the same
    name.
    """
    other, own = table_of(each.passage, each.place), table_of(best.passage, best.place)
    if other is None or own is None:
        return _numbers_differ(each.said.text, best.said.text)
    theirs, mine = _named_values(other), _named_values(own)
    return any(_numbers_differ(theirs[name], mine[name]) for name in mine if name in theirs)


def _named_values(table: Table) -> dict[str, str]:
    return dict(zip(table.columns[1:], table.rows[table.row][1:], strict=False))


def _numbers_differ(first: str, second: str) -> bool:
    numbers = _NUMBER.findall(first), _NUMBER.findall(second)
    return bool(numbers[0]) and numbers[0] != numbers[1] and _units(first) == _units(second)


def _units(text: str) -> list[str]:
    """Return what stands right before or behind the numbers of a text: "£", "days"."""
    return sorted(
        f"{before}{after.lower().rstrip('s')}"
        for before, after in re.findall(r"([£$€]?)\d+(?:[.,:]\d+)*\s?(%|[^\W\d_]+)?", text)
    )


def _own_terms(text: str, language: str) -> set[str]:
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    own = [word for word in words(text) if word not in stops and not word.isdigit()]
    return set(stems(own, language))
