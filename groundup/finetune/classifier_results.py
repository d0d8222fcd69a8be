"""What a trained classifier is worth: the decision chosen on the validation messages, then the
figures of the test messages, judged once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from groundup.data.documents import Example
from groundup.evaluate.calibration import (
    abstain_below,
    calibration_bins,
    calibration_error,
    cost_threshold,
    costs,
    coverage_curve,
    error_by_chance,
    fit_temperature,
    softmax,
)
from groundup.evaluate.curves import label_curves
from groundup.evaluate.metrics import majority_share
from groundup.evaluate.paired import difference_line, share_difference
from groundup.evaluate.task import describe
from groundup.evaluate.tasks.classification import judge, model_row
from groundup.finetune.messages import Messages
from groundup.progress import Progress
from groundup.weights.decision_rule import DecisionRule

OURS = "fine-tuned classifier"
SHOWN_EXAMPLES = 12


@dataclass(frozen=True)
class DecisionTarget:
    """What a decision should be good at."""

    false_alarm: float = 1.0
    """What it costs to say the positive label where it is not true."""
    miss: float = 1.0
    """What it costs not to say it where it is."""
    accuracy: float | None = None
    """Abstain so that the answered validation messages have this accuracy; None: never abstain."""


def choose_decision(
    scores: torch.Tensor, messages: Messages, wish: DecisionTarget, windows: int, progress: Progress
) -> DecisionRule:
    """Return the decision that the validation messages' scores [n, N] and the costs call for."""
    rows, values = messages.rows["validation"], scores.double().numpy()
    classes = messages.classes[rows.start : rows.stop]
    temperature = fit_temperature(values, classes)
    decision = DecisionRule(windows, temperature)
    if wish.false_alarm != wish.miss:
        threshold = cost_threshold(wish.false_alarm, wish.miss)
        decision = DecisionRule(windows, temperature, messages.positive, threshold)
    if wish.accuracy is not None:
        found = decided(values, messages, "validation", decision)
        limit = abstain_below(found.confidence, found.right, wish.accuracy)
        if limit is None:
            progress.say(
                f"No part of the validation messages reaches an accuracy of {wish.accuracy:.1%}: it abstains on all but certain ones."
            )
        decision = DecisionRule(
            windows,
            temperature,
            decision.positive,
            decision.threshold,
            1.0 if limit is None else limit,
        )
    return decision


@dataclass(frozen=True)
class Decided:
    """The labels that a decision says for the messages of a split."""

    actual: list[str]
    predicted: list[str]
    confidence: list[float]
    """The probability of the most probable label."""
    sure: list[float]
    """The probability of the label that is said."""

    @property
    def right(self) -> list[bool]:
        """Whether each is right."""
        return [a == p for a, p in zip(self.actual, self.predicted, strict=True)]


def decided(values: Any, messages: Messages, split: str, decision: DecisionRule) -> Decided:
    """Return what the decision says, given scores [n, N] as an array."""
    rows = [
        dict(zip(messages.labels, row, strict=True))
        for row in softmax(values, decision.temperature).tolist()
    ]
    predicted = [decision.label(row) for row in rows]
    said = [row[label] for row, label in zip(rows, predicted, strict=True)]
    return Decided(
        [e.label for e in messages.of_split(split)],
        predicted,
        [max(row.values()) for row in rows],
        said,
    )


def measure(
    scores: Mapping[str, torch.Tensor],
    messages: Messages,
    decision: DecisionRule,
    wish: DecisionTarget,
    progress: Progress,
) -> dict[str, Any]:
    """Return the figures of validation and test messages, as in results.json; `scores` are those of
    each split.
    """
    results: dict[str, Any] = {
        "labels": list(messages.labels),
        "positive": messages.positive,
        "splits": messages.counts(),
    }
    for split in ("validation", "test"):
        found = decided(scores[split].double().numpy(), messages, split, decision)
        outcome = judge(found.actual, found.predicted, messages.labels, messages.positive)
        results[split] = model_row(OURS, outcome)
        for figure in outcome.measures:
            progress.say(f"{split}: {describe(figure)}")
    # the loop ends with the test messages
    results["models"] = [results["test"]]
    results["majority"] = {"value": majority_share(found.actual)}
    commonest = Counter(example.label for example in messages.of_split("train")).most_common(1)[0][
        0
    ]
    by_majority = [commonest == label for label in found.actual]
    results["above_majority"] = share_difference(by_majority, found.right).plain()
    results["predictions"] = {OURS: found.predicted}
    results["examples"] = shown_examples(messages.of_split("test"), found.predicted, found.sure)
    return results | put_to_work(scores["test"], messages, found, decision, wish, progress)


def put_to_work(
    scores: torch.Tensor,
    messages: Messages,
    found: Decided,
    decision: DecisionRule,
    wish: DecisionTarget,
    progress: Progress,
) -> dict[str, Any]:
    """Return calibration, costs and coverage on the test messages."""
    raw = decided(scores.double().numpy(), messages, "test", DecisionRule())
    calibrated = decided(
        scores.double().numpy(), messages, "test", DecisionRule(temperature=decision.temperature)
    )
    bins = calibration_bins(calibrated.confidence, calibrated.right)
    error, before = (
        calibration_error(bins),
        calibration_error(calibration_bins(raw.confidence, raw.right)),
    )
    answered = [c >= decision.abstain_below for c in found.confidence]
    right = [r for r, is_answered in zip(found.right, answered, strict=True) if is_answered]
    progress.say(
        f"Calibration error on test: {before:.3f}, with temperature {decision.temperature:.2f}: {error:.3f}."
    )
    if decision.abstain_below:
        share = f"{sum(right) / len(right):.1%} of these are right" if right else "none"
        progress.say(
            f"It answers {len(right):,} of {len(answered):,} test messages and abstains on the others; {share}."
        )
    place = messages.labels.index(messages.positive)
    of_positive = softmax(scores.double().numpy(), decision.temperature)[:, place].tolist()
    return {
        "curves": label_curves(
            of_positive, [actual == messages.positive for actual in found.actual]
        ),
        "decision": {
            "temperature": decision.temperature,
            "positive": decision.positive,
            "threshold": decision.threshold,
            "abstain_below": decision.abstain_below,
            "windows": decision.windows,
        },
        "calibration": {
            "error": error,
            "before": before,
            "by_chance": error_by_chance(calibrated.confidence),
            "bins": bins,
            "n": len(found.actual),
        },
        "costs": costs(
            found.actual, found.predicted, messages.positive, wish.false_alarm, wish.miss
        )
        | {"false_alarm": wish.false_alarm, "miss": wish.miss},
        "coverage": {
            "answered": len(right) / len(answered),
            "accuracy": sum(right) / len(right) if right else None,
            "curve": coverage_curve(found.confidence, found.right),
        },
    }


def shown_examples(
    examples: Sequence[Example], predicted: Sequence[str], probabilities: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a few test messages for the report: mistakes first, by descending confidence, then
    right answers.
    """

    found: list[dict[str, Any]] = [
        {
            "text": example.text,
            "label": example.label,
            "predicted": label,
            "probability": round(probability, 4),
        }
        for example, label, probability in zip(examples, predicted, probabilities, strict=True)
    ]
    wrong = [each for each in found if each["label"] != each["predicted"]]
    right = [each for each in found if each["label"] == each["predicted"]]
    return [*sorted(wrong, key=lambda each: -each["probability"]), *right][:SHOWN_EXAMPLES]


def card_figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures for the model card."""
    measured, n = results["test"], sum(results["splits"]["test"].values())
    low, high = measured["accuracy"]["low"], measured["accuracy"]["high"]
    plain_head = {}
    if "plain_head" in results:
        value = results["plain_head"]["value"]
        plain_head = {
            "test accuracy in other programs, which read the plain head and not `stacked/`": f"{value:.1%}"
        }
    return {
        f"test accuracy (n = {n})": f"{measured['accuracy']['value']:.1%}, 95 % interval {low:.1%} to {high:.1%}",
        "accuracy of always predicting the most frequent label": f"{results['majority']['value']:.1%}",
        f"F1 of '{results['positive']}'"
        if len(results["labels"]) == 2
        else "macro F1": f"{measured['f1']:.3f}",
        "accuracy above always predicting the most frequent label, paired": difference_line(
            results["above_majority"]
        ),
        **plain_head,
    }
