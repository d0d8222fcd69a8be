"""The labelled texts of a classifier, all splits in one row, with their classes and the weights of
these.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.nn.functional as F

from groundup.data.documents import Example
from groundup.data.reading.distinct import without_repeats
from groundup.errors import ConfigError, DataError
from groundup.evaluate.tasks.classification import labels_of, positive_label

SPLITS = ("train", "validation", "test")

Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class Messages:
    """The examples of all splits, concatenated."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    """In alphabetical order: the order of the scores."""
    positive: str
    rows: Mapping[str, range]
    """Split -> indices in `examples`."""

    @classmethod
    def of(cls, splits: Splits, positive: str | None) -> "Messages":
        """Raises DataError for an empty split, a text that occurs twice, one label only, or labels
        that the training messages lack.
        """
        for split in SPLITS:
            if not splits.get(split):
                raise DataError(
                    f"There are no {split} messages.",
                    fix=f"Give messages to each of {', '.join(SPLITS)}.",
                )
        labels = labels_of(splits["train"])
        unknown = sorted(
            {example.label for split in SPLITS for example in splits[split]} - set(labels)
        )
        if unknown:
            raise DataError(
                f"No training message has the label {unknown[0]!r}, but others do.",
                fix="Add some, or drop it.",
            )
        if positive is not None and positive not in labels:
            raise ConfigError(
                f"positive is {positive!r}, not a label.", fix=f"Labels are {', '.join(labels)}."
            )
        examples = tuple(example for split in SPLITS for example in splits[split])
        distinct = without_repeats(examples)
        if distinct.repeats or distinct.conflicts:
            raise DataError(
                f"{distinct.repeats + distinct.conflicts:,} messages occur more than once in the splits: memorising would count as accuracy.",
                fix="Split with data.examples.stratified_split or given_splits, which remove repeats before.",
            )
        ends = list(accumulate(len(splits[split]) for split in SPLITS))
        rows = {
            split: range(end - len(splits[split]), end)
            for split, end in zip(SPLITS, ends, strict=True)
        }
        return cls(examples, labels, positive or positive_label(splits["train"]), rows)

    @property
    def kind(self) -> Literal["classifier", "multi-label"]:
        """Which losses fit, and which figures."""
        return "classifier"

    @property
    def classes(self) -> list[Any]:
        """The number of each example's label."""
        return [self.labels.index(example.label) for example in self.examples]

    def figures(self, scores: torch.Tensor) -> dict[str, float]:
        """Return loss (nats a message) and accuracy of the validation messages' scores [n, N]."""
        rows = self.rows["validation"]
        truth = torch.tensor(self.classes)[rows.start : rows.stop]
        right = int((scores.argmax(dim=1) == truth).sum())
        return {
            "validation_loss": float(F.cross_entropy(scores, truth)),
            "validation_accuracy": right / len(rows),
        }

    def class_weights(self, *, balanced: bool) -> list[Any]:
        """Return the weight of each label in the loss: 1, or with `balanced` in inverse proportion
        to its messages; over these the mean is 1.
        """
        counts = Counter(example.label for example in self.of_split("train"))
        n, classes = len(self.rows["train"]), len(self.labels)
        return [n / (classes * counts[label]) if balanced else 1.0 for label in self.labels]

    def of_split(self, split: str) -> list[Example]:
        """The examples of one split."""
        return [self.examples[row] for row in self.rows[split]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> how many."""
        return {
            split: dict(sorted(Counter(e.label for e in self.of_split(split)).items()))
            for split in SPLITS
        }
