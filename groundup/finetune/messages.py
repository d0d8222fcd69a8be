"""The labelled texts of a classifier: the examples of all splits, the targets that are learned of
them, and their weights in the loss.

A text has one label, or (`several`) none, one or several. With one, its target is the number of its
label; with several, a 0 or 1 for each label, whose score is independent of the others'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, Literal

import torch
import torch.nn.functional as F

from groundup.data.documents import Example
from groundup.data.reading.example_splits import (
    label_counts,
    labels_of_example,
    require_label_sets,
    without_repeats,
)
from groundup.errors import ConfigError, DataError
from groundup.evaluate.tasks.label_figures import positive_label

SPLITS = ("train", "validation", "test")
# Where an error rate is promised: texts of which nothing but the threshold is chosen.
CALIBRATION = "calibration"

Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class Messages:
    """The examples of all splits, concatenated."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    """In alphabetical order: the order of the scores."""
    positive: str
    """The label to detect; "" where a text may have several."""
    rows: Mapping[str, range]
    """Split -> indices in `examples`."""
    several: bool = False
    """Whether a text may have none, one or several labels."""

    @classmethod
    def of(cls, splits: Splits, positive: str | None = None) -> "Messages":
        """Raises DataError for an empty split, a text that occurs twice, one label only, or labels
        that the training messages lack; ConfigError where `positive` is no label.
        """
        several = require_label_sets(splits)
        labels = _require_labels(splits)
        if positive is not None and positive not in labels:
            raise ConfigError(
                f"positive is {positive!r}, not a label.", fix=f"Labels are {', '.join(labels)}."
            )
        if not several:
            positive = positive or positive_label(splits["train"])
        names = [*SPLITS, *({CALIBRATION} & splits.keys())]
        examples = tuple(example for split in names for example in splits[split])
        _require_distinct(examples)
        ends = list(accumulate(len(splits[split]) for split in names))
        rows = {
            split: range(end - len(splits[split]), end)
            for split, end in zip(names, ends, strict=True)
        }
        return cls(examples, labels, positive or "", rows, several)

    @property
    def kind(self) -> Literal["classifier", "multi-label"]:
        """Which losses fit."""
        return "multi-label" if self.several else "classifier"

    @property
    def classes(self) -> list[Any]:
        """The number of each label, or 0 or 1 for each label."""
        if self.several:
            return [
                [int(label in labels_of_example(example)) for label in self.labels]
                for example in self.examples
            ]
        return [self.labels.index(example.label) for example in self.examples]

    def figures(self, scores: torch.Tensor) -> dict[str, float]:
        """Of scores [n, N]: loss (nats a message, summed over several labels), and accuracy, or
        exact match at 0.5.
        """
        rows = self.rows["validation"]
        truth = torch.tensor(self.classes[rows.start : rows.stop])
        if not self.several:
            right = int((scores.argmax(dim=1) == truth).sum())
            return {
                "validation_loss": float(F.cross_entropy(scores, truth)),
                "validation_accuracy": right / len(rows),
            }
        nats = F.binary_cross_entropy_with_logits(scores, truth.to(scores), reduction="none")
        exact = ((scores > 0) == (truth > 0)).all(dim=1).double().mean()
        return {
            "validation_loss": float(nats.sum(dim=1).mean()),
            "validation_exact_match": float(exact),
        }

    def class_weights(self, *, balanced: bool) -> list[Any]:
        """With several labels of its 0 and its 1; `balanced`: in inverse proportion to its training
        messages (mean 1).
        """
        n = len(self.rows["train"])
        counts = label_counts(self.of_split("train"))
        if not balanced:
            return [(1.0, 1.0) if self.several else 1.0 for _ in self.labels]
        if self.several:
            # a label that all messages have is not rare: its 0 has no message to weigh
            return [
                (n / (2 * max(1, n - counts[label])), n / (2 * counts[label]))
                for label in self.labels
            ]
        return [n / (len(self.labels) * counts[label]) for label in self.labels]

    def of_split(self, split: str) -> list[Example]:
        return [self.examples[row] for row in self.rows[split]]

    @property
    def held_out(self) -> list[str]:
        """The splits that are not trained on."""
        return [split for split in self.rows if split != "train"]

    @property
    def seen(self) -> list[Example]:
        """All but the test messages: the best epoch, or the threshold, is chosen on some."""
        rows = self.rows["test"]
        return [*self.examples[: rows.start], *self.examples[rows.stop :]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> how many messages have it."""
        return {split: label_counts(self.of_split(split)) for split in self.rows}


def with_calibration(splits: Splits, seed: int) -> dict[str, Sequence[Example]]:
    """Every second validation text of each label, in an order of the seed, is `CALIBRATION`."""
    order = list(splits["validation"])
    Random(seed).shuffle(order)
    order.sort(key=lambda example: example.label)
    return {**splits, "validation": order[::2], CALIBRATION: order[1::2]}


def _require_labels(splits: Splits) -> tuple[str, ...]:
    for split in SPLITS:
        if not splits.get(split):
            raise DataError(
                f"There are no {split} messages.",
                fix=f"Give messages to each of {', '.join(SPLITS)}.",
            )
    labels = tuple(label_counts(splits["train"]))
    if len(labels) < 2:
        found = f"all have {labels[0]!r}" if labels else "none has a label"
        raise DataError(
            "A classifier needs training messages of at least two labels, but of the "
            f"{len(splits['train']):,} {found}.",
            fix="Add examples of another label, or check the label column.",
        )
    unknown = {label for split in SPLITS for label in label_counts(splits[split])} - set(labels)
    if unknown:
        raise DataError(
            f"No training message has the label {min(unknown)!r}, but others do.",
            fix="Add some, or drop it.",
        )
    return labels


def _require_distinct(examples: Sequence[Example]) -> None:
    distinct = without_repeats(examples)
    if distinct.repeats or distinct.conflicts:
        raise DataError(
            f"{distinct.repeats + distinct.conflicts:,} messages occur more than once in the "
            "splits: memorising would count as accuracy.",
            fix="Split with stratified_split or iterative_split of groundup.data.reading, which "
            "remove repeats before.",
        )
