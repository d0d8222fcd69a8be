"""How sure the difference between two evaluations is: coverage while one watches, by simulation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from lazy_module import LazyModule
from live_runs import Writer

from groundup.report.live import validation_differences
from groundup.report.live.follow import FollowedRun
from groundup.report.live.validation_differences import (
    CONFIDENCE,
    MIN_PIECES,
    Differences,
    Pieces,
    comparisons,
    read_pieces,
    t_quantile,
    t_tail,
)

scipy = LazyModule("scipy")

EVALUATIONS = 8


def simulated_run(draw: np.random.Generator, means: np.ndarray, pieces: int) -> list[Pieces]:
    """A run whose true loss at evaluation k is means[k]: unequal pieces, some hard at every step, each skewed, as losses are."""
    tokens = draw.integers(60, 140, pieces).astype(float)
    hard = draw.exponential(1.0, pieces) - 1.0
    losses = [mean + hard + 0.4 * (draw.exponential(1.0, pieces) - 1.0) for mean in means]
    return [Pieces(k, "windows", tokens * each, tokens) for k, each in enumerate(losses)]


def test_all_intervals_of_a_run_cover_together_and_plain_ones_would_not() -> None:
    """Whoever stops at the first interval that excludes the truth is wrong in at most 5 of 100 runs."""
    draw = np.random.default_rng(5)
    means = np.full(EVALUATIONS, 3.0)  # nothing is learned: each "clearly" would be wrong
    plain = t_quantile(1 - CONFIDENCE, 39)
    runs, stopped, stopped_plain = 150, 0, 0
    for _ in range(runs):
        run = simulated_run(draw, means, 40)
        rows = [
            (row.difference, row.high)
            for k in range(1, EVALUATIONS)
            for row in comparisons(run[: k + 1], k).compared
        ]
        stopped += any(abs(difference) > high - difference for difference, high in rows)
        errors = [
            np.std((one.nats - two.nats) / one.tokens, ddof=1) / math.sqrt(40)
            for k, one in enumerate(run)
            for two in run[:k]
        ]
        found = zip(rows, errors, strict=True)
        stopped_plain += any(abs(row[0]) > plain * error for row, error in found)
    assert stopped / runs <= 1 - CONFIDENCE
    assert stopped_plain / runs > 0.4, "an interval of 95 % for each pair misleads most readers"


def test_a_gain_that_is_there_is_found() -> None:
    draw = np.random.default_rng(6)
    means = np.linspace(10.0, 3.0, EVALUATIONS)
    run = simulated_run(draw, means, 40)
    for k in range(1, EVALUATIONS):
        found = comparisons(run[: k + 1], k)
        last = found.compared[-1]
        assert last.low < means[k] - means[k - 1] < last.high < 0
    assert "is clearly lower than at step 6, the evaluation before it" in found.text


def test_the_difference_is_that_of_all_tokens_and_its_error_that_of_a_ratio() -> None:
    """Two kinds of pieces, by hand: gains 0 and -30 nats of 10 and 20 tokens, eight times each."""
    tokens = np.array([10.0, 20.0] * 8)
    gains = np.array([0.0, -30.0] * 8)
    run = [
        Pieces(0, "documents", 5 * tokens, tokens),
        Pieces(9, "documents", 5 * tokens + gains, tokens),
    ]
    found = comparisons(run, 1)
    assert found.pieces == 14  # (16 * 15)^2 / (8 * 100 + 8 * 400) = 14.4
    (row,) = found.compared
    assert row.difference == -1.0  # -240 nats of 240 tokens
    # what is left of a piece: 0 + 10 and -30 + 20, so 16 * 100 * 16 / 15
    half = scipy.stats.t.isf(0.05 / 2 / 2, 13) * math.sqrt(16 * 100 * 16 / 15) / 240
    assert row.high - row.difference == pytest.approx(half)


@pytest.mark.parametrize("degrees", [1, 2, 11, 12, 127])
@pytest.mark.parametrize("error", [0.05, 1e-3, 1e-8])
def test_quantiles_of_students_t_are_those_of_scipy(degrees: int, error: float) -> None:
    assert t_quantile(error, degrees) == pytest.approx(
        scipy.stats.t.isf(error / 2, degrees), rel=1e-6
    )
    assert t_tail(0.0, degrees) == 1


def test_each_share_of_the_error_adds_up_to_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[float] = []

    def noted(error: float, degrees: int) -> float:
        spent.append(error)
        return 1.0

    monkeypatch.setattr(validation_differences, "t_quantile", noted)
    run = simulated_run(np.random.default_rng(0), np.full(40, 3.0), MIN_PIECES + 8)
    for k in range(1, 40):
        assert len(comparisons(run[: k + 1], k).compared) == k
    total = sum(k * error for k, error in enumerate(spent, 1))
    assert total == pytest.approx((1 - CONFIDENCE) * (1 - 1 / 40))


def test_too_few_pieces_have_no_interval_and_say_so() -> None:
    run = simulated_run(np.random.default_rng(1), np.array([8.0, 3.0]), 4)
    found = comparisons(run, 1)
    assert found.compared == [] and "and 12 are needed" in found.text
    assert comparisons(run[:1], 0) == Differences()


@pytest.mark.parametrize(
    "pieces",
    [
        None,
        [],
        {},
        {"nats": [1.0], "tokens": []},
        {"nats": [[1]], "tokens": [[1]]},
        {"nats": "x", "tokens": [1]},
        {"nats": [float("nan")], "tokens": [1]},
        {"nats": [1.0], "tokens": [0]},
        {"nats": [], "tokens": []},
    ],
)
def test_damaged_pieces_are_left_out(pieces: object) -> None:
    assert read_pieces({"step": 3, "pieces": pieces}) is None
    assert read_pieces({"step": "x", "pieces": {"nats": [1.0], "tokens": [1]}}) is None


def test_a_followed_run_says_how_sure_it_is(tmp_path: Path) -> None:
    """Of a run that falls and turns at half of its way."""
    writer = Writer(tmp_path / "run", turn=0.5)
    writer.begin()
    writer.write(last=100)
    run = FollowedRun(writer.folder, "run")
    run.read()
    rows = run.detail()["differences"]["compared"]
    assert [row["step"] for row in rows] == [0, 20, 40, 60, 80]
    assert all(row["high"] < 0 for row in rows)
    writer.write(101, 200)
    run.read()
    found = json.loads(json.dumps(run.detail()["differences"]))
    assert (found["unit"], found["pieces"], found["confidence"]) == ("windows", 40, 0.95)
    assert found["text"].startswith(
        "The validation loss at step 200 is clearly higher than at step 100."
    )
