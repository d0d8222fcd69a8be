"""`ResearchConfig`: what is asked of a research, in Python and on the command line alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groundup.config import Settings, checked_fields, duration_s
from groundup.errors import ConfigError, require, require_counts
from groundup.planning.pretrain_config import ModelShape, TextPreparation
from groundup.research.switches import Switch

if TYPE_CHECKING:
    from groundup.research.rounds import PlannedRound

DEFAULT_SECONDS = 60.0
MAX_SEEDS, MAX_ROUNDS = 100, 10


@checked_fields
@dataclass(frozen=True)
class ResearchConfig:
    """How long tries are, of which switches, with how many seeds. Raises ConfigError.

    >>> config = groundup.ResearchConfig(seconds=30, switches=["untied", "cosine"])
    >>> config.rounds
    3
    """

    seconds: float | None = None
    """Processor seconds of a try of the last round, on all its threads together; default: 60."""
    budget: str | None = None
    """Or the time of the whole research: 20m, 2h."""
    steps: int | None = None
    """Or steps of a try of the last round, the same number for all: nothing is measured."""
    switches: Sequence[str | Switch] = ()
    """Names of switches, or your own; none: all."""
    seeds: int = 3
    """Seeds of the last round."""
    rounds: int = 3
    """Rounds; each has half as many switches as the one before, and twice the time."""
    threads: int = 1
    """Threads of a try: with one, other programs on the machine change its speed the least."""
    model: ModelShape = field(default_factory=ModelShape)
    """The baseline's shape; default: what `plan` chooses for the time, quickstart's for steps."""
    texts: TextPreparation = field(default_factory=TextPreparation)
    settings: Settings | None = None
    """Fields of the baseline, as `--set` of `pretrain` takes them."""
    seed: int = 0
    """The first seed; the others follow it."""

    def __post_init__(self) -> None:
        given = [name for name in ("seconds", "budget", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"{' and '.join(f'`{name}`' for name in given)} both give the length of a try.",
                fix="Give one of `seconds`, `budget`, `steps`.",
            )
        require_counts(self, "steps")
        require(1 <= self.seeds <= MAX_SEEDS, "seeds", self.seeds, f"1 to {MAX_SEEDS}")
        require(1 <= self.rounds <= MAX_ROUNDS, "rounds", self.rounds, f"1 to {MAX_ROUNDS}")
        require_counts(self, "threads")

    def planned(self, switches: int) -> "tuple[PlannedRound, ...]":
        from groundup.research.rounds import planned_rounds  # and with it numpy

        return planned_rounds(switches, self.rounds, self.seeds)

    def seconds_of(self, rounds: "Sequence[PlannedRound]") -> float | None:
        """Processor seconds of a try of the last round; None for steps. Raises ConfigError where
        those of the first round would be too short.
        """
        from groundup.research.rounds import MIN_TRY_S, seconds_within

        if self.steps is not None:
            return None
        if self.budget is not None:
            return seconds_within(duration_s(self.budget), rounds)
        seconds, share = self.seconds or DEFAULT_SECONDS, rounds[0].share
        if not MIN_TRY_S <= seconds * share < math.inf:
            raise ConfigError(
                f"`seconds` {seconds:g} leaves {seconds * share:.2g} s for a try of the first of "
                f"{len(rounds)} rounds, and at least {MIN_TRY_S:g} s are needed.",
                fix=f"Give at least {MIN_TRY_S / share:g}, or fewer `rounds`.",
            )
        return seconds
