"""Generation: a model's own sentences from passages, each checked when it is complete. The steps
are apart, so that any engine can run them.

    question, passages -> make_prompt -> Prompted: ids, constraint -> an engine -> ChatEvents ->
        Drafts: whole sentences -> citable, support, judge_draft -> Sentence, Omitted

`answer.answer_parts` runs them; on a server each runs between steps of the answers of others.

Whether the passage says what the model wrote is known by rules on one sentence at a time. A passage
has all words and numbers of "Cash withdrawal costs 2.75 % and use abroad 3 %" where the
document has them the other way round, and those of "The bank asks for a full PIN" where it says
"never". So what a model wrote must be said by ONE sentence of the passage (or one row of a table,
with the names above it):

    words        all its words stand there or in the headings above; one that only the question has
                 would name another subject than the passage's
    negation     both have a negation, or neither has one
    conditions   it keeps each "only", "unless", "until", ... of that sentence
    numbers      each number stands in a clause with mostly the same words
    person       "I", "my", "we" stand there, too; it does not begin with a pronoun for something
                 that only another sentence names

What fails is not shown; the quotation stands alone. The rules are of English; of passages in other
languages only the words are compared.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from groundup.engine.engine import ANSWER_SHARE, Engine
from groundup.engine.events import ChatEvent
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.retrieve.cite import (
    Quote,
    Statement,
    fault_of,
    objections,
    statement_text,
    statements,
)
from groundup.retrieve.passages import Passage
from groundup.retrieve.quotes import MARK, Quotable, QuoteConstraint
from groundup.retrieve.requests_to_reader import request_of
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.support import prompt_ids

# The beginning of a passage is not worth reading when it is shorter.
MIN_CHARACTERS = 80


@dataclass(frozen=True)
class Sentence:
    """A sentence of the model that a passage supports."""

    text: str
    source: int
    """The number of the passage, from 1."""
    support: float
    """See `support.py`."""


@dataclass(frozen=True)
class Omitted:
    """A sentence of the model that is not part of the answer."""

    text: str
    reason: str


@dataclass(frozen=True)
class Prompted:
    """A question with the passages that the model reads, and what it may quote of them."""

    question: str
    passages: tuple[Passage, ...]
    quoted: str
    """The answer's first quotation, on one line; "": it has none."""
    numbers: tuple[int, ...]
    """Of each passage its number among the answer's sources."""
    ids: tuple[int, ...]
    quotable: Quotable
    source_tokens: int
    """Of `ids`, those that the passages take."""
    max_tokens: int
    """The longest text that has room."""
    instructions: str = ""
    """What the model is told besides."""

    def constraint(self) -> QuoteConstraint:
        """Return the constraint of one answer."""
        return QuoteConstraint(self.quotable)


@dataclass(frozen=True)
class Draft:
    """A sentence that a model wrote, not checked yet."""

    before: str
    """What it wrote before."""
    text: str
    is_whole: bool = True
    """False where its text ended within it."""


class Drafts:
    """A model's text as it grows -> its sentences, each as soon as it is complete."""

    def __init__(self) -> None:
        self._text = ""
        self._done = 0

    def push(self, event: ChatEvent) -> list[Draft]:
        """Return the sentences that a piece of the text completes."""
        self._text += event.text
        text, begin = self._text, self._done
        spans = [(begin + start, begin + end) for start, end in sentence_spans(text[begin:])]
        if event.finish_reason != "stop":
            spans = spans[:-1]  # the last one may go on
        for _, end in spans[-1:]:
            self._done = end
        drafts = [Draft(text[:start].strip(), text[start:end]) for start, end in spans]
        rest = text[self._done :].strip()
        if event.finish_reason == "length" and rest:
            drafts.append(Draft(text[: self._done].strip(), rest, is_whole=False))
        return drafts


def make_prompt(
    engine: Engine,
    question: str,
    sources: Sequence[Passage],
    about: Sequence[Passage],
    quotes: Sequence[Quote],
    max_tokens: int,
    instructions: str = "",
) -> Prompted | Omitted:
    """Return the prompt of the sources that are `about` the question, as many as fit the model's
    context. Raises ModelError for a model that writes no answers."""
    config = engine.language_model().config
    given = passages_that_fit(engine, question, about, max_tokens, instructions)
    if not given:
        tokens = engine.config.context_tokens
        return Omitted("", f"no passage fits the model's context of {tokens:,} tokens")
    ids = prompt_ids(engine, question, given, instructions)
    without_passages = prompt_ids(engine, question, [], instructions)
    return Prompted(
        question=question,
        passages=tuple(given),
        quoted="".join(one_line(quote.text) for quote in quotes[:1]),
        numbers=tuple(sources.index(passage) + 1 for passage in about[: len(given)]),
        ids=tuple(ids),
        quotable=Quotable([each.text for each in given], engine.tokenizer, config.vocab_size),
        source_tokens=len(ids) - len(without_passages),
        max_tokens=min(max_tokens, engine.config.context_tokens - len(ids)),
        instructions=instructions,
    )


def passages_that_fit(
    engine: Engine, question: str, about: Sequence[Passage], max_tokens: int, instructions: str = ""
) -> list[Passage]:
    """Return as many of the passages as fit the model's context, the first ones first.

    Where not even the first one fits, as much of its beginning is read as does; where too little of
    it fits, none is.
    """
    context_tokens = engine.config.context_tokens
    room = context_tokens - min(max_tokens, int(context_tokens * ANSWER_SHARE))
    given = list(about)
    while given and len(prompt_ids(engine, question, given, instructions)) > room:
        if len(given) > 1 or len(given[0].text) <= MIN_CHARACTERS:
            given.pop()
        else:
            text = given[0].text[: len(given[0].text) * 2 // 3]
            given = [replace(given[0], text=text.rpartition(" ")[0] or text)]
    return given


def citable(given: Prompted, draft: Draft) -> list[int] | Omitted:
    """Return the places of the passages that have the facts and quotations of a sentence, or why it
    is left out.
    """
    sentence = draft.text
    fault = "was not finished"
    if draft.is_whole:
        fault = fault_of(sentence)
    request = request_of(sentence)
    if request:
        fault = f"tells the reader to {request.kind}"
    if one_line(sentence) in given.quoted:
        fault = "is the first quotation"
    if sentence in draft.before:
        fault = "was said before"
    if fault:
        return Omitted(sentence, fault)
    missing = [
        objections(sentence, passage) or unsaid(sentence, passage) for passage in given.passages
    ]
    allowed = [place for place, each in enumerate(missing) if not each]
    if not allowed:
        fewest = min(missing, key=lambda each: len(each))
        return Omitted(sentence, f"no passage has {', '.join(fewest)}")
    return allowed


def judge_draft(
    given: Prompted,
    draft: Draft,
    allowed: Sequence[int],
    found: Sequence[float],
    min_support: float,
) -> Sentence | Omitted:
    """Return the sentence with the passage of `allowed` that supports it most; `found`: the support
    of each.
    """
    support, best = max(zip(found, allowed, strict=True))
    if support < min_support:
        reason = f"no passage makes it more probable ({support:.2f} nats a token)"
        return Omitted(draft.text, reason)
    sentence = quote_if_copied(draft.text, given.passages[best])
    return Sentence(sentence, given.numbers[best], support)


def quote_if_copied(sentence: str, passage: Passage) -> str:
    """Return a sentence that the passage has word for word in quotation marks, any other as it is:
    the words, an order too, are the document's.
    """
    if one_line(sentence) in one_line(passage.text) and MARK not in sentence.encode():
        return f'"{sentence}"'
    return sentence


def one_line(text: str) -> str:
    """Return a text with a single space for each run of spaces and line breaks."""
    return " ".join(text.split())


# Of the words beside a number, those that stand beside it there, too.
MIN_BESIDE = 0.5
_NEGATIONS = """
not no never none nobody nothing nowhere neither nor without cannot cant dont doesnt didnt isnt
arent wasnt werent wont wouldnt shouldnt couldnt mustnt neednt hasnt havent refuse refuses refused
unable except excluding excluded
"""
_CONDITIONS = """
only unless except until till if when before after within provided excluding minimum maximum least
most up additional extra
"""
NEGATIONS, CONDITIONS = frozenset(_NEGATIONS.split()), frozenset(_CONDITIONS.split())
PERSONS = frozenset(("i", "im", "ive", "ill", "my", "me", "mine", "we", "us", "our", "ours"))
PRONOUNS = frozenset(("it", "its", "they", "their", "he", "she", "this", "that", "these", "those"))
NO_SENTENCE = "its words in one sentence"
_CLAUSE = re.compile(r"[,;:.()]\s|\band\b|\bbut\b|\bor\b|\bwhile\b|\bwhereas\b|\s[–-]\s")
_NUMBER = re.compile(r"\d[\d.,:]*\d|\d")
_APOSTROPHE = re.compile(r"['’]")


def unsaid(sentence: str, passage: Passage) -> list[str]:
    """Return what no sentence of a passage says of a sentence, by the one that says most; none
    where one says it all.
    """
    best = [NO_SENTENCE]
    for each in statements(passage):
        found = list(_differences(sentence, each, passage))
        if not found:
            return []
        if best == [NO_SENTENCE] or (found != [NO_SENTENCE] and len(found) < len(best)):
            best = found
    return best


def _differences(sentence: str, statement: Statement, passage: Passage) -> Iterator[str]:
    """Yield what a sentence says otherwise than a statement."""
    own_text = statement_text(passage, statement)
    language = passage.language
    said = _content(f"{statement.above} {own_text}", language)
    own = _content(sentence, language)
    if not own <= said or own.isdisjoint(_content(own_text, language)):  # headings say nothing
        yield NO_SENTENCE
        return
    if language != "en":
        return
    plain, there = _plain_words(sentence), _plain_words(own_text)
    if bool(plain & NEGATIONS) != bool(there & NEGATIONS):
        yield "the same negation"
    lost = (there & CONDITIONS) - plain
    if lost:
        yield f"its condition ({', '.join(sorted(lost))})"
    if plain & PERSONS and not there & PERSONS:
        yield "who speaks"
    first = next(iter(words(sentence)), "")
    if first in PRONOUNS and first not in words(own_text)[:1]:
        yield "whom its pronoun means"
    yield from _moved_numbers(sentence, own_text, statement.above, language)


def _moved_numbers(sentence: str, text: str, above: str, language: str) -> Iterator[str]:
    """Yield the numbers that stand beside other words than in `text`, where it has several."""
    theirs = [(_numbers(clause), _content(clause, language)) for clause in _clauses(text)]
    if len({number for found, _ in theirs for number in found}) < 2:
        return
    heading = _content(above, language)
    for clause in _clauses(sentence):
        beside = _content(clause, language) - heading
        for number in _numbers(clause):
            holders = [content for found, content in theirs if number in found]
            shares = [len(beside & content) for content in holders]
            if beside and max(shares, default=0) < MIN_BESIDE * len(beside):
                yield f"{number} beside the same words"


def _clauses(text: str) -> list[str]:
    return [each for each in _CLAUSE.split(text) if each.strip()]


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _plain_words(text: str) -> frozenset[str]:
    """Return the words of a text in small letters, "don't" as "dont"."""
    return frozenset(re.findall(r"[a-z]+", _APOSTROPHE.sub("", text.lower())))


def _content(text: str, language: str) -> set[str]:
    """Return the stems of the words that say something; no numbers."""
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    found = [word for word in words(text) if word not in stops and not word[0].isdigit()]
    return set(stems(found, language))
