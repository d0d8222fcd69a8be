"""Evidence: how much speaks for a passage holding the answer to a question, 0 to 1; by words, where
an index has vectors better by both, and best by a reader of question and passage together.

    by words    the share of the question's weight (idf) that the passage has, words that no passage
                has included
    by reader   1 / (1 + exp(-(bias + factor f))) of the best sentence,  f = its cosine + w . (the
                reader's score of it (`reader.py`; of two readers the second's), the share of the
                question's weight that it has, cosine of the passage, that cosine - highest cosine
                of the others, 1 where it has the kind of value that is asked for
                (`asked_values.py`))
    by both     1 / (1 + exp(-(BIAS + SENTENCE (share + cosine) + AHEAD (cosine of the passage -
                highest cosine of the others))))

(share + cosine) is that of the best sentence: what the question is about stands together, in words
or in meaning. A passage that holds the answer is ahead of the others; where the answer is missing,
its neighbours are all about as near. A repeat of the passage is no other one. The three numbers are
a logistic regression on the even questions of SQuAD, each with its passage and without it
(`benchmarks/retrieve_refusal.py`).

Tried and left out (docs/log.md): by both, the kind of thing that is asked for, a name, a date, a
number (no gain); a model's ln P of the question with and without the passage (some gain, a second a question);
SmolLM2-135M's "yes" or "no" to whether the passage has the answer (chance).

Contact details: "Where are you?" shares no word with "27 Rope Walk, Westerholme", and its meaning
is that of any page on getting there. So a sentence that holds the telephone number, address or
e-mail that is asked for is known by its form.
"""

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from groundup.retrieve.asked_values import has_asked_value
from groundup.retrieve.cite import headed_text, statement_text, statements
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import (
    Group,
    LookedFor,
    WordStatistics,
    question_terms,
)
from groundup.retrieve.requests_to_reader import known_elsewhere, nothing_known, request_of
from groundup.retrieve.search import (
    TITLE_WEIGHT,
    Keep,
    Ranking,
    SearchResult,
    find,
    idf,
    term_weights,
)

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Rows, Vector, Vectors


BIAS, SENTENCE, AHEAD = -5.99, 5.11, 6.43
# What a passage must have, chosen on the same questions: most refused with at most a tenth of the
# answerable ones.
MIN_BY_WORDS, MIN_BY_BOTH = 0.5, 0.314
WORDS, BOTH, READER = "words", "both", "reader"
# By reader: a logistic regression of whether a sentence answers (docs/log.md).
READER_BIAS, READER_FACTOR = -3.675, 4.327
READER_WEIGHTS = (0.175, 0.258, 0.381, 0.759, 0.469)
MIN_BY_READER = 0.13
# Passages that a reader reads for a question.
READ_PASSAGES = 8
# Of two readers: how many passages the second reads, those with the most evidence by the first, and
# what its scores count in choosing a sentence; the evidence is by the second alone (docs/log.md).
READ_AGAIN, SECOND_WEIGHT = 4, 2 / 3
MIN_EVIDENCE = {WORDS: MIN_BY_WORDS, BOTH: MIN_BY_BOTH, READER: MIN_BY_READER}
# Two passages that are as near to one another say the same.
REPEATED = 0.95
# What a question's words count beside the cosines, for the sentences that are quoted; chosen on
# questions of three packs and SQuAD (docs/log.md).
SHARE = 0.5


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of some passages, and for their sentences."""

    values: tuple[float, ...]
    """0 to 1, in the order of the passages."""
    sentences: tuple[tuple[float, ...], ...]
    """Of each passage how well its `statements` fit the question; comparable among these only."""
    by: str
    """WORDS, BOTH or READER."""
    readers: tuple[str, ...] = ()
    """SHA-256 of the readers' files."""

    @property
    def usual(self) -> float:
        """The lowest value that is an answer, unless another is asked for or was chosen for the
        index (`calibration.py`).
        """
        return MIN_EVIDENCE[self.by]

    def select(self, places: Sequence[int]) -> "Evidence":
        """Return that of some of the passages, in this order."""
        values = tuple(self.values[i] for i in places)
        return replace(self, values=values, sentences=tuple(self.sentences[i] for i in places))

    @property
    def best(self) -> float:
        """The highest value; 0 without passages."""
        return max(self.values, default=0.0)


@dataclass(frozen=True)
class QuestionWords:
    """The words of a question."""

    weights: dict[Group, float]
    unknown: float
    """The weight of words that no passage has; each weighs as one that a single passage has."""

    @cached_property
    def looked_for(self) -> LookedFor:
        """The same words, to be counted."""
        return LookedFor(self.weights)

    def share(self, text: str, language: str, title: str = "") -> float:
        """Return the share of the question's weight that a text has."""
        here = self.looked_for.counts(text, language)
        above = self.looked_for.counts(title, language)
        matched = 0.0
        for weight, own, titled in zip(self.weights.values(), here, above, strict=True):
            matched += weight * max(own.presence, TITLE_WEIGHT * titled.presence)
        return matched / max(1e-9, sum(self.weights.values()) + self.unknown)


def evidence(
    index: WordStatistics,
    passages: Sequence[Passage],
    question: str,
    vectors: "Vectors | None" = None,
) -> Evidence:
    """Return what speaks for each passage and its sentences; nothing for sentences that tell the
    reader to send a secret, to pay or to follow a link. Raises FormatError.
    """
    found, judged = _of_all(index, passages, question, vectors)
    requests = [requests_in(index, passage) for passage in passages]
    values = found.values
    if found.by == READER:
        own = without(judged, requests)
        values = tuple(by_reader(max(each, default=0.0)) for each in own)
    return replace(found, values=values, sentences=without(found.sentences, requests))


def without(
    values: Sequence[Sequence[float]], places: Sequence[Set[int]]
) -> tuple[tuple[float, ...], ...]:
    """Return the values of passages' sentences with 0 at these places of each."""
    return tuple(
        tuple(0.0 if i in left_out else each for i, each in enumerate(of_passage))
        for of_passage, left_out in zip(values, places, strict=True)
    )


def no_evidence(vectors: "Vectors | None") -> Evidence:
    """Return that of no passages, as `vectors` would judge them."""
    if vectors is None:
        return Evidence((), (), WORDS)
    return Evidence((), (), BOTH if vectors.read is None else READER, vectors.readers)


def requests_in(index: WordStatistics, passage: Passage) -> set[int]:
    """Return the places of a passage's `statements` that are its document's requests to the
    reader, or stand on one line with such a request.
    """
    is_own = known_elsewhere(index, passage) if isinstance(index, Index) else nothing_known
    of_passage = statements(passage)
    lines = [passage.text.count("\n", 0, each.start) for each in of_passage]
    found = {
        line for line, each in zip(lines, of_passage, strict=True) if request_of(each.text, is_own)
    }
    return {place for place, line in enumerate(lines) if line in found}


def _of_all(
    index: WordStatistics, passages: Sequence[Passage], question: str, vectors: "Vectors | None"
) -> tuple[Evidence, Sequence[Sequence[float]]]:
    """`evidence` of all sentences, and how well each fits where a reader judges the evidence (its
    values are left to `evidence`): by a second reader alone, where there is one.
    """
    asked = question_words(index, question)
    if vectors is not None and passages:
        near = nearness(vectors, asked, passages, question)
        if vectors.read is not None:
            scores = vectors.read(question, passages)
            found = judged = _with_scores(near, scores)
            if vectors.second is not None:
                again = most_evidence(found, READ_AGAIN)
                read = vectors.second.read(question, [passages[i] for i in again])
                seconds = dict(zip(again, read, strict=True))
                found = _with_scores(near, scores_of_both(scores, seconds))
                judged = _with_scores(near, scores_of_both(scores, seconds, 1.0))
            return Evidence((), tuple(found), READER, vectors.readers), judged
        values = [by_both(each.near, each.ahead) for each in near]
        return Evidence(tuple(values), tuple(each.sentences for each in near), BOTH), ()
    shares = [asked.share(f"{each.title} {each.text}", each.language) for each in passages]
    best = max((passage.score for passage in passages), default=0.0)
    sentences = []
    for passage in passages:
        of_passage = [
            asked.share(each.text, passage.language, each.above) for each in statements(passage)
        ]
        factor = 1 + passage.score / max(best, 1e-9)
        sentences.append(tuple(share * factor for share in of_passage))
    return Evidence(tuple(shares), tuple(sentences), WORDS), ()


def _with_scores(
    near: "Sequence[Nearness]", scores: Sequence[Sequence[float]]
) -> list[tuple[float, ...]]:
    return [each.with_scores(of) for each, of in zip(near, scores, strict=True)]


def question_words(index: WordStatistics, question: str) -> QuestionWords:
    """Return the words of a question with their weights in an index."""
    groups = question_terms(index, question, is_strict=True)
    weights = term_weights(index, groups)
    unknown = idf(1, max(1, index.passage_count)) * sum(group not in weights for group in groups)
    return QuestionWords(weights, unknown)


def by_both(near: float, lead: float) -> float:
    """Return the evidence for a passage.

    `near`: share + cosine of its best sentence; `lead`: its cosine less the others' highest.
    """
    return 1 / (1 + math.exp(-(BIAS + SENTENCE * near + AHEAD * lead)))


@dataclass(frozen=True)
class Nearness:
    """How near a passage is to a question."""

    shares: tuple[float, ...]
    """Of each of its `statements` the share of the question's weight."""
    cosines: tuple[float, ...]
    """Of each the cosine to the question, whose vector is made with what stands above it, and more
    where it holds the contact detail that is asked for.
    """
    cosine: float
    """That of the passage."""
    ahead: float
    """How much nearer it is than the others."""
    has_value: tuple[bool, ...]
    """Of each of its `statements` whether it has the kind of value that is asked for."""

    @property
    def near(self) -> float:
        """Return share + cosine of the best sentence."""
        return max(map(sum, zip(self.shares, self.cosines, strict=True)), default=0.0)

    @property
    def sentences(self) -> tuple[float, ...]:
        """Return of each sentence SHARE times its share, plus the cosines of it and of the
        passage.
        """
        near = zip(self.shares, self.cosines, strict=True)
        return tuple(SHARE * share + cosine + self.cosine for share, cosine in near)

    def with_scores(self, scores: Sequence[float]) -> tuple[float, ...]:
        """Return how well each sentence fits by the reader's scores and the rest, at least 0; on
        the scale of cosines.
        """
        each = zip(scores, self.shares, self.cosines, self.has_value, strict=True)
        rows = [
            (cosine, (score, share, self.cosine, self.ahead, has_value))
            for score, share, cosine, has_value in each
        ]
        return tuple(max(0.0, cosine + float(np.dot(READER_WEIGHTS, row))) for cosine, row in rows)


def by_reader(best: float) -> float:
    """Return the evidence for a passage whose best sentence fits so well."""
    return 1 / (1 + math.exp(-(READER_BIAS + READER_FACTOR * best)))


def most_evidence(sentences: Sequence[Sequence[float]], count: int) -> list[int]:
    """Return the places of the passages whose best sentence fits best, best first."""
    fit = [max(each, default=0.0) for each in sentences]
    return sorted(range(len(fit)), key=lambda i: -fit[i])[:count]


def scores_of_both(
    first: Sequence[Sequence[float]],
    again: Mapping[int, Sequence[float]],
    weight: float = SECOND_WEIGHT,
) -> list[tuple[float, ...]]:
    """Return the scores of two readers together, the second's with this weight; `again`: its scores
    of the passages that it has read, by their place. A sentence of another passage has the lowest
    of these.
    """
    lowest = min((min(each) for each in again.values() if each), default=0.0)
    found = []
    for place, scores in enumerate(first):
        seconds = again.get(place, (lowest,) * len(scores))
        found.append(tuple(a + weight * (b - a) for a, b in zip(scores, seconds, strict=True)))
    return found


def nearness(
    vectors: "Vectors", asked: QuestionWords, passages: Sequence[Passage], question: str
) -> list[Nearness]:
    """Return how near each passage is."""
    listed = [statements(passage) for passage in passages]
    texts = [headed_text(each) for of_passage in listed for each in of_passage]
    query = vectors.query_rows([question])[0]
    cosines = iter([float(row @ query) for row in vectors.embed_again(texts)])
    rows = vectors.rows_of(passages)
    leads = ahead(rows, query)
    return [
        Nearness(
            tuple(asked.share(each.text, passage.language, each.above) for each in of_passage),
            tuple(next(cosines) + contact_detail(question, each.text) for each in of_passage),
            float(own),
            lead,
            tuple(has_asked_value(question, statement_text(passage, each)) for each in of_passage),
        )
        for passage, of_passage, own, lead in zip(
            passages, listed, rows @ query, leads, strict=True
        )
    ]


def ahead(rows: "Rows", query: "Vector") -> list[float]:
    """Return the cosine of each row to a vector, less the highest of the rows that are no repeats
    of it; 0 where all are.

    >>> rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> [round(each, 2) for each in ahead(rows, np.array([0.8, 0.6]))]
    [0.2, 0.2, -0.2]
    """
    cosines, between = rows @ query, rows @ rows.T
    others = np.where(between < REPEATED, cosines, -np.inf).max(axis=1)
    leads = np.where(np.isfinite(others), cosines - others, 0.0)
    return [float(lead) for lead in leads]


# Added to how well a sentence fits that has what is asked for, on the scale of cosines: about what
# a shared subject is worth.
HELD = 0.4
_FORMS = (
    (
        re.compile(
            r"\b(?:(?:tele)?phone|call|ring|contact)\b.*\b(?:number|no)\b"
            r"|\b(?:your|the) (?:tele)?phone\b|\bnumber (?:do|can|should) i (?:call|ring)\b"
            r"|\bhow (?:do|can) i (?:call|ring|phone) you\b",
            re.IGNORECASE,
        ),
        re.compile(r"(?<![\d£$€])(?:\+|\b0)\d[\d ()-]{6,}\d\b"),
    ),
    (
        re.compile(
            r"\bwhere(?:'s| are| is) (?:you|(?:the|your) (?:shop|store|office|practice|surgery"
            r"|clinic|studio|salon|workshop|branch|school|restaurant|place))\b"
            r"|\b(?:your|the|postal) address\b|\bwhere (?:can|do) i find you\b|\bhow do i find you\b",
            re.IGNORECASE,
        ),
        re.compile(
            r"\b\d{1,4}[a-z]?,? (?:[A-Z][\w'’-]+ ){1,3}?(?:Street|St|Road|Rd|Avenue|Ave|Lane|Walk|Row"
            r"|Square|Place|Court|Way|Drive|Close|Terrace|Yard|Quay|Hill|Parade|Passage|Gardens?)\b"
        ),
    ),
    (re.compile(r"\be-?mail\b", re.IGNORECASE), re.compile(r"[\w.+-]+@[\w-]+\.\w+")),
)


def contact_detail(question: str, text: str) -> float:
    """Return HELD where a question asks for a contact detail that a text holds; else 0.

    >>> contact_detail("where are you", "Pebblegate, 27 Rope Walk, Westerholme.")
    0.4
    >>> contact_detail("where's your shop?", "Find us at 27 Rope Walk.")
    0.4
    >>> contact_detail("where are you", "Parking is free."), contact_detail("why", "27 Rope Walk")
    (0.0, 0.0)
    """
    return HELD if any(a.search(question) and held.search(text) for a, held in _FORMS) else 0.0


def read_passages(
    index: Index | GivenPassages,
    question: str,
    count: int,
    keep: Keep,
    rank_by: Ranking | None,
    vectors: "Vectors | None",
) -> tuple[SearchResult, Evidence]:
    """Return the `count` best passages and what speaks for them; with a reader the best of
    READ_PASSAGES by their best sentence.
    """
    if not isinstance(index, Index):
        found = index.find(question, count)
        return found, evidence(index, found.passages, question, vectors)
    if vectors is None or vectors.read is None:
        found = find(index, question, count, rank_by, keep)
        return found, evidence(index, found.passages, question, vectors)
    found = find(index, question, max(count, READ_PASSAGES), rank_by, keep)
    known = evidence(index, found.passages, question, vectors)
    best = most_evidence(known.sentences, count)
    passages = tuple(replace(found.passages[i], score=known.values[i]) for i in best)
    return replace(found, passages=passages), known.select(best)
