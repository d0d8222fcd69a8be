"""`check` says right, or a hint that names the mistake."""

from itertools import pairwise

import numpy as np
import pytest

from groundup.course.exercises import (
    RIGHT,
    ROUNDED,
    UNANSWERED,
    Exercise,
    check,
    exercise_of,
    exercises_of,
    same,
    verdict,
)
from groundup.errors import ConfigError


def pairs(text: str) -> list[str]:
    return [text[place : place + 2] for place in range(len(text) - 1)]


FUNCTION = Exercise(
    pairs,
    (
        (
            lambda text: [text[place : place + 2] for place in range(0, len(text) - 1, 2)],
            "Pairs overlap.",
        ),
    ),
    hint="Take neighbours.",
    cases=(("low",), ("aaab",)),
)


def test_a_function_is_tried_on_all_cases() -> None:
    assert verdict(FUNCTION, lambda text: [a + b for a, b in pairwise(text)]) == RIGHT
    assert verdict(FUNCTION, FUNCTION.mistakes[0][0]) == "not yet. Pairs overlap."
    other = verdict(FUNCTION, lambda text: [text])
    assert other == "not yet. Take neighbours. For ('low') it gives ['low'], not ['lo', 'ow']."
    assert verdict(FUNCTION, ["lo"]) == "not yet. Take neighbours. The answer should be a function."


def test_a_stub_is_no_answer_and_no_mistake() -> None:
    def stub(text: str) -> None: ...

    assert verdict(FUNCTION, stub) == verdict(FUNCTION, ...) == UNANSWERED
    assert verdict(Exercise(3, (), hint="Count."), ...) == UNANSWERED


def test_a_function_of_the_reader_that_raises_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        verdict(FUNCTION, lambda text: 1 / 0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0004, True),
        (1, 1.1, False),
        (0, 0.0, True),
        (True, 1, False),
        ([1, [2.0]], np.array([1, 2]), False),
        ([[1, 2]], np.array([[1.0, 2.0]]), True),
        ((1, 2), [1, 2], True),
        ({"a": 0.5}, {"a": 0.50001}, True),
        ({"a": 1}, {"b": 1}, False),
        ({1, 2}, {2, 1}, True),
        ("b", " b ", False),
        ("b", "B", False),
        (float("nan"), float("nan"), False),
    ],
)
def test_answers_are_compared_by_value(one: object, other: object, expected: bool) -> None:
    assert same(one, other) is expected


def test_another_wrong_value_is_told_its_kind_or_length_and_never_the_answer() -> None:
    exercise = Exercise([7, 11], (), hint="Multiply first.")
    assert (
        verdict(exercise, [7]) == "not yet. Multiply first. It should have 2 entries, this has 1."
    )
    assert (
        verdict(exercise, 7)
        == "not yet. Multiply first. The answer should be a list, this is a number."
    )
    assert verdict(exercise, [1, 2]) == "not yet. Multiply first."


def test_a_right_number_with_too_few_digits_is_told_so() -> None:
    exercise = Exercise([0.8808, 8.3178], (([0.9, 0.1], "Not a share."),), hint="Divide.")
    assert verdict(exercise, [0.88, 8.3]) == f"not yet. {ROUNDED}"
    assert verdict(exercise, [0.881, 8.318]) == RIGHT
    assert verdict(exercise, [0.89, 8.3]) == "not yet. Divide."
    assert verdict(Exercise(8, (), hint="Count."), 8.1) == "not yet. Count."


def test_a_space_at_the_end_of_a_text_counts_and_is_named() -> None:
    exercise = Exercise(" the", (("the", "A piece has its space."),), hint="Look at the pieces.")
    assert verdict(exercise, " the") == RIGHT
    assert verdict(exercise, "the") == "not yet. A piece has its space."
    assert (
        verdict(exercise, " the ")
        == "not yet. Look at the pieces. Only the spaces at its ends differ."
    )
    split = Exercise(lambda text: [text[:2], text[2:]], (), hint="Cut it.", cases=(("to be",),))
    wrong = verdict(split, lambda text: text.split())
    assert wrong == "not yet. Cut it. For ('to be') it gives ['to', 'be'], not ['to', ' be']."


def test_a_function_that_changes_its_arguments_leaves_the_cases_as_they_are() -> None:
    exercise = Exercise(
        lambda numbers: numbers[0], (), hint="The first one.", cases=(([1, 2, 3],),)
    )

    def last_after_sorting(numbers: list[int]) -> int:
        numbers.sort(reverse=True)
        return numbers[0]

    assert verdict(exercise, last_after_sorting).endswith("For ([1, 2, 3]) it gives 3, not 1.")
    assert verdict(exercise, lambda numbers: numbers[0]) == "right"


def test_check_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    check("3.1", ...)
    assert capsys.readouterr().out == f"3.1: {UNANSWERED}\n"


@pytest.mark.parametrize("number", ["3", "3.99", "99.1", "three.one", "3.1.1"])
def test_an_unknown_number_is_one_sentence(number: str) -> None:
    with pytest.raises(ConfigError, match="exercise"):
        exercise_of(number)


def test_a_notebook_that_does_not_exist_has_no_exercises() -> None:
    assert exercises_of(99) == {}
