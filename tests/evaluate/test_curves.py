"""ROC and precision-recall of a label: the same as scikit-learn's, and few points."""

import random

import pytest

from groundup.evaluate.calibration import LABEL_CURVE_POINTS, label_curves


@pytest.mark.parametrize("decimals", [1, 6], ids=["with ties", "without"])
def test_areas_are_those_of_scikit_learn(decimals: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = random.Random(3)
    positive = [draw.random() < 0.2 for _ in range(400)]
    sure = [
        round(min(1.0, max(0.0, draw.gauss(0.6 if each else 0.4, 0.2))), decimals)
        for each in positive
    ]
    found = label_curves(sure, positive)
    assert found is not None
    assert found["roc_area"] == pytest.approx(metrics.roc_auc_score(positive, sure))
    assert found["average_precision"] == pytest.approx(
        metrics.average_precision_score(positive, sure)
    )
    for curve in (found["roc"], found["precision_recall"]):
        assert len(curve) <= LABEL_CURVE_POINTS + 1 and curve[-1][0] == 1.0
    assert found["roc"][0] == [0.0, 0.0] and (found["n"], found["of_label"]) == (400, sum(positive))


def test_one_sided_texts_have_no_curve() -> None:
    assert (
        label_curves([0.2, 0.9], [True, True]) is None
        and label_curves([0.2, 0.9], [False, False]) is None
    )
