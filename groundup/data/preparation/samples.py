"""What a data card shows of a source's texts: random documents, their lengths, the languages of a
sample, and places that cleaning changed, before and after. One pass, bounded memory.

Which documents are drawn depends on their names and the seed, not on their order: of two readings
of the same source the same ones are drawn.

An example of a change is a window of the text. Characters stand guard at its ends, so that cleaning
the window does what it did to these characters within the whole text: it removes spaces at the ends
of lines, not at the ends of the window.
"""

import hashlib
import heapq
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from groundup.data.clean import CONTROL, LINE_ENDS, NEWLINES, SURROGATES, WINDOWS_1252, clean
from groundup.data.processing.languages import (
    LOOKED_AT_CHARACTERS,
    SAMPLED_DOCUMENTS,
    can_detect,
    count_languages,
)

SAMPLES_PER_SOURCE = 5
SAMPLE_CHARACTERS = 600
CONTEXT_CHARACTERS = 50
MAX_CHANGED_CHARACTERS = 100
# The characters of a text that are searched.
SEARCHED_CHARACTERS = 2**17
EXAMPLES_PER_CHANGE = 2
GUARD = "|"

Place = tuple[int, int]
_SPACE_AT_END = re.compile(f"[ \t](?=[\n{NEWLINES}])")


def add_length(lengths: list[int], characters: int, times: int = 1) -> None:
    """Count a text, or take one away, in a histogram: entry 0 counts the empty ones, entry i those
    of 2^(i-1) to 2^i - 1 characters.

    >>> add_length(counts := [0], 5)
    >>> counts
    [0, 0, 0, 1]
    """
    place = characters.bit_length()
    lengths.extend([0] * (place + 1 - len(lengths)))
    lengths[place] += times


class RandomDocuments:
    """A uniform sample of at most `limit` documents, without replacement: those whose names have
    the smallest hashes.
    """

    def __init__(self, limit: int, seed: int = 0) -> None:
        self._limit, self._seed = limit, seed
        self._kept: list[tuple[int, str, str]] = []  # a heap: (minus the hash, name, beginning)

    def add(self, name: str, text: str) -> None:
        """Consider a document; its beginning is kept if it is drawn."""
        key = f"{self._seed}/{name}".encode("utf-8", "surrogatepass")
        rank = -int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, (rank, name, text[:LOOKED_AT_CHARACTERS]))
        elif rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, name, text[:LOOKED_AT_CHARACTERS]))

    def state(self) -> list[tuple[int, str, str]]:
        """Return JSON values from which `restore` goes on."""
        return self._kept

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on from a `state`."""
        self._kept = [(rank, name, text) for rank, name, text in state]

    def draw(self) -> list[tuple[str, str]]:
        """Return (name, beginning) of each, in random order: the first n are a sample of n."""
        return [(name, text) for _, name, text in sorted(self._kept, reverse=True)]


class TextSample:
    """A random sample of a source's documents: a few to be shown, and where languages can be
    detected as many as that takes.
    """

    def __init__(self, seed: int = 0) -> None:
        self._detects = can_detect()
        limit = SAMPLES_PER_SOURCE
        if self._detects:
            limit = SAMPLED_DOCUMENTS
        self._documents = RandomDocuments(limit, seed)
        self.add = self._documents.add
        self.state, self.restore = self._documents.state, self._documents.restore

    def shown(self) -> list[dict[str, str]]:
        shown = self._documents.draw()[:SAMPLES_PER_SOURCE]
        return [{"name": name, "text": text[:SAMPLE_CHARACTERS]} for name, text in shown]

    def languages(self) -> dict[str, Any] | None:
        """Return the number of documents sampled and of those in each language; None where the
        package is not installed.
        """
        if not self._detects:
            return None
        texts = [text for _, text in self._documents.draw()]
        return {"documents": len(texts), "found": count_languages(texts)}


class ShownChange(TypedDict):
    """A place that a step changed."""

    changes: list[str]
    before: str
    after: str


@dataclass
class ChangeExamples:
    found: list[dict[str, Any]] = field(default_factory=list)
    """Name, changes, before and after of each."""
    shown: dict[str, int] = field(default_factory=dict)
    """The number of examples of each kind."""

    def wants(self, changes: Iterable[str]) -> bool:
        """Return whether there are too few examples of one of these changes: else `add` would do
        nothing.
        """
        return any(self.shown.get(change, 0) < EXAMPLES_PER_CHANGE for change in changes)

    def add(self, name: str, changes: Mapping[str, int], before: str, after: str) -> None:
        """Look for examples of these changes of a step in a text, if there are too few yet."""
        few = EXAMPLES_PER_CHANGE
        for change in changes:
            if self.shown.get(change, 0) >= few:
                continue
            if change in _PLACES:
                example = change_example(before, change)
            else:
                example = first_difference(before, after, changes)
            if example:
                self.found.append({"name": name, **example})
                self.shown |= {each: self.shown.get(each, 0) + 1 for each in example["changes"]}
                few = 1  # a second one of the same document only for what no other has shown


def first_difference(before: str, after: str, changes: Iterable[str]) -> ShownChange:
    """Return the surroundings of the first place where two texts differ, with all the changes.

    >>> first_difference("Write to a@b.org now.", "Write to <email> now.", ["email replaced"])
    {'changes': ['email replaced'], 'before': 'Write to a@b.org now.', 'after': 'Write to <email>
    now.'}
    """
    pairs = enumerate(zip(before, after, strict=False))
    at = next((at for at, pair in pairs if pair[0] != pair[1]), min(len(before), len(after)))
    start = max(0, at - CONTEXT_CHARACTERS)
    if start:
        start = max(start, before.rfind(" ", start, at) + 1)
    end = at + CONTEXT_CHARACTERS + MAX_CHANGED_CHARACTERS
    return {"changes": list(changes), "before": before[start:end], "after": after[start:end]}


def change_example(raw: str, change: str) -> ShownChange | None:
    """Return a place of a raw text with this kind of change (see `clean.Cleaned`), and all the
    changes there; None where none can be shown.

    >>> change_example("one  \\ntwo", "trailing_spaces")
    {'changes': ['trailing_spaces'], 'before': 'one  \\ntwo', 'after': 'one\\ntwo'}
    """
    place = _PLACES[change](raw)
    if place is None or place[1] - place[0] > MAX_CHANGED_CHARACTERS:
        return None
    start, end = _window(raw, *place)
    before = raw[start:end]
    head = tail = ""
    if start:
        head = GUARD
    if end < len(raw):
        tail = GUARD
    cleaned = clean(f"{head}{before}{tail}")
    if change not in cleaned.changes:
        return None
    after = cleaned.text.removeprefix(head).removesuffix(tail)
    return {"changes": list(cleaned.changes), "before": before, "after": after}


def _window(raw: str, start: int, end: int) -> Place:
    """Return the surroundings of a place, from the beginning of a word to the end of one."""
    low, high = max(0, start - CONTEXT_CHARACTERS), min(len(raw), end + CONTEXT_CHARACTERS)
    if low:
        low = max(low, raw.find(" ", low, start) + 1)
    if high == len(raw):
        return low, high
    space = raw.rfind(" ", end, high)
    if space > end:
        high = space
    return low, end + len(raw[end:high].rstrip(" \t"))


def _find(pattern: re.Pattern[str]) -> Callable[[str], Place | None]:
    def place(raw: str) -> Place | None:
        found = pattern.search(raw, 0, SEARCHED_CHARACTERS)
        if not found:
            return None
        return found.span()

    return place


def _find_trailing_spaces(raw: str) -> Place | None:
    found = _SPACE_AT_END.search(raw, 0, SEARCHED_CHARACTERS)
    if found:
        end = found.end()
    elif raw.endswith((" ", "\t")):
        end = len(raw)
    else:
        return None
    before = raw[max(0, end - MAX_CHANGED_CHARACTERS - 1) : end]
    return end - len(before) + len(before.rstrip(" \t")), end


def _find_outer_newlines(raw: str) -> Place | None:
    white = " \t\n" + NEWLINES
    start, end = len(raw) - len(raw.lstrip(white)), len(raw.rstrip(white))
    places = ((0, start), (end, len(raw)))
    return next((place for place in places if set(raw[slice(*place)]) - {" ", "\t"}), None)


def _find_composed(raw: str) -> Place | None:
    start = 0
    for line in raw[:SEARCHED_CHARACTERS].split("\n"):
        if not unicodedata.is_normalized("NFC", line):
            pairs = enumerate(zip(line, unicodedata.normalize("NFC", line), strict=False))
            at = start + next((at for at, (old, new) in pairs if old != new), len(line) - 1)
            return at, at + 1
        start += len(line) + 1
    return None


_PLACES: dict[str, Callable[[str], Place | None]] = {
    "windows_1252": _find(WINDOWS_1252),
    "newlines": _find(LINE_ENDS),
    "control_characters": _find(CONTROL),
    "lone_surrogates": _find(SURROGATES),
    "trailing_spaces": _find_trailing_spaces,
    "outer_newlines": _find_outer_newlines,
    "composed": _find_composed,
}
