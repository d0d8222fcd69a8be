"""The chapter of a classifier of several labels: figures of each label in place of a confusion matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from left_in_english import left_in_english

from groundup.report.pages.build_page import render_page
from groundup.report.report_data import read_report_data

HOSTILE = "<script>alert(1)</script>"
Rewrite = Callable[[str, Callable[[Any], None]], Path]


def row(name: str, micro: float) -> dict[str, Any]:
    share = {"value": micro, "low": micro - 0.05, "high": micro + 0.05, "n": 90}
    labels = [
        {"label": "delivery", "precision": 0.91, "recall": 0.83, "f1": 0.868, "n": 36, "said": 33},
        {"label": HOSTILE, "precision": None, "recall": 0.0, "f1": 0.0, "n": 4, "said": 0},
    ]
    return {
        "name": name,
        "micro_f1": share,
        "macro_f1": share,
        "exact_match": share,
        "by_label": labels,
    }


def label_set_results() -> dict[str, Any]:
    lead = {"micro_f1": {"value": 0.04, "low": 0.01, "high": 0.07, "verdict": "better"}}
    models = [row("fine-tuned classifier", 0.86), {**row("TF-IDF of words", 0.82), "lead": lead}]
    return {
        "multi_label": True,
        "labels": ["delivery", HOSTILE],
        "sizes": {"train": 200, "validation": 40, "test": 90},
        "models": models,
        "same_messages": models,
        "zero_shot": {"question": "Does the label {label} fit?", "asked": 90, "of": 90},
        "decision": {"thresholds": {"delivery": 0.41, HOSTILE: 0.5}},
        "calibration": {"error": 0.02, "before": 0.06, "bins": [], "n": 90},
        "examples": [{"text": HOSTILE, "actual": ["delivery"], "predicted": []}],
    }


def test_the_figures_of_each_label_stand_in_place_of_a_confusion_matrix(rewrite: Rewrite) -> None:
    def of_label_sets(results: dict[str, Any]) -> None:
        results.clear()
        results.update(label_set_results())

    folder = rewrite("spam/results.json", of_label_sets)
    assert left_in_english(folder) == []
    page = render_page(read_report_data(folder))
    for shown in (
        "91.0",
        "83.0",
        "0.868",
        "0.41",
        "+0.040 (0.010 to 0.070)",
        "Does the label {label} fit?",
        "no label",
    ):
        assert shown in page, shown
    assert HOSTILE not in page and "Confusion matrix" not in page


def test_damaged_figures_of_labels_leave_a_page(rewrite: Rewrite) -> None:
    def damage(results: dict[str, Any]) -> None:
        results.clear()
        results.update(
            {
                "multi_label": True,
                "models": [{"by_label": [{"f1": "x"}, 3]}],
                "decision": 3,
                "sizes": [],
            }
        )

    assert "</html>" in render_page(read_report_data(rewrite("spam/results.json", damage)))
