"""Choice of shape, batch, optimizer and initial tables where the options leave them open: the
lowest loss that the scaling law expects in the time, on this machine.

    candidates (a family of shapes, or batches of one) -> the most promising is measured -> ...
        until the best and the next larger one are

A candidate that was not measured is expected to take the time that its nearest measured neighbours
suggest. So a few measurements are enough, and only of models of about the right size: a step of a
model far too large for the machine is never measured.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groundup.data.batches.shards import ShardSet
from groundup.device import free_memory_bytes
from groundup.model.config import ModelConfig
from groundup.model.footprint import training_memory
from groundup.model.presets import MAX_DEPTH, context_of, shape_of_depth
from groundup.planning.measure import (
    Benchmark,
    Candidate,
    Measured,
    run_seconds,
    steps_within,
)
from groundup.planning.pretrain_options import PretrainOptions
from groundup.planning.scaling_law import (
    BIGRAMS_WORTH_BYTES,
    FEW_STEPS,
    MOST_PARAMETERS_PER_TOKEN,
    MUON_WORTH,
    REFERENCE_BATCH_TOKENS,
    Law,
    LossPoint,
    epochs_of_lowest_loss,
    learning_rate_for,
)
from groundup.train.steps.config import FitConfig, optimizer_fields

# Size of the first model measured.
FIRST_PARAMETERS = 1_300_000
MAX_MEASURED = 7
# One block can't attend to what another has found; the law, which knows parameters only, would not
# see the difference.
MIN_BLOCKS = 2
# Batch sizes tried for a shape, in multiples of the reference's. Half of it was no better at the
# same rate (docs/log.md).
BATCH_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
MIN_CONTEXT = 32
# Tables by bigrams are the default of runs of so many steps, on text that they do not read twice,
# of models of at most so many parameters: what was measured (docs/log.md). In longer ones the gain
# shrinks, in shorter ones their fit takes too much of the time.
BIGRAMS_STEPS, BIGRAMS_MAX_PARAMETERS = range(100, 500), 3_000_000
# Document lengths are taken from this many tokens at the start of the train split.
SAMPLED_TOKENS = 4_000_000


@dataclass(frozen=True)
class TextStats:
    tokens: int
    num_bytes: int
    validation_tokens: int
    typical_document_tokens: int
    """Half of all text lies in documents of at most this length."""

    @property
    def bytes_per_token(self) -> float:
        return self.num_bytes / max(1, self.tokens)


@dataclass(frozen=True)
class CandidateForecast:
    """A measured candidate with the steps that the time has room for and the loss expected after
    them.
    """

    candidate: Candidate
    measured: Measured
    steps: int
    bits_per_byte: float


def text_stats(shards: ShardSet, document_end_id: int) -> TextStats:
    """Token counts of the shards, and how long documents are."""
    ends = np.flatnonzero(np.asarray(shards.tokens("train")[:SAMPLED_TOKENS]) == document_end_id)
    lengths = np.sort(np.diff(ends, prepend=-1))
    typical = shards.num_tokens("train")
    if len(lengths):
        typical = int(lengths[np.searchsorted(np.cumsum(lengths), lengths.sum() / 2)])
    tokens, num_bytes = max(1, shards.num_tokens("train")), shards.num_bytes("train")
    return TextStats(tokens, num_bytes, shards.num_tokens("validation"), typical)


def fitting_context(shape: ModelConfig, text: TextStats) -> int:
    """The family's context for this width, halved while it is longer than a typical document or
    than the validation text.
    """
    context = context_of(shape.width)
    while context > MIN_CONTEXT and (
        context > text.typical_document_tokens or context >= text.validation_tokens
    ):
        context //= 2
    return context


def batch_windows(context_tokens: int, factor: float = 1.0) -> int:
    """Windows of a batch of about `factor` times the reference's tokens."""
    return max(1, round(factor * REFERENCE_BATCH_TOKENS / context_tokens))


def family_candidate(
    shape: ModelConfig, fit: FitConfig, fields: Mapping[str, Any], factor: float = 1.0
) -> Candidate:
    """A shape with the batch size and learning rate that follow from it, unless `fields` (--set
    fit.) has them.
    """
    if "batch_size" not in fields:
        fit = replace(fit, batch_size=batch_windows(shape.context_tokens, factor))
    if "learning_rate" not in optimizer_fields(fields):
        rate = learning_rate_for(shape.width, fit.optimizer.name, fit.initial_tables)
        fit = fit.with_fields({"optimizer.learning_rate": rate})
    return Candidate(shape, fit)


def family(vocab_size: int, memory_bytes: float) -> list[ModelConfig]:
    """The shapes of all depths whose training fits into memory, the smallest first, which is always
    included.
    """
    found: list[ModelConfig] = []
    for depth in range(MIN_BLOCKS, MAX_DEPTH + 1):
        shape = shape_of_depth(depth, vocab_size=vocab_size)
        if (
            found
            and training_memory(shape, batch_size=1, context_tokens=shape.context_tokens).total
            > memory_bytes
        ):
            break
        found.append(shape)
    return found


def expected_loss(candidate: Candidate, steps: int, text: TextStats, law: Law) -> float:
    """Bits per byte of held-out text after `steps` steps.

    What is read more often than `epochs_of_lowest_loss` counts for nothing.
    The law was fitted with Muon and random tables: steps of AdamW count for less, tables by bigrams
    as if some text had been read.
    """
    step_bytes = candidate.step_tokens * text.bytes_per_token
    lowest = epochs_of_lowest_loss(candidate.parameters, text.tokens)
    read_bytes = min(steps * step_bytes, lowest * text.num_bytes)
    if candidate.fit.optimizer.name == "adamw":
        read_bytes /= MUON_WORTH
    if candidate.fit.initial_tables == "bigrams":
        read_bytes += BIGRAMS_WORTH_BYTES
    num_bytes = float(text.num_bytes)
    return law.expected(LossPoint(candidate.parameters, read_bytes, num_bytes, step_bytes))


def useful_steps(candidate: Candidate, text_tokens: int) -> int:
    """Steps with random weights until the loss on other text rises: a run planned for more ends no
    better (docs/log.md).
    """
    epochs = epochs_of_lowest_loss(candidate.parameters, text_tokens)
    return max(FEW_STEPS, int(epochs * text_tokens / candidate.step_tokens))


def used_up(
    candidate: Candidate, steps: int, seconds: float, measured: Measured, text_tokens: int
) -> str:
    """Says that `steps` are all that the text is good for, and that the time has room for more; ""
    where it has not, or something else keeps them few.
    """
    if steps < useful_steps(candidate, text_tokens) or steps >= steps_within(seconds, measured):
        return ""
    needed_s = run_seconds(steps, seconds, measured)
    epochs = steps * candidate.step_tokens / text_tokens
    return (
        f"The text is used up after {needed_s / 60:.1f} of {seconds / 60:.1f} minutes, read "
        f"{epochs:.1f} times: read more often, it would be learned by heart. More text would make "
        "a better model, more time would not."
    )


def choose_model(
    options: PretrainOptions, text: TextStats, law: Law, benchmark: Benchmark
) -> tuple[Candidate, tuple[str, ...]]:
    """The shape and batch given, or the ones of the lowest expected loss in the time; with the
    reasons.
    """
    vocab_size, processes = benchmark.tokenizer.vocab_size, benchmark.processes
    seconds = options.length.seconds
    by_shape: list[CandidateForecast] = []
    by_batch: list[CandidateForecast] = []
    if options.open_shape:
        assert seconds is not None
        bases = family(vocab_size, free_memory_bytes(benchmark.compute))
        shapes = [
            _in_context(options, options.with_fields(base, vocab_size), text) for base in bases
        ]
        candidates = [candidate_of(options, shape, processes) for shape in shapes]
        most = max(MOST_PARAMETERS_PER_TOKEN * text.tokens, candidates[0].parameters)
        candidates = [each for each in candidates if each.parameters <= most]
        by_shape = choose(seconds, candidates, text, law, benchmark.trial)
        shape = by_shape[0].candidate.shape
    else:
        shape = options.shape(vocab_size)
        if options.in_family:
            shape = _in_context(options, shape, text)
    candidate = candidate_of(options, shape, processes)
    random = options.start is None and options.source is None
    if seconds is not None and options.open_batch and random:  # the law is of random weights
        batches = [candidate_of(options, shape, processes, factor) for factor in BATCH_FACTORS]
        different = {each.fit.batch_size: each for each in batches}
        by_batch = choose(seconds, list(different.values()), text, law, benchmark.trial)
        candidate = by_batch[0].candidate
    return candidate, choice_reasons(candidate, by_shape, by_batch)


def candidate_of(
    options: PretrainOptions,
    shape: ModelConfig,
    processes: int = 1,
    factor: float = 1.0,
    optimizer: str | None = None,
) -> Candidate:
    """A shape with its training config; the batch of a family's shape is rounded up to equal shares
    for all processes.
    """
    fit = options.fit(optimizer)
    if not options.in_family:
        return Candidate(shape, fit)
    found = family_candidate(shape, fit, options.tables["fit"], factor)
    batch_size = -(-found.fit.batch_size // processes) * processes
    return replace(found, fit=replace(found.fit, batch_size=batch_size))


def _in_context(options: PretrainOptions, shape: ModelConfig, text: TextStats) -> ModelConfig:
    if "context_tokens" in options.tables["model"]:
        return shape
    if options.fit().rows.packing:  # the more documents a row holds, the less padding
        text = replace(text, typical_document_tokens=sys.maxsize)
    context = fitting_context(shape, text)
    if options.start is not None:
        context = min(context, shape.context_tokens)
    return replace(shape, context_tokens=context)


def choose(
    seconds: float,
    candidates: Sequence[Candidate],
    text: TextStats,
    law: Law,
    measure: Callable[[Candidate], Measured],
) -> list[CandidateForecast]:
    """The candidates that were measured, the best first; `measure` is called for as few as
    possible.
    """

    def forecast(candidate: Candidate, measured: Measured) -> CandidateForecast:
        steps = min(steps_within(seconds, measured), useful_steps(candidate, text.tokens))
        return CandidateForecast(
            candidate, measured, steps, expected_loss(candidate, steps, text, law)
        )

    def bits_per_byte(index: int) -> float:
        """Of a candidate measured or not."""
        known = found.get(index) or forecast(
            candidates[index], _estimate(candidates[index], list(found.values()))
        )
        return known.bits_per_byte

    found: dict[int, CandidateForecast] = {}
    at = min(range(len(candidates)), key=lambda i: abs(candidates[i].parameters - FIRST_PARAMETERS))
    while at not in found and len(found) < MAX_MEASURED:
        found[at] = forecast(candidates[at], measure(candidates[at]))
        best = min(range(len(candidates)), key=bits_per_byte)
        at = best
        if best in found:
            at = min(best + 1, len(candidates) - 1)
    return sorted(found.values(), key=lambda each: each.bits_per_byte)


def _estimate(candidate: Candidate, known: list[CandidateForecast]) -> Measured:
    """The times of a candidate that was not measured, from its nearest neighbours among those that
    were.
    """
    near = sorted(
        known, key=lambda each: abs(math.log(each.candidate.step_flops / candidate.step_flops))
    )
    step_s = _step_s(
        candidate.step_flops,
        [(each.candidate.step_flops, each.measured.step_s) for each in near[:2]],
    )
    nearest = near[0].measured
    token_ratio = (step_s / candidate.step_tokens) / (
        nearest.step_s / near[0].candidate.step_tokens
    )
    return Measured(step_s, nearest.evaluation_s * token_ratio, nearest.start_s)


def _step_s(flops: float, near: Sequence[tuple[float, float]]) -> float:
    """Seconds of a step of `flops` operations, on the line through the two nearest measured (the
    nearest first).

    At least as long as if a step's time did not depend on its operations, at most as if it were
    proportional to them; the latter where only one was measured.
    """
    (known, known_s), ratio = near[0], flops / near[0][0]
    if len(near) == 1 or near[1][0] == known:
        return known_s * ratio
    on_line = known_s + (near[1][1] - known_s) / (near[1][0] - known) * (flops - known)
    return min(max(on_line, known_s * min(1.0, ratio)), known_s * max(1.0, ratio))


def choice_reasons(
    chosen: Candidate, by_shape: Sequence[CandidateForecast], by_batch: Sequence[CandidateForecast]
) -> tuple[str, ...]:
    """The candidates measured for the shape and for the batch, by size, with their loss above the
    chosen one's; nothing where none was open.
    """
    reasons = []
    for title, found, name in (
        ("blocks x width", by_shape, lambda each: f"{each.shape.num_layers} x {each.shape.width}"),
        ("tokens per step", by_batch, lambda each: f"{each.step_tokens:,}"),
    ):
        by_size = sorted(
            found, key=lambda each: (each.candidate.parameters, each.candidate.step_tokens)
        )
        losses = {name(each.candidate): each.bits_per_byte for each in by_size}
        if not found:
            continue
        own = losses[name(chosen)]
        above = {each: f"{loss - own:+.3f}" for each, loss in losses.items()}
        above[name(chosen)] = "(chosen)"
        words = ", ".join(f"{each} {difference}" for each, difference in above.items())
        unit = " bits per byte" if len(found) > 1 else ""
        reasons.append(f"{title}, expected loss in this time: {words}{unit}")
    return tuple(reasons)


def choose_optimizer(
    options: PretrainOptions, candidate: Candidate, benchmark: Benchmark
) -> tuple[Candidate, tuple[str, ...]]:
    """The candidate with AdamW where Muon's steps take more time than they are worth, and the
    reason; only for a time, unless --set names one.
    """
    given = set(optimizer_fields(options.tables["fit"]))
    if options.length.seconds is None or given - {"learning_rate", "weight_decay"}:
        return candidate, ()
    other = candidate_of(options, candidate.shape, optimizer="adamw")
    other = replace(other, fit=replace(other.fit, batch_size=candidate.fit.batch_size))
    step_s = benchmark.optimizer_step_s(
        {each.fit.optimizer.name: each for each in (candidate, other)}
    )
    reasons = (optimizer_reason(step_s),)
    if best_optimizer(step_s) == "adamw":
        return other, reasons
    return candidate, reasons


def choose_tables(
    options: PretrainOptions, candidate: Candidate, steps: int, text: TextStats
) -> tuple[Candidate, tuple[str, ...]]:
    """The candidate with tables by bigrams in a run short enough, and the reason; where the options
    leave them open. `steps`: that the time has room for with random ones.
    """
    few = steps in BIGRAMS_STEPS and steps * candidate.step_tokens <= text.tokens
    if not options.open_tables or not few or candidate.parameters > BIGRAMS_MAX_PARAMETERS:
        return candidate, ()
    optimizer = candidate.fit.optimizer
    fields: dict[str, object] = {"initial_tables": "bigrams"}
    if "learning_rate" not in optimizer_fields(options.tables["fit"]):
        rate = learning_rate_for(candidate.shape.width, optimizer.name, "bigrams")
        fields |= {"optimizer.learning_rate": rate}
    shape = replace(candidate.shape, tied_head=False)
    reason = (
        f"tables by bigrams: embedding and head begin with what follows each token in the text, "
        f"since the time has room for {steps} steps, fewer than {BIGRAMS_STEPS.stop} (docs/log.md)"
    )
    return Candidate(shape, candidate.fit.with_fields(fields)), (reason,)


def best_optimizer(step_s: Mapping[str, float]) -> str:
    """Muon, unless its step takes longer, compared with AdamW's, than it is worth.

    >>> best_optimizer({"muon": 0.12, "adamw": 0.1}), best_optimizer({"muon": 0.7, "adamw": 0.1})
    ('muon', 'adamw')
    """
    return "adamw" if step_s["muon"] > MUON_WORTH * step_s["adamw"] else "muon"


def optimizer_reason(step_s: Mapping[str, float]) -> str:
    """The reason for the optimizer, as a line of the plan."""
    muon, adamw = (1000 * step_s[name] for name in ("muon", "adamw"))
    return (
        f"{best_optimizer(step_s)}: a step takes {muon:.0f} ms with Muon and {adamw:.0f} ms with "
        f"AdamW, {muon / adamw:.1f} times as long, and is worth {MUON_WORTH} steps of AdamW "
        "(docs/log.md)"
    )
