"""What a trained classifier is worth: the decision rule chosen on the validation messages, then the
figures of the test messages, judged once.

With one label a text, costs and abstaining set the rule; with several, each label has a threshold
of its own. `ClassifierResults` is what results.json holds, for its writer and for its readers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from groundup.config import build_config
from groundup.evaluate.calibration import (
    abstain_below,
    calibration_bins,
    calibration_error,
    cost_threshold,
    costs,
    coverage_curve,
    error_by_chance,
    fit_temperature,
    label_curves,
    label_temperature,
    softmax,
)
from groundup.evaluate.metrics import majority_share
from groundup.evaluate.paired import difference_line, share_difference
from groundup.evaluate.task import describe
from groundup.evaluate.tasks.label_figures import (
    choose_thresholds,
    indicators,
    judge,
    labels_of_texts,
    model_row,
    plain_labels,
    said_sets,
    sigmoid,
)
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.further_trainings import LearningCurve, WrongLabels
from groundup.finetune.messages import CALIBRATION, Messages
from groundup.progress import Progress
from groundup.risk import Promise, control_risk, least_questions, percent_above
from groundup.weights.decision_rule import DecisionRule

OURS = "fine-tuned classifier"
SHOWN_EXAMPLES = 12
JsonObject = dict[str, Any]
# Metric of several labels -> its name on the model card.
CARD_METRICS = {"exact_match": "all labels right", "micro_f1": "micro F1", "macro_f1": "macro F1"}


@dataclass(frozen=True, kw_only=True)
class ClassifierResults:
    """A field that is None was not measured and is not written, but for `features`."""

    multi_label: Literal[True] | None = None
    """Where a text may have none, one or several labels."""
    labels: list[str]
    """In the order of the scores."""
    positive: str | None = None
    """The label to detect; None with several labels a text."""
    splits: dict[str, dict[str, int]]
    """Split -> label -> messages."""
    sizes: dict[str, int] | None = None
    """Split -> messages, with several labels a text."""
    validation: JsonObject
    """The classifier on the validation messages, as a row of `models`."""
    test: JsonObject
    models: list[JsonObject]
    """Methods on the test messages, the classifier first. One label: accuracy, f1, confusion;
    several: exact_match, micro_f1, macro_f1, by_label. All but the first have their paired `lead`.
    """
    majority: JsonObject | None = None
    """`value`: accuracy of always predicting the most frequent label."""
    above_majority: JsonObject | None = None
    """The classifier's accuracy minus that one, paired."""
    predictions: dict[str, list[Any]]
    """Method -> the label, or the list of labels, of each test message."""
    examples: list[JsonObject]
    """Test messages to be read, mistakes first."""
    curves: JsonObject | None = None
    """ROC, precision and recall of the positive label."""
    decision: JsonObject
    """The decision rule (`weights.decision_rule`)."""
    calibration: JsonObject
    """Calibration error with and without the temperature; with several labels over all pairs of a
    message and a label.
    """
    costs: JsonObject | None = None
    coverage: JsonObject | None = None
    """How many messages are answered, and how many of these are right."""
    lengths: JsonObject | None = None
    """Of the messages in tokens (`finetune.order`)."""
    features: JsonObject | None = None
    """The cached hidden states; None where every block is trained."""
    trained: str | None = None
    """What was trained (`ClassifierConfig.train`)."""
    trained_parameters: int | None = None
    steps: int | None = None
    best_step: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    learning_rates: list[JsonObject] | None = None
    """Rates that were tried, with their validation losses, best first."""
    stacked: JsonObject | None = None
    """What a stacked classifier is made of."""
    tried: list[JsonObject] | None = None
    """With train = auto: the candidates, the simplest first, each with its loss on validation, how
    far it is `behind` the lowest one and the standard error of that, the share of `right` texts,
    seconds, and whether it was chosen (`finetune.candidates`).
    """
    learning_curve: LearningCurve | None = None
    wrong_labels: WrongLabels | None = None
    elapsed_s: float | None = None
    plain_head: JsonObject | None = None
    """Test accuracy of what other programs read of a stacked classifier."""
    source: JsonObject | None = None
    """Of a build: repeats, conflicts and empty texts that were left out."""
    baselines: dict[str, JsonObject] | None = None
    """Baseline -> the settings chosen on the validation messages."""
    zero_shot: JsonObject | None = None
    """The question to the base model, and how many messages it was asked about."""
    few_shot: JsonObject | None = None
    same_messages: list[JsonObject] | None = None
    """`models` on the messages that every method predicted."""
    pretraining: JsonObject | None = None
    """What pretraining is worth (`finetune.pretraining_ablation`)."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "ClassifierResults":
        """Raises ConfigError."""
        return build_config(cls, values)

    def plain(self) -> JsonObject:
        values: JsonObject = {}
        for name, value in vars(self).items():
            if is_dataclass(value) and not isinstance(value, type):
                values[name] = asdict(value)
            elif value is not None or name == "features":
                values[name] = value
        return values


@dataclass(frozen=True)
class DecisionTarget:
    """What a decision should be good at."""

    false_alarm: float = 1.0
    """What it costs to say the positive label where it is not true."""
    miss: float = 1.0
    """What it costs not to say it where it is."""
    accuracy: float | None = None
    """Abstain so that the answered validation messages have this accuracy; None: never abstain."""
    error: float | None = None
    """Abstain so that at most this share of the labels that are said is wrong, as a promise."""

    @classmethod
    def of(cls, config: ClassifierConfig) -> "DecisionTarget":
        return cls(config.cost_false_alarm, config.cost_miss, config.abstain, config.max_error)


@dataclass(frozen=True)
class Predictions:
    """What a decision rule says of the messages of a split."""

    actual: list[Any]
    """The label of each message, or its labels."""
    predicted: list[Any]
    probabilities: np.ndarray
    """[n, N]"""
    sure: list[float]
    """With one label, the probability of the label that is said."""

    @property
    def confidence(self) -> list[float]:
        """The probability of the most probable label."""
        return [float(row.max()) for row in self.probabilities]

    @property
    def right(self) -> list[bool]:
        return [a == p for a, p in zip(self.actual, self.predicted, strict=True)]


def predict(
    scores: torch.Tensor, messages: Messages, split: str, decision: DecisionRule
) -> Predictions:
    """`scores` [n, N] of a split."""
    values, examples = scores.double().numpy(), messages.of_split(split)
    if messages.several:
        probabilities = sigmoid(values, decision.temperature)
        said_of_each = said_sets(probabilities, decision.thresholds or {})
        return Predictions(labels_of_texts(examples), list(said_of_each), probabilities, [])
    probabilities = softmax(values, decision.temperature)
    rows = [dict(zip(messages.labels, row, strict=True)) for row in probabilities.tolist()]
    predicted = [decision.label(row) for row in rows]
    sure = [row[label] for row, label in zip(rows, predicted, strict=True)]
    return Predictions([each.label for each in examples], predicted, probabilities, sure)


def choose_decision(
    scores: Mapping[str, torch.Tensor],
    messages: Messages,
    target: DecisionTarget,
    windows: int,
    progress: Progress,
) -> DecisionRule:
    """`scores` [n, N] of the validation messages, and of those for a promise; with several labels,
    a threshold for each.
    """
    chosen_on = scores["validation"]
    if messages.several:
        return _choose_thresholds(chosen_on, messages, windows, progress)
    rows = messages.rows["validation"]
    classes = messages.classes[rows.start : rows.stop]
    decision = DecisionRule(windows, fit_temperature(chosen_on.double().numpy(), classes))
    if target.false_alarm != target.miss:
        threshold = cost_threshold(target.false_alarm, target.miss)
        decision = replace(decision, positive=messages.positive, threshold=threshold)
    if target.error is not None:
        found = predict(scores[CALIBRATION], messages, CALIBRATION, decision)
        return _with_promise(decision, found, target.error, progress)
    if target.accuracy is None:
        return decision
    found = predict(chosen_on, messages, "validation", decision)
    limit = abstain_below(found.confidence, found.right, target.accuracy)
    if limit is None:
        progress.say(
            f"No part of the validation messages reaches an accuracy of {target.accuracy:.1%}: "
            "it abstains on all but certain ones."
        )
        limit = 1.0
    return replace(decision, abstain_below=limit)


def _with_promise(
    decision: DecisionRule, found: Predictions, error: float, progress: Progress
) -> DecisionRule:
    """Where the messages support no promise at all, it never says a label."""
    wrong = [not right for right in found.right]
    promise = control_risk(list(zip(found.confidence, wrong, strict=True)), error)
    n, needed = len(wrong), least_questions(error)
    more = f"{needed:,} held-out messages support it if none of the surest is wrong."
    if promise is None:
        progress.say(
            f"From {n:,} held-out messages no error rate can be promised: it is unsure of all but "
            f"certain ones. {percent_above(error)} was asked for: {more}"
        )
        return replace(decision, abstain_below=1.0)
    if promise.error > error:
        progress.say(
            f"{n:,} held-out messages, {promise.wrong:,} of the surest {promise.shown:,} of them "
            f"wrong, support no promise of {percent_above(error)}: {percent_above(promise.error)} "
            f"is promised. {more}"
        )
    progress.say(promise.of_labels)
    return replace(decision, abstain_below=promise.least, promise=promise)


def _choose_thresholds(
    scores: torch.Tensor, messages: Messages, windows: int, progress: Progress
) -> DecisionRule:
    values = scores.double().numpy()
    present = indicators(labels_of_texts(messages.of_split("validation")), messages.labels)
    temperature = label_temperature(values, present)
    thresholds = choose_thresholds(sigmoid(values, temperature), present, messages.labels)
    listed = ", ".join(f"{label} {threshold:.2f}" for label, threshold in thresholds.items())
    progress.say(
        f"Thresholds chosen on validation (one for all labels that too few have): {listed[:500]}."
    )
    return DecisionRule(windows, temperature, thresholds=thresholds)


def measure(
    scores: Mapping[str, torch.Tensor],
    messages: Messages,
    decision: DecisionRule,
    target: DecisionTarget,
    progress: Progress,
) -> ClassifierResults:
    found, rows = {}, {}
    for split in ("validation", "test"):
        found[split] = predict(scores[split], messages, split, decision)
        actual, predicted = found[split].actual, found[split].predicted
        outcome = judge(actual, predicted, messages.labels, messages.positive)
        rows[split] = model_row(OURS, outcome)
        for figure in outcome.measures:
            progress.say(f"{split}: {describe(figure)}")
    tested = found["test"]
    results = ClassifierResults(
        labels=list(messages.labels),
        splits=messages.counts(),
        validation=rows["validation"],
        test=rows["test"],
        models=[rows["test"]],
        predictions={OURS: plain_labels(tested.predicted)},
        examples=_examples_to_read(messages, tested),
        decision=_plain_decision(decision),
        calibration=_calibration(scores["test"], messages, decision),
    )
    if messages.several:
        sizes = {split: len(rows) for split, rows in messages.rows.items()}
        return replace(results, multi_label=True, sizes=sizes)
    return _with_one_label(results, messages, tested, decision, target, progress)


def _plain_decision(decision: DecisionRule) -> JsonObject:
    of_one = ("positive", "threshold", "abstain_below")
    fields: JsonObject = {name: getattr(decision, name) for name in of_one}
    if decision.thresholds is not None:
        fields = {"thresholds": dict(decision.thresholds)}
    if decision.promise is not None:
        fields["promise"] = asdict(decision.promise)
    return {"temperature": decision.temperature, **fields, "windows": decision.windows}


def _calibration(scores: torch.Tensor, messages: Messages, decision: DecisionRule) -> JsonObject:
    before = calibration_bins(*_confidences(scores, messages, 1.0))
    confidence, right = _confidences(scores, messages, decision.temperature)
    bins = calibration_bins(confidence, right)
    errors = {"error": calibration_error(bins), "before": calibration_error(before)}
    if not messages.several:
        errors["by_chance"] = error_by_chance(confidence)
    return {**errors, "bins": bins, "n": len(scores)}


def _confidences(
    scores: torch.Tensor, messages: Messages, temperature: float
) -> tuple[list[float], list[bool]]:
    """Of the test messages' most probable labels, or of all pairs of a message and a label."""
    if not messages.several:
        found = predict(scores, messages, "test", DecisionRule(temperature=temperature))
        return found.confidence, found.right
    present = indicators(labels_of_texts(messages.of_split("test")), messages.labels)
    probabilities = sigmoid(scores.double().numpy(), temperature)
    return probabilities.ravel().tolist(), present.ravel().astype(bool).tolist()


def _with_one_label(
    results: ClassifierResults,
    messages: Messages,
    found: Predictions,
    decision: DecisionRule,
    target: DecisionTarget,
    progress: Progress,
) -> ClassifierResults:
    """Add the majority, the positive label's curves, costs and coverage."""
    answered = [each >= decision.abstain_below for each in found.confidence]
    right = [r for r, is_answered in zip(found.right, answered, strict=True) if is_answered]
    accuracy = sum(right) / len(right) if right else None
    calibration = results.calibration
    progress.say(
        f"Calibration error on test: {calibration['before']:.3f}, with temperature "
        f"{decision.temperature:.2f}: {calibration['error']:.3f}."
    )
    if decision.abstain_below:
        share = "none" if accuracy is None else f"{accuracy:.1%} of these are right"
        progress.say(
            f"It answers {len(right):,} of {len(answered):,} test messages and abstains on the "
            f"others; {share}."
        )
    train = Counter(example.label for example in messages.of_split("train"))
    commonest = train.most_common(1)[0][0]
    by_majority = [commonest == label for label in found.actual]
    positive, errors = messages.positive, (target.false_alarm, target.miss)
    of_positive = found.probabilities[:, messages.labels.index(positive)].tolist()
    return replace(
        results,
        positive=positive,
        majority={"value": majority_share(found.actual)},
        above_majority=share_difference(by_majority, found.right).plain(),
        curves=label_curves(of_positive, [actual == positive for actual in found.actual]),
        costs={
            **costs(found.actual, found.predicted, positive, *errors),
            "false_alarm": target.false_alarm,
            "miss": target.miss,
        },
        coverage={
            "answered": len(right) / len(answered),
            "accuracy": accuracy,
            "curve": coverage_curve(found.confidence, found.right),
        },
    )


def _examples_to_read(messages: Messages, found: Predictions) -> list[JsonObject]:
    """The worst mistakes first: by confidence, or by the number of wrong labels."""
    examples = messages.of_split("test")
    if messages.several:
        sets = [
            {
                "text": example.text,
                "actual": list(actual),
                "predicted": list(predicted),
                "probabilities": {
                    label: round(p, 4) for label, p in zip(messages.labels, row, strict=True)
                },
            }
            for example, actual, predicted, row in zip(
                examples, found.actual, found.predicted, found.probabilities.tolist(), strict=True
            )
        ]
        sets.sort(key=lambda each: -len(set(each["actual"]) ^ set(each["predicted"])))
        return sets[:SHOWN_EXAMPLES]
    rows: list[JsonObject] = [
        {
            "text": example.text,
            "label": example.label,
            "predicted": label,
            "probability": round(probability, 4),
        }
        for example, label, probability in zip(examples, found.predicted, found.sure, strict=True)
    ]
    rows.sort(key=lambda e: -e["probability"] if e["label"] != e["predicted"] else 0.0)
    return rows[:SHOWN_EXAMPLES]


def card_figures(results: ClassifierResults) -> dict[str, str]:
    figures = _several_figures(results) if results.multi_label else _one_label_figures(results)
    if results.tried is not None:
        figures["tried on the validation texts (loss)"] = "; ".join(map(tried_line, results.tried))
    if results.plain_head is not None:
        name = "test accuracy in other programs, which read the plain head and not `stacked/`"
        figures[name] = f"{results.plain_head['value']:.1%}"
    return figures


def _several_figures(results: ClassifierResults) -> dict[str, str]:
    n, measured = (results.sizes or {})["test"], results.test
    return {
        f"{name} (test, n = {n})": _with_interval(measured[metric])
        for metric, name in CARD_METRICS.items()
        if metric in measured
    }


def _one_label_figures(results: ClassifierResults) -> dict[str, str]:
    assert results.majority is not None and results.above_majority is not None
    n, accuracy = sum(results.splits["test"].values()), results.test["accuracy"]
    f1 = f"F1 of '{results.positive}'" if len(results.labels) == 2 else "macro F1"
    return {
        f"test accuracy (n = {n})": f"{accuracy['value']:.1%}, 95 % interval "
        f"{accuracy['low']:.1%} to {accuracy['high']:.1%}",
        "accuracy of always predicting the most frequent label": f"{results.majority['value']:.1%}",
        f1: f"{results.test['f1']:.3f}",
        "accuracy above always predicting the most frequent label, paired": difference_line(
            results.above_majority
        ),
        **_promise_figures(results),
    }


def _promise_figures(results: ClassifierResults) -> dict[str, str]:
    promise, coverage = promise_of(results), results.coverage
    if promise is None or coverage is None:
        return {}
    return {"promise": promise.of_labels, "labelled and unsure (test)": answered_line(coverage)}


def promise_of(results: ClassifierResults) -> Promise | None:
    """What is promised of the labels that are said; None: nothing."""
    found = results.decision.get("promise")
    return None if found is None else build_config(Promise, found)


def answered_line(coverage: JsonObject) -> str:
    """Return what abstaining comes to on the test messages.

    >>> answered_line({"answered": 0.8, "accuracy": 0.975})
    'answers 80.0 % of the test texts, of which 97.5 % are right; unsure of the others'
    """
    line = f"answers {100 * coverage['answered']:.1f} % of the test texts"
    if coverage["accuracy"] is not None:
        line += f", of which {100 * coverage['accuracy']:.1f} % are right"
    return f"{line}; unsure of the others"


def tried_line(row: JsonObject) -> str:
    """Return one of `ClassifierResults.tried` as text.

    >>> right = {"value": 0.9, "low": 0.8, "high": 0.95}
    >>> tried_line({"train": "stacked", "validation_loss": 0.31, "right": right, "chosen": True})
    'stacked 0.310, 90.0 % right (80.0 to 95.0): chosen'
    """
    low, value, high = (100 * row["right"][name] for name in ("low", "value", "high"))
    line = f"{row['train']} {row['validation_loss']:.3f}, {value:.1f} % right ({low:.1f} to {high:.1f})"
    return f"{line}: chosen" if row["chosen"] else line


def _with_interval(found: JsonObject) -> str:
    value = f"{found['value']:.3f}"
    if found["low"] is None:
        return value
    return f"{value}, 95 % interval {found['low']:.3f} to {found['high']:.3f}"
