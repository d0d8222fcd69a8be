"""Paired comparison: against published figures, scipy, and samples drawn many times."""

import random
from itertools import product
from statistics import mean

import numpy as np
import pytest

from groundup.evaluate import paired


def test_the_interval_of_two_paired_shares_is_newcombes() -> None:
    # Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data", method 10
    low, high = paired.newcombe_bounds(both=36, only_first=2, only_second=12, n=50)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other"), [*product(range(12), range(12)), (400, 460), (3000, 3000)]
)
def test_mcnemar_is_the_exact_test_of_a_fair_coin(one: int, other: int) -> None:
    from scipy import stats

    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert paired.mcnemar_p_value(one, other) == pytest.approx(expected)


def pairs(
    both: int, only_first: int, only_second: int, neither: int
) -> tuple[list[bool], list[bool]]:
    counts = {
        (True, True): both,
        (True, False): only_first,
        (False, True): only_second,
        (False, False): neither,
    }
    found = [pair for pair, count in counts.items() for _ in range(count)]
    return [first for first, _ in found], [second for _, second in found]


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((490, 0, 5, 5), "unclear"),  # five of five: p = 0.06
        ((489, 0, 6, 5), "better"),  # six of six: p = 0.03
        ((489, 6, 0, 5), "worse"),
        ((480, 5, 12, 3), "unclear"),
        ((500, 0, 0, 0), "unclear"),
        ((0, 0, 12, 0), "better"),
    ],
)
def test_better_is_said_where_the_exact_test_says_so(
    counts: tuple[int, int, int, int], verdict: str
) -> None:
    found = paired.share_difference(*pairs(*counts))
    assert found.verdict() == verdict and found.n == sum(counts)
    assert found.p_value is not None and (found.p_value < 0.05) == (verdict != "unclear")
    assert (
        found.low is not None and found.high is not None and found.low <= found.value <= found.high
    )
    assert found.plain()["verdict"] == verdict
    mirrored = paired.share_difference(*reversed(pairs(*counts)))
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )


def test_methods_with_overlapping_intervals_may_differ_clearly() -> None:
    found = paired.share_difference(
        *pairs(470, 1, 12, 17)
    )  # 94.2 % and 96.4 % of 500: their own intervals overlap widely
    assert found.verdict() == "better"


def test_a_share_difference_covers_the_truth_and_seldom_claims_one_that_is_not_there() -> None:
    draw, covered, claims, runs = random.Random(3), 0, 0, 400
    for _ in range(runs):
        easy = [draw.random() < 0.8 for _ in range(150)]
        first = [draw.random() < (0.95 if e else 0.4) for e in easy]
        second = [draw.random() < (0.98 if e else 0.6) for e in easy]
        same = [draw.random() < (0.95 if e else 0.4) for e in easy]
        found = paired.share_difference(first, second)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.8 * 0.03 + 0.2 * 0.2 <= found.high
        claims += paired.share_difference(first, same).verdict() != "unclear"
    assert covered / runs >= 0.93 and claims / runs <= 0.06


def test_a_loss_difference_covers_the_truth_also_of_few_items() -> None:
    draw, covered, runs = random.Random(4), 0, 300
    for _ in range(runs):
        counts = [float(draw.randint(5, 40)) for _ in range(15)]
        items = [draw.gauss(2.0, 0.5) for _ in counts]
        first = [count * item for count, item in zip(counts, items, strict=True)]
        second = [
            count * (item - 0.1 + draw.gauss(0, 0.1))
            for count, item in zip(counts, items, strict=True)
        ]
        found = paired.ratio_difference(first, second, counts)
        assert found.low is not None and found.high is not None
        covered += found.low <= -0.1 <= found.high
    assert 0.91 <= covered / runs <= 0.99
    assert found.verdict("lower") == "better" and found.verdict("higher") == "worse"
    assert paired.ratio_difference(first, second, counts) == found, "the same resamples each time"


def test_nine_items_are_too_few_for_an_interval() -> None:
    found = paired.ratio_difference([2.0] * 9, [1.0] * 9, [1.0] * 9)
    assert (found.value, found.low, found.high, found.verdict("lower")) == (
        -1.0,
        None,
        None,
        "unclear",
    )


@pytest.mark.parametrize("labels", [["spam"], ["ham", "spam"]])
def test_an_f1_difference_is_scikit_learns_and_its_bootstrap_scipys(labels: list[str]) -> None:
    from scipy import stats
    from sklearn.metrics import f1_score

    draw = random.Random(5)
    actual = draw.choices(["ham", "spam"], weights=[8, 2], k=200)
    first, second = (
        [label if draw.random() < sure else draw.choice(["ham", "spam"]) for label in actual]
        for sure in (0.6, 0.9)
    )

    def mean_f1(chosen: np.ndarray, predicted: list[str]) -> float:
        """As scikit-learn's, which takes 50 times as long for a resample."""
        truth, guess = np.array(actual)[chosen], np.array(predicted)[chosen]
        right = [((truth == label) & (guess == label)).sum() for label in labels]
        said = [(truth == label).sum() + (guess == label).sum() for label in labels]
        return mean(float(2 * one / max(all_, 1)) for one, all_ in zip(right, said, strict=True))

    found = paired.f1_difference(actual, first, second, labels)
    everything = np.arange(200)
    before, after = (
        mean(f1_score(actual, each, labels=labels, average=None)) for each in (first, second)
    )
    assert (before, after) == pytest.approx(
        (mean_f1(everything, first), mean_f1(everything, second))
    )
    assert found.value == pytest.approx(after - before)
    expected = stats.bootstrap(
        (everything,),
        lambda chosen: mean_f1(chosen, second) - mean_f1(chosen, first),
        method="percentile",
        n_resamples=250,
        vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03)


def test_four_differing_messages_are_no_better_f1() -> None:
    actual = ["spam"] * 20 + ["ham"] * 80
    first = ["ham"] * 4 + actual[4:]
    assert paired.f1_difference(actual, first, actual, ["spam"]).verdict() == "unclear"
    assert (
        paired.f1_difference(actual, ["ham"] * 12 + actual[12:], actual, ["spam"]).verdict()
        == "better"
    )


@pytest.mark.parametrize("degrees", [9, 20, 100])
def test_the_point_of_students_t_is_close(degrees: int) -> None:
    from scipy import stats

    assert paired.t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=0.004)
