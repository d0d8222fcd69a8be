"""Figures: against published intervals, scikit-learn, and samples drawn many times."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.evaluate import metrics

LABELS = ["ham", "other", "spam"]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    found = metrics.wilson_interval(hits, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.value == hits / n


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_between_0_and_1(counts: tuple[int, int]) -> None:
    low, high = metrics.wilson_bounds(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1
    assert low < high


def labelled(n: int, seed: int) -> tuple[list[str], list[str]]:
    draw = random.Random(seed)
    actual = draw.choices(LABELS, weights=[6, 1, 2], k=n)
    return actual, [label if draw.random() < 0.7 else draw.choice(LABELS) for label in actual]


@pytest.mark.parametrize("seed", range(5))
def test_classification_figures_are_scikit_learns(seed: int) -> None:
    from sklearn import metrics as reference

    actual, predicted = labelled(80, seed)
    confusion = metrics.confusion_matrix(actual, predicted, LABELS)
    assert confusion == reference.confusion_matrix(actual, predicted, labels=LABELS).tolist()
    assert metrics.accuracy(confusion).value == pytest.approx(
        reference.accuracy_score(actual, predicted)
    )
    each = reference.f1_score(actual, predicted, labels=LABELS, average=None)
    assert [metrics.f1(confusion, i).value for i in range(3)] == pytest.approx(list(each))
    assert metrics.macro_f1(confusion).value == pytest.approx(each.mean())


def test_f1_interval_covers_the_true_value_about_95_times_of_100() -> None:
    # 20 % positives, found with probability 0.8; 5 % of the others taken for positive
    true_f1 = 2 * 0.16 / (0.20 + 0.16 + 0.04)
    draw, covered, runs = random.Random(1), 0, 400
    for _ in range(runs):
        actual = ["spam" if draw.random() < 0.2 else "ham" for _ in range(200)]
        predicted = [
            "spam" if draw.random() < (0.8 if label == "spam" else 0.05) else "ham"
            for label in actual
        ]
        found = metrics.f1(metrics.confusion_matrix(actual, predicted, ["ham", "spam"]), 1)
        assert found.low is not None and found.high is not None
        covered += found.low <= true_f1 <= found.high
    assert 0.91 <= covered / runs <= 0.99


def test_f1_of_a_label_that_never_occurs_is_unknown() -> None:
    found = metrics.f1([[5, 0], [0, 0]], 1)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 1.0)


def test_ratio_interval_of_equal_counts_is_that_of_a_mean() -> None:
    values = [1.0, 2.0, 4.0, 5.0]
    found = metrics.ratio_interval(values, [1.0] * 4)
    assert found.value == 3.0
    standard_error = math.sqrt(sum((v - 3.0) ** 2 for v in values) / 3 / 4)
    assert found.high == pytest.approx(3.0 + metrics.Z95 * standard_error)


def test_ratio_interval_covers_a_loss_whose_texts_differ_in_length() -> None:
    draw, covered, runs = random.Random(2), 0, 400
    for _ in range(runs):
        counts = [float(draw.randint(5, 40)) for _ in range(60)]
        totals = [
            count * draw.gauss(2.0, 0.5) for count in counts
        ]  # tokens of one text share its difficulty
        found = metrics.ratio_interval(totals, counts)
        assert found.low is not None and found.high is not None
        covered += found.low <= 2.0 <= found.high
    assert 0.91 <= covered / runs <= 0.99


def test_one_text_has_no_interval() -> None:
    assert metrics.ratio_interval([3.0], [2.0]) == metrics.Interval(1.5, None, None)


def test_a_uniform_guess_over_bytes_is_8_bits_per_byte() -> None:
    assert metrics.bits_per_byte(100 * math.log(256), 100) == pytest.approx(8.0)


def test_majority_share_is_what_the_commonest_label_scores() -> None:
    assert metrics.majority_share(["a", "b", "a", "a"]) == 0.75
