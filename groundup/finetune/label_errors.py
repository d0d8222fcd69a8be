"""Labels that are probably wrong: confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70,
arXiv:1911.00068) over out-of-fold probabilities.

    texts of all splits -> FOLDS parts -> of each part the probabilities of a classifier that
        learned from the other parts -> suspects, ranked

A label is suspected where another one is confidently said: of the labels whose probability reaches
their threshold the most probable is another. The threshold of a label is the mean probability that
texts with this label are given for it (eq. 1-2 of the paper). All texts are ranked by the margin of
their label over the strongest other one ("normalized margin"), the lowest first, suspects before
others.

The parts are learned from cached features at the chosen learning rate, so this costs about FOLDS
trainings more. The epoch of each is chosen on the validation texts, which at most favours their own
labels a little. The classifier of the run learns nothing from the list: it is to be read.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from groundup.evaluate.calibration import softmax
from groundup.finetune.learning_curve import nested_order
from groundup.finetune.messages import Messages
from groundup.progress import Progress
from groundup.runs import RunFolder

FOLDS = 4
FOLDS_FOLDER = "folds"
# Of the rank_labels list, this share is kept, and all suspects; at most so many.
LISTED_SHARE, LISTED = 0.1, 500


@dataclass(frozen=True)
class LabelSuspect:
    """A text of the ranked list."""

    text: str
    label: str
    suggested: str
    probability: float
    """Of its label."""
    suggested_probability: float
    suspected: bool
    split: str


@dataclass(frozen=True)
class WrongLabels:
    """`ClassifierResults.wrong_labels`."""

    n: int
    """Texts."""
    suspected: int
    folds: int
    list: tuple[LabelSuspect, ...]

    def line(self) -> str:
        """Return one line about the list."""
        share = self.suspected / self.n
        return (
            f"{self.suspected:,} of {self.n:,} labels ({share:.1%}) are probably wrong, by "
            "classifiers that did not learn from them: read the list."
        )


ScoresOf = Callable[[Sequence[int], Sequence[int], RunFolder], torch.Tensor]


def folds_of(rows: Sequence[int], classes: Sequence[int]) -> list[list[int]]:
    """Return the rows in FOLDS disjoint parts with about the same shares of classes."""
    order = nested_order(rows, classes)
    return [sorted(order[place::FOLDS]) for place in range(FOLDS)]


def out_of_fold(scores_of: ScoresOf, classes: Sequence[int], run: RunFolder) -> np.ndarray:
    """Return the probabilities [n, N] of all texts; `scores_of` trains on rows and returns the
    scores of other rows. Finished folds are only read.
    """
    folds = folds_of(range(len(classes)), classes)
    found: dict[int, np.ndarray] = {}
    for number, held_out in enumerate(folds):
        rows = sorted(row for fold in folds if fold is not held_out for row in fold)
        scores = scores_of(rows, held_out, RunFolder(run.path / FOLDS_FOLDER / str(number)))
        found |= dict(zip(held_out, softmax(scores.double().numpy()), strict=True))
    shutil.rmtree(run.path / FOLDS_FOLDER, ignore_errors=True)
    return np.stack([found[row] for row in range(len(classes))])


def confident_labels(probabilities: np.ndarray, classes: Sequence[int]) -> list[int | None]:
    """Return the class that is confidently said of each text; None where no class reaches its
    threshold.
    """
    given = np.asarray(classes)
    # t_j = mean of p(j | x) over the texts x with the label j; a class without texts is never said
    thresholds = np.array(
        [
            probabilities[given == label, label].mean() if (given == label).any() else np.inf
            for label in range(probabilities.shape[1])
        ]
    )
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    return [
        int(best) if row[best] >= 0 else None
        for row, best in zip(reached, reached.argmax(axis=1), strict=True)
    ]


def rank_labels(probabilities: np.ndarray, classes: Sequence[int]) -> tuple[list[int], set[int]]:
    """Return all texts, the most suspicious label first, and those that are suspected.

    >>> rank_labels(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), [0, 0, 1])[0]
    [1, 0, 2]
    """
    given = np.asarray(classes)
    confident = confident_labels(probabilities, classes)
    suspected = {
        row for row, label in enumerate(confident) if label is not None and label != classes[row]
    }
    rows = np.arange(len(given))
    own, others = probabilities[rows, given], probabilities.copy()
    others[rows, given] = -1.0
    margin = own - others.max(axis=1)
    return sorted(
        range(len(given)), key=lambda row: (row not in suspected, margin[row], row)
    ), suspected


def wrong_labels(
    scores_of: ScoresOf, messages: Messages, run: RunFolder, progress: Progress
) -> WrongLabels:
    """Return the suspects and the list to be read, and say how many there are."""
    examples, labels, classes = messages.examples, messages.labels, messages.classes
    probabilities = out_of_fold(scores_of, classes, run)
    order, suspected = rank_labels(probabilities, classes)
    split_of = {row: split for split, rows in messages.rows.items() for row in rows}
    kept = order[: min(LISTED, max(len(suspected), round(LISTED_SHARE * len(order))))]
    listed = []
    for row in kept:
        other = max(
            (i for i in range(len(labels)) if i != classes[row]),
            key=lambda i: probabilities[row, i],
        )
        listed.append(
            LabelSuspect(
                text=examples[row].text,
                label=examples[row].label,
                suggested=labels[other],
                probability=round(float(probabilities[row, classes[row]]), 4),
                suggested_probability=round(float(probabilities[row, other]), 4),
                suspected=row in suspected,
                split=split_of[row],
            )
        )
    found = WrongLabels(len(examples), len(suspected), FOLDS, tuple(listed))
    progress.say(found.line())
    return found
