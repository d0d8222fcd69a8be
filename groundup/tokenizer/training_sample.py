"""The texts that a tokenizer is trained on: all of them, or blocks chosen evenly at random where
they are more than fits in memory.

    texts -> parts (`cut`: nowhere that changes a piece) -> blocks of some 64 KiB -> `choose` -> the
        parts of the chosen blocks

Training takes in a few hundred parts ahead and keeps each distinct piece, with every place of every
pair in it. So memory is bounded three times:
parts are short, the chosen blocks have at most `sample_bytes`, and fewer where their distinct
pieces would have more than MAX_DISTINCT_BYTES: half a gigabyte of English has some ten megabytes of
them, while of base64 or DNA nearly every piece is new.
"""

import heapq
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from groundup.tokenizer.bytelevel import split_text, training_texts

if TYPE_CHECKING:
    import regex

# A quarter of a gigabyte: 50 million English words. A token that is rarer there than the rarest of
# 100,000 is not worth an id, and memory holds it.
SAMPLE_BYTES = 256 * 10**6
BLOCK_BYTES = 2**16
# Memory of training by byte of distinct pieces, measured: 75 (DNA, base64), 91 (random words).
MEMORY_PER_BYTE = 100
MAX_DISTINCT_BYTES = 8 * 2**20
# A sample up to this size can't have more; of a larger one, this much is split to estimate how many
# its distinct pieces have.
PROBE_BYTES = 4 * 2**20
# Between two parts of a block: a byte that no UTF-8 has.
_SEPARATOR = b"\xff"


@cache
def _piece_end() -> "regex.Pattern[str]":
    """Where a piece ends under the split that tokenizers are trained with, whatever precedes and
    follows: no piece goes on after its letters or digits.
    """
    import regex

    after = r"(?<=\p{L})(?=\P{L})|(?<=\p{N})(?=\P{N})|(?<=\n)(?=\S)"
    return regex.compile(rf"{after}|(?<=[^\s\p{{L}}\p{{N}}])(?=[^\S\r\n])", regex.V0)


@dataclass(frozen=True)
class Sample:
    blocks: list[bytes]
    """In their order where all are chosen, else in random order."""
    all_bytes: int
    """Bytes of all texts."""
    distinct_bytes: int
    """An upper bound on the bytes of the distinct pieces of the chosen blocks, approximate."""

    @property
    def sampled_bytes(self) -> int:
        return sum(map(len, self.blocks))

    def parts(self) -> Iterator[str]:
        """Yield the parts of the chosen blocks; each block is let go."""
        self.blocks.reverse()
        while self.blocks:
            yield from parts_of(self.blocks.pop())

    def line(self) -> str:
        """Return one line of text: what was chosen and the estimate; "" for little text that is
        taken whole.
        """
        whole = self.sampled_bytes == self.all_bytes
        if whole and self.all_bytes <= MAX_DISTINCT_BYTES:
            return ""
        how = "all" if whole else "evenly at random"
        memory_mb = self.distinct_bytes * MEMORY_PER_BYTE / 1e6
        return (
            f"The tokenizer is trained on {self.sampled_bytes / 1e6:,.1f} of "
            f"{self.all_bytes / 1e6:,.1f} MB ({how}); "
            f"this takes up to {memory_mb:,.0f} MB of memory."
        )


def choose(texts: Iterable[str], split: str, sample_bytes: int = SAMPLE_BYTES) -> Sample:
    """Return all blocks of well-formed texts, or as many as the limits allow, chosen evenly at
    random; the same for the same texts.

    Every block has a random number, and those with the smallest are kept while the texts pass by (a
    reservoir sample).
    """
    drawn, kept, kept_bytes, all_bytes = random.Random(0), list[tuple[float, int, bytes]](), 0, 0
    highest = 1.0  # of the numbers that are still taken: below every number that was refused
    for index, block in enumerate(blocks_of(texts)):
        all_bytes, number = all_bytes + len(block), drawn.random()
        if number >= highest:
            continue
        heapq.heappush(kept, (-number, index, block))
        kept_bytes += len(block)
        while kept_bytes > sample_bytes and len(kept) > 1:
            refused, _, passed = heapq.heappop(kept)
            highest, kept_bytes = -refused, kept_bytes - len(passed)
    kept.sort(reverse=True)  # the smallest numbers first
    count, distinct_bytes = affordable([block for _, _, block in kept], split)
    if highest == 1.0 and count == len(kept):
        kept.sort(key=lambda entry: entry[1])
    return Sample([block for _, _, block in kept[:count]], all_bytes, distinct_bytes)


def blocks_of(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield texts in blocks of about BLOCK_BYTES: parts in UTF-8 with a separator between them."""
    parts, size = list[bytes](), 0
    for part in (part for text in texts for part in cut(text)):
        data = part.encode()
        if parts and size + len(data) > BLOCK_BYTES:
            yield _SEPARATOR.join(parts)
            parts, size = [], 0
        parts.append(data)
        size += len(data) + 1
    if parts:
        yield _SEPARATOR.join(parts)


def parts_of(block: bytes) -> Iterator[str]:
    return (part.decode() for part in block.split(_SEPARATOR))


def cut(text: str, characters: int = BLOCK_BYTES // 4) -> Iterator[str]:
    """Yield `text` in parts of little more than `characters`, cut where a piece ends, so that its
    pieces are those of the whole text.

    >>> list(cut("one two three", 4))
    ['one two', ' three']
    """
    for whole in training_texts(text):
        start = 0
        while len(whole) - start > characters and (
            found := _piece_end().search(whole, start + characters)
        ):
            yield whole[start : found.start()]
            start = found.start()
        yield whole[start:]


def affordable(blocks: list[bytes], split: str) -> tuple[int, int]:
    """Return how many of `blocks`, in random order, can be trained on in memory, and about how many
    bytes their distinct pieces have.

    The distinct pieces of n bytes have about d (n / m) ** b bytes (Heaps' law) where those of m
    have d; b, from m / 2 to m, falls as n grows, so that the estimate is too high rather than too
    low.
    """
    total = sum(map(len, blocks))
    if total <= MAX_DISTINCT_BYTES:
        return len(blocks), total
    half, all = (distinct_bytes_of(blocks, split, share * PROBE_BYTES) for share in (0.5, 1))
    growth = min(1.0, max(0.0, math.log2(all / half)))
    estimated = all * (total / PROBE_BYTES) ** growth
    if estimated <= MAX_DISTINCT_BYTES:
        return len(blocks), round(estimated)
    limit = PROBE_BYTES * (MAX_DISTINCT_BYTES / all) ** (1 / growth)
    count = size = 0
    while count < len(blocks) and size + len(blocks[count]) <= limit:
        count, size = count + 1, size + len(blocks[count])
    return max(1, count), MAX_DISTINCT_BYTES


def distinct_bytes_of(blocks: list[bytes], split: str, first_bytes: float) -> int:
    """Return the bytes of the distinct pieces of the first blocks."""
    pieces, size = set[str](), 0
    for block in blocks:
        if size >= first_bytes:
            break
        size += len(block)
        for part in parts_of(block):
            pieces.update(split_text(part, split))
    return sum(len(piece.encode()) for piece in pieces)
