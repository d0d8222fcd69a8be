"""The passages that are read for an answer, with what speaks for each."""

from dataclasses import replace
from typing import TYPE_CHECKING

from groundup.retrieve.evidence import READ_PASSAGES, Evidence, evidence
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.search import Keep, Ranking, SearchResult, find

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors


def read_passages(
    index: Index | GivenPassages,
    question: str,
    count: int,
    keep: Keep,
    rank_by: Ranking | None,
    vectors: "Vectors | None",
) -> tuple[SearchResult, Evidence]:
    """Return the `count` best passages and what speaks for them; with a reader the best of
    READ_PASSAGES by its evidence.
    """
    if not isinstance(index, Index):
        found = index.find(question, count)
        return found, evidence(index, found.passages, question, vectors)
    if vectors is None or vectors.read is None:
        found = find(index, question, count, rank_by, keep)
        return found, evidence(index, found.passages, question, vectors)
    found = find(index, question, max(count, READ_PASSAGES), rank_by, keep)
    known = evidence(index, found.passages, question, vectors)
    best = sorted(range(len(found.passages)), key=lambda i: -known.values[i])[:count]
    passages = tuple(replace(found.passages[i], score=known.values[i]) for i in best)
    return replace(found, passages=passages), known.select(best)
