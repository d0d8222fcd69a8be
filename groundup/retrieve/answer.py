"""Answers with sources: the best sentences of the documents verbatim, then a model's own sentences as far as a passage supports them.

    question -> search -> is it there? no: NOT_FOUND
                                       yes: quotes -> a model under `QuoteConstraint` -> sentences, facts and support checked -> Answer

The parts come one by one, so that a reader sees the quotations at once; the last one is the whole `Answer`. Without a model the quotations are the
answer. Whether the documents hold one is decided by the evidence for the best passage (`evidence.py`). A sentence that fails a check is left out, and
named in `omitted` with the reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.errors import require
from groundup.retrieve.cite import Quote, best_quotes, missing_facts
from groundup.retrieve.evidence import evidence
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.quotes import Quotable, QuoteConstraint
from groundup.retrieve.search import Ranking, find
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.support import prompt_ids, supports

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

NOT_FOUND = "Not found in your documents."
PASSAGES, MAX_TOKENS = 5, 128
# The nats a token that a passage must give a sentence: not measured on a set.
MIN_SUPPORT = 0.2


@dataclass(frozen=True)
class AskConfig:
    """How a question is answered."""

    passages: int = PASSAGES
    """How many passages are read."""
    min_evidence: float | None = None
    """What must speak for the best passage, 0 to 1 (`evidence.py`); 0: any passage will do; None: the usual of the ranking."""
    min_support: float = MIN_SUPPORT
    """How much more probable a passage must make a model's sentence, in nats a token."""
    max_tokens: int = MAX_TOKENS
    """The longest text of the model."""

    def __post_init__(self) -> None:
        require(1 <= self.passages <= 50, "The number of passages", self.passages, "1 to 50")
        require(0 <= (self.min_evidence or 0) <= 1, "The evidence", self.min_evidence, "0 to 1")
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
            "evidence": self.evidence,
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
    index: Index,
    question: str,
    engine: Engine | None = None,
    config: AskConfig | None = None,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
) -> Iterator[Part]:
    """Yield the parts of an answer as they are made, and last the `Answer`; with `vectors` it is known better whether there is one.

    Raises ConfigError, FormatError, ModelError.
    """
    config = config or AskConfig()
    found = find(index, question, config.passages, rank_by)
    spoken = evidence(index, found.passages, question, vectors)
    least = spoken.usual if config.min_evidence is None else config.min_evidence
    about = [passage for passage, each in zip(found.passages, spoken.values, strict=True) if each >= least]
    if not about:
        yield Answer(question, False, spoken.best, (), (), (), found.passages, found.outdated)
        return
    quotes = best_quotes(found.passages, spoken.weights)
    yield from quotes
    made: list[Sentence | Omitted] = []
    for part in written(engine, question, found.passages, about, config) if engine else ():
        yield part
        made.append(part)
    sentences = tuple(part for part in made if isinstance(part, Sentence))
    omitted = tuple(part for part in made if isinstance(part, Omitted))
    is_found = bool(quotes or sentences)
    yield Answer(question, is_found, spoken.best, tuple(quotes), sentences, omitted, found.passages, found.outdated)


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
