"""The learning rate is what the formula says, and what follows from a FitConfig."""

import math

import pytest

from groundup.config import build_config
from groundup.errors import ConfigError
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import FitConfig, Schedule
from groundup.train.steps.step_schedule import learning_rate


def test_learning_rate_rises_straight_and_falls_by_half_a_cosine() -> None:
    config = FitConfig(
        steps=15,
        schedule=Schedule(min_learning_rate=0.2, warmup_steps=4),
        optimizer=AdamW(learning_rate=0.8),
    )
    rates = [learning_rate(step, config) for step in range(15)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == pytest.approx(0.8)  # 0 of the way: cos 0 = 1
    assert rates[9] == pytest.approx(0.5)  # half the way: cos (pi / 2) = 0, the mean of both ends
    assert rates[14] == pytest.approx(0.2)  # the last step has the lowest
    third = 0.2 + 0.6 * (1 + math.cos(math.pi * 3 / 10)) / 2
    assert rates[7] == pytest.approx(third)


def test_learning_rate_rises_stays_and_falls_straight() -> None:
    config = FitConfig(
        15,
        schedule=Schedule(min_learning_rate=0.2, warmup_steps=4, name="wsd", decay_steps=4),
        optimizer=AdamW(learning_rate=0.8),
    )
    rates = [learning_rate(step, config) for step in range(15)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert (
        rates[3:12] == [0.8] * 9
    )  # 15 - 4: the first step of the decay still has the highest rate
    assert rates[11:] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert FitConfig(1000, schedule=Schedule(name="wsd")).decay == 600
    assert FitConfig(10, schedule=Schedule(name="wsd", warmup_steps=9)).decay == 1
    flat = FitConfig(
        9,
        schedule=Schedule(warmup_steps=0, name="wsd", decay_steps=0),
        optimizer=AdamW(learning_rate=0.8),
    )
    assert {learning_rate(step, flat) for step in range(9)} == {0.8}


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 1), (3, 3)])
def test_learning_rate_of_very_short_runs_stays_within_bounds(
    steps: int, warmup: int, schedule: Schedule
) -> None:
    config = FitConfig(
        steps=steps,
        schedule=Schedule(warmup_steps=warmup, name=schedule),
        optimizer=AdamW(learning_rate=0.1),
    )
    rates = [learning_rate(step, config) for step in range(steps)]
    assert all(0.01 - 1e-12 <= rate <= 0.1 + 1e-12 for rate in rates)


def test_what_is_left_open_follows_from_the_steps() -> None:
    config = FitConfig(steps=8000, optimizer=AdamW(learning_rate=0.01))
    assert (config.warmup, config.lowest_learning_rate) == (400, pytest.approx(0.001))
    assert (config.evaluation_interval, config.checkpoint_interval) == (1000, 500)
    assert FitConfig(steps=3).evaluation_interval == 1
    assert FitConfig(steps=15).evaluation_interval == 2  # 8 evaluations, not 15


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 5, "schedule": {"warmup_steps": 6}}, "0 to 5"),
        ({"steps": 5, "optimizer": {"beta2": 1.0}}, "beta2"),
        ({"steps": 5, "schedule": {"min_learning_rate": 1.0}}, "min_learning_rate"),
        ({"steps": 5, "precision": "fp8"}, "precision"),
        ({"steps": 5, "optimizer": "adam"}, "optimizer"),
        ({"steps": 5, "optimizer": {"name": "muon", "momentum": 1.0}}, "momentum"),
        ({"steps": 5, "optimizer": {"name": "muon", "row_beta": 1.0}}, "row_beta"),
        ({"steps": 5, "optimizer": {"name": "muon", "polynomial": "taylor"}}, "polar-express"),
        ({"steps": 5, "schedule": "linear"}, "schedule"),
        (
            {"steps": 5, "schedule": {"warmup_steps": 3, "decay_steps": 3}},
            "0 to 2 (steps after the warm-up)",
        ),
        ({"steps": 5, "evaluate_every": 0}, "evaluate_every"),
        ({"steps": 5, "optimizer": {"learning_rat": 0.1}}, "Did you mean 'learning_rate'"),
        ({"steps": "many"}, "steps"),
    ],
)
def test_a_config_that_cannot_be_is_refused_with_its_numbers(
    values: dict[str, object], word: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build_config(FitConfig, values)
    assert word in str(refused.value)
