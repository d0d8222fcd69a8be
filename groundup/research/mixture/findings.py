"""What follows from the runs of a search: the surface, its lowest point, the results. Nothing is
trained here.
"""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from groundup.data.batches.mixture_config import short_names
from groundup.data.split import TRAIN
from groundup.device import processor_name
from groundup.errors import FormatError
from groundup.planning.scaling_law import HARMLESS_EPOCHS
from groundup.research.mixture.config import MixtureSearchConfig
from groundup.research.mixture.next_run import next_command, recipe_tables
from groundup.research.mixture.results import (
    MixtureResults,
    ProxyRun,
    SearchedSource,
    SharesComparison,
    TriedStep,
)
from groundup.research.mixture.surface import (
    Array,
    Surface,
    best_shares,
    fit_surface,
    slices,
)
from groundup.research.mixture.texts import SearchTexts
from groundup.research.results import ResearchTry

PROXIES, COMPARED = 1, 2
PROPORTIONAL, FOUND = "proportional", "found"
# Where all the text is read this often, a source may be read twice as often.
MORE_OFTEN = 2.0


def proxy_name(number: int) -> str:
    return f"proxy-{number + 1}"


@dataclass(frozen=True)
class SearchPlan:
    """What was chosen before the first run; search.jsonl has it."""

    shares: tuple[tuple[float, ...], ...]
    """Of each proxy, by source."""
    variants: tuple[str, ...]
    """The step of each proxy, or ""."""
    steps: int
    """Training steps of a run."""
    tokens: int
    """That the training reads which the mixture is for."""
    left_out: Mapping[str, str]
    before_s: float
    """Processor seconds until here."""

    @classmethod
    def kept(cls, record: Mapping[str, Any], file: Path) -> "SearchPlan":
        """As an earlier call chose. Raises FormatError."""
        try:
            shares = tuple(tuple(float(each) for each in row) for row in record["shares"])
            return cls(
                shares,
                tuple(str(each) for each in record["variants"]),
                int(record["steps"]),
                int(record["tokens"]),
                dict(record["left_out"]),
                float(record["before_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            fix = "Start again with `fresh`."
            raise FormatError(file, "begin", f"is damaged: {error}", fix=fix) from error


@dataclass(frozen=True)
class SearchFindings:
    texts: SearchTexts
    config: MixtureSearchConfig
    plan: SearchPlan
    tries: Mapping[tuple[int, str, int], ResearchTry]

    @cached_property
    def counts(self) -> Float[Array, " K"]:
        """Train tokens of each source."""
        return np.array(list(self.texts.tokens.values()), dtype=float)

    @property
    def tried(self) -> list[str]:
        """The steps among the proxies."""
        return [name for name in self.config.steps if name in self.plan.variants]

    @cached_property
    def losses(self) -> list[float]:
        seed, count = self.config.seed, len(self.plan.shares)
        names = map(proxy_name, range(count))
        return [self.tries[PROXIES, name, seed].bits_per_byte for name in names]

    @cached_property
    def surface(self) -> Surface:
        steps = [[each == name for name in self.tried] for each in self.plan.variants]
        shaped = np.array(steps, dtype=float).reshape(len(steps), len(self.tried))
        return fit_surface(np.array(self.plan.shares), shaped, np.array(self.losses))

    @property
    def most(self) -> Float[Array, " K"]:
        """The share of each source at which it is read as often as it may be."""
        often, epochs = self.config.max_epochs_per_source, self.plan.tokens / self.counts.sum()
        if often is None:
            often = max(HARMLESS_EPOCHS, MORE_OFTEN * epochs)
        return np.minimum(1.0, max(often, epochs) * self.counts / self.plan.tokens)

    @cached_property
    def shares(self) -> Float[Array, " K"]:
        """At the lowest point of the surface."""
        return best_shares(self.surface, self.most, self.config.seed)

    @property
    def steps(self) -> tuple[str, ...]:
        """Those whose effect has an interval below 0."""
        effects = zip(self.tried, self.surface.effects, strict=True)
        return tuple(name for name, each in effects if each.verdict("lower") == "better")

    def results(self, comparison: SharesComparison | None, target_tokens: int) -> MixtureResults:
        first = self.tries[PROXIES, proxy_name(0), self.config.seed]
        spent_s = self.plan.before_s + sum(each.processor_s for each in self.tries.values())
        found = MixtureResults(
            texts=tuple(self.texts.options.data),
            target=str(self.config.target or "the validation text of all sources"),
            target_tokens=target_tokens,
            machine=f"{processor_name()}, {os.cpu_count()} cores",
            command=shlex.join(["groundup", *sys.argv[1:]]),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            parameters=first.parameters,
            proxy_steps=self.plan.steps,
            form=self.surface.form,
            leave_one_out=self.surface.leave_one_out,
            spread=self.surface.spread,
            sources=self._sources(),
            steps=self._steps(),
            left_out=self.plan.left_out,
            proxies=self._proxies(),
            comparison=comparison,
            mixture=PROPORTIONAL,
            process=(),
            next_command="",
            recipe="",
            processor_s=round(spent_s, 1),
            budget_s=self.config.budget_s,
        )
        if found.better:
            pairs = [f"{each.name}={each.found:g}" for each in found.sources]
            found = replace(found, mixture=",".join(pairs), process=self.steps)
        return replace(
            found,
            next_command=next_command(self.texts.options, found, self.plan.tokens),
            recipe=recipe_tables(self.texts.process(found.process), found.mixture),
        )

    def _sources(self) -> tuple[SearchedSource, ...]:
        names, drawn = short_names(self.texts.tokens), slices(self.surface, self.shares)
        proportional = self.counts / self.counts.sum()
        return tuple(
            SearchedSource(
                source,
                names[source],
                count,
                float(proportional[number]),
                float(self.shares[number]),
                float(self.most[number]),
                float(self.shares[number]) * self.plan.tokens / count,
                tuple(drawn[number]),
            )
            for number, (source, count) in enumerate(self.texts.tokens.items())
        )

    def _steps(self) -> tuple[TriedStep, ...]:
        return tuple(
            TriedStep(
                name, effect, name in self.steps, self.texts.with_steps([name]).num_tokens(TRAIN)
            )
            for name, effect in zip(self.tried, self.surface.effects, strict=True)
        )

    def _proxies(self) -> tuple[ProxyRun, ...]:
        expected = self.surface(np.array(self.plan.shares))
        rows = zip(self.plan.shares, self.plan.variants, self.losses, expected, strict=True)
        return tuple(
            ProxyRun(shares, tuple(filter(None, (step,))), loss, float(level))
            for shares, step, loss, level in rows
        )
