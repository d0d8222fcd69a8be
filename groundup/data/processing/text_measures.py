"""Measures of a text that quality rules are held against: lines, words, sentences, repetition. Each
is computed once, when a rule asks for it.

What the papers leave open is settled here, the same for every rule:

    line        what stands between two "\\n", without the white space around it, if anything is
                left
    paragraph   what stands between two or more "\\n"
    word        what stands between white space, punctuation included (as Dolma and RedPajama do;
                datatrove uses a trained word tokenizer)
    n-gram      n words in a row, across lines
    repeated    the second and every later occurrence; the first one is not counted
    characters  those of words, without white space; one that lies in several repeated n-grams
                counts once

Repetition is found with integers, exactly: equal words get equal ids, and two (n+1)-grams are equal
if their first and their last n words are. So each n looks only at the places whose n-gram occurs
twice, of which prose has few from n = 4 on.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PARAGRAPH_END = re.compile(r"\n{2,}")
# A mark that ends a sentence, closing quotes and brackets, then white space or the end. "Mr. Smith"
# counts as an end, "3.5" does not.
SENTENCE_END = re.compile(r"[.!?…。！？؟।]+[\"'”’»)\]]*(?:\s|$)|[。！？]")
LETTER = re.compile(r"[^\W\d_]")
LARGEST_N = 10


class TextMeasures:
    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, without the white space around them."""
        return list(filter(None, map(str.strip, self.text.split("\n"))))

    @cached_property
    def words_of_lines(self) -> list[list[str]]:
        return [line.split() for line in self.lines]

    @cached_property
    def words(self) -> list[str]:
        return list(chain.from_iterable(self.words_of_lines))

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def distinct_words(self) -> dict[str, int]:
        """Each different word and its id, from 0."""
        return {word: id for id, word in enumerate(dict.fromkeys(self.words))}

    @cached_property
    def word_ids(self) -> Ints:
        return np.fromiter(
            map(self.distinct_words.__getitem__, self.words), np.int64, len(self.words)
        )

    @cached_property
    def word_lengths(self) -> Ints:
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    @property
    def mean_word_length(self) -> float:
        """Characters a word; 0 without words."""
        return float(self.word_lengths.sum()) / max(1, len(self.words))

    @property
    def words_with_letter(self) -> float:
        """Share of the words with at least one letter."""
        if not self.words:
            return 0.0
        has = [word.isalpha() or LETTER.search(word) is not None for word in self.distinct_words]
        return float(np.array(has)[self.word_ids].mean())

    def share_of_lines(self, count: int) -> float:
        """Return `count` as a share of the lines; 0 without lines."""
        return count / max(1, len(self.lines))

    def share_of_words(self, count: int) -> float:
        """Return `count` for each word; 0 without words."""
        return count / max(1, len(self.words))

    @cached_property
    def repeated_lines(self) -> tuple[float, float]:
        """Share of the lines that repeat an earlier one, and of the lines' characters in them."""
        return _repeated_shares(self.lines)

    @cached_property
    def repeated_paragraphs(self) -> tuple[float, float]:
        """Share of the paragraphs that repeat an earlier one, and of the paragraphs' characters in
        them.
        """
        return _repeated_shares(list(filter(None, map(str.strip, PARAGRAPH_END.split(self.text)))))

    @cached_property
    def _occurrences(self) -> dict[int, "_Groups"]:
        return {groups.n: groups for groups in _repeated_ngrams(self.word_ids)}

    def top_ngram(self, n: int) -> float:
        """Return the share of the characters in the commonest n-gram; 0 if none occurs twice.

        Of equally common ones it is the longest, of equally long ones the first.
        """
        groups = self._occurrences.get(n)
        if groups is None:
            return 0.0
        counts = np.bincount(groups.ids)
        most = np.flatnonzero(counts == counts.max())
        ends = np.concatenate(([0], self.word_lengths.cumsum()))
        firsts = groups.starts[np.unique(groups.ids, return_index=True)[1]][most]
        lengths = ends[firsts + n] - ends[firsts]
        longest = np.flatnonzero(lengths == lengths.max())
        chosen = most[longest[firsts[longest].argmin()]]
        return self._share_within(groups.starts[groups.ids == chosen], n)

    def repeated_ngrams(self, n: int) -> float:
        """Return the share of the characters in n-grams that occurred before."""
        groups = self._occurrences.get(n)
        if groups is None:
            return 0.0
        return self._share_within(groups.repeats(), n)

    def _share_within(self, starts: Ints, n: int) -> float:
        """Return the share of the characters in the n words from each start on; a word in several
        counts once.
        """
        steps = np.zeros(len(self.words) + 1, np.int64)
        np.add.at(steps, starts, 1)
        np.add.at(steps, starts + n, -1)
        return float(self.word_lengths[steps.cumsum()[:-1] > 0].sum() / self.word_lengths.sum())


class _Groups:
    """The places of all n-grams that occur at least twice, in order, and which of them are
    equal.
    """

    def __init__(self, n: int, starts: Ints, ids: Ints) -> None:
        self.n, self.starts, self.ids = n, starts, ids

    def repeats(self) -> Ints:
        """Return the places of the second and later occurrences."""
        later = np.ones(len(self.ids), bool)
        later[np.unique(self.ids, return_index=True)[1]] = False
        return self.starts[later]


def _repeated_ngrams(word_ids: Ints) -> Iterator[_Groups]:
    """Yield the n-grams that occur at least twice, for n from 1 as long as there are some."""
    groups = _group(1, np.arange(len(word_ids)), word_ids)
    while groups is not None:
        yield groups
        if groups.n == LARGEST_N:
            return
        # An (n+1)-gram begins where an n-gram and, one word further, another one that occur twice
        # begin.
        next_to = np.flatnonzero(np.diff(groups.starts) == 1)
        keys = groups.ids[next_to] * (groups.ids.max() + 1) + groups.ids[next_to + 1]
        groups = _group(groups.n + 1, groups.starts[next_to], keys)


def _group(n: int, starts: Ints, keys: Ints) -> _Groups | None:
    """Return the places whose key occurs at least twice, with ids from 0 in place of the keys; None
    if there are none.
    """
    if not len(keys):
        return None
    order = np.argsort(keys, kind="stable")
    new = np.concatenate(([True], np.diff(keys[order]) != 0))
    counts = np.diff(np.append(np.flatnonzero(new), len(keys)))
    twice = counts > 1
    if not twice.any():
        return None
    ids = np.empty(len(keys), np.int64)
    ids[order] = np.where(twice, twice.cumsum() - 1, -1)[new.cumsum() - 1]
    kept = ids >= 0
    return _Groups(n, starts[kept], ids[kept])


def _repeated_shares(parts: Sequence[str]) -> tuple[float, float]:
    """Return the share of the parts that repeat an earlier one, and the share of the characters in
    those.
    """
    distinct = set(parts)
    if len(distinct) == len(parts):
        return 0.0, 0.0
    characters = sum(map(len, parts))
    repeated = characters - sum(map(len, distinct))
    return (len(parts) - len(distinct)) / len(parts), repeated / characters


def sentences(lines: Sequence[str], enough: int) -> int:
    """Return the number of sentences of these lines, at least one each, counted up to `enough`."""
    count = 0
    for line in lines:
        count += max(1, sum(1 for _ in SENTENCE_END.finditer(line)))
        if count >= enough:
            return enough
    return count
