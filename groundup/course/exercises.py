"""Exercises that check themselves: `check("3.2", answer)` says "right", or gives a hint that names
the mistake.

    solutions/notebook_03.py    EXERCISES = {"3.2": Exercise(solution=..., mistakes=((wrong,
                                "hint"), ...), hint="...")}

An answer is a value (number, text, list, set, dictionary, array), or a function that the reader has
written, which is tried on `cases`. The tests check that each solution is right and that each
typical mistake gets its own hint, so a hint is never a guess.
"""

import copy
import importlib
import importlib.util
import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from groundup.course.progress import keep
from groundup.errors import ConfigError, DiskError, did_you_mean

SOLUTIONS = "groundup.course.solutions"
RIGHT = "right"
ROUNDED = "That is rounded too far: give three digits after the point."
UNANSWERED = "no answer yet: replace the ... by yours"
SHOWN_CHARACTERS = 90
_NUMBER = re.compile(r"(\d{1,2})\.\d{1,2}")


@dataclass(frozen=True)
class Exercise:
    """A question of a notebook whose answer can be checked."""

    solution: Any
    """A right answer: a value, or a function."""
    mistakes: tuple[tuple[Any, str], ...]
    """Typical wrong answers, each with the hint that names the mistake."""
    hint: str
    """What any other wrong value is told: which step to look at again, without the answer."""
    cases: tuple[tuple[Any, ...], ...] = ()
    """The arguments with which a function is tried."""
    tolerance: float = 1e-3
    """The relative difference up to which two numbers are the same."""


def check(number: str, answer: Any) -> None:
    """Print whether `answer` to the exercise of this number is right, or a hint. Raises ConfigError
    for an unknown number.

    A function of the reader's that raises keeps its traceback. What was answered is kept beside the
    notebook (`progress.py`).
    """
    said = verdict(exercise_of(number), answer)
    print(f"{number}: {said}")
    if said != UNANSWERED:
        try:
            keep(number, answer, right=said == RIGHT)
        except DiskError as error:
            print(f"(Your progress is not kept: {error})")


def exercise_of(number: str) -> Exercise:
    """Return an exercise by its number, notebook.exercise. Raises ConfigError."""
    named = _NUMBER.fullmatch(number)
    if not named:
        raise ConfigError(
            f"{number!r} is no exercise's number.", fix='A number is notebook.exercise: "3.2".'
        )
    known = exercises_of(int(named[1]))
    if number not in known:
        raise ConfigError(f"There is no exercise {number}.", fix=did_you_mean(number, known))
    return known[number]


def exercises_of(notebook: int) -> Mapping[str, Exercise]:
    """Return the exercises of a notebook by number; none for one that does not exist."""
    module = f"{SOLUTIONS}.notebook_{notebook:02}"
    if importlib.util.find_spec(module) is None:
        return {}
    return importlib.import_module(module).EXERCISES


def verdict(exercise: Exercise, answer: Any) -> str:
    """Return RIGHT, UNANSWERED or a hint.

    >>> verdict(Exercise(12, ((24, "That counts each pair twice."),), hint="Count again."), 24)
    'not yet. That counts each pair twice.'
    """
    given = _results(exercise, answer)
    if given is ... or (
        exercise.cases and isinstance(given, list) and all(each is None for each in given)
    ):
        return UNANSWERED
    wanted = _results(exercise, exercise.solution)
    if same(given, wanted, exercise.tolerance):
        return RIGHT
    for mistake, hint in exercise.mistakes:
        if same(given, _results(exercise, mistake), exercise.tolerance):
            return f"not yet. {hint}"
    if not exercise.cases and _is_rounded(_plain(given), _plain(wanted)):
        return f"not yet. {ROUNDED}"
    return f"not yet. {exercise.hint}{_first_difference(exercise, given, wanted)}"


def _results(exercise: Exercise, answer: Any) -> Any:
    """Return what an answer gives: the value itself, or a function's results for all cases."""
    if not exercise.cases or not callable(answer):
        return ... if answer is ... or answer is None else answer
    return [
        answer(*copy.deepcopy(case)) for case in exercise.cases
    ]  # an answer may change its arguments


def _first_difference(exercise: Exercise, given: Any, wanted: Any) -> str:
    """Return for a function the first case that differs, else the difference of kind, spaces or
    length, if any; never the answer itself.
    """
    if exercise.cases:
        if not isinstance(given, list) or len(given) != len(exercise.cases):
            return " The answer should be a function."
        for case, one, other in zip(exercise.cases, given, wanted, strict=True):
            if not same(one, other, exercise.tolerance):
                arguments = ", ".join(_short(value) for value in case)
                return f" For ({arguments}) it gives {_short(one)}, not {_short(other)}."
    one, other = _plain(given), _plain(wanted)
    if _kind(one) != _kind(other):
        return f" The answer should be {_kind(other)}, this is {_kind(one)}."
    if isinstance(other, str) and one.strip() == other.strip():
        return " Only the spaces at its ends differ."
    if isinstance(other, list | dict | set | frozenset) and len(one) != len(other):
        return f" It should have {len(other)} entries, this has {len(one)}."
    return ""


def same(one: Any, other: Any, tolerance: float = 1e-3) -> bool:
    """Return whether two answers are the same: numbers within the relative tolerance, texts to the
    last space.

    >>> same([1, 2.0004], (1.0, 2.0)), same("b ", "b"), same({1}, [1])
    (True, False, False)
    """
    one, other = _plain(one), _plain(other)
    if _kind(one) != _kind(other):
        return False
    if isinstance(one, bool):
        return one == other
    if isinstance(one, int | float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-9)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other, [tolerance] * len(one)))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key], tolerance) for key in one
        )
    return bool(one == other)


def _is_rounded(one: Any, other: Any) -> bool:
    """Whether numbers are the right ones with too few digits."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_rounded, one, other))
    numbers = isinstance(one, int | float) and isinstance(other, float)
    return numbers and one in {round(other, digits) for digits in range(4)}


def _plain(value: Any) -> Any:
    """Return arrays and tensors as lists, other sequences as lists, too."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return (
        list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value
    )


def _kind(value: Any) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        *((bool, "True or False"), (int | float, "a number"), (str, "a text"), (list, "a list")),
        *((Mapping, "a dictionary"), (Set, "a set")),
    )
    return next(
        (name for kind, name in kinds if isinstance(value, kind)), f"a {type(value).__name__}"
    )


def _short(value: Any) -> str:
    shown = repr(_plain(value))
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 3] + "..."
