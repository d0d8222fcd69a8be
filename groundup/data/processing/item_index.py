"""The n-grams of evaluation items in sorted arrays, and which of them are in documents (see
`decontamination`).
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from groundup.data.clean import clean
from groundup.data.processing.word_ngrams import Words, distinct, hash_ngrams, hash_words, is_in

# Shorter items are looked for as whole documents only: GPT-3's least n.
MIN_WORDS = 8
# An n-gram in more items, and in a larger share of them, is their boilerplate.
COMMON_ITEMS, COMMON_ITEM_SHARE = 10, 0.01
_MAX_BITS = 27


class ItemIndex:
    """The n-grams of items: `keys` are their sorted hashes."""

    def __init__(self, items: Iterable[tuple[str, str]], n: int) -> None:
        self.n = n
        self.names: list[str] = []
        self.lengths: list[int] = []
        """Words of each item's n-grams: n, or all of a shorter one."""
        self.counts = dict.fromkeys(
            ("indexed", "repeated", "boilerplate", "without_words", "whole_documents_only"), 0
        )
        found = self._read(items)
        owners = np.repeat(np.arange(len(found)), [len(each) for each in found])
        hashes = np.concatenate([*found, np.zeros(0, np.uint64)])
        order = np.argsort(hashes, kind="stable")
        keys, rows = np.unique(hashes[order], return_index=True)
        in_items = np.diff(np.append(rows, len(hashes)))
        is_boilerplate = (in_items > COMMON_ITEMS) & (in_items > COMMON_ITEM_SHARE * len(found))
        owners = owners[order][~np.repeat(is_boilerplate, in_items)]
        self.keys: np.ndarray = keys[~is_boilerplate]
        self._rows = np.cumsum([0, *in_items[~is_boilerplate].tolist()])
        self._owners = owners
        self.sizes = np.bincount(owners, minlength=len(found))
        """Distinct n-grams of each item."""
        self.counts["indexed"] = int(np.count_nonzero(self.sizes))
        self.counts["boilerplate"] = len(found) - self.counts["indexed"]
        self._short = sorted({length for length in self.lengths if MIN_WORDS <= length < n})
        self._shift = np.uint64(64 - min(_MAX_BITS, max(16, (16 * len(self.keys)).bit_length())))
        self._bits = np.zeros(1 << (64 - int(self._shift)), bool)
        self._bits[self.keys >> self._shift] = True

    def _read(self, items: Iterable[tuple[str, str]]) -> list[np.ndarray]:
        """Return the distinct n-grams of each item that is not a repeat."""
        found, seen = [], set()
        for name, text in items:
            words = hash_words([clean(text).text])
            if not len(words.hashes):
                self.counts["without_words"] += 1
                continue
            key = hashlib.blake2b(words.hashes.tobytes(), digest_size=16).digest()
            if key in seen:
                self.counts["repeated"] += 1
                continue
            seen.add(key)
            self.counts["whole_documents_only"] += len(words.hashes) < MIN_WORDS
            self.names.append(name)
            self.lengths.append(min(self.n, len(words.hashes)))
            found.append(distinct(hash_ngrams(words, self.n).hashes))
        return found

    def items_of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (place in `keys`, item) for each item that has one of these n-grams."""
        starts, counts = self._rows[keys], self._rows[keys + 1] - self._rows[keys]
        places = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return places, self._owners[starts[places] + within]

    def hits(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Return (text, key) for each distinct n-gram of an item that is in one of the texts, in
        order.

        A text of under n words is an n-gram as a whole; items of MIN_WORDS to n - 1 words are
        looked for anywhere in a text.
        """
        pairs = [np.zeros(0, np.int64)]  # text * number of keys + key
        for n in (*self._short, self.n):
            found = hash_ngrams(words, n)
            maybe = np.flatnonzero(self._bits[found.hashes >> self._shift])
            maybe = maybe[is_in(found.hashes[maybe], self.keys)]
            texts = np.searchsorted(found.rows, maybe, side="right") - 1
            pairs.append(texts * len(self.keys) + np.searchsorted(self.keys, found.hashes[maybe]))
        return np.divmod(distinct(np.concatenate(pairs)), max(1, len(self.keys)))
