"""The step schedule of a run: as planned, a step's place is its number; after rescales it still starts and ends where it did, without jumps."""

import random
from itertools import pairwise

import pytest

from groundup.config import build_config, to_plain
from groundup.errors import ConfigError
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Checkpoints, FitConfig, Schedule
from groundup.train.steps.step_schedule import Rescale, StepSchedule, learning_rate


def random_schedule(seed: int) -> StepSchedule:
    """A schedule of up to 300 planned steps with up to six rescales, however wild."""
    dice = random.Random(seed)
    run = StepSchedule(dice.randint(2, 300))
    step = 0
    for _ in range(dice.randint(1, 6)):
        if run.steps - step < 3:
            break
        step = dice.randint(step + 1, run.steps - 1)
        run = StepSchedule(
            run.planned, [*run.rescales, run.rescaled(step, step + dice.randint(1, 400))]
        )
    return run


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_without_rescales_a_step_s_place_is_its_number(schedule: Schedule) -> None:
    run, config = StepSchedule(1000), FitConfig(1000, schedule=Schedule(name=schedule))
    assert run.steps == 1000
    for step in range(1000):
        assert run.place(step) == run.update_place(step) == step
        assert learning_rate(run.update_place(step), config) == learning_rate(step, config), (
            "to the last bit"
        )
    places = (0, 3, 7, 1000)
    assert [step for step in range(1001) if run.passes(places, step)] == list(places)


@pytest.mark.parametrize("seed", range(40))
def test_places_rise_from_nothing_to_exactly_all_that_was_planned(seed: int) -> None:
    run = random_schedule(seed)
    assert run.rescales
    places = [run.place(step) for step in range(run.steps + 1)]
    assert all(later > earlier for earlier, later in pairwise(places))
    assert places[0] == 0 and places[-1] == run.planned
    assert run.update_place(0) >= 0 and run.update_place(run.steps - 1) == run.planned - 1


@pytest.mark.parametrize("seed", range(40))
def test_a_later_turn_changes_no_place_before_it(seed: int) -> None:
    run = random_schedule(seed)
    last = run.rescales[-1]
    before = StepSchedule(run.planned, run.rescales[:-1])
    assert all(run.place(step) == before.place(step) for step in range(last.step + 1))
    assert last.place == before.place(last.step)


@pytest.mark.parametrize("seed", range(20))
def test_marked_places_are_each_passed_once_and_the_last_one_at_the_end(seed: int) -> None:
    run = random_schedule(seed)
    places = FitConfig(run.planned, checkpoints=Checkpoints(snapshots=9)).snapshot_steps
    steps = [step for step in range(run.steps + 1) if run.passes(places, step)]
    assert steps[0] == 0 and steps[-1] == run.steps
    assert len(steps) <= len(places)
    for place in places:
        assert sum(run.place(step) < place for step in range(run.steps + 1)) in steps, (
            "the first to come so far"
        )


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize("steps", [60, 90, 101, 180])
def test_the_learning_rate_ends_at_its_end_and_keeps_the_shares_of_what_is_left(
    schedule: Schedule, steps: int
) -> None:
    config = FitConfig(
        100,
        schedule=Schedule(min_learning_rate=0.1, warmup_steps=10, name=schedule, decay_steps=None),
        optimizer=AdamW(learning_rate=0.5),
    )
    run = StepSchedule(100, [Rescale(20, 20.0, steps)])
    rates = [learning_rate(run.update_place(step), config) for step in range(steps)]
    planned = [learning_rate(step, config) for step in range(100)]
    assert rates[:20] == planned[:20], "what was done before the turn"
    assert rates[-1] == planned[-1] == pytest.approx(0.1)
    assert max(rates) == 0.5 and all(later <= earlier for earlier, later in pairwise(rates[10:]))
    # at each share of what was left at the turn, the rate planned for it
    for share in (0.25, 0.5, 0.75):
        found, expected = rates[20 + round(share * (steps - 20))], planned[20 + round(share * 80)]
        assert found == pytest.approx(expected, abs=0.012)


def test_a_rise_that_is_stretched_or_pressed_never_exceeds_the_highest_rate() -> None:
    config = FitConfig(100, schedule=Schedule(warmup_steps=50), optimizer=AdamW(learning_rate=0.3))
    for steps in (30, 55, 100, 199):
        run = StepSchedule(100, [Rescale(7, 7.0, steps)])
        rates = [learning_rate(run.update_place(step), config) for step in range(steps)]
        assert 0 < max(rates) <= 0.3 + 1e-15 and rates[6] == pytest.approx(0.3 * 7 / 50)


@pytest.mark.parametrize(
    "wrong", [{"step": 0, "place": 0.0, "steps": 5}, {"step": 5, "place": 5.0, "steps": 5}]
)
def test_a_turn_that_leaves_no_step_is_refused_and_any_other_is_read_as_written(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ConfigError, match="leaves none"):
        build_config(Rescale, wrong)
    turn = StepSchedule(30, [Rescale(7, 7.0, 22)]).rescaled(11, 90)
    assert build_config(Rescale, to_plain(turn)) == turn
