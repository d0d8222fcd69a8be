"""The loss as a function of the shares of the sources, from proxy runs, and where it is lowest.

    draw_shares() -> runs -> fit_surface() -> Surface -> best_shares()

Shares are drawn from a Dirichlet distribution around the proportional ones, and the loss is
regressed on them (RegMix, Liu et al. 2024, arXiv 2407.01492, which takes linear regression or
boosted trees over 512 runs). There are some dozen runs here, so the regression is a ridge with few
features, in one of two forms, whichever has the lower leave-one-out error:

    logarithmic   a + sum_i b_i ln(s_i + 0.1)
    quadratic     a + sum_i b_i s_i + sum_{i<=j} c_ij s_i s_j

Runs near the lowest loss count more, exp(-(loss - lowest) / standard deviation): a source that
teaches nothing has losses far above all others where it is nearly alone, and these would bend the
surface where it matters (docs/log.md). A processing step adds a constant, which is not shrunk. The
leave-one-out error of a ridge needs no second fit: residual / (1 - leverage) (Allen 1974, PRESS).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from groundup.evaluate.paired import Difference, t_quantile

Array = np.ndarray
# A source with no share has a logarithm, too.
FLOOR = 0.1
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
# Of so many draws for each place, the one farthest from those before it is taken.
DRAWS_A_PLACE = 64
# The lowest point is the mean of the best of so many draws, as in RegMix.
CANDIDATES, BEST = 40_000, 100
# A smaller share is none.
SMALLEST_SHARE = 0.01


def draw_shares(proportional: Float[Array, " K"], count: int, seed: int) -> Float[Array, "N K"]:
    """Shares of `count` runs: the proportional ones, then draws that lie far from one another.

    The mean of the Dirichlet distribution is half way from proportional to equal shares, so that a
    small source has large shares in some.
    """
    draw, sources = np.random.default_rng(seed), len(proportional)
    drawn = [proportional]
    centre = (proportional + 1 / sources) / 2
    for _ in range(count - 1):
        found = draw.dirichlet(sources * centre, DRAWS_A_PLACE)
        distances = np.abs(found[:, None] - np.array(drawn)[None]).sum(2).min(1)
        drawn.append(found[distances.argmax()])
    return np.array(drawn)


def logarithmic(shares: Float[Array, "N K"]) -> Float[Array, "N F"]:
    return np.log(shares + FLOOR)


def quadratic(shares: Float[Array, "N K"]) -> Float[Array, "N F"]:
    first, second = np.triu_indices(shares.shape[1])
    return np.concatenate([shares, shares[:, first] * shares[:, second]], axis=1)


FORMS: Mapping[str, Callable[[Array], Array]] = {
    "logarithmic": logarithmic,
    "quadratic": quadratic,
}


@dataclass(frozen=True)
class Surface:
    form: str
    ridge: float
    leave_one_out: float
    """Root mean square of the errors in runs that the fit did not see, by their weights."""
    spread: float
    """Standard deviation of the losses themselves, by the same weights."""
    effects: tuple[Difference, ...]
    """Of each step: what it adds to the loss."""
    mean: Float[Array, " F"]
    scale: Float[Array, " F"]
    coefficients: Float[Array, " 1+F+M"]

    def __call__(self, shares: Float[Array, "N K"]) -> Float[Array, " N"]:
        """The loss that is expected without steps."""
        features = (FORMS[self.form](shares) - self.mean) / self.scale
        return self.coefficients[0] + features @ self.coefficients[1 : 1 + len(self.mean)]


def fit_surface(
    shares: Float[Array, "N K"], steps: Float[Array, "N M"], losses: Float[Array, " N"]
) -> Surface:
    """The form and the ridge with the lowest leave-one-out error. `steps`: 1 where a run had the
    step, else 0.
    """
    fits = [_fitted(form, ridge, shares, steps, losses) for form in FORMS for ridge in RIDGES]
    return min(fits, key=lambda each: each.leave_one_out)


def run_weights(losses: Float[Array, " N"]) -> Float[Array, " N"]:
    """How much each run counts; 1 on average.

    >>> run_weights(np.array([2.0, 2.0, 2.0])).tolist()
    [1.0, 1.0, 1.0]
    """
    weights = np.exp(-(losses - losses.min()) / max(float(losses.std()), 1e-9))
    return np.asarray(weights / weights.mean())


def _fitted(form: str, ridge: float, shares: Array, steps: Array, losses: Array) -> Surface:
    features, weights = FORMS[form](shares), run_weights(losses)
    mean, scale = features.mean(0), np.maximum(features.std(0), 1e-9)
    ones = np.ones((len(shares), 1))
    rows = np.concatenate([ones, (features - mean) / scale, steps], axis=1)  # [N, 1+F+M]
    shrunk = np.zeros(rows.shape[1])
    shrunk[1 : 1 + len(mean)] = ridge
    weighted = rows.T * weights  # [1+F+M, N]
    solve = np.linalg.pinv(weighted @ rows + np.diag(shrunk)) @ weighted  # [1+F+M, N]
    coefficients, leverage = solve @ losses, np.einsum("nf,fn->n", rows, solve)
    residuals = losses - rows @ coefficients
    left_out = residuals / np.maximum(1 - leverage, 1e-6)
    freedom = max(1, math.floor(len(losses) - leverage.sum()))
    errors = np.sqrt(weights @ residuals**2 / freedom * (solve**2).sum(1))
    effects = []
    for number in range(steps.shape[1]):
        place, runs = 1 + len(mean) + number, int(steps[:, number].sum())
        value, half = float(coefficients[place]), t_quantile(freedom) * float(errors[place])
        effects.append(Difference(value, value - half, value + half, runs))
    error = math.sqrt(np.average(left_out**2, weights=weights))
    middle = np.average(losses, weights=weights)
    spread = math.sqrt(np.average((losses - middle) ** 2, weights=weights))
    return Surface(form, ridge, error, spread, tuple(effects), mean, scale, coefficients)


def best_shares(surface: Surface, most: Float[Array, " K"], seed: int) -> Float[Array, " K"]:
    """The shares with the lowest expected loss, none above its `most`: the mean of the best of many
    draws, rounded to thousandths.
    """
    draw, sources = np.random.default_rng([seed, 1]), len(most)
    wide = np.concatenate(
        [draw.dirichlet(np.full(sources, each), CANDIDATES // 2) for each in (0.3, 1.0)]
    )
    found = limited(wide, most)
    best = found[np.argsort(surface(found), kind="stable")[:BEST]].mean(0)
    best = np.where(best < SMALLEST_SHARE, 0.0, best)
    return np.round(limited(best / best.sum(), most), 3)


def limited(shares: Float[Array, "*N K"], most: Float[Array, " K"]) -> Float[Array, "*N K"]:
    """Shares of which none is above its `most`; the others share what is left of it, as in a run
    that reads no source more often (`data.batches.mixture`). `most` adds up to 1 or more.

    >>> limited(np.array([0.8, 0.15, 0.05]), np.array([0.5, 1.0, 1.0])).tolist()
    [0.5, 0.375, 0.125]
    """
    found, full = shares, np.zeros(shares.shape, dtype=bool)
    for _ in range(shares.shape[-1]):
        full = full | (found > most + 1e-12)
        free = np.where(full, 0.0, shares)
        # nothing is wanted of the others: as much as each may have
        free = np.where(free.sum(-1, keepdims=True) > 0, free, np.where(full, 0.0, most))
        left = 1 - np.where(full, most, 0.0).sum(-1, keepdims=True)
        part = left / np.maximum(free.sum(-1, keepdims=True), 1e-12)
        found = np.where(full, most, free * part)
    return found


def slices(
    surface: Surface, shares: Float[Array, " K"], count: int = 33
) -> Sequence[Sequence[tuple[float, float]]]:
    """For each source: its share from 0 to 1, the others in the proportions of `shares`, and the
    loss that is expected.
    """
    found = []
    for number in range(len(shares)):
        others = np.delete(shares, number)
        if others.sum() <= 0:
            others = np.ones_like(others)
        others = others / others.sum()
        own = np.linspace(0, 1, count)
        rows = np.insert((1 - own)[:, None] * others, number, own, axis=1)
        found.append([(float(x), float(y)) for x, y in zip(own, surface(rows), strict=True)])
    return found
