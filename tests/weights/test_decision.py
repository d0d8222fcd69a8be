"""classifier.json: what it decides, what comes back from disk, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import FormatError
from groundup.files import write_json
from groundup.risk import Promise
from groundup.weights.decision_rule import (
    ABSTAINED,
    DECISION_FILE,
    DecisionRule,
    read_decision,
)

LABELS = ("ham", "other", "spam")


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    decision = DecisionRule(8, 1.25, "spam", 0.8, 0.9)
    decision.write(tmp_path)
    assert read_decision(tmp_path, LABELS) == decision
    assert read_decision(tmp_path / "none", LABELS) == DecisionRule()
    assert "promise" not in (tmp_path / DECISION_FILE).read_text()
    promised = replace(decision, promise=Promise(0.05, 0.95, 0.9, 93, 1, 150))
    promised.write(tmp_path)
    assert read_decision(tmp_path, LABELS) == promised


def test_the_positive_label_is_said_from_its_threshold_on() -> None:
    decision = DecisionRule(positive="spam", threshold=0.6)
    assert decision.label({"spam": 0.59, "ham": 0.3, "other": 0.11}) == "ham"
    assert decision.label({"spam": 0.6, "ham": 0.4, "other": 0.0}) == "spam"
    assert DecisionRule(positive="spam", threshold=0.2).label({"spam": 0.3, "ham": 0.7}) == "spam"
    assert not decision.abstains({"spam": 0.5, "ham": 0.5})


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"version": 2}, "version"),
        ({"windows": 0}, "windows"),
        ({"windows": 10**9}, "windows"),
        ({"windows": True}, "windows"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"positive": "eggs"}, "positive"),
        ({"positive": ["spam"]}, "positive"),
        ({"threshold": 1.5}, "threshold"),
        ({"abstain_below": "0.5"}, "abstain_below"),
        ({"promise": [0.05]}, "promise"),
        ({"promise": {"error": 0.05}}, "promise"),
    ],
)
def test_a_damaged_file_is_named_with_its_place(
    values: dict[str, Any], place: str, tmp_path: Path
) -> None:
    text = (
        str({"version": 1, **values})
        .replace("'", '"')
        .replace("True", "true")
        .replace("inf", "1e999")
    )
    (tmp_path / DECISION_FILE).write_text(text)
    with pytest.raises(FormatError, match=place):
        read_decision(tmp_path, LABELS)


def test_the_rest_is_the_default(tmp_path: Path) -> None:
    write_json(tmp_path / DECISION_FILE, {"version": 1, "windows": 2})
    assert read_decision(tmp_path, LABELS) == DecisionRule(2)


def test_where_nothing_is_sure_enough_the_guess_is_kept_apart() -> None:
    found = DecisionRule(abstain_below=0.8).decide({"spam": 0.7, "ham": 0.3})
    assert (found["label"], found["guess"], found["probability"]) == (ABSTAINED, "spam", 0.7)
    sure = DecisionRule(abstain_below=0.8).decide({"spam": 0.9, "ham": 0.1})
    assert sure["label"] == "spam" and not {"guess", "promised_error"} & sure.keys()


def test_a_label_that_is_said_comes_with_what_is_promised_of_it() -> None:
    decision = DecisionRule(abstain_below=0.8, promise=Promise(0.05, 0.95, 0.8, 93, 1, 150))
    assert decision.decide({"spam": 0.9, "ham": 0.1}).get("promised_error") == 0.05
    assert "promised_error" not in decision.decide({"spam": 0.7, "ham": 0.3})
