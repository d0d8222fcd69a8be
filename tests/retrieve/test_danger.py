"""Danger told in people's own words: by the vectors of an encoder, beside fixed wordings."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from groundup.device import select_compute
from groundup.progress import Silent
from groundup.retrieve.danger import (
    DANGER,
    LEAST,
    LEAST_OF_ANSWER,
    DangerIn,
    danger_odds,
    fitted,
    hears_danger,
)
from groundup.retrieve.message_encoder import find_message_encoder
from groundup.retrieve.vectors import Vectors


def heard_by(embed: Callable[[Sequence[str]], np.ndarray]) -> DangerIn:
    encoder = SimpleNamespace(texts=embed)
    return hears_danger(cast(Vectors, SimpleNamespace(open_messages=lambda: encoder)))


def near_to(place: int) -> np.ndarray:
    """The vector most like a class: 0 neither, 1 emergency, 2 self-harm."""
    weights = np.vstack([-fitted()["weights"].sum(0), fitted()["weights"]])
    return weights[place] / np.linalg.norm(weights[place])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_vector_near_to_the_weights_of_a_class_is_of_it(place: int) -> None:
    vector = near_to(place)
    emergency, self_harm = danger_odds("x", lambda _: vector[None])
    odds = [1 - emergency - self_harm, emergency, self_harm]
    assert int(np.argmax(odds)) == place and odds[place] > 0.9
    scores = np.exp([0, *(fitted()["weights"] @ vector + fitted()["biases"])])
    assert odds == pytest.approx(scores / scores.sum(), abs=1e-5)
    assert heard_by(lambda _: vector[None])("it is in there", False) == (None, *DANGER)[place]


def test_words_decide_first_and_alone_without_an_encoder() -> None:
    assert heard_by(lambda _: near_to(0)[None])("she is not breathing", True) == "emergency"
    assert hears_danger(None)("shes gone blue and floppy", False) is None
    assert heard_by(lambda _: near_to(1)[None])("see you later", False) is None


def test_a_reply_to_a_question_is_danger_only_where_it_surely_is_one() -> None:
    shares = np.linspace(0, 1, 1001)
    mixed = [(1 - share) * near_to(0) + share * near_to(1) for share in shares]
    told = [sum(danger_odds("x", lambda _, each=each: each[None])) for each in mixed]
    unsure = next(
        each for each, odds in zip(mixed, told, strict=True) if LEAST <= odds < LEAST_OF_ANSWER
    )
    for vector, heard in ((near_to(1), "emergency"), (unsure, None)):
        hears = heard_by(lambda _, vector=vector: vector[None])
        assert hears("its sam whitlock", True) == heard
        assert hears("its sam whitlock", False) == "emergency"


@pytest.mark.network
def test_own_words_are_heard_and_ordinary_ones_are_not() -> None:
    encoder = find_message_encoder(select_compute("cpu"), Silent())
    assert encoder is not None

    def odds(text: str) -> float:
        return sum(danger_odds(text, encoder.texts))

    told = [
        "theres smoke coming under the door and my kids are asleep",
        "nan is on the floor and wont wake up",
    ]
    told += ["i dont see any point in being here any more", "someone is kicking our back door in"]
    asked = ["how much is a crown?", "book a table for two on friday", "a helmet for my son"]
    asked += ["do you have a first aid kit for sale", "i want to cancel, my son is ill"]
    assert [odds(text) >= LEAST for text in told + asked] == [True] * 4 + [False] * 5
