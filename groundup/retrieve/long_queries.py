"""Long queries: a message of many sentences, as a customer's letter, is searched for sentence by
sentence.

    words(P)  = sum over the sentences s of BM25(P, s)
    cosine(P) = t ln mean over the sentences s of exp(cosine(P, s) / t)

One vector of a long text says what is usual in all of it, and BM25 of all its words prefers passages
that have a little of everything. The cosines are pooled by log-mean-exp: the mean where t is large,
the highest where it is small. TEMPERATURE and LONG_WEIGHT were chosen on half of the cases of
`benchmarks/retrieve_sets.py` "bank", of 13 to 119 sentences (docs/log.md). Tried without gain there:
sentences weighted by how near their best passages are, the sentences' results in turn, reciprocal
ranks, the vectors of the best passages added to the query's.
"""

import numpy as np
import numpy.typing as npt

from groundup.retrieve.sentences import sentence_spans

MIN_SENTENCES, MAX_SENTENCES = 8, 128
TEMPERATURE = 0.15
# Of the pooled cosine in the mixture: pooled ones are nearer to one another than those of a sentence.
LONG_WEIGHT = 6.0


def searched_for(query: str) -> list[str]:
    """Return what is searched for: the sentences of a long query, the first MAX_SENTENCES; else the
    query as it is.

    >>> searched_for("My card is lost. What now?")
    ['My card is lost. What now?']
    """
    sentences = [query[start:end].strip() for start, end in sentence_spans(query)]
    sentences = list(filter(None, sentences))
    return sentences[:MAX_SENTENCES] if len(sentences) >= MIN_SENTENCES else [query]


def pooled(cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return one cosine for each row (P, sentences) -> (P,); of one sentence it is that."""
    if cosines.shape[1] == 1:
        return cosines[:, 0]
    raised = np.exp(cosines / TEMPERATURE)  # at most e^7
    found: npt.NDArray[np.float32] = TEMPERATURE * np.log(raised.mean(axis=1))
    return found
