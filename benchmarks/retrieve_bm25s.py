"""bm25s on the passages and questions of `retrieve.py`, run by the python that has it: JSON on stdin, rows of passages' numbers on stdout."""

import json
import sys

import bm25s
import Stemmer


def main() -> None:
    """Rank every question's passages."""
    given = json.load(sys.stdin)
    stemmer = Stemmer.Stemmer("english")
    retriever = bm25s.BM25()
    corpus = bm25s.tokenize(given["passages"], stopwords="en", stemmer=stemmer, show_progress=False)
    retriever.index(corpus, show_progress=False)
    questions = bm25s.tokenize(given["questions"], stopwords="en", stemmer=stemmer, show_progress=False)
    found, _ = retriever.retrieve(questions, k=given["depth"], show_progress=False)
    json.dump(found.tolist(), sys.stdout)


if __name__ == "__main__":
    main()
