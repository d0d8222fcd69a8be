"""Search: the passages that fit a question best, by BM25.

    question -> groups of terms (`question_terms`) -> candidates by FTS5, of the rarest terms -> all
    terms counted in each -> score -> Passages

    BM25(P, Q) = sum over t in Q of  idf(t) tf (k + 1) / (tf + k (1 - b + b |P| / mean |P|)),
                                     idf(t) = ln(1 + (N - n + 0.5) / (n + 0.5))
    score(P, Q) = (BM25 + pairs of words near one another) (share of the idf of Q that P has)^0.5

(Robertson and Zaragoza 2009, eq. 3.15; with Lucene's idf, which is never negative.) Words of the
headings above a passage count half. FTS5 scores every passage that matches, so words that stand
nearly everywhere cost most and say least: candidates are found by the rarest terms, up to
MAX_MATCHES matches, and then scored by all. A word has one term for each language of the index,
which count as one.

A passage whose file was changed or deleted since it was read is left out. `rank_by` is the seam for
other rankings, as by vectors.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.errors import require
from groundup.files import sha256_file
from groundup.language.terms import terms
from groundup.retrieve.doc_files import state_of
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import (
    Group,
    LookedFor,
    WordStatistics,
    question_terms,
)
from groundup.retrieve.sentences import searched_for

K, B = 1.2, 0.75
TITLE_WEIGHT = 0.5
# Neighbouring words of the question that stand near one another in a passage; and how much a
# passage loses that lacks words of the question. Chosen on SQuAD's questions; even and odd ones
# agree (docs/retrieve.md).
PAIR_WEIGHT, COVERAGE_POWER = 1.0, 0.5
MAX_RESULTS = 1000
# FTS5 takes about a microsecond for each match.
MAX_MATCHES = 25_000
CANDIDATES = 100


@dataclass(frozen=True)
class SearchResult:
    """The result of a search."""

    passages: tuple[Passage, ...]
    """Best first."""
    outdated: tuple[str, ...] = ()
    """Files of passages that were left out, since they were changed or deleted after they were
    read.
    """


Ranking = Callable[[Index, str, int], list[tuple[int, float]]]
"""A function of index, question and a number of passages that returns (passage's id, score), best
first.
"""
Keep = Callable[[Passage], bool]
"""Whether a passage may be among the results; called with the best first."""


def search(index: Index, query: str, k: int = 10) -> list[Passage]:
    """Return the `k` best passages with their scores, best first; fewer where fewer have a word of
    the query.

    >>> [passage.score > 0 for passage in search(index, "To be, or not to be?", 1)]
    [True]
    """
    return list(find(index, query, k).passages)


def every(passage: Passage) -> bool:
    """Keep every passage."""
    return True


def find(
    index: Index, query: str, k: int = 10, rank_by: "Ranking | None" = None, keep: Keep = every
) -> SearchResult:
    """`search` of the passages to `keep`, with the files whose passages were left out as outdated.

    Raises ConfigError, FormatError.
    """
    require(1 <= k <= MAX_RESULTS, "The number of passages", k, f"1 to {MAX_RESULTS}")
    ranked = (rank_by or bm25)(index, query, max(CANDIDATES, 2 * k))
    current: dict[str, bool] = {}
    found: list[Passage] = []
    scores = dict(ranked)
    for start in range(0, len(ranked), k):
        for passage in index.passages([id for id, _ in ranked[start : start + k]]):
            if passage.file not in current:
                current[passage.file] = is_current(index, passage.file)
            if len(found) < k and current[passage.file] and keep(passage):
                found.append(replace(passage, score=scores[passage.id]))
        if len(found) == k:
            break
    return SearchResult(tuple(found), tuple(file for file, holds in current.items() if not holds))


def is_current(index: Index, file: str) -> bool:
    """Whether a file is as it was when it was read; of a source that is not on this disk it is
    taken for granted.
    """
    known = index.file_state(file)
    if known is None or not os.path.isabs(file):
        return known is not None
    try:
        state = state_of(Path(file))
        return bool(state and state == known[0]) or sha256_file(Path(file)) == known[1]
    except OSError:
        return False


def bm25(index: Index, query: str, limit: int) -> list[tuple[int, float]]:
    """Return (id, score) of the best passages by BM25, at most `limit`, best first; of a long query
    the sum of its sentences (`sentences.py`).
    """
    totals: dict[int, float] = {}
    for text in searched_for(query):
        for id, score in _scores(index, text, limit):
            totals[id] = totals.get(id, 0.0) + score
    return sorted(totals.items(), key=lambda each: (-each[1], each[0]))[:limit]


def _scores(index: Index, query: str, limit: int) -> Iterator[tuple[int, float]]:
    """Yield (id, score) of the passages that have some of the words."""
    weights = term_weights(index, question_terms(index, query))
    if not weights:
        return
    passages = index.passages(index.matching(_rarest(index, weights), max(limit, CANDIDATES)))
    fit = QuestionScore(weights, index.mean_terms)
    for passage in passages:
        yield passage.id, fit.of(passage)


def term_weights(index: WordStatistics, groups: Sequence[Group]) -> dict[Group, float]:
    """Return the idf of each group of terms that occurs in the index."""
    total = index.passage_count
    counts = {group: group.passages_in(index) for group in groups}
    return {group: idf(min(count, total), total) for group, count in counts.items() if count}


def idf(count: int, total: int) -> float:
    """Return how much a term says that is in `count` of `total` passages, in nats."""
    return math.log(1 + (total - count + 0.5) / (count + 0.5))


def _rarest(index: Index, weights: dict[Group, float]) -> list[str]:
    """Return the terms by which candidates are found: the rarest, with at most MAX_MATCHES matches
    (but one group in any case).
    """
    chosen: list[str] = []
    matches = 0
    for group in sorted(weights, key=lambda group: -weights[group]):
        looked_for = (*group.terms, *group.related)
        matches += sum(map(index.passages_with, looked_for))
        if chosen and matches > MAX_MATCHES:
            break
        chosen += looked_for
    return chosen


class QuestionScore:
    """How well passages fit one question: BM25 and pairs, times the share of the question's weight
    that a passage has to a power.
    """

    def __init__(self, weights: dict[Group, float], mean_terms: float) -> None:
        """`weights`: the idf of each group of terms; `mean_terms`: the mean number of terms of a
        passage of the index.
        """
        self._weights, self._mean_terms = list(weights.values()), max(1.0, mean_terms)
        self._looked_for = LookedFor(weights)
        self._own = {term: place for place, group in enumerate(weights) for term in group.terms}

    def of(self, passage: Passage) -> float:
        """Return the score of a passage, at least 0."""
        if not self._weights:
            return 0.0
        body = terms(passage.text, passage.language)
        counts = self._looked_for.counts(passage.text, passage.language, body)
        title = self._looked_for.counts(passage.title, passage.language)
        length = 1 - B + B * len(body) / self._mean_terms
        total = matched = 0.0
        for weight, here, above in zip(self._weights, counts, title, strict=True):
            if here.is_there or above.is_there:
                count = here.occurrences + TITLE_WEIGHT * above.occurrences
                total += weight * count * (K + 1) / (count + K * length)
                matched += weight * min(1.0, count)
        coverage: float = (matched / sum(self._weights)) ** COVERAGE_POWER
        return (total + self._pairs_near(body)) * coverage

    def _pairs_near(self, body: Sequence[str]) -> float:
        """Return the sum over neighbouring words of the question of PAIR_WEIGHT min(idf) /
        distance^2, at their nearest places in a passage.
        """
        places: dict[int, list[int]] = {}
        for place, term in enumerate(body):
            if term in self._own:
                places.setdefault(self._own[term], []).append(place)
        total = 0.0
        for first in sorted(places):
            if first + 1 in places:
                distance = min(abs(a - b) for a in places[first] for b in places[first + 1])
                idfs = self._weights[first : first + 2]
                total += PAIR_WEIGHT * min(idfs) / max(1, distance) ** 2
        return total
