"""The number of OpenMP threads: chosen before torch is imported, then tuned by measurement during
the computation.

    prepare()                        at the start of a program (`cli/main.py`) or in a notebook's
                                     first cell, before torch; else by the first `select_compute`,
                                     as in `groundup.open_model`; never on import
    tuner = ThreadTuner((2, 1), 2)   after each piece of work: threads = tuner.told(seconds)

OpenMP's threads spin at barriers. Alone on a machine that is the fastest way to wait; where another
program takes one core, all threads wait for the one that shares it, and a step takes two to four
times as long. One thread is hardly disturbed then, but takes 1.6 times as long alone. No wait
policy and no spin count is good at both (docs/log.md), so the wait policy stays OpenMP's own, and
the number of threads is measured.

What this leaves out: which cores the threads run on, and threads of other libraries (the
tokenizer's, llama.cpp's).
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from groundup.operating_system import usable_cores as seen_cores

COUNT_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Holds what prepare() wrote into OMP_NUM_THREADS: a program that is started by ours does not take
# it for its user's.
OWN_VARIABLE = "GROUNDUP_CHOSEN_THREADS"
CPU_LIMIT_FILE = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class ThreadChoice:
    """The choice made before torch is imported, with its reason."""

    variables: Mapping[str, str]
    """Environment variables to set."""
    tuned: bool
    """Whether the number of threads may be changed by measuring."""
    reason: str
    """For people."""


def decide(environ: Mapping[str, str], seen_cores: int, allowed_cores: int) -> ThreadChoice:
    """Return the choice for a machine with `seen_cores`, of which this program may use the time of
    `allowed_cores`. The user's variables win.

    >>> decide({"OMP_NUM_THREADS": "4"}, 8, 8).tuned, dict(decide({}, 64, 2).variables)["OMP_NUM_THREADS"]
    (False, '2')
    """
    own = environ.get(OWN_VARIABLE)
    fixed = [name for name in COUNT_VARIABLES if environ.get(name, own) != own]
    waiting = [name for name in WAIT_VARIABLES if environ.get(name)]
    wait = (
        f"{waiting[0]} is set"
        if waiting
        else "OpenMP's default wait policy (fastest on an idle machine)"
    )
    if fixed:
        return ThreadChoice(
            {}, False, f"{fixed[0]}={environ[fixed[0]]} is set, so the number is not tuned; {wait}"
        )
    measured = "the number measured to be fastest, fewer when a core is busy"
    if allowed_cores < seen_cores:
        count = str(max(1, allowed_cores))
        variables = {"OMP_NUM_THREADS": count, OWN_VARIABLE: count}
        return ThreadChoice(
            variables, True, f"{count} of {seen_cores} cores may be used; {measured}; {wait}"
        )
    return ThreadChoice({}, True, f"{measured}; {wait}")


_made: list[ThreadChoice] = []
"""The choice of this process, once it is made."""


def prepare(say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> ThreadChoice:
    """Choose for this process, once, and set the variables.

    To be called before torch is imported; where that is too late, `say` is called.
    """
    if not _made:
        choice = decide(os.environ, seen_cores(), allowed_cores())
        if choice.variables and "torch" in sys.modules:
            say(
                "torch is loaded already, so its threads stay as they are: call groundup.threads.prepare() first."
            )
        os.environ.update(choice.variables)
        _made.append(choice)
    return _made[0]


def chosen() -> ThreadChoice | None:
    """Return what `prepare` chose; None before its first call."""
    return _made[0] if _made else None


def allowed_cores() -> int:
    """Return `seen_cores`, or fewer by a container's limit on processor time (cgroup v2), which
    OpenMP ignores.
    """
    seen = seen_cores()
    try:
        limit_us, period_us = CPU_LIMIT_FILE.read_text(encoding="ascii").split()
        return min(seen, max(1, round(int(limit_us) / int(period_us))))
    except (OSError, ValueError):  # no such file, or "max"
        return seen


_count: list[int] = []
"""Chosen without torch."""


def thread_count() -> int:
    """The number of threads that compute now: torch's, or before it is loaded the user's, else all
    cores.
    """
    get = getattr(sys.modules.get("torch"), "get_num_threads", None)
    if get is not None:
        found: int = get()
        return found
    if _count:
        return _count[0]
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else allowed_cores()


def set_thread_count(count: int) -> None:
    """The same number for torch, where it is loaded, in the calling thread and those started
    later.
    """
    _count[:] = [count]
    get = getattr(sys.modules.get("torch"), "get_num_threads", None)
    if get is not None and count != get():
        sys.modules["torch"].set_num_threads(count)


def thread_counts(most: int) -> tuple[int, ...]:
    """Return the numbers of threads to try, the largest first: all, all but one (another program
    may keep a core busy), half, one.

    >>> thread_counts(2), thread_counts(8), thread_counts(1)
    ((2, 1), (8, 7, 4, 1), (1,))
    """
    return tuple(sorted({most, most - 1, most // 2, 1} - {0}, reverse=True))


# Two times for the same work that differ by more than this factor were disturbed (also
# `device.agrees`).
DISTURBED = 1.5
# Another number of threads is taken only where it is faster by this factor.
WORTH_IT = 0.9
# Pieces of work are added up to this time, below which a measurement is noise.
SLOT_S = 0.05
# Measurements of each number in a trial, and their maximum where they disagree.
ROUNDS, MOST_ROUNDS = 2, 6
# Measurements between trials whose median is compared with the expected time.
WATCHED = 6
# Pieces of work before the first trial.
WARM_UP = 1
# With fewer threads than possible, another number is tried now and then, at a cost below this share
# of the time.
PEEK_COST_SHARE = 0.015
SHORTEST_WAIT_S, LONGEST_WAIT_S, WAIT_SHARE = 15.0, 600.0, 1 / 8
# After a change of speed all numbers are tried again, unless the last trial cost more than this
# share of the time since.
TRIAL_COST_SHARE = 0.1


def fastest(times: Mapping[int, Sequence[float]], now: int) -> int:
    """Return the number of threads with the lowest median time, unless `now` is nearly as fast.

    >>> fastest({2: [1.0, 1.1], 1: [1.6, 1.6]}, 1), fastest({2: [4.0, 6.0], 1: [1.6, 1.6]}, 2), fastest({2: [1.0], 1: [0.95]}, 2)
    (2, 1, 2)
    """
    best = min(times, key=lambda count: median(times[count]))
    return best if median(times[best]) < WORTH_IT * median(times[now]) else now


def is_clear(times: Mapping[int, Sequence[float]]) -> bool:
    """Whether a trial was undisturbed: each number's times agree, or all of them exceed the fastest
    number's highest.

    >>> is_clear({2: [1.0, 1.1], 1: [1.6, 1.7]}), is_clear({2: [3.0, 9.0], 1: [1.6, 1.7]}), is_clear({2: [1.0, 4.0], 1: [1.6, 1.7]})
    (True, True, False)
    """
    best = min(times, key=lambda count: median(times[count]))
    if max(times[best]) > DISTURBED * min(times[best]):
        return False
    return all(
        max(figures) <= DISTURBED * min(figures) or min(figures) > max(times[best])
        for figures in times.values()
    )


@dataclass
class _Slot:
    """Pieces of work that give one measurement."""

    seconds: float = 0.0
    work: float = 0.0

    @property
    def rate(self) -> float:
        return self.seconds / self.work


@dataclass
class _ThreadTrial:
    """A trial of several numbers of threads alternately."""

    queue: list[int]
    slots: dict[int, list[_Slot]] = field(default_factory=dict)
    rounds: int = 1
    is_peek: bool = False

    @property
    def rates(self) -> dict[int, list[float]]:
        return {count: [slot.rate for slot in slots] for count, slots in self.slots.items()}

    def lost_s(self, expected: float) -> float:
        """Return the seconds lost against the same work with the number of threads that is kept."""
        slots = [slot for each in self.slots.values() for slot in each]
        return sum(max(0.0, slot.seconds - expected * slot.work) for slot in slots)


class ThreadTuner:
    """Chooses the number of threads of the next piece of work from the seconds that each took. Sets
    nothing and reads no clock.

    It begins with a trial of all `counts` alternately (forth and back, so that a busy moment
    affects all) and keeps the fastest. When the work becomes 1.5 times slower or faster, all are
    tried again; and while fewer threads than possible are kept, another number is tried now and
    then, to notice that the other program has ended.
    """

    def __init__(self, counts: Sequence[int], count: int) -> None:
        """`counts`: the numbers to choose from, the largest first; `count`: the one to begin
        with.
        """
        self.counts = tuple(counts)
        self.count = self._kept = count if count in self.counts or not counts else self.counts[0]
        self._kind: Hashable = None
        self._expected: dict[Hashable, float] = {}  # seconds a unit of work, for each kind
        self._recent: deque[float] = deque(maxlen=WATCHED)
        self._slot = _Slot()
        self._trial: _ThreadTrial | None = None
        self._is_owed = False  # a trial was aborted
        self._cold = WARM_UP
        self._total_s = self._since_s = self._lost_s = 0.0
        self._peeks = 0

    @property
    def settled(self) -> bool:
        """Whether no trial is in progress."""
        return len(self.counts) < 2 or (self._trial is None and not self._cold)

    def told(self, seconds: float, work: float = 1.0, kind: Hashable = None) -> int:
        """Record a piece of `work` (any unit) of a `kind` (times are compared within a kind only);
        return the next number of threads.
        """
        if len(self.counts) < 2:
            return self.count
        if (
            kind != self._kind
        ):  # a trial in progress is aborted, and repeated once work of one kind has lasted
            self._is_owed |= self._trial is not None
            self._kind, self._trial, self.count, self._slot = kind, None, self._kept, _Slot()
            self._recent.clear()
        self._total_s += seconds
        if self._cold:
            self._cold -= 1
            if not self._cold:
                self._try(self.counts)
        else:
            self._slot = _Slot(self._slot.seconds + seconds, self._slot.work + work)
            if self._slot.seconds >= SLOT_S:
                self._take(self._slot)
        return self.count

    def _take(self, slot: _Slot) -> None:
        self._slot = _Slot()
        if self._trial is None:
            self._watch(slot)
            return
        trial = self._trial
        trial.slots.setdefault(trial.queue.pop(0), []).append(slot)
        if trial.queue:
            self.count = trial.queue[0]
        elif trial.is_peek:
            self._end_peek(trial)
        else:
            self._end_round(trial)

    def _watch(self, slot: _Slot) -> None:
        """Process a measurement between trials."""
        self._since_s += slot.seconds
        self._recent.append(slot.rate)
        if len(self._recent) < WATCHED:
            return
        rate = median(self._recent)
        expected = self._expected.setdefault(self._kind, rate)
        has_changed = not expected / DISTURBED <= rate <= expected * DISTURBED
        wait_s = min(max(SHORTEST_WAIT_S, WAIT_SHARE * self._total_s), LONGEST_WAIT_S)
        if self._is_owed or (has_changed and self._since_s * TRIAL_COST_SHARE >= self._lost_s):
            self._try(self.counts)
        elif self._kept != self.counts[0] and self._since_s >= max(
            wait_s, self._lost_s / PEEK_COST_SHARE
        ):
            others = [count for count in self.counts if count != self._kept]
            self._try([others[self._peeks % len(others)]], is_peek=True)
            self._peeks += 1

    def _try(self, counts: Sequence[int], *, is_peek: bool = False) -> None:
        self._trial = _ThreadTrial(list(counts), is_peek=is_peek)
        self.count = counts[0]
        self._recent.clear()

    def _end_peek(self, trial: _ThreadTrial) -> None:
        ((rate,),), expected = trial.rates.values(), self._expected[self._kind]
        if rate < WORTH_IT * expected:
            self._try(self.counts)
        else:
            self._end(trial, expected)

    def _end_round(self, trial: _ThreadTrial) -> None:
        if trial.rounds < ROUNDS or (not is_clear(trial.rates) and trial.rounds < MOST_ROUNDS):
            trial.rounds += 1
            trial.queue = list(reversed(self.counts) if trial.rounds % 2 == 0 else self.counts)
            self.count = trial.queue[0]
            return
        before, self._kept = self._kept, fastest(trial.rates, self._kept)
        if self._kept != before:
            self._expected.clear()
        self._end(trial, median(trial.rates[self._kept]))

    def _end(self, trial: _ThreadTrial, expected: float) -> None:
        self._expected[self._kind] = expected
        self._lost_s, self._since_s, self._is_owed = trial.lost_s(expected), 0.0, False
        self._trial, self.count = None, self._kept


@contextmanager
def tuned_threads(tuner: ThreadTuner, *, is_timed: bool) -> Iterator[None]:
    """Compute on the number of threads measured to be fastest; `is_timed`: the time is measured,
    too. The number before is set again.
    """
    before, started_s = thread_count(), time.perf_counter()
    set_thread_count(tuner.count if tuner.counts else before)
    try:
        yield
    finally:
        if is_timed:
            tuner.told(time.perf_counter() - started_s)
        set_thread_count(before)
