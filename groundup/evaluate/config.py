"""EvaluationConfig: how models are measured, on held-out data or on suites. Without torch."""

from dataclasses import dataclass
from typing import Literal

from groundup.config import checked_fields

Over = Literal["steps", "sizes", "shots"]
AskedTemplate = Literal["auto", "plain", "chat"]
# Items of held-out data that a figure is measured on, where nothing else is said.
ITEMS = 200


@checked_fields
@dataclass(frozen=True)
class EvaluationConfig:
    """How models are measured. Raises ConfigError for an unknown field or a value of a wrong type.

    >>> config = groundup.EvaluationConfig(shots=(0, 4), items=100)
    >>> config.template
    'auto'
    """

    items: int | None = None
    """At most this many items for each figure; by default 200 of held-out data, all of a suite."""
    kind: str | None = None
    """Kind of the held-out data: answers, labels or text; default: detected."""
    question: str | None = None
    """What language models are asked on labels; default: which label fits."""
    shots: tuple[int, ...] = (0,)
    """Numbers of worked examples before each item of a suite; a task for each number."""
    template: AskedTemplate = "auto"
    """How suites are asked; auto: as each suite says."""
    over: Over | None = None
    """Curves of suites over a run's snapshots, a sweep's (or several models') sizes, or shots."""
    seed: int = 0
    """Random seed: which items are measured."""
