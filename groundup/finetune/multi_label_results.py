"""What a classifier of several labels is worth: thresholds chosen on the validation messages, then
the figures of the test messages, judged once.

results.json: multi_label (true), labels, splits (messages by label), sizes (messages), models (this
one first; exact_match, micro_f1, macro_f1, and by_label: precision, recall, F1 of each),
validation, test, decision (temperature, thresholds), calibration (over all pairs of a message and a
label), examples, predictions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from groundup.evaluate.calibration import calibration_bins, calibration_error, fit_temperature
from groundup.evaluate.task import describe
from groundup.evaluate.tasks.label_sets import (
    LabelSet,
    choose_thresholds,
    indicators,
    judge_sets,
    said_sets,
    set_row,
    sets_of,
    sigmoid,
)
from groundup.finetune import classifier_results
from groundup.finetune.classifier_results import OURS, SHOWN_EXAMPLES, DecisionTarget
from groundup.finetune.messages import Messages
from groundup.progress import Progress
from groundup.weights.decision_rule import DecisionRule


def choose_decision(
    scores: torch.Tensor, messages: Messages, wish: DecisionTarget, windows: int, progress: Progress
) -> DecisionRule:
    """Return temperature and thresholds, chosen on the validation messages' scores [n, N]. Costs
    and abstaining were refused before.
    """
    values, present = scores.double().numpy(), truth_of(messages, "validation")
    # of each pair of a message and a label: two classes with the scores 0 and s have the
    # probabilities 1 - sigmoid(s) and sigmoid(s)
    pairs = np.stack([np.zeros(values.size), values.ravel()], axis=1)
    temperature = fit_temperature(pairs, present.ravel().tolist())
    thresholds = choose_thresholds(sigmoid(values, temperature), present, messages.labels)
    shown = ", ".join(f"{label} {threshold:.2f}" for label, threshold in thresholds.items())
    progress.say(
        f"Thresholds chosen on validation (0.50 where too few have the label): {shown[:500]}."
    )
    return DecisionRule(windows, temperature, thresholds=thresholds)


def truth_of(messages: Messages, split: str) -> np.ndarray:
    """Return 0 or 1 of each message of a split and each label, [n, N]."""
    return indicators(sets_of(messages.of_split(split)), messages.labels)


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
    assert decision.thresholds is not None
    results: dict[str, Any] = {
        "multi_label": True,
        "labels": list(messages.labels),
        "splits": messages.counts(),
        "sizes": {split: len(rows) for split, rows in messages.rows.items()},
    }
    for split in ("validation", "test"):
        probabilities = sigmoid(scores[split].double().numpy(), decision.temperature)
        predicted = said_sets(probabilities, decision.thresholds)
        outcome = judge_sets(sets_of(messages.of_split(split)), predicted, messages.labels)
        results[split] = set_row(OURS, outcome)
        for figure in outcome.measures:
            progress.say(f"{split}: {describe(figure)}")
    # the loop ends with the test messages
    bins = {
        name: calibration_bins(
            sigmoid(scores["test"].double().numpy(), t).ravel().tolist(), present
        )
        for name, t in (("error", decision.temperature), ("before", 1.0))
        if (present := [bool(each) for each in truth_of(messages, "test").ravel().tolist()])
    }
    return results | {
        "models": [results["test"]],
        "predictions": {OURS: list(map(list, predicted))},
        "examples": shown_examples(messages, predicted, probabilities),
        "decision": {
            "temperature": decision.temperature,
            "thresholds": dict(decision.thresholds),
            "windows": decision.windows,
        },
        "calibration": {name: calibration_error(found) for name, found in bins.items()}
        | {"bins": bins["error"], "n": len(predicted)},
    }


def shown_examples(
    messages: Messages, predicted: Sequence[LabelSet], probabilities: np.ndarray
) -> list[dict[str, Any]]:
    """Return a few test messages for the report: those with most wrong labels first."""
    found = [
        {
            "text": example.text,
            "actual": list(actual),
            "predicted": list(said),
            "probabilities": {
                label: round(p, 4) for label, p in zip(messages.labels, row, strict=True)
            },
        }
        for example, actual, said, row in zip(
            messages.of_split("test"),
            sets_of(messages.of_split("test")),
            predicted,
            probabilities.tolist(),
            strict=True,
        )
    ]
    return sorted(found, key=lambda each: -len(set(each["actual"]) ^ set(each["predicted"])))[
        :SHOWN_EXAMPLES
    ]


def card_figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures for the model card."""
    measured, n = results["test"], results["sizes"]["test"]
    shown = {"exact_match": "all labels right", "micro_f1": "micro F1", "macro_f1": "macro F1"}
    return {
        f"{name} (test, n = {n})": f"{found['value']:.3f}"
        + (
            f", 95 % interval {found['low']:.3f} to {found['high']:.3f}"
            if found["low"] is not None
            else ""
        )
        for key, name in shown.items()
        if (found := measured.get(key))
    }


# Kind of messages -> how the decision is chosen, the test messages judged, and the model card's
# figures made.
RESULTS: dict[str, Any] = {
    "classifier": (
        classifier_results.choose_decision,
        classifier_results.measure,
        classifier_results.card_figures,
    ),
    "multi-label": (choose_decision, measure, card_figures),
}
