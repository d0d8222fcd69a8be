"""What research found, as results.json has it: the tries of each round, the best recipe, and its
test figures, which were measured once.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from groundup.evaluate.paired import Difference, describe_verdict
from groundup.research.switches import BASELINE


@dataclass(frozen=True)
class ResearchTry:
    """One training run, as a line of research.jsonl has it."""

    round: int
    name: str
    """Of the switch, or "baseline"."""
    seed: int
    steps: int
    parameters: int
    bits_per_byte: float
    """Of validation text; infinite where the run failed."""
    processor_s: float
    """Inside the training, evaluations included (on a GPU seconds of the clock)."""
    wall_s: float
    """Of the whole try."""
    failed: str = ""
    """Why it has no figures: it diverged."""


@dataclass(frozen=True)
class TriedSwitch:
    """A switch in one round, beside the baseline."""

    name: str
    changes: str
    paper: str
    settings: tuple[str, ...]
    steps: int
    parameters: int
    bits_per_byte: tuple[float, ...]
    """Of validation text, by seed."""
    difference: Difference | None
    """From the baseline with the same seeds; None where a try failed."""
    failed: str = ""

    @property
    def order(self) -> float:
        """The mean difference, the best lowest."""
        if self.difference is None:
            return math.inf
        return self.difference.value


@dataclass(frozen=True)
class ResearchRound:
    number: int
    length: float
    """Processor seconds of a try, or steps."""
    seeds: tuple[int, ...]
    baseline: tuple[float, ...]
    """Bits per byte of validation text, by seed."""
    steps: int
    """Of the baseline."""
    parameters: int
    tried: tuple[TriedSwitch, ...]
    """The best first."""


@dataclass(frozen=True)
class SealedTest:
    """The test split, measured once at the end. Bits per byte, by seed of the last round."""

    tokens: int
    baseline: tuple[float, ...]
    best: tuple[float, ...]
    difference: Difference


@dataclass(frozen=True)
class ResearchResults:
    texts: tuple[str, ...]
    unit: str
    """Of a round's `length`: "seconds" or "steps"."""
    threads: int
    machine: str
    command: str
    created: str
    """UTC, when the last try was done."""
    rounds: tuple[ResearchRound, ...]
    """Those that are done."""
    planned: int
    """Rounds that were asked for."""
    left_out: Mapping[str, str]
    """Switches that change nothing here, or can't be used, with the reason."""
    best: str
    """The switch of the last round with the lowest mean, or "baseline"."""
    settings: tuple[str, ...]
    """What `groundup pretrain --set` takes for it."""
    test: SealedTest | None
    """None: no switch was better than the baseline, there is no test split, or it is not done."""
    processor_s: float
    """Of all tries."""

    @property
    def winner(self) -> TriedSwitch | None:
        """The best in the last round; None for the baseline."""
        if self.best == BASELINE or len(self.rounds) < self.planned:
            return None
        return next(each for each in self.rounds[-1].tried if each.name == self.best)

    def to_plain(self) -> Mapping[str, Any]:
        """As results.json has it: differences with their verdict, failed figures as null."""
        plain: dict[str, Any] = _finite(asdict(self))
        for found, each in zip(plain["rounds"], self.rounds, strict=True):
            for row, tried in zip(found["tried"], each.tried, strict=True):
                row["difference"] = tried.difference and tried.difference.plain("lower")
        if self.test is not None:
            plain["test"]["difference"] = self.test.difference.plain("lower")
        return plain


def difference_words(found: Difference | None) -> str:
    """A paired difference of losses with its interval and what it says; "" without one."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.value:+.3f} (one seed)"
    bounds = f"{found.low:+.3f} to {found.high:+.3f}"
    return f"{found.value:+.3f} ({bounds}): {describe_verdict(found.verdict('lower'))}"


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
