"""The learning curve: nested sets, a forecast from a known law, and a run whose test messages play no part."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.further_trainings import (
    CURVE_FOLDER,
    AccuracyForecast,
    LearningCurve,
    LearningCurvePoint,
    forecast_accuracy,
    nested_order,
)
from groundup.runs import RunFolder
from groundup.weights.model_io import OpenModel


def test_every_beginning_has_the_shares_of_the_whole() -> None:
    classes = [int(place % 8 == 0) for place in range(400)]
    order = nested_order(range(100, 400), classes)
    assert sorted(order) == list(range(100, 400))
    for size in (50, 100, 200):
        assert Counter(classes[row] for row in order[:size])[1] == pytest.approx(size / 8, abs=2)


def point(labels: int, accuracy: float) -> LearningCurvePoint:
    return LearningCurvePoint(labels, accuracy, None, None, 0.0)


def test_an_error_that_halves_with_every_doubling_does_so_once_more() -> None:
    points = [point(50 * 2**k, 1 - 0.32 / 2**k) for k in range(5)]
    found = forecast_accuracy(points, 100_000, 1600)
    assert found.accuracy == pytest.approx(0.99, abs=2e-4) and found.labels == 1600
    assert found.low is not None and found.high is not None and found.high - found.low < 0.002
    assert found.low < 0.99 < found.high
    flat = [point(50 * 2**k, 0.9 - 0.01 * k) for k in range(4)]
    found = forecast_accuracy(flat, 1000, 800)
    assert found.accuracy is not None and 0.87 <= found.accuracy <= 0.9, "neither rise nor fall"
    assert forecast_accuracy(points[:2], 300, 200) == AccuracyForecast(200, None)
    curve = LearningCurve(tuple(points[:2]), AccuracyForecast(200, None), 300)
    assert "too few sizes" in curve.line()


def test_a_forecast_is_no_less_than_what_was_measured_and_its_band_says_how_little_is_known() -> (
    None
):
    perfect = [point(50, 0.95), point(100, 1.0), point(160, 1.0)]
    found = forecast_accuracy(perfect, 30, 320)
    assert found.accuracy == 1.0 and found.high == 1.0
    assert found.low is not None and 0.5 < found.low < 1.0
    line = LearningCurve(tuple(perfect), found, 30).line()
    assert f"320 would probably bring 100.0 % ({100 * found.low:.1f} to 100.0)." in line
    wide, narrow = (forecast_accuracy(perfect, n, 320) for n in (30, 3000))
    assert wide.low is not None and narrow.low is not None and wide.low < narrow.low


def test_a_curve_is_in_the_results_and_changes_nothing_else(
    open_base: Callable[[], OpenModel],
    splits: dict[str, list[Example]],
    compute: Compute,
    tmp_path: Path,
) -> None:
    results = {}
    for wanted in (False, True):
        config = ClassifierConfig(
            train="last-block", epochs=2, learning_rate=5e-3, max_tokens=48, learning_curve=wanted
        )
        results[wanted] = fit_classifier(
            open_base(), splits, RunFolder(tmp_path / str(wanted)), config, compute=compute
        )
    curve = results[True].learning_curve
    assert [each.labels for each in curve.points] == [50, 100, 180]
    assert curve.forecast.labels == 360
    assert all(each.low <= each.accuracy <= each.high for each in curve.points)
    assert curve.points[-1].accuracy == results[True].validation["accuracy"]["value"]
    assert results[True].test == results[False].test and results[False].learning_curve is None
    assert not (tmp_path / "True" / CURVE_FOLDER).exists()
