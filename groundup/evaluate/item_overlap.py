"""Item overlap: how many evaluation items stand in the text that a model was trained on, so that a
high score may be memory. By the n-grams of decontamination (`data.processing.item_index`): an item
overlaps where a training document has 8 words of it in a row; shorter items are ordinary language,
and are looked for as whole documents only.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundup.data.processing.decontamination import MIN_WORDS, ItemIndex
from groundup.data.processing.word_ngrams import hash_words, words
from groundup.data.split import TRAIN, DocumentFile, split_file
from groundup.evaluate.items import Choices, Completion, Item, MinimalPair, Written
from groundup.progress import Progress

# Bytes of a training text that are searched.
MAX_BYTES = 2**28


@dataclass(frozen=True)
class ItemOverlap:
    """How many items stand in a training text."""

    items: int
    long_enough: int
    """Items of at least `ngram_words` words."""
    overlapping: int
    ngram_words: int
    searched_share: float
    """Of the training text."""


def find_overlap(items: Sequence[Item], data: Path, progress: Progress) -> ItemOverlap:
    """Raises FormatError."""
    texts = item_texts(items)
    index = ItemIndex(zip((item.id for item in items), texts, strict=True), MIN_WORDS)
    found, read, file = np.zeros(len(index.sizes), bool), 0, split_file(data, TRAIN)
    with DocumentFile(file) as documents:
        for batch in documents.batches("looking for the items in the training text", progress):
            if len(index.keys):
                _, keys = index.hits(hash_words([document.text for document in batch]))
                found[index.items_of(keys)[1]] = True
            read += sum(len(document.text.encode()) for document in batch)
            if read > MAX_BYTES:
                break
    share = 1.0
    if read > MAX_BYTES:
        share = min(1.0, read / max(1, os.path.getsize(file)))
    long_enough = sum(len(words(text)) >= MIN_WORDS for text in texts)
    return ItemOverlap(len(items), long_enough, int(np.count_nonzero(found)), MIN_WORDS, share)


def item_texts(items: Sequence[Item]) -> list[str]:
    """Without what all prompts begin and end with (the template's words)."""
    texts = [_text(item) for item in items]
    if len(texts) < 2:
        return texts
    start = shared_start(texts)
    end = shared_start([text[start:][::-1] for text in texts])
    return [text[start : len(text) - end] for text in texts]


def shared_start(texts: Sequence[str]) -> int:
    """Return how many characters all texts begin with.

    >>> shared_start(["Question: who", "Question: what"])
    12
    """
    first, last = min(texts), max(texts)  # what these two share, all share
    return next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )


def _text(item: Item) -> str:
    if isinstance(item, MinimalPair):
        return item.good
    if isinstance(item, Completion):
        return item.prompt + item.answer
    assert isinstance(item, Choices | Written), item
    return item.prompt


def overlap_line(name: str, model: str, found: ItemOverlap) -> str:
    """Return one line of text.

    >>> overlap_line("grammar", "mine", ItemOverlap(300, 300, 2, 8, 1.0))
    'grammar: 2 of 300 items stand in the training text of mine (8 words in a row)'
    """
    notes = [f"{found.ngram_words} words in a row"]
    if found.items > found.long_enough:
        notes.append(f"{found.items - found.long_enough} items are shorter")
    if found.searched_share < 1:
        notes.append(f"{found.searched_share:.0%} of it searched")
    counts = f"{found.overlapping} of {found.items} items stand in the training text of {model}"
    return f"{name}: {counts} ({'; '.join(notes)})"
