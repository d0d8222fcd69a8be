"""Answers with sources: the best sentences of the documents verbatim, then a model's own sentences as far as a passage supports them.

    question -> read: search -> is it there? no: NOT_FOUND
                                             yes: quotes -> a model under `QuoteConstraint` -> sentences, facts and support checked -> Answer

The parts come one by one, so that a reader sees the quotations at once; the last one is the whole `Answer`. Without a model the quotations are the
answer. Whether the documents hold one is decided by how much of the question's weight (idf) the best passage has, its words that no passage has
included. A sentence that fails a check is left out, and named in `omitted` with the reason.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.errors import require
from groundup.retrieve.cite import Quote, best_quotes, coverage
from groundup.retrieve.generation import Drafts, Omitted, Sentence, checking, prompted
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Group, Keep, every, find, idf, question_terms, term_weights
from groundup.retrieve.terms import terms

NOT_FOUND = "Not found in your documents."
PASSAGES, MAX_TOKENS = 5, 128
# The share of a question's weight that the best passage must have, chosen on half of SQuAD's questions (docs/retrieve.md); the nats a token that a
# passage must give a sentence: not measured on a set.
MIN_COVERAGE, MIN_SUPPORT = 0.5, 0.2


@dataclass(frozen=True)
class AskConfig:
    """How a question is answered."""

    passages: int = PASSAGES
    """How many passages are read."""
    min_coverage: float = MIN_COVERAGE
    """The share of the question that the best passage must have; 0: any passage will do."""
    min_support: float = MIN_SUPPORT
    """How much more probable a passage must make a model's sentence, in nats a token."""
    max_tokens: int = MAX_TOKENS
    """The longest text of the model."""

    def __post_init__(self) -> None:
        require(1 <= self.passages <= 50, "The number of passages", self.passages, "1 to 50")
        require(0 <= self.min_coverage <= 1, "The share of the question", self.min_coverage, "0 to 1")
        require(self.max_tokens >= 1, "The number of tokens", self.max_tokens, "at least 1")


@dataclass(frozen=True)
class Answer:
    """An answer with its sources."""

    question: str
    found: bool
    """Whether the documents hold an answer."""
    coverage: float
    """The share of the question's weight that the best passage has."""
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
        parts: list[Quote | Sentence] = [*self.quotes, *self.sentences]
        return "\n".join(map(part_text, parts)) if self.found else NOT_FOUND

    @property
    def cited(self) -> list[int]:
        """The numbers of the sources that are cited."""
        return sorted({each.source for each in self.quotes} | {each.source for each in self.sentences})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        sources = [{"number": number, **each.to_plain()} for number, each in enumerate(self.sources, start=1)]
        return {
            "question": self.question,
            "found": self.found,
            "coverage": self.coverage,
            "answer": self.text,
            "quotes": [each.to_plain() for each in self.quotes],
            "sentences": [vars(each) for each in self.sentences],
            "omitted": [vars(each) for each in self.omitted],
            "sources": sources,
            "outdated": list(self.outdated),
        }


Part = Quote | Sentence | Omitted | Answer


def part_text(part: Quote | Sentence) -> str:
    """Return a quotation or a sentence with the number of its source; a quotation's line breaks are spaces here."""
    if isinstance(part, Quote):
        return f'"{" ".join(part.text.split())}" [{part.source}]'
    return f"{part.text} [{part.source}]"


@dataclass(frozen=True)
class Reading:
    """What the documents hold on a question, before a model writes."""

    question: str
    coverage: float
    """The share of the question's weight that the best source has."""
    sources: tuple[Passage, ...]
    about: tuple[Passage, ...]
    """The sources that are about the question; (): the documents hold no answer."""
    quotes: tuple[Quote, ...]
    outdated: tuple[str, ...]

    def answer(self, made: Sequence[Sentence | Omitted] = ()) -> Answer:
        """Return the answer with what a model made of it, checked."""
        sentences = tuple(part for part in made if isinstance(part, Sentence))
        omitted = tuple(part for part in made if isinstance(part, Omitted))
        found = bool(self.quotes or sentences)
        return Answer(self.question, found, self.coverage, self.quotes, sentences, omitted, self.sources, self.outdated)


def ask(index: Index, question: str, engine: Engine | None = None, config: AskConfig | None = None) -> Iterator[Part]:
    """Yield the parts of an answer as they are made, and last the `Answer`. Raises ConfigError, FormatError, ModelError."""
    config = config or AskConfig()
    reading = read(index, question, config)
    yield from reading.quotes
    made: list[Sentence | Omitted] = []
    for part in written(engine, reading, config) if engine and reading.about else ():
        yield part
        made.append(part)
    yield reading.answer(made)


def read(index: Index, question: str, config: AskConfig, keep: Keep = every) -> Reading:
    """Return the passages that fit a question, of those to `keep`, and their best sentences. Raises ConfigError, FormatError."""
    found = find(index, question, config.passages, keep=keep)
    shares, weights = coverages(index, found.passages, question)
    share = max(shares, default=0.0)
    is_there = bool(shares) and share >= config.min_coverage
    about = [passage for passage, each in zip(found.passages, shares, strict=True) if each >= config.min_coverage]
    quotes = best_quotes(found.passages, weights) if is_there else []
    return Reading(question, share, found.passages, tuple(about), tuple(quotes), found.outdated)


def coverages(index: Index, passages: Sequence[Passage], question: str) -> tuple[list[float], dict[Group, float]]:
    """Return the share of a question's weight that each passage has, 0 to 1, and the weights of its words.

    A word that no passage has weighs as one that a single passage has.
    """
    groups = question_terms(index, question, is_strict=True)
    weights = term_weights(index, groups)
    unknown = idf(1, max(1, index.passage_count)) * sum(group not in weights for group in groups)
    counted = (Counter(terms(f"{passage.title} {passage.text}", passage.language)) for passage in passages)
    return [coverage(weights, unknown, counts) for counts in counted], weights


def written(engine: Engine, reading: Reading, config: AskConfig) -> Iterator[Sentence | Omitted]:
    """Yield the sentences that the model writes from the sources, each checked when it is complete."""
    given = prompted(engine, reading.question, reading.sources, reading.about, config.max_tokens)
    if isinstance(given, Omitted):
        yield given
        return
    drafts, sampling = Drafts(), Sampling(temperature=0.0, max_tokens=given.max_tokens)
    for event in engine.complete(given.ids, sampling, given.constraint()):
        for draft in drafts.push(event):
            *_, checked = checking(engine, given, draft, config.min_support)
            assert checked is not None  # the last one
            yield checked
