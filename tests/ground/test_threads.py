"""The number of threads: decided before torch is imported, the user's own variables first; tuned by what work takes, whatever the machine does."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from groundup.device import shortest
from groundup.threads import MOST_ROUNDS, ThreadTuner, decide, fastest, is_clear, thread_counts

Machine = Callable[[int, float], float]


def idle(count: int, now_s: float) -> float:
    return 0.11 if count == 2 else 0.18


def busy(count: int, now_s: float) -> float:
    return 0.44 if count == 2 else 0.18


def busy_for_a_while(count: int, now_s: float) -> float:
    return busy(count, now_s) if 30 < now_s < 70 else idle(count, now_s)


def shaken(count: int, now_s: float) -> float:
    """Beside a program that comes and goes: two threads are disturbed by more or less, one hardly."""
    dice = random.Random(now_s)
    return (
        busy(count, now_s) * dice.choice([0.5, 1, 1, 2, 5])
        if count == 2
        else 0.18 * dice.uniform(0.9, 1.3)
    )


def worked(
    machine: Machine, seconds: float, tuner: ThreadTuner | None = None
) -> tuple[int, list[int]]:
    """Steps done in the time, and the number of threads of each second."""
    tuner, now_s, steps, history = tuner or ThreadTuner((2, 1), 2), 0.0, 0, []
    while now_s < seconds:
        taken_s = machine(tuner.count, now_s)
        history += [tuner.count] * (int(now_s + taken_s) - int(now_s))
        now_s += taken_s
        steps += 1
        tuner.told(taken_s)
    return steps, history


@pytest.mark.parametrize(
    ("machine", "kept", "best_step_s"),
    [(idle, 2, 0.11), (busy, 1, 0.18), (shaken, 1, 0.2)],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_the_faster_number_is_kept_and_trying_costs_little(
    machine: Machine, kept: int, best_step_s: float
) -> None:
    steps, history = worked(machine, 300)
    assert history.count(kept) > 0.95 * len(history)
    assert steps > 0.94 * 300 / best_step_s


def test_a_busy_spell_is_noticed_and_its_end_too() -> None:
    steps, history = worked(busy_for_a_while, 150)
    assert set(history[2:29]) == {2} and set(history[36:66]) == {1}
    assert set(history[-30:]) == {2}, "within the first half minute after it"
    assert steps > 0.9 * (70 / 0.18 + 80 / 0.11) - 40 / 0.18


def test_one_bad_moment_decides_nothing() -> None:
    tuner = ThreadTuner((2, 1), 2)
    seconds = {2: iter([0.11, 5.0, 0.11, 0.11, 0.11, 0.11, 0.11]), 1: iter([0.18] * MOST_ROUNDS)}
    while not tuner.settled:
        tuner.told(next(seconds[tuner.count]))
    assert tuner.count == 2, "the disturbed figure was measured again"


def test_what_was_tuned_for_one_kind_of_work_is_not_compared_with_another() -> None:
    tuner = ThreadTuner((2, 1), 2)
    rows = [1] * 40 + [32] * 40 + [1] * 40
    changes = 0
    for each in rows:
        before = tuner.count
        changes += tuner.told(0.1 if each == 1 else 0.9, kind=each) != before
    assert tuner.count == 2 and changes <= 8, (
        "32 rows take longer than one, and that is no busy machine"
    )


def test_a_fixed_number_is_never_changed() -> None:
    for tuner in (ThreadTuner((), 3), ThreadTuner((1,), 1)):
        assert tuner.settled and {tuner.told(seconds) for seconds in (0.1, 9.0, 0.1)} == {
            tuner.count
        }


def test_the_number_to_begin_with_is_one_that_the_machine_has() -> None:
    assert ThreadTuner((2, 1), 1).count == 1 and ThreadTuner((2, 1), 8).count == 2
    assert thread_counts(4) == (4, 3, 2, 1) and thread_counts(1) == (1,)


def test_close_figures_leave_the_number_as_it_is() -> None:
    assert (
        fastest({2: [1.0, 1.0], 1: [0.95, 0.95]}, 2) == 2
        and fastest({2: [1.0, 1.0], 1: [0.95, 0.95]}, 1) == 1
    )
    assert not is_clear({2: [1.0, 2.0], 1: [1.6, 1.6]})


def test_a_user_s_own_variables_win() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        choice = decide({name: "3"}, 64, 2)
        assert not choice.variables and not choice.tuned and f"{name}=3 is set" in choice.reason
    choice = decide({"OMP_WAIT_POLICY": "PASSIVE"}, 2, 2)
    assert choice.tuned and not choice.variables and "OMP_WAIT_POLICY is set" in choice.reason


def test_a_container_s_share_of_the_cores_is_the_most_and_is_not_taken_for_the_user_s_wish_by_programs_below() -> (
    None
):
    choice = decide({}, 64, 2)
    assert (
        choice.variables["OMP_NUM_THREADS"] == "2"
        and choice.tuned
        and "2 of 64 cores" in choice.reason
    )
    below = decide(choice.variables, 64, 2)
    assert below.tuned and below.variables == choice.variables


def test_the_command_line_chooses_before_torch_is_there_and_importing_the_package_never() -> None:
    code = (
        "import sys, groundup, groundup.cli.main as main; from groundup.threads import chosen, prepare\n"
        "assert chosen() is None and 'torch' not in sys.modules\n"
        "try: main.main(['--version'])\n"
        "except SystemExit: pass\n"
        "assert chosen() is not None and 'torch' not in sys.modules\n"
        "from groundup.device import select_compute\n"
        "print(select_compute('cpu').thread_counts)"
    )
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    }
    for extra, is_fixed in (({}, False), ({"OMP_NUM_THREADS": "1"}, True)):
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env={**environ, **extra}, capture_output=True, text=True, check=True
        )
        assert (done.stdout.splitlines()[-1] == "()") == is_fixed, done.stdout


def test_a_disturbed_measurement_is_taken_again_and_the_shortest_counts() -> None:
    now_s = 0.0

    def takes(seconds: Iterator[float]) -> Callable[[], float]:
        def take() -> float:
            nonlocal now_s
            taken_s = next(seconds)
            now_s += taken_s
            return taken_s

        return take

    calm, disturbed = [9.0, 1.0, 1.1], [9.0, 5.0, 1.0, 1.2]
    found = shortest(
        {"a": takes(iter(calm)), "b": takes(iter(calm))}, seconds=4, clock=lambda: now_s
    )
    assert found == {"a": 1.0, "b": 1.0}
    now_s = 0.0
    found = shortest({"a": takes(iter(disturbed))}, seconds=10, clock=lambda: now_s)
    assert found == {"a": 1.0}, (
        "one figure of 5 s is not enough, nor are two that differ by five times"
    )
