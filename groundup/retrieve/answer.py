"""Answers with sources: the best sentences of the documents verbatim, then a model's own sentences
as far as a passage supports them.

    question -> read: search -> is it there? no: NOT_FOUND
                                             yes: quotes -> a model under `QuoteConstraint` ->
                                             sentences, facts and support checked -> Answer

The parts come one by one, so that a reader sees the quotations at once; the last one is the whole
`Answer`. Without a model the quotations are the answer. Whether the documents hold one is decided
by the evidence for the best passage (`evidence.py`). A sentence that fails a check is left out, and
named in `omitted` with the reason.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.errors import require
from groundup.retrieve.calibration import least_evidence
from groundup.retrieve.cite import Quote, best_quotes
from groundup.retrieve.evidence import evidence
from groundup.retrieve.generation import Drafts, Omitted, Sentence, check_draft, make_prompt
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Keep, Ranking, every, find, is_current

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

NOT_FOUND = "Not found in your documents."
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

    def __post_init__(self) -> None:
        require(1 <= self.passages <= 50, "The number of passages", self.passages, "1 to 50")
        require(0 <= (self.min_evidence or 0) <= 1, "The evidence", self.min_evidence, "0 to 1")
        require(self.max_tokens >= 1, "The number of tokens", self.max_tokens, "at least 1")


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

    @property
    def text(self) -> str:
        """The answer as it is read."""
        if not self.found:
            return NOT_FOUND
        return "\n".join(map(part_text, self.parts))

    @property
    def parts(self) -> list[Quote | Sentence]:
        """What it is made of, in order."""
        return [*self.quotes, *self.sentences]

    @property
    def cited(self) -> list[int]:
        """The numbers of the sources that are cited."""
        return sorted({each.source for each in self.parts})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        sources = [
            {"number": number, **each.to_plain()}
            for number, each in enumerate(self.sources, start=1)
        ]
        return {
            "question": self.question,
            "found": self.found,
            "evidence": self.evidence,
            "answer": self.text,
            "quotes": [each.to_plain() for each in self.quotes],
            "sentences": [vars(each) for each in self.sentences],
            "omitted": [vars(each) for each in self.omitted],
            "sources": sources,
            "outdated": list(self.outdated),
        }


# Marks that turn the direction of the characters behind them, which would be the number of the
# source, too.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
Part = Quote | Sentence | Omitted | Answer


def part_text(part: Quote | Sentence) -> str:
    """Return a quotation or a sentence with the number of its source; a row of a table as "its head
    … row".

    A quotation's line breaks are spaces here and its marks " are ', so that it can't end early;
    nothing turns the direction of what follows.
    """
    text = part.text
    if isinstance(part, Quote) and part.head:
        text = f"{part.head.text} … {text}"
    text = " ".join(_DIRECTIONS.sub("", text).split())
    if isinstance(part, Quote):
        quoted = text.replace('"', "'")
        text = f'"{quoted}"'
    return f"{text} [{part.source}]"


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
    yield from reading.quotes
    made: list[Sentence | Omitted] = []
    if engine and reading.about:
        for part in write_sentences(engine, reading, config):
            yield part
            made.append(part)
    answer = reading.answer(made)
    if isinstance(index, Index):
        answer = with_changed_sources(index, answer)
    yield answer


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
    keep: Keep = every,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
) -> QuestionReading:
    """Return the passages that fit a question, of those to `keep`, and their best sentences; with
    `vectors` it is known better whether they answer.

    Raises ConfigError, FormatError.
    """
    if isinstance(index, Index):
        found = find(index, question, config.passages, rank_by, keep)
    else:
        found = index.find(question, config.passages)
    known = evidence(index, found.passages, question, vectors)
    least = config.min_evidence
    if least is None:
        least = known.usual
        if isinstance(index, Index):
            least = least_evidence(index.folder, known.by, known.usual)
    about = [
        passage for passage, each in zip(found.passages, known.values, strict=True) if each >= least
    ]
    quotes: list[Quote] = []
    if about:
        quotes = best_quotes(found.passages, known.sentences)
    return QuestionReading(
        question, known.best, found.passages, tuple(about), tuple(quotes), found.outdated
    )


def write_sentences(
    engine: Engine, reading: QuestionReading, config: AskConfig
) -> Iterator[Sentence | Omitted]:
    """Yield the sentences that the model writes from the sources, each checked when it is
    complete.
    """
    given = make_prompt(
        engine, reading.question, reading.sources, reading.about, reading.quotes, config.max_tokens
    )
    if isinstance(given, Omitted):
        yield given
        return
    drafts, sampling = Drafts(), Sampling(temperature=0.0, max_tokens=given.max_tokens)
    for event in engine.complete(given.ids, sampling, given.constraint()):
        for draft in drafts.push(event):
            yield check_draft(engine, given, draft, config.min_support)
