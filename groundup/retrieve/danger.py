"""Danger told in a customer's own words: "he's gone a funny colour and wont wake up".

    scope.urgent:        fixed wordings                                             (regular expressions)
    here, besides:       softmax(0, weights . vector of the message + biases)       (3 classes)

The vector is that of all-minilm-l6-v2 as it came. The regression was fitted on messages of danger,
of self-harm and of neither (`benchmarks/danger.py`, which has the figures); without the encoder on
this machine the wordings decide alone.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from groundup.retrieve.refusals import small_talk
from groundup.retrieve.scope import Urgent, urgent

if TYPE_CHECKING:
    from groundup.actions.intent_meaning import Embed
    from groundup.retrieve.vectors import Vectors

FITTED = Path(__file__).with_name("danger_weights.json")
# Of the probability of danger and self-harm together, from which a message is taken for one; chosen
# on the messages that were fitted on, in turns (docs/log.md).
LEAST = 0.5
# The same of a reply to a question that waits: "its sam whitlock" is a name.
LEAST_OF_ANSWER = 0.9
# "ok", "goodnight" and a name tell of nothing.
LEAST_WORDS = 3
DANGER: tuple[Urgent, Urgent] = ("emergency", "self_harm")


@lru_cache
def fitted() -> Mapping[str, np.ndarray]:
    """Return "weights" (2, dimensions) and "biases" (2,): of emergency and self-harm, beside 0 for
    neither.
    """
    held = json.loads(FITTED.read_text("utf-8"))
    return {name: np.array(held[name], dtype=np.float32) for name in ("weights", "biases")}


def danger_odds(message: str, embed: "Embed") -> tuple[float, float]:
    """Return the probabilities that a message tells of danger to life, and of self-harm."""
    [vector] = embed([message])
    odds = np.exp(fitted()["weights"] @ vector + fitted()["biases"])
    emergency, self_harm = (odds / (1 + odds.sum())).tolist()
    return emergency, self_harm


DangerIn = Callable[[str, bool], Urgent | None]
"""Returns which fixed text a message gets; its second argument: whether a question waits for it."""


def by_words(message: str, is_answer: bool = False) -> Urgent | None:
    """Return what fixed wordings tell, of an answer as of any message."""
    return urgent(message)


def hears_danger(vectors: "Vectors | None") -> DangerIn:
    """Return `by_words`, and by meaning, too, where the encoder of messages is beside the vectors
    of an index.
    """
    encoder = None if vectors is None else vectors.open_messages()
    if encoder is None:
        return by_words
    embed = encoder.texts

    def heard(message: str, is_answer: bool = False) -> Urgent | None:
        told = urgent(message)
        is_short = len(message.split()) < LEAST_WORDS
        if told is not None or is_short or small_talk(message) is not None:
            return told
        odds = danger_odds(message, embed)
        if sum(odds) < (LEAST, LEAST_OF_ANSWER)[is_answer]:
            return None
        return DANGER[int(np.argmax(odds))]

    return heard
