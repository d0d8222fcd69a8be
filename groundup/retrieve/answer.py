"""Answers with sources: the sentence of the documents that answers, verbatim, then a model's own
sentences as far as a passage supports them.

    question -> read: search -> is it there? no: NOT_FOUND, with the nearest sentence
                                             yes: quotes (`composition.py`) -> a model under
                                             `QuoteConstraint` -> sentences, facts and support
                                             checked -> Answer

The parts come one by one, so that a reader sees the quotations at once; the last one is the whole
`Answer`. Without a model the quotations are the answer. Whether the documents hold one is decided
by the evidence for the best passage (`evidence.py`). A sentence that fails a check is left out, and
named in `omitted` with the reason.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from groundup.engine.engine import Engine
from groundup.engine.events import ChatEvent
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, require
from groundup.language.abbreviations import written_out
from groundup.language.calendar_dates import worded_dates
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.cite import Quote
from groundup.retrieve.composition import both_said, compose, missing_words, nearest_quote
from groundup.retrieve.contacts import nothing_found
from groundup.retrieve.evidence import Evidence, no_evidence, read_passages
from groundup.retrieve.generation import (
    Draft,
    Drafts,
    Omitted,
    Prompted,
    Sentence,
    citable,
    judge_draft,
    make_prompt,
)
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.notes import Note as Note
from groundup.retrieve.notes import date_in, noted
from groundup.retrieve.operating_points import NO_POINT, OperatingPoint, operating_point
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import QuestionPart, question_parts
from groundup.retrieve.refusals import NOTHING_FOUND, Refusal, refusal_of
from groundup.retrieve.requests_to_reader import (
    Requests,
    first_quote,
    request_spans,
    without_requests,
)
from groundup.retrieve.search import Keep, Ranking, every, is_current
from groundup.retrieve.sentences import TextSpan
from groundup.retrieve.support import supports

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

PASSAGES, MAX_TOKENS = 5, 128
# The nats a token that a passage must give a sentence: 29 of 30 with the right answer have it, and
# 32 of 37 others (docs/retrieve.md, "Answers").
MIN_SUPPORT = 0.2


@dataclass(frozen=True)
class AskConfig:
    """How a question is answered."""

    passages: int = PASSAGES
    """How many passages are read."""
    min_evidence: float | None = None
    """What must speak for the best passage, 0 to 1 (`evidence.py`); 0: any passage will do; None:
    that of the index or the usual of the ranking.
    """
    min_support: float = MIN_SUPPORT
    """How much more probable a passage must make a model's sentence, in nats a token."""
    max_tokens: int = MAX_TOKENS
    """The longest text of the model."""
    promised: bool = False
    """Whether only what the index's promised error rate covers is answered
    (`operating_points.py`); not with `min_evidence`.
    """

    def __post_init__(self) -> None:
        require(1 <= self.passages <= 50, "The number of passages", self.passages, "1 to 50")
        require(0 <= (self.min_evidence or 0) <= 1, "The evidence", self.min_evidence, "0 to 1")
        require(self.max_tokens >= 1, "The number of tokens", self.max_tokens, "at least 1")
        if self.promised and self.min_evidence is not None:
            what = "A promised error rate has a least evidence of its own."
            raise ConfigError(what, fix="Give either promised or min_evidence.")


@dataclass(frozen=True)
class Answer:
    """An answer with its sources."""

    question: str
    found: bool
    """Whether the documents hold an answer."""
    evidence: float
    """What speaks for the best passage, 0 to 1 (`evidence.py`)."""
    quotes: tuple[Quote, ...]
    sentences: tuple[Sentence, ...]
    omitted: tuple[Omitted, ...]
    sources: tuple[Passage, ...]
    """The passages that were read, of which source n is the n-th."""
    outdated: tuple[str, ...]
    """Files that were changed or deleted since they were read, so that nothing of them is cited."""
    values: tuple[float, ...] = ()
    """Of each source what speaks for it, 0 to 1."""
    point: OperatingPoint = NO_POINT
    """From how much evidence on was answered."""
    notes: tuple[Note, ...] = ()
    nearest: Quote | None = None
    """Where nothing was found, the sentence that comes nearest."""
    missing: tuple[str, ...] = ()
    """Where nothing was found, the words of the question that no source has."""
    refusal: Refusal = NOTHING_FOUND
    """What is said where nothing was found."""
    requests: Requests = ()
    """Of each source what it asks of its reader: spans in its document."""

    @property
    def text(self) -> str:
        """The answer as it is read."""
        if not self.found:
            return self.refusal.text
        return "\n".join(map(part_text, self.parts))

    @property
    def parts(self) -> "list[Quote | Note | Sentence]":
        """What it is made of, in order."""
        return [*self.quotes, *self.notes, *self.sentences]

    @property
    def promised(self) -> bool:
        """Whether it is one of the answers that the index's promise is about."""
        return self.found and self.point.promises(self.evidence)

    @property
    def cited(self) -> list[int]:
        """The numbers of the sources that are cited."""
        cited: list[Quote | Sentence] = [*self.quotes, *self.sentences]
        return sorted({each.source for each in cited})

    @property
    def source_values(self) -> list[tuple[Passage, float | None]]:
        """The sources with what speaks for each; None: not known."""
        known = [*self.values, *[None] * (len(self.sources) - len(self.values))]
        return list(zip(self.sources, known, strict=True))

    def requests_of(self, number: int) -> Sequence[TextSpan]:
        """Return what the source of a number asks of its reader."""
        return self.requests[number - 1] if self.requests else ()

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        sources = [
            {
                "number": number,
                **asdict(each),
                "evidence": value,
                "requests": [list(span) for span in self.requests_of(number)],
            }
            for number, (each, value) in enumerate(self.source_values, start=1)
        ]
        return {
            "question": self.question,
            "found": self.found,
            "evidence": self.evidence,
            **self.point.to_plain(),
            "promised": self.promised,
            "answer": self.text,
            "quotes": [asdict(each) for each in self.quotes],
            "notes": [each.text for each in self.notes],
            "nearest": self.nearest and asdict(self.nearest),
            "missing": list(self.missing),
            "refusal": None if self.found else vars(self.refusal),
            "sentences": [vars(each) for each in self.sentences],
            "omitted": [vars(each) for each in self.omitted],
            "sources": sources,
            "outdated": list(self.outdated),
        }


Part = Quote | Note | Sentence | Omitted | Answer


@dataclass(frozen=True)
class QuestionReading:
    """What the documents hold on a question, before a model writes."""

    question: str
    evidence: float
    """What speaks for the best source, 0 to 1 (`evidence.py`)."""
    sources: tuple[Passage, ...]
    about: tuple[Passage, ...]
    """The sources that are about the question; (): the documents hold no answer."""
    quotes: tuple[Quote, ...]
    outdated: tuple[str, ...]
    values: tuple[float, ...] = ()
    """Of each source what speaks for it."""
    point: OperatingPoint = NO_POINT
    """From how much evidence on is answered."""
    notes: tuple[Note, ...] = ()
    nearest: Quote | None = None
    """The sentence that comes nearest, where nothing answers."""
    missing: tuple[str, ...] = ()
    """The words of the question that no source has, where nothing answers."""
    refusal: Refusal = NOTHING_FOUND
    """What is said where nothing answers."""
    requests: Requests = ()
    """Of each source what it asks of its reader: spans in its document."""

    def answer(self, made: Sequence[Sentence | Omitted] = ()) -> Answer:
        """Return the answer with what a model made of it, checked."""
        sentences = tuple(part for part in made if isinstance(part, Sentence))
        return Answer(
            question=self.question,
            found=bool(self.quotes or sentences),
            evidence=self.evidence,
            quotes=self.quotes,
            sentences=sentences,
            omitted=tuple(part for part in made if isinstance(part, Omitted)),
            sources=self.sources,
            outdated=self.outdated,
            values=self.values,
            point=self.point,
            notes=self.notes,
            nearest=self.nearest,
            missing=self.missing,
            refusal=self.refusal,
            requests=self.requests,
        )


def ask(
    index: Index | GivenPassages,
    question: str,
    engine: Engine | None = None,
    config: AskConfig | None = None,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
) -> Iterator[Part]:
    """Yield the parts of an answer as they are made, and last the `Answer`.

    Raises ConfigError, FormatError, ModelError.
    """
    config = config or AskConfig()
    reading = read(index, question, config, rank_by=rank_by, vectors=vectors)
    writer = EngineWriter(engine, config.max_tokens) if engine else None

    async def recheck(answer: Answer) -> Answer:
        return with_changed_sources(index, answer) if isinstance(index, Index) else answer

    yield from iterate(answer_parts(reading, writer, config.min_support, recheck))


class AnswerWriter(Protocol):
    """A model that writes from passages; a server runs these steps between those of others."""

    async def prompt(self, reading: QuestionReading) -> Prompted | Omitted:
        """Return the prompt of a question and its passages, or why there is none."""

    def events(self, prompt: Prompted) -> AsyncIterator[ChatEvent]:
        """Yield the pieces of the model's text."""

    async def supports(
        self, prompt: Prompted, draft: Draft, passages: Sequence[Passage]
    ) -> list[float]:
        """Return how much each passage supports a sentence (`support.py`)."""


class EngineWriter:
    """A model in this process as an `AnswerWriter` that never waits."""

    def __init__(self, engine: Engine, max_tokens: int) -> None:
        self.engine, self.max_tokens = engine, max_tokens

    async def prompt(self, reading: QuestionReading) -> Prompted | Omitted:
        return make_prompt(
            self.engine,
            reading.question,
            reading.sources,
            reading.about,
            reading.quotes,
            self.max_tokens,
        )

    async def events(self, prompt: Prompted) -> AsyncIterator[ChatEvent]:
        sampling = Sampling(temperature=0.0, max_tokens=prompt.max_tokens)
        for event in self.engine.complete(prompt.ids, sampling, prompt.constraint()):
            yield event

    async def supports(
        self, prompt: Prompted, draft: Draft, passages: Sequence[Passage]
    ) -> list[float]:
        return supports(self.engine, prompt.question, draft.before, draft.text, passages)


async def answer_parts(
    reading: QuestionReading,
    writer: AnswerWriter | None,
    min_support: float,
    recheck: Callable[[Answer], Awaitable[Answer]],
) -> AsyncIterator[Part]:
    """Yield the parts of an answer as they are made, and last the `Answer`: the one way from a
    `read` question, in process and on a server.

    `writer` None: quotations only. `recheck` adds the files that were changed meanwhile.
    Raises ModelError, and what the writer raises.
    """
    shown: list[Quote | Note] = [*reading.quotes, *reading.notes]
    for part in shown:
        yield part
    written: list[Sentence | Omitted] = []
    if writer is not None and reading.about:
        async for made in _write(writer, reading, min_support):
            written.append(made)
            yield made
    yield await recheck(reading.answer(written))


async def _write(
    writer: AnswerWriter, reading: QuestionReading, min_support: float
) -> AsyncIterator[Sentence | Omitted]:
    """Yield the sentences that the model writes from the sources, each checked when it is
    complete.
    """
    prompt = await writer.prompt(reading)
    if isinstance(prompt, Omitted):
        yield prompt
        return
    drafts = Drafts()
    async for event in writer.events(prompt):
        for draft in drafts.push(event):
            allowed = citable(prompt, draft)
            if isinstance(allowed, Omitted):
                yield allowed
                continue
            passages = [prompt.passages[place] for place in allowed]
            found = await writer.supports(prompt, draft, passages)
            yield judge_draft(prompt, draft, allowed, found, min_support)


def iterate(parts: AsyncIterator[Part]) -> Iterator[Part]:
    """Yield the parts of an iterator whose steps never wait, without an event loop."""
    while True:
        try:
            anext(parts).__await__().send(None)
        except StopIteration as step:
            yield step.value
        except StopAsyncIteration:
            return


def with_changed_sources(index: Index, answer: Answer) -> Answer:
    """Return an answer whose `outdated` also names the cited files that were changed or deleted
    while it was written.
    """
    sources = dict.fromkeys(
        (source.file, source.sha256)
        for number in answer.cited
        for source in [answer.sources[number - 1]]
    )
    changed = [
        file
        for file, sha256 in sources
        if not is_current(index, file) or (index.file_state(file) or "")[1:] != (sha256,)
    ]
    return replace(answer, outdated=tuple(dict.fromkeys([*answer.outdated, *changed])))


def read(
    index: Index | GivenPassages,
    question: str,
    config: AskConfig,
    new_keep: Callable[[], Keep] = lambda: every,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
) -> QuestionReading:
    """Return the passages that fit a question, and the sentences that answer it; with `vectors` it
    is known better whether they do. Of a question that asks two things each is read by itself, with
    its dates in words and the abbreviations of text messages written out.

    `new_keep`: makes for one search what says which passages it may find. Raises ConfigError,
    FormatError.
    """
    language = next(iter(index.languages), "en")
    asked, question = question, worded_dates(written_out(question, language), language)
    refusal = None if config.min_evidence == 0 else refusal_of(index, question)
    if refusal and refusal.is_small_talk:
        point = _point(index, no_evidence(vectors), config)
        return QuestionReading(question, 0.0, (), (), (), (), point=point, refusal=refusal)

    def read_one(asked: str) -> QuestionReading:
        return _read(index, asked, config, new_keep(), rank_by, vectors, refusal)

    parts = question_parts(question) if refusal is None else []
    readings = [read_one(part.question) for part in parts] if len(parts) > 1 else []
    if any(each.about for each in readings):
        reading = _joined(question, parts, readings)
    else:
        reading = read_one(question)
    requests = tuple(request_spans(index, source) for source in reading.sources)
    kept = without_requests(reading.quotes, requests)
    quotes, notes = noted(index, asked, kept, reading.sources)
    reading = replace(reading, question=asked, quotes=quotes, requests=requests)
    reading = replace(reading, notes=(*notes, *reading.notes))
    if quotes or reading.nearest:
        return reading
    return replace(reading, nearest=first_quote(reading.sources, requests))


def _read(
    index: Index | GivenPassages,
    question: str,
    config: AskConfig,
    keep: Keep,
    rank_by: Ranking | None,
    vectors: "Vectors | None",
    refusal: Refusal | None,
) -> QuestionReading:
    """`read` of a question that asks one thing; with a `refusal` it has no answer."""
    found, known = read_passages(index, question, config.passages, keep, rank_by, vectors)
    point = _point(index, known, config)
    about = tuple(
        passage
        for passage, each in zip(found.passages, known.values, strict=True)
        if each >= point.least and refusal is None
    )
    dates = partial(date_in, index)
    quotes = compose(question, found.passages, known.sentences, date_of=dates) if about else []
    reading = QuestionReading(
        question,
        known.best,
        found.passages,
        about,
        tuple(quotes),
        found.outdated,
        known.values,
        point,
        refusal=refusal or NOTHING_FOUND,
    )
    if quotes:
        return reading
    nearest = nearest_quote(found.passages, known.sentences)
    missing = () if refusal else missing_words(question, found.passages)
    refusal = refusal or nothing_found(index)
    return replace(reading, nearest=nearest, missing=missing, refusal=refusal)


def _point(index: Index | GivenPassages, known: Evidence, config: AskConfig) -> OperatingPoint:
    return operating_point(
        index.folder if isinstance(index, Index) else None,
        known,
        min_evidence=config.min_evidence,
        promised=config.promised,
    )


def _joined(
    question: str, parts: Sequence[QuestionPart], readings: Sequence[QuestionReading]
) -> QuestionReading:
    """Return the readings of the parts of a question as one; a part without an answer is named."""
    by_id = {source.id: source for each in readings for source in each.sources}
    numbers = {each: number for number, each in enumerate(by_id, start=1)}
    about = {source.id: by_id[source.id] for each in readings for source in each.about}
    values: dict[int, list[float]] = {each: [0.0] for each in by_id}
    quotes: dict[tuple[int, int], Quote] = {}
    for reading in readings:
        for source, value in zip(reading.sources, reading.values, strict=True):
            values[source.id].append(value)
        for quote in reading.quotes:
            number = numbers[reading.sources[quote.source - 1].id]
            head = quote.head and replace(quote.head, source=number)
            quote = replace(quote, source=number, head=head)
            earlier = quotes.get((number, quote.start))
            quotes[number, quote.start] = quote if earlier is None else both_said(earlier, quote)
    missing = [
        Note(f"Not found in your documents: {part.asked.strip(' ?!.,')}.")
        for part, reading in zip(parts, readings, strict=True)
        if not reading.quotes
    ]
    return QuestionReading(
        question,
        min(each.evidence for each in readings if each.about),
        tuple(by_id.values()),
        tuple(about.values()),
        tuple(quotes.values()),
        tuple(dict.fromkeys(file for each in readings for file in each.outdated)),
        tuple(max(found) for found in values.values()),
        readings[0].point,
        tuple(missing),
    )
