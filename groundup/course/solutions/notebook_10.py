"""Notebook 10, a classifier."""

from collections import Counter
from collections.abc import Sequence

from groundup.course.exercises import Exercise
from groundup.evaluate.metrics import accuracy, f1

Confusion = Sequence[Sequence[int]]


def _majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    commonest = Counter(train_labels).most_common(1)[0][0]
    return list(test_labels).count(commonest) / len(test_labels)


def _measures(confusion: Confusion, positive: int) -> list[float]:
    right = confusion[positive][positive]
    precision, recall = (
        right / sum(row[positive] for row in confusion),
        right / sum(confusion[positive]),
    )
    return [precision, recall, f1(confusion, positive).value]


def _swapped(confusion: Confusion, positive: int) -> list[float]:
    precision, recall, harmonic = _measures(confusion, positive)
    return [recall, precision, harmonic]


def _arithmetic(confusion: Confusion, positive: int) -> list[float]:
    precision, recall, _ = _measures(confusion, positive)
    return [precision, recall, (precision + recall) / 2]


def _accuracy_last(confusion: Confusion, positive: int) -> list[float]:
    return [*_measures(confusion, positive)[:2], accuracy(confusion).value]


LORA_NUMBERS = 8 * (1536 + 576)

EXERCISES = {
    "10.1": Exercise(
        _majority_accuracy,
        (
            (
                lambda train, test: _majority_accuracy(test, test),
                "The commonest label is taken from the test labels, which a baseline can't know.",
            ),
            (
                lambda train, test: _majority_accuracy(train, train),
                "That is its share of the training labels.",
            ),
            (
                lambda train, test: 1 / len({*train, *test}),
                "That is guessing among the labels; this baseline always says the commonest one.",
            ),
        ),
        hint="Find the commonest training label, then count it in the test labels.",
        cases=(
            (["ham", "ham", "spam"], ["spam", "spam", "spam", "ham"]),
            (["a", "b", "b", "c", "b"], ["a", "b", "b", "c", "a", "a"]),
            (["x", "x", "y"], ["x", "x", "x", "y", "x"]),
        ),
    ),
    "10.2": Exercise(
        _measures,
        (
            (
                _swapped,
                "Precision and recall are swapped: the column has what was predicted, the row what is actual.",
            ),
            (
                _arithmetic,
                "F1 is the harmonic mean of precision and recall, not their arithmetic mean.",
            ),
            (
                _accuracy_last,
                "The last number is the accuracy of all labels; F1 is made of precision and recall.",
            ),
        ),
        hint="True positives are on the diagonal; divide them by the sum of their column, and of their row.",
        cases=(
            ([[4, 2], [1, 3]], 1),
            ([[5, 1, 2], [0, 6, 1], [3, 2, 7]], 2),
            ([[5, 1, 2], [0, 6, 1], [3, 2, 7]], 0),
        ),
    ),
    "10.3": Exercise(
        LORA_NUMBERS,
        (
            (1536 * 576, "That is the whole matrix, which stays frozen."),
            (
                8 * 1536 * 576,
                "A and B are not multiplied to count them: A has R I numbers, B has O R.",
            ),
            (8 * 576, "That is A. B has numbers, too."),
            (8 * 1536, "That is B. A has numbers, too."),
            (1536 + 576, "That is what rank 1 has; R is 8 here."),
        ),
        hint="A has 8 rows of 576 numbers; and B?",
    ),
    "10.4": Exercise(
        0.18,
        (
            (0.2, "The bins do not weigh the same: one has 60 texts, the other 40."),
            (
                0.06,
                "Too sure in one bin does not make up for not sure enough in the other: take the absolute value in each.",
            ),
            (-0.06, "Take the absolute value in each bin before adding."),
            (18, "Weigh with the share of the texts, not with their number."),
        ),
        hint="The accuracies are 0.8 and 0.9. Take the distance of each from its confidence, weighted by the share of the texts.",
    ),
    "10.5": Exercise(
        0.1,
        (
            (
                0.9,
                "The other way round: what is expensive to miss is said already at a small probability.",
            ),
            (
                1 / 9,
                "With p = 1/9, silence costs 9/9 and the alarm 8/9: the costs are equal a little below.",
            ),
            (0.5, "That is the threshold for equal costs."),
        ),
        hint="The threshold is the cost of a false alarm, divided by the sum of both costs.",
    ),
    "10.6": Exercise(
        0.05,
        (
            (
                0.0,
                "That is a straight line on plain axes: each 300 labels would take ten points away. It is one on logarithmic axes.",
            ),
            (0.025, "It halves with four times as many labels, not with twice as many."),
            (5, "Give a share, not percent."),
        ),
        hint="How many times as many labels halved the error? How many times as many come now?",
    ),
}
