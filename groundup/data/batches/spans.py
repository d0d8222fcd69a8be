"""Spans of a token file by source: for the losses of each source on validation and test, and for
mixtures of the sources of train.

    FOLDER/sources.json    {"train": [["books", 981234], ["letters", 65120]], "validation": ...}:
                           label and tokens, in the order of the file

The label is the document's source, or with a single source the folder inside it. Sources are read
one after another, so the spans are few. It is a file beside shards.json, so that fingerprints of
tokens do not depend on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.documents import Document
from groundup.errors import FormatError
from groundup.files import read_json

SPANS_FILE = "sources.json"
# Alternating sources would make the table as long as the text: it is omitted then.
MAX_SPANS = 65_536
MAX_LABELS = 16
# Of sources that can be mixed; folders of a single source are told apart as above.
MAX_MIXED = 1_024

SourceSpan = tuple[str, int]


@dataclass
class SpanWriter:
    """Counts the tokens of adjacent documents with the same source and folder."""

    spans: list[tuple[str, str, int]] = field(default_factory=list)
    full: bool = False

    def add(self, document: Document, num_tokens: int) -> None:
        folder = folder_of(document)
        if self.spans and self.spans[-1][:2] == (document.source, folder):
            num_tokens += self.spans.pop()[2]
        self.full = self.full or len(self.spans) >= MAX_SPANS
        if not self.full:
            self.spans.append((document.source, folder, num_tokens))

    def labelled(self, most: int = MAX_LABELS) -> list[SourceSpan]:
        """Return (label, tokens) of each span; empty for a single label, more than `most` sources,
        too many folders, or too many spans.
        """
        if self.full:
            return []
        spans = [(source, count) for source, _, count in self.spans]
        if len({label for label, _ in spans}) == 1:
            spans, most = [(folder, count) for _, folder, count in self.spans], MAX_LABELS
        if not 2 <= len({label for label, _ in spans}) <= most:
            return []
        return merge_spans(spans)


def folder_of(document: Document) -> str:
    """The folder of its source that it lies in, "." for none."""
    folder, slash, _ = document.name.partition("/")
    if not slash:
        return "."
    return folder


def merge_spans(spans: Iterable[SourceSpan]) -> list[SourceSpan]:
    """Return the spans with adjacent ones of the same label merged.

    >>> merge_spans([("a", 1), ("a", 2), ("b", 3)])
    [('a', 3), ('b', 3)]
    """
    return [
        (label, sum(count for _, count in same))
        for label, same in groupby(spans, key=lambda span: span[0])
    ]


def read_spans(folder: Path, split: str, num_tokens: int) -> list[SourceSpan]:
    """Read the spans of a split; [] where they are unknown. Raises FormatError."""
    file = folder / SPANS_FILE
    if not file.exists():
        return []
    table = read_json(file)
    spans = None
    if isinstance(table, dict):
        spans = table.get(split, [])
    if not isinstance(spans, list) or not all(map(_is_span, spans)):
        raise FormatError(file, split, "is not a list of labels and tokens")
    if spans and sum(count for _, count in spans) != num_tokens:
        raise FormatError(file, split, f"does not add up to the {num_tokens} tokens of the split")
    return [(label, count) for label, count in spans]


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
        and value[1] > 0
    )


class LabelAt:
    """The index of the label at each position of a token file, as a lazily computed array."""

    def __init__(self, spans: list[SourceSpan]) -> None:
        self.labels = tuple(dict.fromkeys(label for label, _ in spans))
        self._ends = np.cumsum([count for _, count in spans])
        self._numbers = np.array([self.labels.index(label) for label, _ in spans])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        return self._numbers[np.searchsorted(self._ends, places, side="right")]
