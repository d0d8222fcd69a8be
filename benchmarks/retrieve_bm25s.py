"""bm25s on the passages and questions of `retrieve.py`, run by the python that has it: a set a line, of JSON; numbers of passages on stdout."""

import json
import sys
from typing import Any

import bm25s
import Stemmer


def main() -> None:
    """Rank every question's passages, of one set after the other."""
    for line in sys.stdin:
        print(json.dumps(ranked(json.loads(line), Stemmer.Stemmer("english"))))


def ranked(given: dict[str, Any], stemmer: Any) -> list[list[int]]:
    """The numbers of the passages for each question, best first."""
    retriever = bm25s.BM25()
    corpus = bm25s.tokenize(given["passages"], stopwords="en", stemmer=stemmer, show_progress=False)
    retriever.index(corpus, show_progress=False)
    questions = bm25s.tokenize(
        given["questions"], stopwords="en", stemmer=stemmer, show_progress=False
    )
    depth = min(given["depth"], len(given["passages"]))
    found, _ = retriever.retrieve(questions, k=depth, show_progress=False)
    return [[int(number) for number in row] for row in found]


if __name__ == "__main__":
    main()
