"""Notebook 15, learning from rewards."""

import math
import re
from collections.abc import Sequence

from groundup.course.exercises import Exercise


def _advantage(rewards: Sequence[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]


def _divided(rewards: Sequence[float]) -> list[float]:
    found = _advantage(rewards)
    deviation = math.sqrt(sum(each * each for each in found) / len(found)) or 1
    return [each / deviation for each in found]


def _reward(answer: str, wanted: int) -> float:
    return float(re.findall(r"\d+", answer) == [str(wanted)])


def _first(answer: str, wanted: int) -> float:
    return float(re.findall(r"\d+", answer)[:1] == [str(wanted)])


def _last(answer: str, wanted: int) -> float:
    return float(re.findall(r"\d+", answer)[-1:] == [str(wanted)])


EXERCISES = {
    "15.1": Exercise(
        _advantage,
        (
            (
                lambda rewards: list(rewards),
                "Those are the rewards. Their mean is to be taken off.",
            ),
            (
                lambda rewards: [sum(rewards) / len(rewards) - each for each in rewards],
                "The sign is reversed: a better answer has a positive advantage.",
            ),
            (_divided, "That is divided by the standard deviation, which is left out here."),
        ),
        hint="The mean of the rewards, then each reward less it.",
        cases=(([1, 0, 0, 1],), ([1, 0, 0, 0],), ([0.5, 0.25],)),
    ),
    "15.2": Exercise(
        1.5,
        (
            (0.75, "That is the advantage before the division."),
            (
                0.75 / math.sqrt(0.1875),
                "The squares are divided by n - 1 = 3, not by 4, for a sample.",
            ),
            (3.0, "That is divided by the variance. Its square root is the standard deviation."),
        ),
        hint="0.75, divided by the root of (0.75² + 3 · 0.25²) / 3.",
    ),
    "15.3": Exercise(
        0.25 - math.log(0.25) - 1,
        (
            (4 - math.log(4) - 1, "u is the reference's probability over the model's."),
            (0.25 + math.log(0.25) - 1, "The logarithm is taken off: u - ln u - 1."),
            (-math.log(0.25), "That is -ln u alone; u - 1 is missing."),
        ),
        hint="u = 0.2 / 0.8, then u - ln u - 1.",
    ),
    "15.4": Exercise(
        _reward,
        (
            (_first, "That looks at the first number only; an answer that goes on is paid, too."),
            (_last, "That looks at the last number only, so that a guess before it is paid, too."),
            (
                lambda answer, wanted: float(str(wanted) in answer),
                "That looks for the digits anywhere: 185 has them, and so has a list of guesses.",
            ),
        ),
        hint="Find all numbers of the text, and compare the list with the one that is wanted.",
        cases=(
            ("It is 85.", 85),
            ("75 or 85", 85),
            ("85, or 75", 85),
            ("I do not know.", 85),
            ("185", 85),
        ),
    ),
}
