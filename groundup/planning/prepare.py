"""A wish becomes a run that can begin: texts as shards, a shape, a config with its steps, and the plan that says why.

What was measured and chosen is written to RUN/plan.json once, so that the same command, resuming, trains the same model for as many steps.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.loader import require_tokens
from groundup.data.pipeline import DataConfig
from groundup.data.shards import ShardSet, open_shards
from groundup.data.split import TRAIN
from groundup.device import Compute, free_memory_bytes, memory_bytes, peak_memory_bytes
from groundup.errors import ConfigError, FormatError
from groundup.model.config import ModelConfig
from groundup.model.footprint import training_memory
from groundup.planning.corpus import corpus
from groundup.planning.forecast import forecast, probe, probe_steps
from groundup.planning.law import Law
from groundup.planning.plan import (
    Measured,
    Plan,
    evaluated,
    evaluations_within,
    make_plan,
    measure,
    optimizer_step_s,
    steps_within,
)
from groundup.planning.planner import (
    BATCH_FACTORS,
    Candidate,
    CandidateForecast,
    TextStats,
    choose,
    family,
    fitting_context,
    optimizer_reason,
    paying_optimizer,
    text_stats,
    trained_as,
)
from groundup.planning.pretrain_options import PretrainOptions
from groundup.planning.scaling import LAW
from groundup.planning.sweep import read_law
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import table_from_json
from groundup.train.checkpoint.identity import FREE_FIELDS
from groundup.train.config import FitConfig, OptimizerName
from groundup.train.defaults import pretraining_config
from groundup.train.parallel.process_group import ProcessGroup, require_shares
from groundup.train.time_budget import TimeBudget

# Seconds of real steps, in each precision that is open, for a candidate; the one that is taken is measured again, longer.
LOOK_S = 0.4
# Stands for steps that are not counted yet, so that a warm-up said in steps is no contradiction.
OPEN_STEPS = 10**9


@dataclass(frozen=True)
class Prepared:
    """All that a run is made of."""

    shards: ShardSet
    tokenizer: Tokenizer
    shape: ModelConfig
    fit: FitConfig
    plan: Plan | None
    """None: it was made by an earlier call."""
    planned: dict[str, Any]
    """Its figures, to be held against the run's."""
    aim: TimeBudget | None
    """The time that the run is to keep; None: its length is said otherwise."""


def shared_by_all(
    wish: PretrainOptions, run: RunFolder, compute: Compute, progress: Progress, group: ProcessGroup
) -> Prepared:
    """What `prepared` gives; rank 0 alone calls it, and the others open the shards it made, which they must see under the same path."""
    own = group.made_first(lambda: prepared(wish, run, compute, progress, processes=group.world))
    told = group.first(lambda: _told(own))
    if own is not None:
        return own
    shards, table = open_shards(Path(told["shards"])), table_from_json(told["table"], "rank 0")
    shape, fit = build_config(ModelConfig, told["model"]), build_config(FitConfig, told["fit"])
    return Prepared(
        shards, Tokenizer(table, told["tokenizer"]), shape, fit, plan=None, planned={}, aim=time_budget_of(wish)
    )


def _told(made: Prepared | None) -> dict[str, Any]:
    """What rank 0 has made, as plain values."""
    assert made is not None
    shards, tokenizer = made.shards, made.tokenizer
    parts = {
        "shards": str(shards.folder.resolve()),
        "table": tokenizer.table.to_json(),
        "tokenizer": tokenizer.config(),
    }
    return {**parts, "model": to_plain(made.shape), "fit": to_plain(made.fit)}


def prepared(
    wish: PretrainOptions,
    run: RunFolder,
    compute: Compute,
    progress: Progress,
    *,
    measured: bool = False,
    processes: int = 1,
) -> Prepared:
    """Read the texts and plan, or take up the plan that the folder holds. `measured`: take the time of a step even where steps are given.

    Of several `processes` this one's share of a step is measured. Raises ConfigError, DataError and what reading texts raises.
    """
    data_config = build_config(DataConfig, wish.tables["data"], where="data.")
    asked = pretraining_config(OPEN_STEPS, wish.tables["fit"])  # told before texts are read
    if not wish.ruled or "batch_size" in wish.tables["fit"]:
        require_shares(asked.batch_size, processes)
    wish.shape(wish.vocab_size)
    if wish.law is not None:
        read_law(wish.law)
    shards, tokenizer = corpus(
        wish.data, run, data_config, tokenizer=wish.tokenizer, vocab_size=wish.vocab_size, progress=progress
    )
    kept = _kept(run, wish, asked)
    if kept is not None:
        return Prepared(shards, tokenizer, *kept[:2], plan=None, planned=kept[2], aim=time_budget_of(wish))
    planning = _Planning(wish, shards, tokenizer, compute, progress, processes)
    candidate, plan = planning.plan(measured=measured)
    if not run.run_file.exists():  # else it holds another run, and `fit` will say how they differ
        run.write_plan(wish.key(), model=to_plain(candidate.shape), fit=to_plain(candidate.fit), planned=plan.figures())
    return Prepared(shards, tokenizer, candidate.shape, candidate.fit, plan, plan.figures(), time_budget_of(wish))


def time_budget_of(wish: PretrainOptions) -> TimeBudget | None:
    """The time asked for; none where steps are set beside it."""
    seconds = wish.length.seconds
    return None if seconds is None or "steps" in wish.tables["fit"] else TimeBudget(seconds)


def _kept(
    run: RunFolder, wish: PretrainOptions, asked: FitConfig
) -> tuple[ModelConfig, FitConfig, dict[str, Any]] | None:
    """What an earlier call of the same command chose, with what may be another each time as it is asked. Raises FormatError (damaged)."""
    record = run.read_plan()
    if record is None or record["asked"] != wish.key():
        return None
    try:
        shape = build_config(ModelConfig, record["model"], where="model.")
        fit = {**record["fit"], **{name: getattr(asked, name) for name in FREE_FIELDS}}
        return shape, build_config(FitConfig, fit, where="fit."), record["planned"]
    except ConfigError as error:
        raise FormatError(run.plan_file, "model, fit", error.message, fix="Begin anew with --fresh.") from error


@dataclass(frozen=True)
class _Planning:
    """A plan on its way."""

    wish: PretrainOptions
    shards: ShardSet
    tokenizer: Tokenizer
    compute: Compute
    progress: Progress
    processes: int

    def plan(self, *, measured: bool) -> tuple[Candidate, Plan]:
        """Choose what is open, count the steps, say what to expect."""
        text = text_stats(self.shards, self.tokenizer.special.document_end_id)
        law = read_law(self.wish.law) if self.wish.law else LAW
        program_bytes = (
            memory_bytes() or peak_memory_bytes()
        )  # before models are looked at: what they leave is used again
        candidate, by_shape, by_batch = self._chosen(text, law)
        self._share(candidate)
        candidate, optimizer_reasons = self._with_paying_optimizer(candidate)
        times = None
        if measured or self.wish.length.seconds is not None:
            times = dataclasses.replace(self._measured(candidate), program_bytes=program_bytes)
        steps = self._steps(candidate, text, times)
        candidate = dataclasses.replace(candidate, fit=self._with_steps(candidate.fit, steps, times))
        probed = self._probe(candidate, times, text, law)
        plan = make_plan(
            self.shards,
            candidate.shape,
            candidate.fit,
            times,
            device=self.compute.device.type,
            typical_document_tokens=text.typical_document_tokens,
            expected=forecast(candidate, steps, text, law, probed=probed, own_text=self.wish.law is not None),
            reasons=_reasons(candidate, by_shape, by_batch) + optimizer_reasons,
        )
        return candidate, plan

    def _chosen(self, text: TextStats, law: Law) -> tuple[Candidate, list[CandidateForecast], list[CandidateForecast]]:
        """The candidate that is trained, and those that were measured for its shape and for its batch."""
        shape, by_shape = self._shape(text, law)
        seconds, table = self.wish.length.seconds, self.wish.tables["fit"]
        if seconds is None or not self.wish.ruled or "batch_size" in table:
            return self._trained(shape), by_shape, []
        batches = {(c := self._trained(shape, factor)).fit.batch_size: c for factor in BATCH_FACTORS}
        by_batch = choose(seconds, list(batches.values()), text, law, self._look)
        return by_batch[0].candidate, by_shape, by_batch

    def _shape(self, text: TextStats, law: Law) -> tuple[ModelConfig, list[CandidateForecast]]:
        """The shape said, or the most promising of the family."""
        if not self.wish.open_shape:
            shape = self.wish.shape(self.tokenizer.vocab_size)
            return self._in_context(shape, text) if self.wish.by_dial else shape, []
        assert self.wish.length.seconds is not None
        shapes = [self._in_context(shape, text) for shape in self._family()]
        looks = choose(self.wish.length.seconds, [self._trained(shape) for shape in shapes], text, law, self._look)
        return looks[0].candidate.shape, looks

    def _family(self) -> list[ModelConfig]:
        """The shapes of the dial that fit into this machine, with what --set says."""
        vocabulary = self.tokenizer.vocab_size
        shapes = family(vocabulary, free_memory_bytes(self.compute))
        return [self.wish.changed(shape, vocabulary) for shape in shapes]

    def _in_context(self, shape: ModelConfig, text: TextStats) -> ModelConfig:
        if "context_tokens" in self.wish.tables["model"]:
            return shape
        return dataclasses.replace(shape, context_tokens=fitting_context(shape, text))

    def _trained(self, shape: ModelConfig, factor: float = 1.0, *, optimizer: OptimizerName | None = None) -> Candidate:
        """With how it is trained."""
        table = {**self.wish.tables["fit"], **({"optimizer": optimizer} if optimizer else {})}
        fit = pretraining_config(OPEN_STEPS, {"seed": self.wish.seed, **table})
        if not self.wish.ruled:
            return Candidate(shape, fit)
        found = trained_as(shape, fit, table, factor)
        shares = -(-found.fit.batch_size // self.processes)  # rounded up
        return Candidate(shape, dataclasses.replace(found.fit, batch_size=shares * self.processes))

    def _with_paying_optimizer(self, candidate: Candidate) -> tuple[Candidate, tuple[str, ...]]:
        """With AdamW where Muon's time costs more than its steps gain, and why; asked only where a time is to be kept and --set names neither."""
        named = any(name == "optimizer" or name.startswith("muon_") for name in self.wish.tables["fit"])
        if self.wish.length.seconds is None or named:
            return candidate, ()
        other = self._trained(candidate.shape, optimizer="adamw")
        other = dataclasses.replace(other, fit=dataclasses.replace(other.fit, batch_size=candidate.fit.batch_size))
        fits = {each.fit.optimizer: self._share(each) for each in (candidate, other)}
        step_s = optimizer_step_s(
            self.shards, candidate.shape, fits, compute=self.compute, seconds=LOOK_S, progress=self.progress
        )
        taken = other if paying_optimizer(step_s) == "adamw" else candidate
        return taken, (optimizer_reason(step_s),)

    def _look(self, candidate: Candidate) -> Measured:
        return self._measured(candidate, LOOK_S)

    def _measured(self, candidate: Candidate, seconds: float | None = None) -> Measured:
        return measure(
            self.shards, self.tokenizer, candidate.shape, self._share(candidate),
            compute=self.compute, seconds=seconds, looks=self.wish.looks, run_s=self.wish.length.seconds or math.inf, progress=self.progress,
        )  # fmt: skip

    def _share(self, candidate: Candidate) -> FitConfig:
        """With the rows of one process, for which there is text and memory. Raises DataError, ConfigError."""
        require_tokens(self.shards.num_tokens(TRAIN), candidate.shape.context_tokens, TRAIN)
        share = dataclasses.replace(candidate.fit, batch_size=candidate.fit.batch_size // self.processes)
        require_memory(candidate.shape, share, self.compute)
        return share

    def _steps(self, candidate: Candidate, text: TextStats, times: Measured | None) -> int:
        if "steps" in self.wish.tables["fit"]:
            return candidate.fit.steps
        steps = self.wish.length.steps_of(candidate.step_tokens, text.tokens)
        if steps is not None:
            return steps
        assert times is not None and self.wish.length.seconds is not None
        steps = steps_within(self.wish.length.seconds, times)
        self.progress.say(
            f"A step takes {1000 * times.step_s:.0f} ms here: {steps:,} steps in {self.wish.length.seconds:.0f} s."
        )
        if times.busy:
            self.progress.say(
                "note: other programs are at work on this machine: alone it would be faster than was measured."
            )
        return steps

    def _with_steps(self, fit: FitConfig, steps: int, times: Measured | None) -> FitConfig:
        """With these steps, and in a time asked for with as many evaluations as it has room for."""
        fit = build_config(FitConfig, {**to_plain(fit), "steps": steps}, where="fit.")
        seconds = self.wish.length.seconds
        return fit if seconds is None or times is None else evaluated(fit, evaluations_within(seconds, times))

    def _probe(
        self, candidate: Candidate, times: Measured | None, text: TextStats, law: Law
    ) -> tuple[int, float] | None:
        steps = probe_steps(candidate, candidate.fit.steps, times, text, law) if times else 0
        if not steps:
            return None
        return steps, probe(self.shards, self.tokenizer, candidate, steps, compute=self.compute, progress=self.progress)


def require_memory(shape: ModelConfig, fit: FitConfig, compute: Compute) -> None:
    """Refuse, before a batch is made, a training that this machine has no memory for. Raises ConfigError."""
    batch, context = fit.batch_size, shape.context_tokens
    needed = training_memory(
        shape, batch_size=batch, context_tokens=context, optimizer=fit.optimizer, recompute=fit.recompute
    ).total
    free = free_memory_bytes(compute)
    if needed > free:
        raise ConfigError(
            f"{shape.num_layers} blocks of width {shape.width} with {batch:,} rows of {context:,} tokens need some {needed / 1e9:,.1f} GB, "
            f"and {free / 1e9:,.1f} GB are free.",
            fix="Set a smaller fit.batch_size (and fit.accumulation for the same effect), fit.recompute=true, or a smaller model.",
        )


def _reasons(
    chosen: Candidate, by_shape: list[CandidateForecast], by_batch: list[CandidateForecast]
) -> tuple[str, ...]:
    """What was measured beside it and how much more loss each promised, in the order of size; nothing where nothing was open."""
    shapes = [
        (look.candidate.parameters, f"{look.candidate.shape.num_layers} x {look.candidate.shape.width}", look.bits_per_byte,
         look.candidate.shape == chosen.shape)
        for look in by_shape
    ]  # fmt: skip
    batches = [
        (
            look.candidate.step_tokens,
            f"{look.candidate.step_tokens:,}",
            look.bits_per_byte,
            look.candidate.fit.batch_size == chosen.fit.batch_size,
        )
        for look in by_batch
    ]
    named = (("blocks x width", shapes), ("tokens a step", batches))
    return tuple(f"of {name}, in this time: {_promises(looks)}" for name, looks in named if looks)


def _promises(looks: list[tuple[int, str, float, bool]]) -> str:
    best = min((bits for *_, bits, taken in looks if taken), default=min(bits for *_, bits, _ in looks))
    ordered = (f"{words} {'(taken)' if taken else f'{bits - best:+.3f}'}" for _, words, bits, taken in sorted(looks))
    return ", ".join(ordered) + (" bits per byte" if len(looks) > 1 else "")
