"""Notebook 1, the whole path."""

import math
from collections.abc import Sequence
from itertools import pairwise

from groundup.course.exercises import Exercise


def _probability(words: Sequence[str], before: str, after: str) -> float:
    found = [second for first, second in pairwise(words) if first == before]
    return found.count(after) / len(found) if found else 0.0


def _of_all_pairs(words: Sequence[str], before: str, after: str) -> float:
    return list(pairwise(words)).count((before, after)) / (len(words) - 1)


def _backwards(words: Sequence[str], before: str, after: str) -> float:
    found = [first for first, second in pairwise(words) if second == after]
    return found.count(before) / len(found) if found else 0.0


def _of_the_word(words: Sequence[str], before: str, after: str) -> float:
    return (
        list(pairwise(words)).count((before, after)) / words.count(before)
        if before in words
        else 0.0
    )


EXERCISES = {
    "1.1": Exercise(
        _probability,
        (
            (
                _of_all_pairs,
                "That is the share of all pairs. Divide by the pairs that begin with `before` only.",
            ),
            (
                _backwards,
                "That is the probability of `before`, given what comes after. The other way round.",
            ),
            (
                _of_the_word,
                "The last word of the text has nothing after it: count it as `before` only where a word follows.",
            ),
        ),
        hint="Collect the words that stand directly after `before`, and take the share of `after` among them.",
        cases=(
            (["a", "b", "a", "c", "a", "b", "a"], "a", "b"),
            (["a", "b", "a", "c", "b", "a"], "a", "c"),
            (["the", "moon", "the", "wood", "the"], "the", "moon"),
            (["a", "b"], "b", "a"),
        ),
    ),
    "1.2": Exercise(
        [[5, 9, 2], [9, 2, 7]],
        (
            (
                [[5, 9, 2, 7], [9, 2, 7]],
                "The last id has no label in this window, so it is not read.",
            ),
            (
                [[5, 9, 2], [7]],
                "Every place is a prediction, not only the last: three ids, three labels.",
            ),
            ([[9, 2, 7], [5, 9, 2]], "The label is what comes next, not what came before."),
            ([[5, 9, 2], [5, 9, 2]], "The label of an id is the one after it: shift by one."),
        ),
        hint="The model reads all but the last, and should say all but the first.",
    ),
    "1.3": Exercise(
        math.log(4096),
        (
            (12, "That is in bits (the logarithm to the base 2). In nats it is ln."),
            (math.log10(4096), "That is the logarithm to the base 10. In nats it is ln."),
            (1 / 4096, "That is the probability p. The loss is -ln p."),
            (
                -math.log(4096),
                "The probability is below 1, its logarithm below 0, and the loss is minus that.",
            ),
        ),
        hint="Each token has p = 1 / 4096.",
    ),
    "1.4": Exercise(
        [0.881, 0.119],
        (
            ([0.731, 0.269], "That is temperature 1. Divide the logits by 0.5 first."),
            ([0.622, 0.378], "The logits are divided by the temperature, not multiplied."),
            ([0.119, 0.881], "The larger logit has the larger probability."),
            ([4, 2], "Those are the logits divided by the temperature. Softmax comes next."),
        ),
        hint="2 / 0.5 and 1 / 0.5, then e to the power of each, divided by the sum.",
        tolerance=0.01,
    ),
}
