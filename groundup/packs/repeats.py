"""Texts that repeat one another, or nearly: the share of their runs of three words that they have in common (Jaccard)."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

RUN_WORDS = 3
# Above this share two texts are one: they differ in a word or two.
ALIKE = 0.5


class Text(NamedTuple):
    """A text and where it stands."""

    place: str
    text: str


def normalised(text: str) -> str:
    """Return a text in lower case with single spaces and without Markdown's marks of emphasis.

    >>> normalised("Costs **£5**\\n a  month")
    'costs £5 a month'
    """
    return " ".join(text.replace("*", "").replace("’", "'").lower().split())


def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of three words of a text; of a shorter one its words."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(tuple(words[start : start + RUN_WORDS]) for start in range(max(1, len(words) - RUN_WORDS + 1)))


def repeats(texts: Sequence[Text]) -> Iterator[tuple[Text, Text, float]]:
    """Yield each text that nearly repeats an earlier one, that one, and how far they are alike."""
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    all_runs = [runs(each.text) for each in texts]
    for place, own in enumerate(all_runs):
        shared: dict[int, int] = defaultdict(int)
        for run in own:
            for earlier in seen[run]:
                shared[earlier] += 1
            seen[run].append(place)
        alike = {earlier: count / len(own | all_runs[earlier]) for earlier, count in shared.items()}
        nearest = max(alike, key=alike.__getitem__, default=None)
        if nearest is not None and alike[nearest] > ALIKE:
            yield texts[place], texts[nearest], alike[nearest]
