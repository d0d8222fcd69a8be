"""Long queries: a message of many sentences, as a customer's letter, is searched for sentence by
sentence.

    words(P)  = sum over the sentences s of BM25(P, s)
    cosine(P) = t ln mean over the sentences s of exp(cosine(P, s) / t)         (`vectors.py`)

One vector of a long text says what is usual in all of it, and BM25 of all its words prefers passages
that have a little of everything. The cosines are pooled by log-mean-exp: the mean where t is large,
the highest where it is small. t and the weight of the pooled cosine were chosen on half of the cases
of `benchmarks/retrieve_sets.py` "bank", which have 13 to 104 sentences (docs/log.md). Tried without
gain there: sentences weighted by how near their best passages are, their results in turn, reciprocal
ranks, the vectors of the best passages added to the query's.
"""

from groundup.retrieve.sentences import sentence_spans

MIN_SENTENCES, MAX_SENTENCES = 8, 128
TEMPERATURE, LONG_WEIGHT = 0.15, 6.0


def searched_for(query: str) -> list[str]:
    """Return what is searched for: the sentences of a long query, the first MAX_SENTENCES; else the
    query as it is.

    >>> searched_for("My card is lost. What now?")
    ['My card is lost. What now?']
    """
    sentences = [query[start:end].strip() for start, end in sentence_spans(query)]
    sentences = list(filter(None, sentences))
    if len(sentences) < MIN_SENTENCES:
        return [query]
    return sentences[:MAX_SENTENCES]
