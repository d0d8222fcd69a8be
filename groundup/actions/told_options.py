"""The option of a choice that a message tells without its words.

    "she can't keep anything down"      sickness, of sickness, fever, injury

Sentences and clauses are compared with the options by the vectors of a sentence encoder
(`Meanings.option_scores`): with the words of each, and the sentences of the slot's table `told` where
it has one. The least scores by words alone were fitted on choices of invented firms
(`benchmarks/told_options.py`).
"""

import re
from dataclasses import dataclass

import numpy as np

from groundup.actions.definition import Action, Slot
from groundup.actions.intent_meaning import Meanings
from groundup.actions.message_form import sentences
from groundup.actions.own_words import without_markup
from groundup.actions.values import MAX_READ_CHARACTERS
from groundup.language.terms import words

# The least score of an option with sentences that tell it (a regression to 1 for its texts), and
# how much it is ahead of the next one (docs/log.md).
TOLD, TOLD_AHEAD = 0.45, 0.2
# Of the choice that is asked for next, where the slot may have no such sentences: the least sum of
# the two with the least of the second, and the least score at which both options are asked about.
CLEAR, CLEAR_AHEAD, EITHER = 0.47, 0.1, 0.2
# Clauses of which one may tell a choice, each of so many words at least.
_CLAUSES = re.compile(
    r"[.;!?,\n]\s*|\s[-–—]+\s|\s+(?:and|but|so|because|cos|since)\s+", re.IGNORECASE
)
MAX_PARTS, LEAST_WORDS = 20, 3


@dataclass(frozen=True)
class ToldOption:
    """The option that a message is nearest to, and where it tells it."""

    option: str
    next_one: str
    start: int
    end: int
    score: float
    """Of the regression."""
    ahead: float
    """How much the score is higher than that of the next one."""

    @property
    def is_told(self) -> bool:
        """Whether it is told by sentences that the slot has."""
        return self.score >= TOLD and self.ahead >= TOLD_AHEAD

    @property
    def is_clear(self) -> bool:
        """Whether it is told, where it is asked for next."""
        return self.score + self.ahead >= CLEAR and self.ahead >= CLEAR_AHEAD

    @property
    def is_either(self) -> bool:
        """Whether the reply to the question for it may mean it or the next one."""
        return self.score >= EITHER


def told_option(
    action: Action, slot: Slot, message: str, meanings: Meanings, least_words: int = LEAST_WORDS
) -> ToldOption | None:
    """Return the option of a choice that a part of a message, of at least so many words, tells most
    clearly; None: there are no two options, or no such part.
    """
    options, told = slot.options or {}, slot.told or {}
    text = without_markup(message)[:MAX_READ_CHARACTERS]
    found = (each.strip() for each in [*sentences(text), *_CLAUSES.split(text)][:MAX_PARTS])
    parts = list(dict.fromkeys(each for each in found if len(words(each)) >= least_words))
    if len(options) < 2 or not parts:
        return None
    texts = {
        name: (name, *synonyms, ", ".join((name, *synonyms)), *told.get(name, ()))
        for name, synonyms in options.items()
    }
    others = [each for each in (action.title, slot.ask, *action.not_examples) if each]
    scores = meanings.option_scores(parts, texts, others)
    second, first = np.argsort(scores, axis=1)[:, -2:].T
    rows = np.arange(len(parts))
    ahead = scores[rows, first] - scores[rows, second]
    n = int(np.argmax(scores[rows, first] + ahead))
    start, names = max(0, text.find(parts[n])), list(texts)
    end = min(len(text), start + len(parts[n]))
    best = float(scores[n, first[n]]), float(ahead[n])
    return ToldOption(names[first[n]], names[second[n]], start, end, *best)
