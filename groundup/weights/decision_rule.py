"""How the scores of a classifier become a decision: `classifier.json` beside config.json, which
other programs ignore.

    {"version": 1, "windows": 8, "temperature": 1.3, "positive": "spam", "threshold": 0.83,
        "abstain_below": 0.9}

With "promise" (`groundup.risk.Promise`), `abstain_below` was chosen so that the share of wrong
labels among those that are said has an upper bound, on texts that nothing else was chosen on.
With "thresholds", {"delivery": 0.4, "complaint": 0.5} and version 2, a text has every label whose
probability reaches its threshold, or none (`problem_type: multi_label_classification`). Everything
was chosen on validation texts. Without the file: one window, the most probable label; of several
labels those from 0.5.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json_object, write_json
from groundup.risk import Promise

DECISION_FILE = "classifier.json"
VERSION, MULTI_LABEL_VERSION = 1, 2
# Of a label of a folder without the file.
DEFAULT_THRESHOLD = 0.5
MAX_WINDOWS = 4096
# Said where the classifier is not sure enough: none of these labels, ask a person.
ABSTAINED = "unsure"


class DecidedLabels(TypedDict, total=False):
    """What an answer says of a text: `label`, or `labels` where there may be several."""

    label: str
    labels: list[str]
    probability: float
    probabilities: dict[str, float]
    guess: str
    """The most probable label, where the label is ABSTAINED."""
    promised_error: float
    """Of all labels that are said (not ABSTAINED) at most this share is wrong, where promised."""


@dataclass(frozen=True)
class DecisionRule:
    windows: int = 1
    """Windows of the context's length that are read of a long text; their scores are averaged."""
    temperature: float = 1.0
    """The scores are divided by it before the softmax, so that a probability of 0.9 is right nine
    times of ten (Guo et al. 2017).
    """
    positive: str | None = None
    """The label that is only said at `threshold` or more; None: the most probable label is said."""
    threshold: float = 0.5
    abstain_below: float = 0.0
    """Where no label is as probable as this, the classifier abstains."""
    thresholds: Mapping[str, float] | None = None
    """Of several labels a text: label -> the probability from which it is said; None: one label."""
    promise: Promise | None = None
    """How many of the labels that are said are wrong at most; None: nothing is promised."""

    @property
    def multi_label(self) -> bool:
        """Whether probabilities are sigmoids of the scores, not their softmax."""
        return self.thresholds is not None

    def labels(self, probabilities: Mapping[str, float]) -> list[str]:
        """Return every label whose probability reaches its threshold, in the order of
        `probabilities`.

        >>> DecisionRule(thresholds={"late": 0.4, "rude": 0.6}).labels({"rude": 0.5, "late": 0.45})
        ['late']
        """
        assert self.thresholds is not None
        return [
            label
            for label, probability in probabilities.items()
            if probability >= self.thresholds[label]
        ]

    def label(self, probabilities: Mapping[str, float]) -> str:
        """Return the label of a text, given the probability of each; without regard to
        `abstain_below`.

        >>> DecisionRule(positive="spam", threshold=0.8).label({"spam": 0.7, "ham": 0.3})
        'ham'
        """
        if self.positive is None:
            return max(probabilities, key=lambda label: probabilities[label])
        if probabilities[self.positive] >= self.threshold:
            return self.positive
        others = {label: p for label, p in probabilities.items() if label != self.positive}
        return max(others, key=lambda label: others[label])

    def abstains(self, probabilities: Mapping[str, float]) -> bool:
        """Whether no label is sure enough.

        >>> DecisionRule(abstain_below=0.9).abstains({"spam": 0.7, "ham": 0.3})
        True
        """
        return max(probabilities.values()) < self.abstain_below

    def decide(self, probabilities: Mapping[str, float]) -> DecidedLabels:
        """Return the label that is said (ABSTAINED where none is sure enough), its probability, and
        those of all labels; of several labels a list.

        >>> DecisionRule().decide({"spam": 0.7, "ham": 0.3})["label"]
        'spam'
        """
        of_all = dict(probabilities)
        if self.multi_label:
            return {"labels": self.labels(of_all), "probabilities": of_all}
        label = self.label(of_all)
        found: DecidedLabels = {
            "label": label,
            "probability": of_all[label],
            "probabilities": of_all,
        }
        if self.abstains(of_all):
            found |= {"label": ABSTAINED, "guess": label}
        elif self.promise is not None:
            found["promised_error"] = self.promise.error
        return found

    def write(self, folder: Path) -> None:
        values = {"version": MULTI_LABEL_VERSION, **asdict(self)}
        if not self.multi_label:
            values["version"] = VERSION
            del values["thresholds"]
        if self.promise is None:
            del values["promise"]
        write_json(folder / DECISION_FILE, values)


def read_decision(
    folder: Path, labels: tuple[str, ...], *, multi_label: bool = False
) -> DecisionRule:
    """The default rule where the folder has none. Raises FormatError."""
    file = folder / DECISION_FILE
    version, thresholds = VERSION, None
    if multi_label:
        version, thresholds = MULTI_LABEL_VERSION, dict.fromkeys(labels, DEFAULT_THRESHOLD)
    if not file.is_file():
        return DecisionRule(thresholds=thresholds)
    values = read_json_object(file)
    if values.get("version") != version:
        reason = f"is {values.get('version')!r}, and this groundup reads {version} where config.json has this problem_type"
        raise FormatError(file, "version", reason, fix="Use the version of groundup that wrote it.")
    windows, positive = values.get("windows", 1), values.get("positive")
    if isinstance(windows, bool) or not isinstance(windows, int) or not 1 <= windows <= MAX_WINDOWS:
        raise FormatError(
            file, "windows", f"is {windows!r}, expected a whole number from 1 to {MAX_WINDOWS}"
        )
    if positive is not None and positive not in labels:
        raise FormatError(file, "positive", f"is {positive!r}, no label of config.json")
    if multi_label:
        thresholds = _thresholds(values, file, labels)
    return DecisionRule(
        windows,
        _number(values, file, "temperature", 1.0, 1e-3, 1e3),
        positive,
        _number(values, file, "threshold", 0.5, 0.0, 1.0),
        _number(values, file, "abstain_below", 0.0, 0.0, 1.0),
        thresholds,
        _promise(values, file),
    )


def _promise(values: Mapping[str, Any], file: Path) -> Promise | None:
    found = values.get("promise")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise FormatError(file, "promise", f"is {found!r}, expected an object")
    try:
        return build_config(Promise, found)
    except ConfigError as error:
        raise FormatError(file, "promise", f"is no promise ({error})") from None


def _thresholds(values: Mapping[str, Any], file: Path, labels: tuple[str, ...]) -> dict[str, float]:
    found = values.get("thresholds")
    if not isinstance(found, dict) or set(found) != set(labels):
        raise FormatError(file, "thresholds", "does not name the labels of config.json")
    return {label: _number(found, file, label, DEFAULT_THRESHOLD, 0.0, 1.0) for label in labels}


def _number(
    values: Mapping[str, Any], file: Path, name: str, default: float, low: float, high: float
) -> float:
    found = values.get(name, default)
    if (
        isinstance(found, bool)
        or not isinstance(found, int | float)
        or not (math.isfinite(found) and low <= found <= high)
    ):
        raise FormatError(file, name, f"is {found!r}, expected a number from {low:g} to {high:g}")
    return float(found)
