"""Which switches go on, how long tries are, and what is tried together: values to values."""

import math

import pytest

import groundup
from groundup.errors import ConfigError
from groundup.evaluate.paired import mean_difference
from groundup.research.results import ResearchRound, ResearchTry
from groundup.research.rounds import full_tries, judged, planned_rounds, survivors, together
from groundup.research.switches import BASELINE, SWITCHES

LOSSES = {
    BASELINE: (2.0, 2.2),
    "untied": (1.9, 2.0),
    "cosine": (2.05, 2.25),
    "matrix-rate-low": (1.99, 2.16),
    "matrix-rate-high": (1.98, 2.15),
}


def found() -> ResearchRound:
    planned = planned_rounds(4, 2, 2)[-1]
    names = [name for name in LOSSES if name != BASELINE]
    tries = {
        (name, seed): ResearchTry(2, name, seed, 10, 99, loss, 1.0, 1.0)
        for name, losses in LOSSES.items()
        for seed, loss in enumerate(losses)
    }
    tries["packing", 0] = ResearchTry(2, "packing", 0, 10, 0, math.inf, 0.0, 1.0, "diverged")
    switches = [SWITCHES[name] for name in ["packing", *names]]
    return judged(planned, switches, tries, [0, 1], 60.0)


def test_differences_are_paired_by_seed_with_students_interval() -> None:
    best = found().tried[0]
    assert best.name == "untied" and best.difference is not None
    # -0.1 and -0.2: mean -0.15, standard deviation 0.0707, half 12.706 * 0.0707 / sqrt(2)
    assert best.difference.value == pytest.approx(-0.15)
    assert best.difference.high == pytest.approx(-0.15 + 12.706 * 0.05, abs=1e-6)
    three = mean_difference([1.0, 1.0, 1.0], [0.9, 0.8, 0.7])
    assert three.low == pytest.approx(-0.2 - 4.303 * 0.1 / math.sqrt(3))
    assert three.verdict("lower") == "unclear"
    alone = mean_difference([1.0], [0.5])
    assert (alone.value, alone.low, alone.n) == (-0.5, None, 1)


def test_a_failed_switch_is_last_and_never_goes_on() -> None:
    all_of = [SWITCHES[name] for name in ("packing", "cosine", "untied")]
    assert found().tried[-1].name == "packing" and found().tried[-1].failed == "diverged"
    assert [each.name for each in survivors(found(), all_of, 5)] == ["cosine", "untied"]
    assert [each.name for each in survivors(found(), all_of, 1)] == ["untied"]


def test_the_best_together_are_those_below_the_baseline_that_go_together() -> None:
    both = together(found(), list(SWITCHES.values()))
    assert both is not None and both.changes == "untied + matrix-rate-high"
    assert both.settings == ("model.tied_head=false", "fit.optimizer.matrix_learning_rate=0.02")


def test_rounds_halve_the_switches_and_double_the_time() -> None:
    rounds = planned_rounds(9, 3, 3)
    assert [each.candidates for each in rounds] == [9, 5, 3]
    assert [each.seeds for each in rounds] == [1, 2, 3]
    assert [each.tries for each in rounds] == [10, 12, 15]  # the last with the best together
    assert full_tries(rounds) == 10 / 4 + 12 / 2 + 15
    assert planned_rounds(1, 1, 1)[0].tries == 2


def test_a_budget_becomes_seconds_or_is_told_to_be_too_small() -> None:
    rounds = planned_rounds(4, 2, 2)
    config = groundup.ResearchConfig(budget="10m", rounds=2, seeds=2)
    seconds = config.seconds_of(rounds)
    assert seconds is not None and 0 < seconds * full_tries(rounds) < 600
    for small in (
        groundup.ResearchConfig(budget="5s", rounds=2),
        groundup.ResearchConfig(seconds=1, rounds=2),
    ):
        with pytest.raises(ConfigError, match=r"first") as refused:
            small.seconds_of(rounds)
        assert "Give at least" in refused.value.fix
    with pytest.raises(ConfigError, match="`seconds` and `steps` both"):
        groundup.ResearchConfig(seconds=9, steps=9)
