"""The words that spoke for a label: a classifier reads the text again without each of its words
(leave one out: Li et al. 2016, arXiv:1612.08220).

    word_effects(engine, "You have won a prize", "spam") -> WordEffects([WordEffect("prize", 4.1,
        0.12), ...], tried=5, words=5)

The effect of a word is the fall of the label's log-odds, log p / (1 - p), when the word is left out
wherever it stands: above 0 it spoke for the label, below 0 against it. Log-odds, as a probability
of nearly 1 hardly moves. The probabilities are those of `classify`, temperature included.

The cost is one reading of the text for each distinct word, at most MAX_WORDS, in batches. Limits:
words that say the same thing cover each other, as each is left out alone; letters between spaces
and marks are a word, also in scripts that put no spaces between words. `attribution` explains
single tokens, by gradients too.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.engine.engine import Engine
from groundup.errors import DataError, did_you_mean

MAX_WORDS = 100
# Texts that are read in one call, between two reports of progress.
AT_ONCE = 32
WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")


@dataclass(frozen=True)
class WordEffect:
    """What leaving out a word did."""

    word: str
    """As it stands first in the text."""
    effect: float
    """Log-odds of the label with the word minus those without it."""
    without: float
    """The probability of the label without it."""


@dataclass(frozen=True)
class WordEffects:
    """The words of a text, the strongest for the label first."""

    label: str
    effects: tuple[WordEffect, ...]
    words: int
    """Distinct words of the text; those after the first MAX_WORDS were not tried."""

    def to_plain(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "words": [asdict(each) for each in self.effects],
            "tried": len(self.effects),
            "of": self.words,
        }


def distinct_words(text: str) -> dict[str, list[tuple[int, int]]]:
    """The words of a text without regard to case, with their places.

    >>> distinct_words("Win, don't wait: win!")
    {'win': [(0, 3), (17, 20)], "don't": [(5, 10)], 'wait': [(11, 15)]}"""
    found: dict[str, list[tuple[int, int]]] = {}
    for match in WORD.finditer(text):
        found.setdefault(match[0].casefold(), []).append(match.span())
    return found


def without_word(text: str, places: list[tuple[int, int]]) -> str:
    """A text without a word at its places, and without the space behind each.

    >>> without_word("Win, don't wait: win!", [(5, 10)])
    'Win, wait: win!'"""
    starts, ends = [start for start, _ in places], [end for _, end in places]
    first, *others = [text[a:b] for a, b in zip([0, *ends], [*starts, len(text)], strict=True)]
    return "".join([first, *[part.removeprefix(" ") for part in others]])


def readings(text: str) -> int:
    return min(MAX_WORDS, len(distinct_words(text)))


def word_effects(
    engine: Engine, text: str, label: str, *, advance: Callable[[int], None] = lambda n: None
) -> WordEffects:
    """The effect of each word on a label; `advance` is called with the number of texts that were
    read.

    Raises ModelError, DataError for an unknown label.
    """
    labels = engine.opened.labels
    if label not in labels:
        raise DataError(f"The classifier has no label {label!r}.", fix=did_you_mean(label, labels))
    words, place = distinct_words(text), labels.index(label)
    tried = list(words.values())[:MAX_WORDS]
    texts = [text, *(without_word(text, places) for places in tried)]
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        parts.append(engine.class_scores(some).double())
        advance(len(some) - (start == 0))
    true, against = log_probabilities(
        torch.cat(parts), place, multi_label=engine.opened.decision.multi_label
    )
    odds = (true - against).tolist()
    found = [
        WordEffect(text[slice(*places[0])], odds[0] - without, probability)
        for places, without, probability in zip(
            tried, odds[1:], true.exp().tolist()[1:], strict=True
        )
    ]
    return WordEffects(label, tuple(sorted(found, key=lambda each: -each.effect)), len(words))


def log_probabilities(
    scores: Float[Tensor, "texts N"], place: int, *, multi_label: bool
) -> tuple[Float[Tensor, " texts"], Float[Tensor, " texts"]]:
    """The log-probabilities that a text has the label at `place`, and that it has not."""
    if multi_label:
        return F.logsigmoid(scores[:, place]), F.logsigmoid(-scores[:, place])
    logs = scores.log_softmax(dim=-1)
    others = torch.cat([logs[:, :place], logs[:, place + 1 :]], dim=1).logsumexp(dim=1)
    return logs[:, place], others
