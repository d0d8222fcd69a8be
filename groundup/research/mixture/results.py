"""What a search for a mixture found, as results.json has it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from groundup.evaluate.paired import Difference
from groundup.files import json_bytes


@dataclass(frozen=True)
class SearchedSource:
    source: str
    name: str
    """The last part of its address."""
    tokens: int
    """In the train split."""
    proportional: float
    """Its share of the tokens."""
    found: float
    """Its share at the lowest point of the surface."""
    most: float
    """The share at which it is read as often as it may be."""
    epochs: float
    """How often the training that follows reads it, with the found shares."""
    slice: tuple[tuple[float, float], ...]
    """Its share, and the loss that is expected, the others in the found proportions."""


@dataclass(frozen=True)
class TriedStep:
    """A processing step among the proxies."""

    name: str
    effect: Difference
    """What it adds to the bits per byte, by the regression; n: its proxy runs."""
    chosen: bool
    tokens: int
    """In the train split, with it."""


@dataclass(frozen=True)
class ProxyRun:
    shares: tuple[float, ...]
    steps: tuple[str, ...]
    bits_per_byte: float
    expected: float
    """By the surface, without steps."""


@dataclass(frozen=True)
class SharesComparison:
    """Proportional and found shares with the same seeds, which no proxy had."""

    seeds: tuple[int, ...]
    proportional: tuple[float, ...]
    found: tuple[float, ...]
    difference: Difference


@dataclass(frozen=True)
class MixtureResults:
    texts: tuple[str, ...]
    target: str
    target_tokens: int
    machine: str
    command: str
    created: str
    """UTC."""
    parameters: int
    """Of a proxy."""
    proxy_steps: int
    form: str
    """Of the regression: logarithmic or quadratic in the shares."""
    leave_one_out: float
    """Root mean square error of the regression on runs that it did not see, in bits per byte."""
    spread: float
    """Standard deviation of the proxies' bits per byte."""
    sources: tuple[SearchedSource, ...]
    steps: tuple[TriedStep, ...]
    left_out: Mapping[str, str]
    """Processing steps that were not tried, with the reason."""
    proxies: tuple[ProxyRun, ...]
    comparison: SharesComparison | None
    """None: not done."""
    mixture: str
    """What `pretrain --mixture` and `pretrain.mixture` of a recipe take; "proportional" where found
    shares were not clearly better.
    """
    process: tuple[str, ...]
    """The steps that go with it."""
    next_command: str
    recipe: str
    """The same for a recipe, as TOML."""
    processor_s: float
    """Of the whole search, preparation included."""
    budget_s: float | None
    """Search and training together; None where steps were given."""

    @property
    def better(self) -> bool:
        """Whether the interval of the comparison is below 0."""
        return self.comparison is not None and (
            self.comparison.difference.verdict("lower") == "better"
        )

    def to_plain(self) -> Mapping[str, Any]:
        """As results.json has it: differences with their verdict."""
        plain: dict[str, Any] = json.loads(json_bytes({**asdict(self), "better": self.better}))
        for row, step in zip(plain["steps"], self.steps, strict=True):
            row["effect"] = step.effect.plain("lower")
        if self.comparison is not None:
            plain["comparison"]["difference"] = self.comparison.difference.plain("lower")
        return plain
