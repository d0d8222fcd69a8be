"""`MixtureSearchConfig`: what is asked of a search for a mixture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from groundup.config import Settings, checked_fields, duration_s
from groundup.errors import ConfigError, require, require_counts
from groundup.planning.pretrain_config import ModelShape, TextPreparation

DEFAULT_BUDGET = "30m"
# Of the budget; the rest is for the training that the mixture is for.
SEARCH_SHARE = 1 / 4
MAX_PROXIES, MAX_SEEDS = 1000, 100
# Steps over documents that may be tried, those of `plan --process`, and a set of quality rules.
PROCESSING = ("repair", "repeated-lines", "rules", "near-duplicates")


@checked_fields
@dataclass(frozen=True)
class MixtureSearchConfig:
    """How long to search, and for which target. Raises ConfigError.

    >>> config = groundup.MixtureSearchConfig(budget="20m", target="letters")
    >>> config.seeds
    3
    """

    budget: str | None = None
    """The time of search and training together, of which a quarter is for the search: 20m, 2h;
    default: 30m.
    """
    target: str | Path | None = None
    """A source whose validation text is the target, or other text: a file, a folder, an address;
    default: the validation text of all sources.
    """
    proxies: int | None = None
    """Proxy runs; default: four for each source and three for each processing step."""
    proxy_steps: int | None = None
    """Steps of a proxy run, instead of a budget: nothing is measured."""
    seeds: int = 3
    """Seeds of the last comparison, proportional against found shares."""
    processing: str | Sequence[str] = PROCESSING
    """Processing steps that are tried: repair, repeated-lines, rules (web), near-duplicates; ""
    for none.
    """
    max_epochs_per_source: float | None = None
    """A source is read at most so often in the training that follows; default: 4, or twice as often
    as all the text.
    """
    threads: int = 1
    """Threads of a proxy run: with one, other programs change its speed the least."""
    model: ModelShape = field(default_factory=ModelShape)
    """The shape of the proxies; default: 2 blocks, 3 in long searches."""
    texts: TextPreparation = field(default_factory=TextPreparation)
    settings: Settings | None = None
    """Fields of the training, as `--set` of `pretrain` takes them."""
    seed: int = 0
    """The seed of draws and proxies; those of the last comparison follow it."""

    def __post_init__(self) -> None:
        if self.budget is not None and self.proxy_steps is not None:
            raise ConfigError(
                "`budget` and `proxy_steps` both give the length of a proxy run.",
                fix="Give one of them.",
            )
        if self.budget is not None:
            duration_s(self.budget)
        require_counts(self, "proxy_steps", "threads")
        require(2 <= self.seeds <= MAX_SEEDS, "seeds", self.seeds, f"2 to {MAX_SEEDS}")
        if self.proxies is not None:
            require(4 <= self.proxies <= MAX_PROXIES, "proxies", self.proxies, "4 to 1000")
        for name in self.steps:
            require(name in PROCESSING, "processing", repr(name), f"of {', '.join(PROCESSING)}")

    @property
    def steps(self) -> tuple[str, ...]:
        """The processing steps that are tried."""
        named = self.processing
        if isinstance(named, str):
            named = named.split(",")
        return tuple(name.strip() for name in named if name.strip())

    @property
    def budget_s(self) -> float | None:
        """Seconds of search and training together; None where steps are given."""
        if self.proxy_steps is not None:
            return None
        return duration_s(self.budget or DEFAULT_BUDGET)

    @property
    def search_s(self) -> float | None:
        if self.budget_s is None:
            return None
        return SEARCH_SHARE * self.budget_s
