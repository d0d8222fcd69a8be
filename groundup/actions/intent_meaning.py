"""What a message means, for the choice of an action: the vectors of a sentence encoder beside words.

    logit(message, action) = weights . features        of words, form and vectors
    a wish at all:           request . vector          whatever it is about

Both were fitted on the vectors of one encoder (`retrieve/message_encoder.py`), on the five packs'
examples, each left out in turn or heard with few others, against the questions that their documents
answer; the first also on the wishes of invented firms (`benchmarks/action_weights.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from groundup.actions.reading import MarkNames

FITTED = Path(__file__).with_name("intent_weights.json")
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Embed = Callable[[Sequence[str]], Vectors]
"""Returns the vectors, (number of texts, dimensions) of length 1, of texts."""
# Forms of messages that ask for something to be done, and how much higher the least odds are for a
# part of a message that may be a question, or only tells something.
PLAIN, DOUBT = ("request", "please", "want", "wish"), 0.85
# A part that orders a thing of which no text of the action speaks ("cancel my netflix"), and how much
# lower its odds are; by hand, not among what was fitted.
UNKNOWN_THING, LOWER = "unknown thing", 5.0
# Vectors of messages that are kept, 1.5 to 3 kB each.
REMEMBERED = 2048
NEAREST = 3
# Of the log-mean-exp of an action's cosines, also where the encoder of messages is trained.
TEMPERATURE = 0.05
# Strength of the regression's penalty (docs/log.md).
PENALTY = 0.5


@dataclass(frozen=True)
class MessageEncoder:
    """What a sentence encoder says of messages."""

    wishes: Embed
    """Vectors by which wishes are told from one another and from what asks for nothing."""
    texts: Embed
    """Those of the encoder as it came, by which an option is told ("near the window")."""
    mark_names: MarkNames | None = None
    """None: names are read by rules alone."""


@dataclass(frozen=True)
class MeaningWeights:
    """What was fitted."""

    weights: Mapping[str, float]
    """Of the features, by name."""
    bias: float
    request: Vectors
    """(dimensions,): what of a vector says that something is to be done."""
    request_bias: float

    @classmethod
    def read(cls) -> "MeaningWeights":
        """Read the file of the package."""
        held = json.loads(FITTED.read_text("utf-8"))
        return cls(
            held["weights"],
            held["bias"],
            np.array(held["request"], dtype=np.float32),
            held["request_bias"],
        )

    def logit(self, features: Mapping[str, float]) -> float:
        """Return the logarithm of the odds that a message with these features asks for an action."""
        return self.bias + sum(self.weights.get(name, 0.0) * x for name, x in features.items())

    def request_logit(self, vector: Vectors) -> float:
        """Return the logarithm of the odds that a message asks for something to be done."""
        return float(self.request @ vector) + self.request_bias


@lru_cache
def fitted_weights() -> MeaningWeights:
    """Return the weights for the vectors of the encoder of messages."""
    return MeaningWeights.read()


def best_odds(
    parts: Iterable[Mapping[str, Mapping[str, float]]], weights: MeaningWeights
) -> dict[str, float]:
    """Return for each action the logarithm of the odds of that of the parts of a message (of
    `ActionChooser.features`) which asks most clearly.
    """
    found: dict[str, float] = {}
    for part in parts:
        for name, features in part.items():
            is_plain = any(f"form {form}" in features for form in PLAIN)
            odds = weights.logit(features) - DOUBT * (not is_plain)
            odds -= LOWER * features.get(UNKNOWN_THING, 0.0)
            found[name] = max(found.get(name, -inf), odds)
    return found


def _of_few(said: Mapping[str, float], count: int) -> dict[str, float]:
    """Return what vectors say of an action once more by how few texts it has, as 1 / sqrt(count):
    the same score says more where there are few.
    """
    few = count**-0.5
    return {"few": few} | {f"few, {name}": few * each for name, each in said.items()}


def _pooled(cosines: Vectors) -> float:
    """Return the log-mean-exp of cosines, by which the encoder of messages was trained."""
    highest = float(cosines.max())
    mean = np.exp((cosines - highest) / TEMPERATURE).mean()
    return highest + TEMPERATURE * float(np.log(mean))


def _ridge(texts: Sequence[Vectors], others: Sequence[Vectors]) -> Vectors:
    """Return the weights, (dimensions + 1, kinds), of a ridge regression from a vector and 1 to 1 for
    the kind that has the text and 0 for the others; `others`: vectors of no kind.
    """
    counts = [*map(len, texts), len(others)]
    rows = np.concatenate([*texts, *(each[None] for each in others)])
    inputs = np.c_[rows, np.ones(len(rows))].astype(np.float64)
    wanted = np.repeat(np.eye(len(counts)), counts, axis=0)[:, :-1]
    scale = inputs @ inputs.T + PENALTY * np.eye(len(rows))
    weights: Vectors = inputs.T @ np.linalg.solve(scale, wanted)
    return weights


class _Known:
    """Vectors of texts, made once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._made: dict[str, Vectors] = {}

    def prepare(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Make the vectors of texts together; return those of all that is known and of the texts."""
        known = self._made  # other threads put another one in its place
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known = known | dict(zip(missing, self._embed(missing), strict=True))
            self._made = dict(list(known.items())[-REMEMBERED:])
        return known

    def vector(self, text: str) -> Vectors:
        return self.prepare([text])[text]

    def stacked(self, texts: Sequence[str]) -> Vectors:
        known = self.prepare(texts)
        return np.stack([known[text] for text in texts])


class Meanings:
    """The vectors of actions' texts, and of messages as they come."""

    def __init__(
        self,
        asked: Mapping[str, Sequence[str]],
        answered: Sequence[str],
        encoder: MessageEncoder,
        weights: MeaningWeights,
    ) -> None:
        """`asked`: of each action its title and then its examples; `answered`: near questions that
        documents answer.
        """
        self._known, self._texts = _Known(encoder.wishes), _Known(encoder.texts)
        self.weights, self.mark_names = weights, encoder.mark_names
        self._known.prepare([*answered, *(text for texts in asked.values() for text in texts)])
        self._asked = {name: self._known.stacked(texts) for name, texts in asked.items()}
        self._answered = [self.vector(text) for text in answered]
        self._regression = _ridge([*self._asked.values()], self._answered)
        self._options: dict[int, Vectors] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        """Make the vectors of texts together."""
        self._known.prepare(texts)

    def vector(self, text: str) -> Vectors:
        """Return the vector of a text."""
        return self._known.vector(text)

    def features(self, text: str) -> dict[str, dict[str, float]]:
        """Return what vectors say of a message, for each action."""
        vector = self.vector(text)
        near = {name: np.sort(rows @ vector)[::-1] for name, rows in self._asked.items()}
        best = {name: float(each[0]) for name, each in near.items()}
        together = {name: _pooled(each) for name, each in near.items()}
        answered = max((float(each @ vector) for each in self._answered), default=0.0)
        scores = vector @ self._regression[:-1] + self._regression[-1]
        by_regression = dict(zip(self._asked, map(float, scores), strict=True))
        found = {}
        for name, rows in self._asked.items():
            others, scored, pooled = (
                max((each for other, each in values.items() if other != name), default=0.0)
                for values in (best, by_regression, together)
            )
            said = {
                "nearest": best[name],
                "nearest of three": float(near[name][:NEAREST].mean()),
                "together": together[name],
                "together ahead": together[name] - pooled,
                "title": float(rows[0] @ vector),
                "before questions": best[name] - answered,
                "before others": best[name] - others,
                "regression": by_regression[name],
                "regression ahead": by_regression[name] - scored,
                "regression of all": float(scores.sum()),
            }
            found[name] = said | _of_few(said, len(rows))
        return found

    def option_scores(
        self, parts: Sequence[str], told: Mapping[str, Sequence[str]], others: Sequence[str]
    ) -> Vectors:
        """Return how near parts of a message are to options, (parts, options). `told`: the texts of
        each option; `others`: texts that tell none.
        """
        weights = self._fitted_options(told, others)
        scores: Vectors = self._texts.stacked(parts) @ weights[:-1] + weights[-1]
        return scores

    def _fitted_options(self, told: Mapping[str, Sequence[str]], others: Sequence[str]) -> Vectors:
        """Return the regression of options."""
        key = hash((tuple((name, *texts) for name, texts in told.items()), *others))
        if key not in self._options:
            self._texts.prepare([*others, *(text for texts in told.values() for text in texts)])
            rows = [self._texts.stacked(texts) for texts in told.values()]
            self._options[key] = _ridge(rows, [self._texts.vector(text) for text in others])
        return self._options[key]
