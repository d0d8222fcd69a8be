"""Generation: a model's own sentences from passages, each checked when it is complete. The steps
are apart, so that any engine can run them.

    question, passages -> make_prompt -> Prompted: ids, constraint -> an engine -> ChatEvents ->
        Drafts: whole sentences -> citable, support, judge_draft -> Sentence, Omitted

`answer.answer_parts` runs them; on a server each runs between steps of the answers of others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from groundup.engine.engine import ANSWER_SHARE, Engine
from groundup.engine.events import ChatEvent
from groundup.retrieve.cite import Quote, fault_of, objections
from groundup.retrieve.entailment import unsaid
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
        tokens = engine.opened.config.context_tokens
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
        max_tokens=min(max_tokens, engine.opened.config.context_tokens - len(ids)),
        instructions=instructions,
    )


def passages_that_fit(
    engine: Engine, question: str, about: Sequence[Passage], max_tokens: int, instructions: str = ""
) -> list[Passage]:
    """Return as many of the passages as fit the model's context, the first ones first.

    Where not even the first one fits, as much of its beginning is read as does; where too little of
    it fits, none is.
    """
    context_tokens = engine.opened.config.context_tokens
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
        objections(sentence, passage, given.question) or unsaid(sentence, passage, given.question)
        for passage in given.passages
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
