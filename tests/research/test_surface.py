"""The surface over shares: known ones are found again, the leave-one-out error is that of real refits, and no source is above its most."""

from collections.abc import Callable

import numpy as np
import pytest

from groundup.research.mixture import surface
from groundup.research.mixture.surface import best_shares, draw_shares, fit_surface, limited, slices

PROPORTIONAL = np.array([0.2, 0.3, 0.5])
ALL = np.ones(3)
BOWL = np.array([0.5, 0.35, 0.15])


def bowl(shares: np.ndarray) -> np.ndarray:
    """Lowest at BOWL."""
    return 2 + ((shares - BOWL) ** 2).sum(-1)


def first_only(shares: np.ndarray) -> np.ndarray:
    """The more of the first source, the better."""
    return 2 - 0.3 * np.log(shares[..., 0] + surface.FLOOR)


def fitted(
    loss: Callable[[np.ndarray], np.ndarray], count: int = 16, noise: float = 0.003
) -> tuple[surface.Surface, np.ndarray, np.ndarray, np.ndarray]:
    shares = draw_shares(PROPORTIONAL, count, seed=0)
    steps = (np.arange(count)[:, None] % 3 == np.array([1, 2])).astype(float)
    added = steps @ np.array([-0.05, 0.0])
    losses = loss(shares) + added + noise * np.random.default_rng(0).standard_normal(count)
    return fit_surface(shares, steps, losses), shares, steps, losses


def test_drawn_shares_begin_with_proportional_ones_and_reach_the_corners() -> None:
    drawn = draw_shares(PROPORTIONAL, 12, seed=0)
    assert np.array_equal(drawn[0], PROPORTIONAL)
    assert np.allclose(drawn.sum(1), 1) and (drawn >= 0).all()
    assert (drawn.max(0) > 0.7).all() and (drawn.min(0) < 0.05).all()
    assert np.array_equal(drawn, draw_shares(PROPORTIONAL, 12, seed=0))
    assert not np.array_equal(drawn[1:], draw_shares(PROPORTIONAL, 12, seed=1)[1:])


def test_the_lowest_point_of_a_known_surface_is_found() -> None:
    made, *_ = fitted(bowl)
    assert made.form == "quadratic" and made.leave_one_out < 0.02 < made.spread
    assert np.abs(best_shares(made, ALL, seed=0) - BOWL).max() < 0.06
    made, *_ = fitted(first_only)
    assert made.form == "logarithmic" and made.leave_one_out < 0.02
    assert best_shares(made, ALL, seed=0)[0] > 0.9


def test_a_step_that_helps_has_an_interval_below_zero_and_one_that_does_nothing_has_not() -> None:
    made, *_ = fitted(bowl)
    helps, nothing = made.effects
    assert helps.verdict("lower") == "better" and helps.value == pytest.approx(-0.05, abs=0.01)
    assert nothing.verdict("lower") == "unclear" and (helps.n, nothing.n) == (5, 5)


def test_the_leave_one_out_error_is_that_of_fits_without_each_run() -> None:
    made, shares, steps, losses = fitted(bowl, noise=0.05)
    features = surface.FORMS[made.form](shares)
    features = (features - made.mean) / made.scale
    rows = np.concatenate([np.ones((len(shares), 1)), features, steps], axis=1)
    shrunk = np.diag([0.0, *[made.ridge] * features.shape[1], 0.0, 0.0])
    weights = surface.run_weights(losses)
    errors = []
    for left_out in range(len(shares)):
        kept = np.arange(len(shares)) != left_out
        some = rows[kept].T * weights[kept]
        solved = np.linalg.solve(some @ rows[kept] + shrunk, some @ losses[kept])
        errors.append(losses[left_out] - rows[left_out] @ solved)
    mean = np.average(np.square(errors), weights=weights)
    assert made.leave_one_out == pytest.approx(np.sqrt(mean), rel=1e-6)
    assert weights[losses.argmin()] == weights.max() and weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("loss", [bowl, first_only])
def test_no_share_is_above_its_most(loss: Callable[[np.ndarray], np.ndarray]) -> None:
    made, *_ = fitted(loss)
    most = np.array([0.3, 0.6, 0.4])
    found = best_shares(made, most, seed=0)
    assert (found <= most + 1e-3).all() and found.sum() == pytest.approx(1, abs=2e-3)
    assert found[0] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("shares", "most", "expected"),
    [
        ([0.2, 0.3, 0.5], [1, 1, 1], [0.2, 0.3, 0.5]),
        ([0.8, 0.15, 0.05], [0.5, 1, 1], [0.5, 0.375, 0.125]),
        ([1.0, 0.0, 0.0], [0.4, 0.4, 0.4], [0.4, 0.3, 0.3]),
        ([0.6, 0.3, 0.1], [0.4, 0.35, 0.25], [0.4, 0.35, 0.25]),
    ],
)
def test_what_is_above_goes_to_the_others(
    shares: list[float], most: list[float], expected: list[float]
) -> None:
    assert limited(np.array(shares), np.array(most)).tolist() == pytest.approx(expected)


def test_a_slice_goes_through_the_found_shares() -> None:
    made, *_ = fitted(bowl)
    found = np.array([0.5, 0.25, 0.25])
    middle = slices(made, found, count=3)[0][1]
    assert middle == pytest.approx((0.5, float(made(found[None])[0])))
