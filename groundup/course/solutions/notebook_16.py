"""Notebook 16, a small model, cut from a large one."""

from collections.abc import Sequence

from groundup.course.exercises import Exercise


def _kept(importance: Sequence[float], count: int) -> list[int]:
    order = sorted(range(len(importance)), key=lambda block: -importance[block])
    return sorted(order[:count])


def _by_importance(importance: Sequence[float], count: int) -> list[int]:
    return sorted(range(len(importance)), key=lambda block: -importance[block])[:count]


def _least(importance: Sequence[float], count: int) -> list[int]:
    return _kept([-each for each in importance], count)


def _from_one(importance: Sequence[float], count: int) -> list[int]:
    return [block + 1 for block in _kept(importance, count)]


EXERCISES = {
    "16.1": Exercise(
        0.04,
        (
            (0.96, "That is the cosine. The importance is 1 less it."),
            (1 - 24 / 5, "Divide by both lengths: each is 5."),
            (-23, "That is 1 less the dot product; divide it by both lengths first."),
        ),
        hint="The dot product is 24, and both lengths are 5.",
    ),
    "16.2": Exercise(
        _kept,
        (
            (_by_importance, "Those are the right ones, but the model runs them in their order."),
            (_least, "Those are the least important ones, which can go."),
            (_from_one, "Blocks are counted from 0 here."),
        ),
        hint="Sort the numbers of the blocks by importance, take the first ones, and sort these.",
        cases=(([0.9, 0.1, 0.3, 0.6], 2), ([0.2, 0.1, 0.5], 2), ([0.1, 0.2, 0.3, 0.9], 3)),
    ),
    "16.3": Exercise(
        [3, 1],
        (
            ([3, 3], "Three query heads share a key-value head, as before."),
            ([9, 3], "9 heads of width 64 are 576 wide; the new width is 192."),
            ([1, 3], "The query heads come first in the list."),
        ),
        hint="192 has room for how many heads of 64? And three of them share one key-value head.",
    ),
    "16.4": Exercise(
        0.9,
        (
            (0.75, "Squares are compared: 9 and 1."),
            (0.5, "The tokens have different lengths: 9 of the squares are along (1, 0)."),
            (0.1, "That is the share that is lost."),
        ),
        hint="The squares are 9 and 1; which of them lies along (1, 0)?",
    ),
    "16.5": Exercise(
        2 * 4096 * 128,
        (
            (4096 * 128, "The output matrix is one of its own: there are two tables."),
            (49_152 * 576, "That is the large model's table."),
            (2 * 49_152 * 128, "The own vocabulary has 4,096 tokens."),
        ),
        hint="Two tables of 4,096 rows of 128 numbers.",
    ),
}
