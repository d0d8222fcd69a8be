"""Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943): what is tried in which round,
for how long, with how many seeds, and what goes on.

    round 1 of 3    all switches       a quarter of the time    1 seed
    round 2 of 3    the better half    half of the time         2 seeds
    round 3 of 3    the better half    all of the time          3 seeds, and the best together

The baseline takes part in each round with the same seeds; a switch is judged by the mean of its
paired differences from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundup.errors import ConfigError
from groundup.evaluate.paired import mean_difference
from groundup.research.results import ResearchRound, ResearchTry, TriedSwitch
from groundup.research.switches import BASELINE, TOGETHER, Switch, joined

# Processor seconds of the shortest try: below, start and evaluation take longer than the training.
MIN_TRY_S = 1.0
# Preparation, evaluations and saving beside the training, as a share of the budget; tries of some
# seconds need more, and the time left is forecast from those that were done.
BESIDE_TRAINING_SHARE = 0.3


@dataclass(frozen=True)
class PlannedRound:
    number: int
    """From 1."""
    share: float
    """Of the time or the steps of the last round."""
    seeds: int
    candidates: int
    """Switches that take part, the baseline not counted."""
    is_last: bool

    @property
    def tries(self) -> int:
        """With the baseline, and in the last round the best together."""
        together = self.is_last and self.candidates > 1
        return self.seeds * (self.candidates + 1 + together)


def planned_rounds(switches: int, rounds: int, seeds: int) -> tuple[PlannedRound, ...]:
    """Each round twice as long as the one before, with half as many switches.

    >>> [(each.share, each.seeds, each.candidates) for each in planned_rounds(8, 3, 3)]
    [(0.25, 1, 8), (0.5, 2, 4), (1.0, 3, 2)]
    """
    return tuple(
        PlannedRound(
            number,
            share=2.0 ** (number - rounds),
            seeds=-(-seeds * number // rounds),
            candidates=-(-switches // 2 ** (number - 1)),
            is_last=number == rounds,
        )
        for number in range(1, rounds + 1)
    )


def full_tries(rounds: Sequence[PlannedRound]) -> float:
    """The time of all tries together, in tries of the last round."""
    return sum(each.tries * each.share for each in rounds)


def seconds_within(budget_s: float, rounds: Sequence[PlannedRound]) -> float:
    """Seconds of a try of the last round that a budget has room for. Raises ConfigError where those
    of the first round would be too short.
    """
    seconds = budget_s * (1 - BESIDE_TRAINING_SHARE) / full_tries(rounds)
    first = rounds[0]
    if seconds * first.share < MIN_TRY_S:
        needed = MIN_TRY_S / first.share * full_tries(rounds) / (1 - BESIDE_TRAINING_SHARE)
        tries = sum(each.tries for each in rounds)
        raise ConfigError(
            f"A budget of {budget_s:g} s is too small for {tries} tries: one of the first round "
            f"would have {seconds * first.share:.2g} s, and at least {MIN_TRY_S:g} s are needed.",
            fix=f"Give at least {needed:.0f}s, fewer `switches`, or fewer `rounds`.",
        )
    return seconds


def judged(
    planned: PlannedRound,
    switches: Sequence[Switch],
    tries: Mapping[tuple[str, int], ResearchTry],
    seeds: Sequence[int],
    length: float,
) -> ResearchRound:
    """The results of a round. `tries`: by name and seed; `switches`: those that took part, the best
    together among them; `length`: seconds or steps of a try.
    """
    found = [_tried(switch, tries, seeds) for switch in switches]
    base = [tries[BASELINE, seed] for seed in seeds]
    return ResearchRound(
        planned.number,
        length,
        tuple(seeds),
        tuple(each.bits_per_byte for each in base),
        base[0].steps,
        base[0].parameters,
        tuple(sorted(found, key=lambda each: each.order)),
    )


def _tried(
    switch: Switch, tries: Mapping[tuple[str, int], ResearchTry], seeds: Sequence[int]
) -> TriedSwitch:
    own = [tries[switch.name, seed] for seed in seeds if (switch.name, seed) in tries]
    failed = next((each.failed for each in own if each.failed), "")
    difference = None
    if not failed:
        base = [tries[BASELINE, seed].bits_per_byte for seed in seeds]
        difference = mean_difference(base, [each.bits_per_byte for each in own])
    return TriedSwitch(
        switch.name,
        switch.changes,
        switch.paper,
        tuple(switch.settings),
        own[0].steps,
        own[0].parameters,
        tuple(each.bits_per_byte for each in own),
        difference,
        failed,
    )


def survivors(found: ResearchRound, switches: Sequence[Switch], places: int) -> list[Switch]:
    """The switches that go on to a next round with so many places, in their order."""
    kept = {each.name for each in found.tried[:places] if not each.failed}
    return [switch for switch in switches if switch.name in kept]


def together(found: ResearchRound, switches: Sequence[Switch]) -> Switch | None:
    """The switches of the last round whose mean is better than the baseline's as one; None for
    fewer than two that go together.
    """
    by_name = {switch.name: switch for switch in switches}
    better = [
        by_name[each.name] for each in found.tried if each.difference and each.difference.value < 0
    ]
    parts = joined(better)
    if len(parts) < 2:
        return None
    changes = " + ".join(switch.name for switch in parts)
    settings = [setting for switch in parts for setting in switch.settings]
    return Switch(TOGETHER, changes, settings=tuple(settings))
