"""Texts with none, one or several labels for a classifier: what is learned of them, and which
options mean something there.

    messages_of(splits, options) -> Messages, or MultiLabelMessages whose `classes` are a 0 or 1 for
        each label

The classifier has a score for each label; its sigmoid is the probability that the text has it,
independent of the other labels.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.nn.functional as F

from groundup.data.documents import Example
from groundup.data.reading.distinct import without_repeats
from groundup.data.reading.multi_label import label_counts, labels_of_example, require_label_sets
from groundup.errors import ConfigError, DataError
from groundup.finetune.messages import SPLITS, Messages, Splits
from groundup.train.steps.losses import FINETUNE_LOSSES

MULTI_LABEL_LOSSES = [name for name, each in FINETUNE_LOSSES.items() if each.kind == "multi-label"]
# Option -> the value that asks for nothing, and why it means nothing where a text may have several
# labels.
REFUSED: Mapping[str, tuple[Any, str]] = {
    "positive": (None, "each label is detected for itself"),
    "cost_false_alarm": (
        1.0,
        "costs are those of one label to detect; each label has a threshold of its own",
    ),
    "cost_miss": (
        1.0,
        "costs are those of one label to detect; each label has a threshold of its own",
    ),
    "abstain": (None, "a text may have no label, which says as much"),
    "learning_curve": (False, "the curve is that of an accuracy"),
    "find_wrong_labels": (False, "confident learning compares labels of which a text has one"),
}

# Ways to train whose regressions have one label a text.
ONE_LABEL_TRAINING = ("stacked", "auto")


class MultiLabelMessages(Messages):
    """The examples of all splits, each with none, one or several labels."""

    @classmethod
    def of(cls, splits: Splits, positive: str | None = None) -> "MultiLabelMessages":
        """Raises DataError for an empty split, a text that occurs twice, fewer than two labels, or
        labels that the training messages lack.
        """
        for split in SPLITS:
            if not splits.get(split):
                raise DataError(
                    f"There are no {split} messages.",
                    fix=f"Give messages to each of {', '.join(SPLITS)}.",
                )
        labels = tuple(label_counts(splits["train"]))
        if len(labels) < 2:
            raise DataError(
                f"A classifier of several labels needs two at least, the training messages have {len(labels)}.",
                fix="Add examples of another label, or check the label column.",
            )
        unknown = sorted(
            {label for split in SPLITS for label in label_counts(splits[split])} - set(labels)
        )
        if unknown:
            raise DataError(
                f"No training message has the label {unknown[0]!r}, but others do.",
                fix="Add some, or drop it.",
            )
        examples = tuple(example for split in SPLITS for example in splits[split])
        distinct = without_repeats(examples)
        if distinct.repeats or distinct.conflicts:
            raise DataError(
                f"{distinct.repeats + distinct.conflicts:,} messages occur more than once in the splits: memorising would count as accuracy.",
                fix="Split with data.multi_label.iterative_split, which removes repeats before.",
            )
        ends = list(accumulate(len(splits[split]) for split in SPLITS))
        rows = {
            split: range(end - len(splits[split]), end)
            for split, end in zip(SPLITS, ends, strict=True)
        }
        return cls(examples, labels, "", rows)

    @property
    def kind(self) -> Literal["classifier", "multi-label"]:
        """Which losses fit, and which figures."""
        return "multi-label"

    @property
    def classes(self) -> list[Any]:
        """Of each example a 0 or 1 for each label."""
        return [
            [int(label in named) for label in self.labels]
            for named in map(set, map(labels_of_example, self.examples))
        ]

    def figures(self, scores: torch.Tensor) -> dict[str, float]:
        """Return loss (nats a message, summed over labels) and exact match at 0.5 of the validation
        messages' scores [n, N].
        """
        rows = self.rows["validation"]
        truth = torch.tensor(self.classes)[rows.start : rows.stop]
        loss = (
            F.binary_cross_entropy_with_logits(scores, truth.to(scores), reduction="none")
            .sum(dim=1)
            .mean()
        )
        exact = ((scores > 0) == (truth > 0)).all(dim=1).double().mean()
        return {"validation_loss": float(loss), "validation_exact_match": float(exact)}

    def class_weights(self, *, balanced: bool) -> list[Any]:
        """Return for each label the weights of 0 and of 1: 1, or with `balanced` in inverse
        proportion to their messages (mean 1).
        """
        counts, n = label_counts(self.of_split("train")), len(self.rows["train"])
        if not balanced:
            return [(1.0, 1.0) for _ in self.labels]
        # a label that all messages have is not rare: its 0 has no message to weigh
        return [
            (n / (2 * max(1, n - count)), n / (2 * count))
            for count in (counts[label] for label in self.labels)
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> how many messages have it."""
        return {split: label_counts(self.of_split(split)) for split in SPLITS}


def messages_of(splits: Mapping[str, Sequence[Example]], options: Mapping[str, Any]) -> Messages:
    """Return the messages of one label each, or of several.

    Raises DataError as they do, ConfigError for an option that means nothing there.
    """
    if not require_label_sets(splits):
        return Messages.of(splits, options["positive"])
    for name, (nothing, why) in REFUSED.items():
        if options[name] != nothing:
            raise ConfigError(
                f"{name} does not apply to texts with several labels: {why}.", fix="Leave it out."
            )
    if options["train"] in ONE_LABEL_TRAINING:
        raise ConfigError(
            f"train = {options['train']} is for texts of one label each.",
            fix="Use last-block, head, lora or all.",
        )
    return MultiLabelMessages.of(splits)
