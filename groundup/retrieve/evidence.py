"""Evidence: how much speaks for a passage holding the answer to a question, 0 to 1; by words, and where an index has vectors better by both.

    by words    the share of the question's weight (idf) that the passage has, words that no passage has included
    by both     1 / (1 + exp(-(BIAS + SENTENCE (share + cosine) + AHEAD (cosine of the passage - highest cosine of the others))))

(share + cosine) is that of the best sentence: what the question is about stands together, in words or in meaning. A passage that holds the answer is
ahead of the others; where the answer is missing, its neighbours are all about as near. A repeat of the passage is no other one. The three numbers are
a logistic regression on the even questions of SQuAD, each with its passage and without it (`benchmarks/retrieve_refusal.py`).

Tried and left out (docs/log.md): the kind of thing that is asked for, a name, a date, a number (no gain); a model's ln P of the question with and
without the passage (some gain, a second a question); SmolLM2-135M's "yes" or "no" to whether the passage has the answer (chance).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from groundup.retrieve.cite import coverage
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Group, WordStatistics, idf, question_terms, term_weights
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.terms import terms

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Rows, Vector, Vectors

BIAS, SENTENCE, AHEAD = -5.99, 5.11, 6.43
# What a passage must have, chosen on the same questions: most refused with at most a tenth of the answerable ones.
MIN_BY_WORDS, MIN_BY_BOTH = 0.5, 0.314
# Two passages that are as near to one another say the same.
REPEATED = 0.95


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of some passages."""

    values: tuple[float, ...]
    """0 to 1, in the order of the passages."""
    weights: dict[Group, float]
    """The words of the question that passages have, and how much each says."""
    usual: float
    """The lowest value that is an answer, unless another is asked for."""

    @property
    def best(self) -> float:
        """The highest value; 0 without passages."""
        return max(self.values, default=0.0)


@dataclass(frozen=True)
class Asked:
    """The words of a question."""

    weights: dict[Group, float]
    unknown: float
    """The weight of words that no passage has; each weighs as one that a single passage has."""

    def share(self, text: str, language: str, title: str = "") -> float:
        """Return the share of the question's weight that a text has."""
        return coverage(self.weights, self.unknown, Counter(terms(text, language)), Counter(terms(title, language)))


def evidence(
    index: WordStatistics, passages: Sequence[Passage], question: str, vectors: "Vectors | None" = None
) -> Evidence:
    """Return what speaks for each passage. Raises FormatError."""
    asked = asked_of(index, question)
    if vectors is None or not passages:
        shares = [asked.share(f"{passage.title} {passage.text}", passage.language) for passage in passages]
        return Evidence(tuple(shares), asked.weights, MIN_BY_WORDS)
    values = [by_both(*each) for each in near_and_ahead(vectors, asked, passages, question)]
    return Evidence(tuple(values), asked.weights, MIN_BY_BOTH)


def asked_of(index: WordStatistics, question: str) -> Asked:
    """Return the words of a question with their weights in an index."""
    groups = question_terms(index, question, is_strict=True)
    weights = term_weights(index, groups)
    unknown = idf(1, max(1, index.passage_count)) * sum(group not in weights for group in groups)
    return Asked(weights, unknown)


def by_both(near: float, lead: float) -> float:
    """Return the evidence for a passage with a sentence of this share + cosine, so far ahead of the others."""
    return 1 / (1 + math.exp(-(BIAS + SENTENCE * near + AHEAD * lead)))


def near_and_ahead(
    vectors: "Vectors", asked: Asked, passages: Sequence[Passage], question: str
) -> list[tuple[float, float]]:
    """Return the share + cosine of each passage's best sentence, and how far the passage is ahead."""
    sentences = [[passage.text[a:b] for a, b in sentence_spans(passage.text)] for passage in passages]
    query, *rows = vectors.embed([question, *chain.from_iterable(sentences)])
    cosines = iter([float(row @ query) for row in rows])
    near = [
        max((asked.share(text, passage.language, passage.title) + next(cosines) for text in listed), default=0.0)
        for passage, listed in zip(passages, sentences, strict=True)
    ]
    return list(zip(near, ahead(vectors.rows_of(passages), query), strict=True))


def ahead(rows: "Rows", query: "Vector") -> list[float]:
    """Return the cosine of each row to a vector, less the highest of the rows that are no repeats of it; 0 where all are.

    >>> [round(each, 2) for each in ahead(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0.8, 0.6]))]
    [0.2, 0.2, -0.2]
    """
    cosines, between = rows @ query, rows @ rows.T
    others = np.where(between < REPEATED, cosines, -np.inf).max(axis=1)
    return [float(own - other) if np.isfinite(other) else 0.0 for own, other in zip(cosines, others, strict=True)]
