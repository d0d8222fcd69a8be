"""Answers with sources: the best sentences of the documents verbatim, then a model's own sentences as far as a passage supports them.

    question -> search -> is it there? no: NOT_FOUND
                                       yes: quotes -> a model under `QuoteConstraint` -> sentences, facts and support checked -> Answer

The parts come one by one, so that a reader sees the quotations at once; the last one is the whole `Answer`. Without a model the quotations are the
answer. Whether the documents hold one is decided by how much of the question's weight (idf) the best passage has, its words that no passage has
included. A sentence that fails a check is left out, and named in `omitted` with the reason.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.errors import require
from groundup.retrieve.cite import Quote, best_quotes, coverage, missing_facts
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.quotes import Quotable, QuoteConstraint
from groundup.retrieve.search import Group, WordStatistics, find, idf, question_terms, term_weights
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.support import prompt_ids, supports
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


def ask(
    index: Index | GivenPassages, question: str, engine: Engine | None = None, config: AskConfig | None = None
) -> Iterator[Part]:
    """Yield the parts of an answer as they are made, and last the `Answer`. Raises ConfigError, FormatError, ModelError."""
    config = config or AskConfig()
    searched = index.find if isinstance(index, GivenPassages) else partial(find, index)
    found = searched(question, config.passages)
    shares, weights = coverages(index, found.passages, question)
    share = max(shares, default=0.0)
    if not shares or share < config.min_coverage:
        yield Answer(question, False, share, (), (), (), found.passages, found.outdated)
        return
    quotes = best_quotes(found.passages, weights)
    yield from quotes
    made: list[Sentence | Omitted] = []
    about = [passage for passage, each in zip(found.passages, shares, strict=True) if each >= config.min_coverage]
    for part in written(engine, question, found.passages, about, config) if engine else ():
        yield part
        made.append(part)
    sentences = tuple(part for part in made if isinstance(part, Sentence))
    omitted = tuple(part for part in made if isinstance(part, Omitted))
    is_found = bool(quotes or sentences)
    yield Answer(question, is_found, share, tuple(quotes), sentences, omitted, found.passages, found.outdated)


def coverages(
    index: WordStatistics, passages: Sequence[Passage], question: str
) -> tuple[list[float], dict[Group, float]]:
    """Return the share of a question's weight that each passage has, 0 to 1, and the weights of its words.

    A word that no passage has weighs as one that a single passage has.
    """
    groups = question_terms(index, question, is_strict=True)
    weights = term_weights(index, groups)
    unknown = idf(1, max(1, index.passage_count)) * sum(group not in weights for group in groups)
    counted = (Counter(terms(f"{passage.title} {passage.text}", passage.language)) for passage in passages)
    return [coverage(weights, unknown, counts) for counts in counted], weights


def written(
    engine: Engine, question: str, sources: Sequence[Passage], about: Sequence[Passage], config: AskConfig
) -> Iterator[Sentence | Omitted]:
    """Yield the sentences that the model writes from the sources that are `about` the question, each checked when it is complete.

    Sources that don't fit the model's context are left out, the last ones first.
    """
    model, context_tokens = engine.language_model(), engine.opened.config.context_tokens
    given = list(about)
    while given and len(prompt_ids(engine, question, given)) + config.max_tokens > context_tokens:
        given.pop()
    if not given:
        yield Omitted("", f"no passage fits the model's context of {context_tokens:,} tokens")
        return
    numbers = [sources.index(passage) + 1 for passage in given]
    ids = prompt_ids(engine, question, given)
    quotable = Quotable([passage.text for passage in given], engine.tokenizer, model.config.vocab_size)
    sampling = Sampling(temperature=0.0, max_tokens=config.max_tokens)
    text, done, reason = "", 0, None
    for event in engine.complete(ids, sampling, QuoteConstraint(quotable)):
        text, reason = text + event.text, event.finish_reason
        spans = list(sentence_spans(text[done:]))
        whole = spans if reason == "stop" else spans[:-1]
        for start, end in whole:
            yield checked(
                engine, question, text[:done].strip(), text[done + start : done + end], given, numbers, config
            )
        done += whole[-1][1] if whole else 0
    if reason == "length" and text[done:].strip():
        yield Omitted(text[done:].strip(), "was not finished")


def checked(
    engine: Engine,
    question: str,
    before: str,
    sentence: str,
    passages: Sequence[Passage],
    numbers: Sequence[int],
    config: AskConfig,
) -> Sentence | Omitted:
    """Return a sentence with the number of the passage that supports it most, or why it is left out."""
    if sentence.count('"') % 2 or not any(character.isalnum() for character in sentence):
        return Omitted(sentence, "is no whole sentence")
    missing = [missing_facts(sentence, passage) for passage in passages]
    allowed = [place for place, each in enumerate(missing) if not each]
    if not allowed:
        fewest = min(missing, key=lambda each: len(each))
        return Omitted(sentence, f"no passage has {', '.join(fewest)}")
    found = supports(engine, question, before, sentence, [passages[place] for place in allowed])
    support, best = max(zip(found, allowed, strict=True))
    if support < config.min_support:
        return Omitted(sentence, f"no passage makes it more probable ({support:.2f} nats a token)")
    return Sentence(sentence, numbers[best], support)
