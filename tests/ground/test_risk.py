"""Risk control: the promised error holds in at least 95 of 100 draws of calibration questions."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from groundup.risk import (
    CONFIDENCE,
    control_risk,
    exact_interval,
    first_shown,
    least_questions,
    least_shown,
    percent_above,
    upper_bound,
)

DRAWS = 400


@dataclass(frozen=True)
class Risk:
    """Of answers with scores spread evenly over 0 to 1: the probability of being wrong."""

    at: Callable[[float], float]
    above: Callable[[float], float]
    """Its mean over all scores from this one on."""


RISKS = {
    # Few wrong ones above, many below.
    "rising": Risk(lambda s: 0.6 * (1 - s) ** 3, lambda s: 0.15 * (1 - s) ** 3),
    # Right above 0.4, where no threshold should come below; all others wrong.
    "step": Risk(
        lambda s: 0.02 if s > 0.4 else 1.0,
        lambda s: (0.02 * (1 - max(s, 0.4)) + max(0.0, 0.4 - s)) / (1 - s),
    ),
    # Just too many wrong ones everywhere: each promise of 5 % is a false one.
    "level": Risk(lambda s: 0.051, lambda s: 0.051),
}
# Two standard errors of the share of draws in which a bound holds that is exactly at its level.
NOISE = 9


@pytest.mark.parametrize("wrong, n", [(0, 1), (0, 18), (1, 18), (3, 90), (17, 18), (40, 1000)])
def test_bounds_are_those_of_clopper_and_pearson(wrong: int, n: int) -> None:
    from scipy.stats import beta

    assert upper_bound(wrong, n) == pytest.approx(beta.ppf(CONFIDENCE, wrong + 1, n - wrong))
    low, high = exact_interval(wrong, n)
    assert high == pytest.approx(beta.ppf(0.975, wrong + 1, n - wrong))
    assert low == pytest.approx(beta.ppf(0.025, wrong, n - wrong + 1) if wrong else 0.0, abs=1e-9)


def test_what_few_questions_support() -> None:
    assert percent_above(upper_bound(0, 18)) == "15.4 %"
    assert percent_above(upper_bound(1, 18)) == "23.8 %"
    assert least_shown(0.05) == 59 and upper_bound(0, 58) > 0.05 >= upper_bound(0, 59)
    n = least_questions(0.05)
    right = control_risk([(place / n, False) for place in range(n)])
    assert right is not None and right.error == 0.05 and right.shown == n
    few = control_risk([(place / 40, False) for place in range(40)])
    assert few is not None and few.shown == first_shown(40) == 20
    assert few.error == upper_bound(0, 20) > 0.05
    assert control_risk([]) is None
    assert control_risk([(0.5, True)] * 30) is None, "an error above one half is no promise"


@pytest.mark.parametrize(
    "name, n", [("rising", 50), ("rising", 300), ("step", 120), ("level", 60), ("level", 120)]
)
def test_the_promise_holds_in_95_of_100_draws(name: str, n: int) -> None:
    risk, drawn = RISKS[name], random.Random(f"{name} {n}")
    held, at_5_percent = 0, 0
    for _ in range(DRAWS):
        scores = [drawn.random() for _ in range(n)]
        found = control_risk([(score, drawn.random() < risk.at(score)) for score in scores])
        held += found is None or risk.above(found.least) <= found.error + 1e-9
        at_5_percent += found is not None and found.error == 0.05
    assert held >= CONFIDENCE * DRAWS - (NOISE if name == "level" else 0)
    if (name, n) == ("rising", 300):
        assert at_5_percent > 0.4 * DRAWS, "1.9 % of the best half are wrong"


def test_the_promise_holds_where_many_scores_are_equal() -> None:
    drawn, held = random.Random(3), 0
    # Shares of words: five values, each with its risk.
    risks = {1.0: 0.0, 0.8: 0.02, 0.6: 0.06, 0.4: 0.3, 0.2: 0.7}
    for _ in range(DRAWS):
        scores = drawn.choices(list(risks), k=150)
        found = control_risk([(score, drawn.random() < risks[score]) for score in scores])
        assert found is not None
        above = [risk for score, risk in risks.items() if score >= found.least]
        held += sum(above) / len(above) <= found.error
    assert held >= CONFIDENCE * DRAWS


def test_the_threshold_shows_exactly_the_questions_it_counts() -> None:
    scored = [(place / 200, place < 60) for place in range(200)]
    found = control_risk(scored)
    assert found is not None and found.error == 0.05
    assert sum(score >= found.least for score, _ in scored) == found.shown
    assert sum(wrong for score, wrong in scored if score >= found.least) == found.wrong
    assert upper_bound(found.wrong + 1, found.shown + 1) > 0.05, "no more can be shown"
