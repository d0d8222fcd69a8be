"""The coach: each remark by a worked example, and silence where there is nothing to say."""

from collections.abc import Sequence

from groundup.report.downsampling import Curves
from groundup.report.live.training_advice import (
    EvaluationPoint,
    RunView,
    climbing,
    copying,
    overfitting,
    plateau,
    remarks,
    repeating,
    rising,
    rolling_back,
    skipping,
    slowing,
    spiking,
)


def curves(losses: Sequence[float], speeds: Sequence[float] = ()) -> Curves:
    made = Curves()
    for step, loss in enumerate(losses, 1):
        made.add({"step": step, "loss": loss, "tokens_per_s": speeds[step - 1] if speeds else None})
    return made


def evaluations(*pairs: tuple[float | None, float]) -> list[EvaluationPoint]:
    return [
        EvaluationPoint(100 * index, train, held_out)
        for index, (train, held_out) in enumerate(pairs)
    ]


FALLING = [8.0 - 0.05 * step for step in range(100)]


def test_overfitting_is_a_gap_that_grows_while_training_loss_falls() -> None:
    # The gap is 0.1 in the middle and 1.0 at the end, half of the loss.
    lesson = RunView(evaluations=evaluations((None, 8.0), (3.0, 3.1), (2.0, 2.6), (1.0, 2.0)))
    said = overfitting(lesson)
    assert said is not None
    assert (said.level, said.what) == ("warning", "overfitting")
    assert (
        "fell to 1.00, on held-out text it is 2.00: the gap grew from 0.10 at step 100 to 1.00"
        in said.text
    )
    # A gap of 0.1 all the way is every run's.
    assert overfitting(RunView(evaluations=evaluations((3.0, 3.1), (2.0, 2.1), (1.0, 1.1)))) is None
    # Wide, but as wide as before; wide, but training loss does not fall; too early.
    assert overfitting(RunView(evaluations=evaluations((3.0, 4.0), (2.0, 3.0), (1.0, 2.0)))) is None
    assert overfitting(RunView(evaluations=evaluations((1.0, 1.1), (1.0, 1.1), (1.0, 2.0)))) is None
    assert overfitting(RunView(evaluations=evaluations((3.0, 3.0), (1.0, 3.0)))) is None


def test_rising_counts_the_evaluations_since_the_best() -> None:
    said = rising(RunView(evaluations=evaluations((None, 8.0), (3.0, 2.0), (2.0, 2.2), (2.0, 2.1))))
    assert said is not None
    assert "best 2 evaluations ago, at step 100: 2.000, now 2.100" in said.text
    assert (
        rising(RunView(evaluations=evaluations((3.0, 2.0), (2.0, 2.01), (2.0, 2.005)))) is None
    )  # a hundredth comes and goes
    assert (
        rising(RunView(evaluations=evaluations((3.0, 3.0), (2.0, 2.0), (2.0, 2.5)))) is None
    )  # once is no trend


def test_climbing_is_a_loss_that_went_up_and_stayed() -> None:
    # 100 points in windows of 10: lowest mean 3.275, the last 20 stand at 4.5.
    said = climbing(RunView(curves([*FALLING, *[4.5] * 20])))
    assert said is not None
    assert "at 4.50" in said.text
    assert climbing(RunView(curves(FALLING))) is None
    assert climbing(RunView(curves([*FALLING, 9.0]))) is None  # one step is a spike, no climb
    assert climbing(RunView(curves([1.0, 5.0, 5.0]))) is None


def test_spikes_are_few_steps_that_undo_a_quarter_of_what_was_learned() -> None:
    losses = list(FALLING)
    losses[60] = losses[90] = 8.0
    said = spiking(RunView(curves(losses)))
    assert said is not None
    assert "jumped 2 times, the last time near step 91" in said.text
    losses[60] = FALLING[60]
    assert spiking(RunView(curves(losses))) is None  # one is an odd text
    assert (
        spiking(RunView(curves([*FALLING[:40], *[0.1, 0.1, 0.1, 6.0] * 15]))) is None
    )  # a quarter of all steps: batches are that different


def test_skipped_steps_are_reported_and_many_of_them_are_a_warning() -> None:
    assert skipping(RunView(skipped=0, step=500)) is None
    one, many = skipping(RunView(skipped=1, step=500)), skipping(RunView(skipped=6, step=500))
    assert one is not None
    assert (one.level, one.text.endswith("This does not harm the run.")) == ("note", True)
    assert many is not None
    assert (many.level, "Steps skipped: 6." in many.text) == ("warning", True)


def test_a_run_that_was_rolled_back_is_reported_and_twice_is_a_warning() -> None:
    assert rolling_back(RunView()) is None
    once, twice = rolling_back(RunView(rolled_back=1)), rolling_back(RunView(rolled_back=2))
    assert once is not None
    assert (once.level, once.text.startswith("Rolled back: 1. The loss rose")) == ("note", True)
    assert twice is not None
    assert (twice.level, twice.text.startswith("Rolled back: 2.")) == ("warning", True)


def test_a_plateau_is_a_loss_that_no_longer_changes() -> None:
    falling = [(None, 5.0), (None, 4.0), (None, 3.0)]
    said = plateau(
        RunView(evaluations=evaluations(*falling, (None, 2.005), (None, 2.0), (None, 2.0)))
    )
    assert said is not None
    assert "stayed at 2.000 for 3 evaluations" in said.text
    assert (
        plateau(RunView(evaluations=evaluations(*falling, (None, 2.1), (None, 2.05), (None, 2.0))))
        is None
    )
    assert (
        plateau(RunView(evaluations=evaluations(*falling, (None, 2.0), (None, 2.2), (None, 2.4))))
        is None
    )


def test_going_in_circles_is_the_mean_over_the_last_samples() -> None:
    said = repeating(RunView(written=[{"repetition": 0.9}, {"repetition": 0.1}, {}]))
    assert said is not None
    assert said.text.startswith("50 %") or said.text.startswith("50\u00a0%")
    assert repeating(RunView(written=[{"repetition": 0.05}])) is None
    assert repeating(RunView(written=[{"text": "before it was measured"}])) is None


def test_copying_names_the_longest_passage() -> None:
    written = [
        {"longest_copy": 25, "copied_text": "to be\nor not  to be"},
        {"longest_copy": 22, "copied_text": "x"},
    ]
    said = copying(RunView(written=written))
    assert said is not None
    assert "25 tokens in a row" in said.text
    assert "“to be or not to be”" in said.text
    assert copying(RunView(written=[{"longest_copy": 19}])) is None


def test_slower_is_half_the_usual_speed() -> None:
    said = slowing(RunView(curves([1.0] * 80, [1000.0] * 65 + [400.0] * 15)))
    assert said is not None
    assert "400 tokens per second; 1,000 was usual" in said.text
    assert (
        slowing(RunView(curves([1.0] * 80, [1000.0] * 71 + [10.0] * 9))) is None
    )  # a few slow steps are a save, or a neighbour


def test_a_run_without_trouble_gets_a_word_and_an_early_one_patience() -> None:
    good = remarks(RunView(evaluations=evaluations((None, 8.0), (3.0, 3.1), (2.0, 2.1))))
    assert [(each.level, each.what) for each in good] == [("good", "in order")]
    assert [each.what for each in remarks(RunView())] == ["too early"]
    stuck = remarks(RunView(evaluations=evaluations((None, 8.0), (8.0, 8.0), (8.0, 8.0))))
    assert [each.what for each in stuck] == ["nothing learned yet"]


def test_warnings_come_first_and_leave_no_room_for_comfort() -> None:
    said = remarks(
        RunView(
            evaluations=evaluations((None, 8.0), (3.0, 2.0), (1.0, 2.2), (0.5, 2.4)),
            skipped=1,
            step=900,
        )
    )
    assert [each.level for each in said] == ["warning", "warning", "note"]
