"""TF-IDF of letters: a text as the n-grams of its words, weighted by how often each is in it and
how rare it is; as scikit-learn has it.

    tfidf = TfIdf.of(texts)              # the n-grams of some texts, and their inverse document
                                         frequency
    indices, values = tfidf.row("hi")    # those of a text, a vector of length 1

The n-grams of a word are its runs of LOWEST to HIGHEST characters, in lower case and with a space
on either side (scikit-learn: `char_wb`). The weight of one is (1 + ln count) (1 + ln (1 + n) / (1 +
texts that have it)). It needs no scikit-learn, which the tests compare it with.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LOWEST, HIGHEST = 2, 5


def letter_ngrams(text: str) -> list[str]:
    """Return the n-grams of a text, repeats included.

    >>> letter_ngrams("Hi")
    [' h', 'hi', 'i ', ' hi', 'hi ', ' hi ']
    """
    found: list[str] = []
    for word in text.lower().split():
        padded = f" {word} "
        for size in range(LOWEST, HIGHEST + 1):
            found += [
                padded[start : start + size] for start in range(max(1, len(padded) - size + 1))
            ]
            if len(padded) <= size:  # a short word counts once
                break
    return found


@dataclass(frozen=True)
class TfIdf:
    """The known n-grams and how rare they are."""

    ngrams: tuple[str, ...]
    """In the order of the components."""
    rarity: np.ndarray
    """Inverse document frequency of each, float64."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TfIdf":
        """Return the n-grams of `texts`."""
        counts = Counter(ngram for text in texts for ngram in set(letter_ngrams(text)))
        ngrams = tuple(sorted(counts))
        rarity = [1 + math.log((1 + len(texts)) / (1 + counts[ngram])) for ngram in ngrams]
        return cls(ngrams, np.array(rarity, dtype=np.float64))

    @cached_property
    def places(self) -> dict[str, int]:
        """N-gram -> its component."""
        return {ngram: place for place, ngram in enumerate(self.ngrams)}

    def row(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the components of a text that are not 0, and their values; a text without known
        n-grams has none.
        """
        places = self.places
        counts = Counter(
            place for ngram in letter_ngrams(text) if (place := places.get(ngram)) is not None
        )
        indices = np.array(sorted(counts), dtype=np.int64)
        values = (
            1 + np.log(np.array([counts[place] for place in indices.tolist()], dtype=np.float64))
        ) * self.rarity[indices]
        return indices, values / max(float(np.linalg.norm(values)), 1e-12)
