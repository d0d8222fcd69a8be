"""Retrieval: one's own documents -> passages with their places -> an index -> the passages that fit
a question -> an answer with checked sources.

    documents (of `data.reading`) -> passages -> update -> index.sqlite in the index's folder
    question -> terms -> search (BM25) -> Passage, with its file's hash and its span in the document
        -> answer -> cite (checks, saved, verified)

Begin in `search.py`; `update.py` writes an index, `index.py` reads it, `answer.py` answers, its
model's part is `generation.py`.
"""
