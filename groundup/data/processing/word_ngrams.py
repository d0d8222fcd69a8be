"""Words and word n-grams of texts, as 64-bit hashes by numpy: what `near_duplicates` and
`decontamination` compare.

    words("Don't  PANIC, 漢字!")                ["don", "t", "panic", "漢", "字"]
            the readable version, and the test of the fast one
    hash_words(texts) -> Words                 a hash and a place in the text for each word
    hash_ngrams(words, 5) -> Ngrams            a hash for each run of five words within a text

A word is a run of letters, digits and combining marks, in lower case; all else separates. Scripts
without spaces between words (Han, kana, Thai, Lao, Burmese, Khmer) have a word for each character.
A text with fewer words than n has one n-gram, all of its words; a text without words has none.

The hash of a word is a polynomial in hashed characters modulo 2^64, read off the prefix sums of a
block: no Python step for a word or a character. Two texts of a million n-grams each share one by
collision with probability 5e-8.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

SEPARATOR, LETTER, ALONE = range(3)
# Scripts written without spaces: Thai and Lao, Burmese, Khmer, kana, Han with its extensions.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# Code points from here on (tags, private use) are no letters.
_TABLE_SIZE = 0x40000
# Characters that are hashed at once: their arrays fit the second-level cache.
BLOCK_CHARACTERS = 2**15
PASSAGE_CHARACTERS = 200
_BASE = 0x9E3779B97F4A7C15 | 1


@dataclass(frozen=True)
class Words:
    """The words of several texts, one after another."""

    hashes: np.ndarray
    starts: np.ndarray
    """Characters before a word, in the text that it is in."""
    ends: np.ndarray
    rows: np.ndarray
    """The words of text i are rows[i] to rows[i + 1]."""


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of several texts, one after another: gram j of a text begins at its word j."""

    hashes: np.ndarray
    rows: np.ndarray
    """The n-grams of text i are rows[i] to rows[i + 1]."""


@cache
def kind_of(character: str) -> int:
    """Return SEPARATOR, LETTER or ALONE (a word of its own)."""
    code = ord(character)
    is_letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    if code >= _TABLE_SIZE or not is_letter:
        return SEPARATOR
    if any(first <= code <= last for first, last in _UNSPACED):
        return ALONE
    return LETTER


def lower_case(character: str) -> str:
    """Return a character in lower case, where that is one character."""
    lower = character.lower()
    if len(lower) > 1:
        return character
    return lower


def words(text: str) -> list[str]:
    """Return the words of a text.

    >>> words("Don't  PANIC, 漢字!")
    ['don', 't', 'panic', '漢', '字']
    """
    found: list[str] = []
    before = SEPARATOR
    for character in text:
        kind = kind_of(character)
        if kind == LETTER and before == LETTER:
            found[-1] += lower_case(character)
        elif kind != SEPARATOR:
            found.append(lower_case(character))
        before = kind
    return found


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    """Return the distinct n-grams of a text: the readable version."""
    found = words(text)
    return {tuple(found[at : at + n]) for at in range(max(len(found) - n + 1, min(len(found), 1)))}


def hash_words(texts: Sequence[str]) -> Words:
    """Return the words of the texts; each is hashed alone, whatever stands beside it."""
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    parts = [_hash_block(block, kinds, at) for at, block, kinds in _blocks(codes)]
    if not parts:
        parts = [(np.zeros(0, np.int64),) * 3]
    hashes, starts, ends = map(np.concatenate, zip(*parts, strict=True))
    text_starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    rows = np.searchsorted(starts, text_starts)
    shift = np.repeat(text_starts[:-1], np.diff(rows))
    return Words(hashes.astype(np.uint64, copy=False), starts - shift, ends - shift, rows)


def _blocks(codes: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (place, code points, kinds) of blocks that end between words."""
    kind_table, _ = _tables()
    start, size = 0, BLOCK_CHARACTERS
    while start < len(codes):
        block = np.minimum(codes[start : start + size], _TABLE_SIZE - 1)
        kinds = kind_table[block]
        end = len(block)
        if start + end < len(codes):
            breaks = kinds[::-1] != LETTER
            if not breaks.any():  # a word as long as the block
                size *= 2
                continue
            end -= int(breaks.argmax())
        yield start, block[:end], kinds[:end]
        start, size = start + end, BLOCK_CHARACTERS


def _hash_block(
    codes: np.ndarray, kinds: np.ndarray, at: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hash, start and end of each word of a block; `at`: the characters before it."""
    _, values = _tables()
    powers, inverses = _powers(1 << max(len(codes).bit_length(), BLOCK_CHARACTERS.bit_length()))
    inside = np.zeros(len(codes) + 2, bool)
    np.equal(kinds, LETTER, out=inside[1:-1])
    alone = kinds == ALONE
    starts = np.flatnonzero(alone | inside[1:-1] & ~inside[:-2])
    ends = np.flatnonzero(alone | inside[1:-1] & ~inside[2:]) + 1
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(values[codes] * powers[: len(codes)], out=sums[1:])
    # sum of value(c_i) p^i over the word, times p^-start: the same wherever the word stands
    return mix_bits((sums[ends] - sums[starts]) * inverses[starts]), starts + at, ends + at


def hash_ngrams(found: Words, n: int) -> Ngrams:
    """Return the n-grams of each text, of a text with fewer words one with all of them."""
    count = len(found.hashes)
    counts = np.diff(found.rows)
    # words from here to the end of the text
    left = np.repeat(found.rows[1:], counts) - np.arange(count)
    padded = np.concatenate([found.hashes, np.zeros(n, np.uint64)])
    sums = np.minimum(left, n).astype(np.uint64)
    for place, power in enumerate(_powers(64)[0][1 : n + 1]):
        part = padded[place : place + count] * power
        part[left <= place] = 0
        sums += part
    whole = np.zeros(count, bool)
    whole[found.rows[:-1][counts > 0]] = True
    rows = np.concatenate([[0], np.cumsum(np.maximum(counts - n + 1, np.minimum(counts, 1)))])
    return Ngrams(mix_bits(sums[(left >= n) | whole]), rows)


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values.

    `np.unique` of numpy 2.4 takes 16 s for 8 million hashes, this 1 s.
    """
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]


def is_in(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return whether each value is in a sorted array that is not empty."""
    places = np.searchsorted(ordered, values)
    return ordered[np.minimum(places, len(ordered) - 1)] == values


def shared_passage(text: str, ordered: np.ndarray, n: int) -> str:
    """Return the beginning of the longest passage of a text whose n-grams are all in a sorted
    array.
    """
    found = hash_words([text])
    common = np.concatenate([[False], is_in(hash_ngrams(found, n).hashes, ordered), [False]])
    edges = np.flatnonzero(common[1:] != common[:-1])
    if not len(edges):
        return ""
    first, end = max(edges.reshape(-1, 2).tolist(), key=lambda run: run[1] - run[0])
    passage = text[found.starts[first] : found.ends[min(end + n - 2, len(found.ends) - 1)]]
    if len(passage) <= PASSAGE_CHARACTERS:
        return passage
    return f"{passage[: PASSAGE_CHARACTERS - 4]} ..."


def mix_bits(values: np.ndarray) -> np.ndarray:
    """Return 64-bit values with their bits mixed (the finaliser of SplitMix64: Steele, Lea, Flood
    2014).
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return kind and value of each code point."""
    characters = list(map(chr, range(_TABLE_SIZE)))
    kinds = np.fromiter(map(kind_of, characters), np.uint8, _TABLE_SIZE)
    lower = np.fromiter((ord(lower_case(each)) for each in characters), np.uint64, _TABLE_SIZE)
    return kinds, mix_bits((lower + np.uint64(1)) * np.uint64(_BASE))


@cache
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return p^0, p^1, ... modulo 2^64, and their inverses."""
    bases = (_BASE, pow(_BASE, -1, 2**64))
    powers, inverses = (
        np.cumprod(np.array([1, *[base] * (count - 1)], np.uint64)) for base in bases
    )
    return powers, inverses
