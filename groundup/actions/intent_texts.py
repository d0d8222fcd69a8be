"""The texts with which messages are compared for the choice of an action (`intent.py`), as words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from groundup.actions.intent_words import words_of
from groundup.actions.message_form import Form


@dataclass(frozen=True)
class TextWords:
    """The texts of one kind, as their words."""

    texts: tuple[frozenset[str], ...]
    counts: Counter[str]

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.texts)


@dataclass(frozen=True)
class ExampleWords:
    """A message as it is compared with others."""

    form: Form
    first: str
    words: frozenset[str]
    is_denied: bool

    def nearest(self, others: Iterable["ExampleWords"]) -> float:
        """Return the similarity of the nearest of the same form, denied as it is."""
        own = self.form, self.is_denied
        return nearest_of(
            self.words, (each.words for each in others if (each.form, each.is_denied) == own)
        )


def nearest_of(own: frozenset[str], texts: Iterable[frozenset[str]]) -> float:
    """Return the similarity of the nearest text: the cosine of their words."""
    return max((_cosine(own, each) for each in texts), default=0.0)


def _cosine(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / sqrt(len(one) * len(other)) if one and other else 0.0


def texts_of(texts: Iterable[str]) -> TextWords:
    """Return the words of the texts of one kind."""
    made = tuple(words_of(text) for text in texts)
    return TextWords(made, Counter(word for each in made for word in each))
