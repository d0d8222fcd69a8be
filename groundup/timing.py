"""Repeated timing on a machine that may be busy: times that disagree are measured again."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from groundup.progress import Progress, Silent
from groundup.threads import DISTURBED

Kind = TypeVar("Kind")

# The given time may be exceeded by this factor where times disagree.
MAX_TIMES = 3


def shortest(
    takes: Mapping[Kind, Callable[[], float]],
    *,
    seconds: float,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Kind, float]:
    """Return the shortest of the seconds that each of `takes` returns, called for about `seconds`
    each; up to three times as long if disturbed.

    The shortest, since other programs only add time. The kinds alternate, so that a busy moment
    affects all; the first call of each is a warm-up. Disturbed: the two shortest times of a kind
    differ by a factor of more than 1.5, or there is only one.
    """
    started, whole_s = clock(), seconds * len(takes)
    with (progress or Silent()).track("measuring a step", whole_s, "s") as advance:
        times: dict[Kind, list[float]] = {kind: [] for kind in takes}
        while True:
            for kind, take in takes.items():
                times[kind].append(take())
                advance(times[kind][-1])
            spent_s = clock() - started
            if spent_s >= MAX_TIMES * whole_s or (
                spent_s >= whole_s and all(agrees(t[1:]) for t in times.values())
            ):
                return {kind: min(taken[1:] or taken) for kind, taken in times.items()}


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def agrees(figures: Sequence[float]) -> bool:
    """Whether the two lowest figures agree.

    >>> agrees([9.0, 1.0, 1.2]), agrees([1.0, 2.0]), agrees([1.0])
    (True, False, False)
    """
    low = sorted(figures)[:2]
    return len(low) == 2 and low[1] <= DISTURBED * low[0]
