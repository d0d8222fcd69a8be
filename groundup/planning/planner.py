"""Which model to train in a given time: the shape and batch that the scaling law expects the lowest loss of, on this machine.

    candidates (a family of shapes, or batches of one) -> the likeliest best is measured -> ... until the best one and the next larger are

What has not been measured is expected to take the time that the nearest measured let expect. So a few measurements are enough, and only
of models that are about right: a machine that takes seconds for a step of a large model is never asked for one.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from groundup.data.shards import ShardSet
from groundup.model.config import ModelConfig
from groundup.model.footprint import training_memory
from groundup.model.shape_from_size import MAX_DEPTH, context_of, shape_of_depth
from groundup.model.sizes import flops_per_token, parameter_count
from groundup.planning.law import Law
from groundup.planning.plan import Measured, steps_within
from groundup.planning.scaling import REFERENCE_BATCH_TOKENS, learning_rate_for
from groundup.train.config import FitConfig, OptimizerName

# Where measuring begins: a machine's speed on it tells about its neighbours.
FIRST_PARAMETERS = 1_300_000
MAX_MEASURED = 7
# One block can't look at what another has found; the law, which knows parameters only, would not mind.
MIN_BLOCKS = 2
# Batches tried for a shape, in multiples of the reference's. Half of it was no better at the same rate (docs/log.md).
BATCH_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
MIN_CONTEXT = 32
# Documents are looked at in so many tokens from the front of the train split.
LOOKED_AT_TOKENS = 4_000_000
# So many of AdamW's steps are worth one of Muon's: quickstart's runs of 1,200 and 3,251 steps with AdamW ended where the law with Muon is after 680
# and 1,780 (docs/log.md: 2.123 and 1.951 bits per byte). In shorter ones Muon gains more, 2.6 times at 400 steps.
MUON_WORTH = 1.8

MeasureCandidate = Callable[["Candidate"], Measured]


@dataclass(frozen=True)
class TextStats:
    """What a plan needs to know of the text that is trained on."""

    tokens: int
    num_bytes: int
    validation_tokens: int
    typical_document_tokens: int
    """Half of all text lies in documents at most so long."""

    @property
    def bytes_per_token(self) -> float:
        return self.num_bytes / max(1, self.tokens)


@dataclass(frozen=True)
class Candidate:
    """A shape and how it would be trained; the steps are not known yet."""

    shape: ModelConfig
    fit: FitConfig

    @property
    def parameters(self) -> int:
        return parameter_count(self.shape).total

    @property
    def step_tokens(self) -> int:
        return self.fit.accumulation * self.fit.batch_size * self.shape.context_tokens

    @property
    def step_flops(self) -> float:
        return self.step_tokens * flops_per_token(self.shape, context_tokens=self.shape.context_tokens).training


@dataclass(frozen=True)
class CandidateForecast:
    """What a candidate promises: one line of a plan's reasons."""

    candidate: Candidate
    measured: Measured
    steps: int
    bits_per_byte: float


def text_stats(shards: ShardSet, document_end_id: int) -> TextStats:
    """Counts of the shards, and how long documents are."""
    ends = np.flatnonzero(np.asarray(shards.tokens("train")[:LOOKED_AT_TOKENS]) == document_end_id)
    lengths = np.sort(np.diff(ends, prepend=-1))
    half = int(np.searchsorted(np.cumsum(lengths), lengths.sum() / 2)) if len(lengths) else 0
    typical = int(lengths[half]) if len(lengths) else shards.num_tokens("train")
    return TextStats(
        max(1, shards.num_tokens("train")), shards.num_bytes("train"), shards.num_tokens("validation"), typical
    )


def fitting_context(shape: ModelConfig, text: TextStats) -> int:
    """The family's context for this width, halved while it is longer than a typical document or than the text for validation."""
    context = context_of(shape.width)
    while context > MIN_CONTEXT and (context > text.typical_document_tokens or context >= text.validation_tokens):
        context //= 2
    return context


def batch_windows(context_tokens: int, factor: float = 1.0) -> int:
    """Windows of a batch of about `factor` times the reference's tokens."""
    return max(1, round(factor * REFERENCE_BATCH_TOKENS / context_tokens))


def trained_as(shape: ModelConfig, fit: FitConfig, table: dict[str, object], factor: float = 1.0) -> Candidate:
    """A shape with the batch and learning rate of the rules, where `table` (--set fit.) does not say them."""
    batch = fit.batch_size if "batch_size" in table else batch_windows(shape.context_tokens, factor)
    fit = dataclasses.replace(fit, batch_size=batch)
    if "learning_rate" not in table:
        fit = dataclasses.replace(fit, learning_rate=learning_rate_for(shape.width, fit.optimizer))
    return Candidate(shape, fit)


def family(vocab_size: int, memory_bytes: float) -> list[ModelConfig]:
    """The shapes of all depths whose training fits into memory, the smallest first, which is there in any case."""
    found: list[ModelConfig] = []
    for depth in range(MIN_BLOCKS, MAX_DEPTH + 1):
        shape = shape_of_depth(depth, vocab_size=vocab_size)
        if found and training_memory(shape, batch_size=1, context_tokens=shape.context_tokens).total > memory_bytes:
            break
        found.append(shape)
    return found


def expected_loss(candidate: Candidate, steps: int, text: TextStats, law: Law) -> float:
    """Bits per byte of held-out text after so many steps. The law is Muon's: AdamW's steps count for less."""
    a_token = text.bytes_per_token
    worth = 1 / MUON_WORTH if candidate.fit.optimizer == "adamw" else 1.0
    return law.loss(
        candidate.parameters,
        worth * steps * candidate.step_tokens * a_token,
        unique_bytes=float(text.num_bytes),
        batch_bytes=candidate.step_tokens * a_token,
    )


def choose(
    seconds: float, candidates: Sequence[Candidate], text: TextStats, law: Law, clock: MeasureCandidate
) -> list[CandidateForecast]:
    """Those measured, the best first. `clock` measures one; it is called for as few as need be."""
    looks: dict[int, CandidateForecast] = {}
    at = min(range(len(candidates)), key=lambda i: abs(candidates[i].parameters - FIRST_PARAMETERS))
    while at not in looks and len(looks) < MAX_MEASURED:
        looks[at] = _look(candidates[at], seconds, text, law, clock(candidates[at]))
        best = min(range(len(candidates)), key=lambda i: _promise(i, candidates, looks, seconds, text, law))
        larger = min(best + 1, len(candidates) - 1)
        at = larger if best in looks else best
    return sorted(looks.values(), key=lambda look: look.bits_per_byte)


def paying_optimizer(step_s: Mapping[OptimizerName, float]) -> OptimizerName:
    """Muon, unless its step takes more times as long as AdamW's than its steps are worth.

    >>> paying_optimizer({"muon": 0.12, "adamw": 0.1}), paying_optimizer({"muon": 0.7, "adamw": 0.1})
    ('muon', 'adamw')
    """
    return "adamw" if step_s["muon"] > MUON_WORTH * step_s["adamw"] else "muon"


def optimizer_reason(step_s: Mapping[OptimizerName, float]) -> str:
    """Why that one, for the plan."""
    muon, adamw = (1000 * step_s[name] for name in ("muon", "adamw"))
    return (
        f"{paying_optimizer(step_s)}: a step takes {muon:.0f} ms with Muon and {adamw:.0f} ms with AdamW, {muon / adamw:.1f} times as long, "
        f"and teaches as much as {MUON_WORTH} of AdamW's (docs/log.md)"
    )


def _look(candidate: Candidate, seconds: float, text: TextStats, law: Law, measured: Measured) -> CandidateForecast:
    steps = steps_within(seconds, measured)
    return CandidateForecast(candidate, measured, steps, expected_loss(candidate, steps, text, law))


def _promise(
    index: int,
    candidates: Sequence[Candidate],
    looks: dict[int, CandidateForecast],
    seconds: float,
    text: TextStats,
    law: Law,
) -> float:
    """The expected loss of a candidate, measured or with the time that those measured let expect."""
    if index in looks:
        return looks[index].bits_per_byte
    candidate = candidates[index]
    near = sorted(looks.values(), key=lambda look: abs(math.log(look.candidate.step_flops / candidate.step_flops)))
    step_s = _step_s(candidate.step_flops, [(look.candidate.step_flops, look.measured.step_s) for look in near[:2]])
    a_token = (step_s / candidate.step_tokens) / (near[0].measured.step_s / near[0].candidate.step_tokens)
    guessed = Measured(step_s, near[0].measured.evaluation_s * a_token)
    return _look(candidate, seconds, text, law, guessed).bits_per_byte


def _step_s(flops: float, near: Sequence[tuple[float, float]]) -> float:
    """Seconds of a step of so much arithmetic, on the line through the two nearest measured (the nearest first).

    Never less than if a step's time were all start, never more than if it were all arithmetic; the latter where only one was measured.
    """
    (known, known_s), times = near[0], flops / near[0][0]
    if len(near) == 1 or near[1][0] == known:
        return known_s * times
    on_line = known_s + (near[1][1] - known_s) / (near[1][0] - known) * (flops - known)
    return min(max(on_line, known_s * min(1.0, times)), known_s * max(1.0, times))
