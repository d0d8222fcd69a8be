"""What a text has from another one, and from itself: how much of a sample is copied from the training text, how much it repeats.

`longest_copy` is exact and needs no index. For each token id, a machine word has a bit for each place of the sample where that id stands:

    m_1[i] = places[text[i]]          m_k[i] = places[text[i]] & (m_{k-1}[i - 1] << 1)

Bit p of m_k[i] says: the k tokens of the text that end at i are those of the sample that end at p. The largest k with any bit set is the
longest copy. All i go at once in numpy, and only those whose word is not zero go on to k + 1: a few after two or three rounds.
The text is mapped into memory and read in pieces, so memory is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# A word has so many bits: longer samples are looked at no further.
MAX_SAMPLE_TOKENS = 64
PIECE_TOKENS = 2**19
# A longer text is searched in as many evenly spread pieces: some 0.1 s a sample.
MAX_SEARCHED_TOKENS = 2**24
GRAM_TOKENS = 4


@dataclass(frozen=True)
class Copy:
    """The longest run of a sample's tokens that stands in the text."""

    start: int
    """Its first token in the sample."""
    num_tokens: int
    """0: not one token of it occurs."""


def repetition(ids: Sequence[int]) -> float:
    """The share, 0 to 1, of runs of four tokens that stood before in the same text; 0 for a text shorter than four.

    >>> round(repetition([1, 2, 3, 4, 1, 2, 3, 4]), 3)  # of five runs, the last is the first again
    0.2
    """
    runs = [tuple(ids[at : at + GRAM_TOKENS]) for at in range(len(ids) - GRAM_TOKENS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def searched_share(num_tokens: int) -> float:
    """How much of a text of that length `longest_copy` reads: 1 up to 2^24 tokens."""
    return min(1.0, MAX_SEARCHED_TOKENS / max(1, num_tokens))


def longest_copy(ids: Sequence[int], text: np.ndarray, vocab_size: int) -> Copy:
    """The longest run of `ids` (its first 64) that stands in `text` [num_tokens]; the earliest in `ids` of the longest ones."""
    ids = ids[:MAX_SAMPLE_TOKENS]
    places = np.zeros(vocab_size, np.uint64)
    for place, id in enumerate(ids):
        places[id] |= np.uint64(1 << place)
    best, ends = 0, 0
    for start in piece_starts(len(text)):
        length, found = _longest_in(places[text[start : start + PIECE_TOKENS + MAX_SAMPLE_TOKENS]])
        ends = found if length > best else ends | found if length == best else ends
        best = max(best, length)
    last = (ends & -ends).bit_length() - 1  # the lowest bit: where the earliest one ends
    return Copy(last - best + 1, best) if best else Copy(0, 0)


def piece_starts(num_tokens: int) -> range:
    """Where the pieces begin that are searched: side by side, or spread over a text that is too long."""
    pieces = max(1, -(-num_tokens // PIECE_TOKENS))
    wanted = min(pieces, MAX_SEARCHED_TOKENS // PIECE_TOKENS)
    return range(0, max(1, num_tokens), PIECE_TOKENS if wanted == pieces else num_tokens // wanted)


def _longest_in(first: np.ndarray) -> tuple[int, int]:
    """Of one piece, as the words m_1: the largest k, and the places where copies of that length end, as bits."""
    length, ends = 0, 0
    at, words = np.flatnonzero(first), first[first != 0]
    while len(at):
        length, ends = length + 1, int(np.bitwise_or.reduce(words))
        following = at + 1
        inside = following < len(first)
        at, words = following[inside], (words[inside] << np.uint64(1)) & first[following[inside]]
        alive = words != 0
        at, words = at[alive], words[alive]
    return length, ends
