"""Calibration and decisions: against scikit-learn, scipy and worked examples."""

import numpy as np
import pytest

from groundup.evaluate import calibration


def overconfident(n: int, seed: int) -> tuple[np.ndarray, list[int]]:
    """Scores whose softmax at temperature 3 is the truth."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(n, 3)) * 2
    truth = calibration.softmax(scores)
    return scores * 3, [int(draw.choice(3, p=row)) for row in truth]


def test_the_cross_entropy_is_scikit_learns() -> None:
    from sklearn.metrics import log_loss

    scores, classes = overconfident(50, 1)
    expected = log_loss(classes, calibration.softmax(scores, 2.0), labels=[0, 1, 2])
    assert calibration.cross_entropy(scores, classes, 2.0) == pytest.approx(expected)


def test_the_temperature_is_the_best_one_and_undoes_overconfidence() -> None:
    from scipy.optimize import minimize_scalar

    scores, classes = overconfident(4000, 2)
    found = calibration.fit_temperature(scores, classes)
    best = minimize_scalar(
        lambda t: calibration.cross_entropy(scores, classes, t), bounds=(0.05, 20), method="bounded"
    ).x
    assert found == pytest.approx(best, rel=1e-2) and found == pytest.approx(3, rel=0.1)

    def error(temperature: float) -> float:
        p = calibration.softmax(scores, temperature)
        bins = calibration.calibration_bins(
            p.max(axis=1).tolist(), [c == g for c, g in zip(classes, p.argmax(axis=1), strict=True)]
        )
        return calibration.calibration_error(bins)

    assert error(found) < 0.03 < 0.1 < error(1.0)


def test_two_texts_that_are_right_make_nothing_certain() -> None:
    scores = np.array([[2.0, -2.0], [-1.0, 1.0]])
    found = calibration.fit_temperature(np.array([[2.0, -2.0], [-2.0, 2.0]]), [0, 1])
    assert found == pytest.approx(4 / np.log(3), rel=1e-3), "each is right with probability 3/4"
    assert calibration.fit_temperature(scores * 100, [0, 1]) < calibration.HIGHEST


def test_the_calibration_error_of_a_worked_example() -> None:
    bins = calibration.calibration_bins([0.95, 0.95, 0.95, 0.55], [True, True, False, True])
    assert [each["n"] for each in bins] == [1, 3]
    assert calibration.calibration_error(bins) == pytest.approx((0.45 + 3 * (0.95 - 2 / 3)) / 4)
    assert calibration.calibration_bins([1.0], [True]) == [
        {"n": 1, "confidence": 1.0, "accuracy": 1.0}
    ]


def test_the_error_by_chance_is_that_of_texts_which_are_right_as_often_as_said() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.4, 1, 500)
    drawn = []
    for _ in range(100):
        right = generator.random(500) < confidence
        drawn.append(
            calibration.calibration_error(
                calibration.calibration_bins(confidence.tolist(), right.tolist())
            )
        )
    assert calibration.error_by_chance(confidence.tolist()) == pytest.approx(
        np.mean(drawn), abs=0.003
    )
    assert calibration.error_by_chance([1.0] * 20) == 0.0


def test_who_answers_less_is_right_more_often() -> None:
    curve = calibration.coverage_curve([0.5, 0.6, 0.6, 0.9], [False, True, False, True])
    assert curve == [
        {"confidence": 0.5, "coverage": 1.0, "accuracy": 0.5},
        {"confidence": 0.6, "coverage": 0.75, "accuracy": pytest.approx(2 / 3)},
        {"confidence": 0.9, "coverage": 0.25, "accuracy": 1.0},
    ]
    assert (
        len(calibration.coverage_curve([i / 1000 for i in range(1000)], [True] * 1000))
        <= calibration.MAX_POINTS
    )


def test_it_abstains_no_more_than_the_accuracy_needs() -> None:
    sure, right = [0.5, 0.6, 0.6, 0.9, 0.95], [False, True, False, True, True]
    assert calibration.abstain_below(sure, right, 0.7) == 0.6
    assert calibration.abstain_below(sure, right, 0.99) == 0.9
    assert calibration.abstain_below(sure, right, 0.5) == 0.5
    assert calibration.abstain_below([0.9], [False], 0.5) is None


def test_costs_of_a_worked_example() -> None:
    found = calibration.costs(["spam", "ham", "ham"], ["ham", "spam", "ham"], "spam", 5, 1)
    assert found == {"false_alarms": 1, "misses": 1, "cost": 2.0}
    assert calibration.cost_threshold(1, 1) == 0.5
