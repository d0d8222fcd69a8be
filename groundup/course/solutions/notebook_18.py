"""Notebook 18, answers with a promise."""

import math

from groundup.course.exercises import Exercise
from groundup.risk import upper_bound


def _none_wrong(n: int) -> float:
    return upper_bound(0, n)


_WHOLE = 1 + math.exp(2) + math.exp(0) + math.exp(-1)

EXERCISES = {
    "18.1": Exercise(
        5 / 6,
        (
            (2 / 3, "0.6 is more than both of the others, and 0.4 more than one of them."),
            (1 / 6, "That is the share of pairs the wrong way round."),
            (5 / 9, "There are 3 times 2 pairs: each with an answer beside each without."),
        ),
        hint="Of six pairs of one with and one without an answer, in how many has the first more?",
    ),
    "18.2": Exercise(
        _none_wrong,
        (
            (lambda n: 0.05 ** (1 / n), "That is the share of right answers; 1 less it is wanted."),
            (lambda n: 1 - 0.95 ** (1 / n), "The chance at the bound is 5 %, not 95 %."),
            (lambda n: 0.05 / n, "All n are right with probability (1 - p) to the power of n."),
            (
                lambda n: 3 / n,
                "That is the rule of three, near it for a large n. Solve for p exactly.",
            ),
        ),
        hint="Set (1 - p) to the power of n to 0.05, and solve for p.",
        cases=((10,), (59,), (300,)),
    ),
    "18.3": Exercise(
        149,
        (
            (148, "With 148 the bound is still a little above 2 %: round up."),
            (50, "At 2 % one mistake in 50 is expected; often there is none, by luck."),
            (150, "3 / 0.02 is near it. The exact number is a little smaller."),
            (3, "0.98 to the power of 3 is far above 0.05."),
        ),
        hint="The smallest n with 0.98 to the power of n at most 0.05: a quotient of two logarithms.",
        tolerance=1e-6,
    ),
    "18.4": Exercise(
        [7 / 70, 10 / 75],
        (
            ([7 / 100, 10 / 75], "Wrong ones are counted among the 70 that are shown."),
            ([7 / 70, 10 / 30], "That is of the refused ones; 75 questions have an answer."),
            ([7 / 70, 10 / 100], "Of the 75 questions that have an answer, not of all."),
        ),
        hint="7 of the answers that are shown, and 10 of the questions that have an answer.",
    ),
    "18.5": Exercise(
        math.exp(2) / _WHOLE,
        (
            (
                math.exp(2) / (_WHOLE - 1),
                '"None of them" competes, too: its score is 0, which adds 1 below.',
            ),
            (2 / 3, "Scores become powers of e first."),
            (1 / _WHOLE, "That is the probability that none answers."),
        ),
        hint="e to the power of 2, over 1 and the powers of all three scores.",
    ),
}
