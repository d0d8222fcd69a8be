"""Pairs of texts with a known Jaccard: a text and a copy with as many edits as a target needs. The Jaccard is then counted exactly."""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.data.processing.word_ngrams import ngrams, words

N = 5


@dataclass(frozen=True)
class Pair:
    """A text, its edited copy, and their Jaccard over word 5-grams."""

    text: str
    copy: str
    jaccard: float


class Prose:
    """Texts that look like a given one: a Markov chain over its words, each chosen by the two before it."""

    def __init__(self, text: str, rng: random.Random) -> None:
        tokens = re.findall(r"[A-Za-z]+(?:[-'][a-z]+)*[,.;:!?]?", text)
        self.rng, self.vocabulary = rng, sorted(set(tokens))
        self._starts = [pair for pair in itertools.pairwise(tokens) if pair[0][:1].isupper()]
        self._next: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one, two, three in zip(tokens, tokens[1:], tokens[2:], strict=False):
            self._next[one, two].append(three)

    def write(self, length: int) -> str:
        """Return a text of so many words, a new line after some sentences."""
        found = [*self.rng.choice(self._starts)]
        while len(found) < length:
            # Now and then any word, so that texts do not copy long passages of the source.
            after = self._next.get((found[-2], found[-1]))
            found.append(
                self.rng.choice(after if after and self.rng.random() < 0.7 else self.vocabulary)
            )
        return re.sub(r"([.!?]) (?=[A-Z])", r"\1\n", " ".join(found))

    def pair(self, length: int, target: float) -> Pair:
        """Return a text and a copy of it with a Jaccard near the target (0.3 to 1)."""
        text = self.write(length)
        tokens = text.split(" ")
        # An edit of one word takes N n-grams from both: (n - 5k) / (n + 5k) = target.
        edits = round(len(words(text)) * (1 - target) / (N * (1 + target)))
        for place in sorted(
            self.rng.sample(range(len(tokens)), min(edits, len(tokens))), reverse=True
        ):
            self._edit(tokens, place)
        copy = " ".join(tokens)
        if self.rng.random() < 0.3:  # what does not count
            copy = (
                copy.upper()
                if self.rng.random() < 0.5
                else copy.replace(" ", "  ").replace(",", ";")
            )
        return Pair(text, copy, jaccard(text, copy))

    def _edit(self, tokens: list[str], place: int) -> None:
        kind = self.rng.choice(("replace", "replace", "insert", "delete"))
        tokens[place : place + (kind != "insert")] = (
            [] if kind == "delete" else [self.rng.choice(self.vocabulary)]
        )


def jaccard(one: str, other: str) -> float:
    """Return the Jaccard of two texts: the definition."""
    a, b = ngrams(one, N), ngrams(other, N)
    return len(a & b) / len(a | b) if a or b else 0.0


def planted(
    text: str, count: int, *, seed: int, levels: Sequence[float], mean_words: int = 300
) -> list[Pair]:
    """Return `count` pairs of texts that look like `text`, their targets spread over the levels, their lengths over a factor of some ten."""
    rng = random.Random(seed)
    prose = Prose(text, rng)
    lengths = (max(60, round(rng.lognormvariate(0, 0.7) * mean_words)) for _ in range(count))
    return [
        prose.pair(length, levels[number % len(levels)]) for number, length in enumerate(lengths)
    ]
