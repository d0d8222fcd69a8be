"""From the options of a command to a run that can begin.

    PretrainOptions -> corpus: shards and tokenizer -> choose_model: shape, batch -> choose_optimizer -> with_steps: FitConfig -> make_plan: Plan

What was measured and chosen is written to RUN/plan.json once, so that the same command, resuming, trains the same model for as many steps.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.pipeline import DataConfig
from groundup.data.shards import ShardSet, open_shards
from groundup.device import Compute, free_memory_bytes, memory_bytes, peak_memory_bytes
from groundup.errors import ConfigError, FormatError
from groundup.model.config import ModelConfig
from groundup.planning.corpus import corpus
from groundup.planning.forecast import forecast, probe, probe_steps
from groundup.planning.law import Law
from groundup.planning.measure import (
    Benchmark,
    Candidate,
    Measured,
    describe_measured,
    evaluations_within,
    steps_within,
    with_evaluations,
)
from groundup.planning.plan import Plan, make_plan
from groundup.planning.planner import (
    BATCH_FACTORS,
    CandidateForecast,
    TextStats,
    best_optimizer,
    choice_reasons,
    choose,
    family,
    family_candidate,
    fitting_context,
    optimizer_reason,
    text_stats,
)
from groundup.planning.pretrain_options import PretrainOptions
from groundup.planning.scaling import LAW
from groundup.planning.sweep import read_law
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import table_from_json
from groundup.train.checkpoint.identity import FREE_FIELDS
from groundup.train.config import EVALUATIONS, FitConfig, OptimizerName
from groundup.train.parallel.process_group import ProcessGroup, require_shares


@dataclass(frozen=True)
class PreparedRun:
    """Everything that a run is trained from."""

    shards: ShardSet
    tokenizer: Tokenizer
    shape: ModelConfig
    fit: FitConfig
    planned: dict[str, Any]
    """The plan's figures, to be compared with the run's own."""
    plan: Plan | None = None
    """None: an earlier call made it."""


def prepare_on_all_ranks(
    options: PretrainOptions, run: RunFolder, compute: Compute, progress: Progress, group: ProcessGroup
) -> PreparedRun:
    """Call `prepare_run` on rank 0; the other ranks open the shards it made, which they must see under the same path."""
    own = group.made_first(lambda: prepare_run(options, run, compute, progress, processes=group.world))
    sent = group.first(lambda: _to_plain(own))
    if own is not None:
        return own
    shards, table = open_shards(Path(sent["shards"])), table_from_json(sent["table"], "rank 0")
    shape, fit = build_config(ModelConfig, sent["model"]), build_config(FitConfig, sent["fit"])
    return PreparedRun(shards, Tokenizer(table, sent["tokenizer"]), shape, fit, planned={})


def _to_plain(prepared: PreparedRun | None) -> dict[str, Any]:
    """What rank 0 sends to the others."""
    assert prepared is not None
    return {
        "shards": str(prepared.shards.folder.resolve()),
        "table": prepared.tokenizer.table.to_json(),
        "tokenizer": prepared.tokenizer.config(),
        "model": to_plain(prepared.shape),
        "fit": to_plain(prepared.fit),
    }


def prepare_run(
    options: PretrainOptions,
    run: RunFolder,
    compute: Compute,
    progress: Progress,
    *,
    measured: bool = False,
    processes: int = 1,
) -> PreparedRun:
    """Make shards of the texts, and a plan unless the run folder has one. `measured`: measure a step even where the steps are given.

    With several `processes`, this one's share of a step is measured. Raises ConfigError, DataError and what reading texts raises.
    """
    data_config = build_config(DataConfig, options.tables["data"], where="data.")
    _check(options, processes)
    shards, tokenizer = corpus(
        options.data, run, data_config, tokenizer=options.tokenizer, vocab_size=options.vocab_size, progress=progress
    )
    kept = _kept_plan(run, options)
    if kept is not None:
        return PreparedRun(shards, tokenizer, *kept)
    run_s = options.length.seconds or float("inf")
    benchmark = Benchmark(shards, tokenizer, compute, progress, options.monitor, run_s, processes)
    candidate, plan = plan_run(options, benchmark, measured=measured)
    shape, fit, figures = candidate.shape, candidate.fit, plan.figures()
    if not run.run_file.exists():  # otherwise it holds another run, and `fit` says how they differ
        run.write_plan(options.key(), model=to_plain(shape), fit=to_plain(fit), planned=figures)
    return PreparedRun(shards, tokenizer, shape, fit, figures, plan)


def _check(options: PretrainOptions, processes: int) -> None:
    """Refuse options that can't be fulfilled before texts are read. Raises ConfigError, FormatError."""
    batch_size = options.fit().batch_size
    if not options.open_batch:
        require_shares(batch_size, processes)
    options.shape(options.vocab_size)
    if options.law is not None:
        read_law(options.law)


def _kept_plan(run: RunFolder, options: PretrainOptions) -> tuple[ModelConfig, FitConfig, dict[str, Any]] | None:
    """What an earlier call of the same command chose, with the fields that may differ each time as they are now. Raises FormatError (damaged)."""
    record = run.read_plan()
    if record is None or record["asked"] != options.key():
        return None
    now = options.fit()
    try:
        shape = build_config(ModelConfig, record["model"], where="model.")
        fit = {**record["fit"], **{name: getattr(now, name) for name in FREE_FIELDS}}
        return shape, build_config(FitConfig, fit, where="fit."), record["planned"]
    except ConfigError as error:
        raise FormatError(run.plan_file, "model, fit", error.message, fix="Start again with --fresh.") from error


def plan_run(options: PretrainOptions, benchmark: Benchmark, *, measured: bool) -> tuple[Candidate, Plan]:
    """Choose what the options leave open, count the steps, and state cost and expected loss."""
    text = text_stats(benchmark.shards, benchmark.tokenizer.special.document_end_id)
    law = read_law(options.law) if options.law else LAW
    program_bytes = (
        memory_bytes() or peak_memory_bytes()
    )  # before candidates are measured: what they free is used again
    candidate, reasons = choose_model(options, text, law, benchmark)
    benchmark.process_share(candidate)  # refuse too little text or memory even where nothing is measured
    candidate, more = choose_optimizer(options, candidate, benchmark)
    times = None
    if measured or options.length.seconds is not None:
        times = replace(benchmark.measure(candidate), program_bytes=program_bytes)
    candidate = with_steps(options, candidate, times, text.tokens, benchmark.progress)
    steps = candidate.fit.steps
    probed_for = probe_steps(candidate, steps, times, text, law) if times else 0
    probed = (probed_for, probe(benchmark, candidate, probed_for)) if probed_for else None
    return candidate, replace(
        make_plan(benchmark.shards, candidate, times, device=benchmark.compute.device.type),
        typical_document_tokens=text.typical_document_tokens,
        expected=forecast(candidate, steps, text, law, probed=probed, own_text=options.law is not None),
        reasons=reasons + more,
    )


def choose_model(
    options: PretrainOptions, text: TextStats, law: Law, benchmark: Benchmark
) -> tuple[Candidate, tuple[str, ...]]:
    """The shape and batch given, or the ones of the lowest expected loss in the time; with the reasons."""
    vocab_size, seconds, processes = benchmark.tokenizer.vocab_size, options.length.seconds, benchmark.processes
    by_shape: list[CandidateForecast] = []
    by_batch: list[CandidateForecast] = []
    if options.open_shape:
        assert seconds is not None
        bases = family(vocab_size, free_memory_bytes(benchmark.compute))
        shapes = [_in_context(options, options.with_fields(base, vocab_size), text) for base in bases]
        candidates = [candidate_of(options, shape, processes) for shape in shapes]
        by_shape = choose(seconds, candidates, text, law, benchmark.trial)
        shape = by_shape[0].candidate.shape
    else:
        shape = options.shape(vocab_size)
        shape = _in_context(options, shape, text) if options.by_size else shape
    candidate = candidate_of(options, shape, processes)
    if seconds is not None and options.open_batch:
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
    optimizer: OptimizerName | None = None,
) -> Candidate:
    """A shape with its training config; the batch of a family's shape is rounded up to equal shares for all processes."""
    fit = options.fit(optimizer)
    if not options.in_family:
        return Candidate(shape, fit)
    found = family_candidate(shape, fit, options.tables["fit"], factor)
    batch_size = -(-found.fit.batch_size // processes) * processes
    return replace(found, fit=replace(found.fit, batch_size=batch_size))


def _in_context(options: PretrainOptions, shape: ModelConfig, text: TextStats) -> ModelConfig:
    if "context_tokens" in options.tables["model"]:
        return shape
    return replace(shape, context_tokens=fitting_context(shape, text))


def choose_optimizer(
    options: PretrainOptions, candidate: Candidate, benchmark: Benchmark
) -> tuple[Candidate, tuple[str, ...]]:
    """The candidate with AdamW where Muon's steps take more time than they are worth, and the reason; only for a time, unless --set names one."""
    named = any(name == "optimizer" or name.startswith("muon_") for name in options.tables["fit"])
    if options.length.seconds is None or named:
        return candidate, ()
    other = candidate_of(options, candidate.shape, optimizer="adamw")
    other = replace(other, fit=replace(other.fit, batch_size=candidate.fit.batch_size))
    step_s = benchmark.optimizer_step_s({each.fit.optimizer: each for each in (candidate, other)})
    return other if best_optimizer(step_s) == "adamw" else candidate, (optimizer_reason(step_s),)


def with_steps(
    options: PretrainOptions, candidate: Candidate, measured: Measured | None, data_tokens: int, progress: Progress
) -> Candidate:
    """The candidate with its number of steps, and for a time as many evaluations as it has room for. Raises ConfigError."""
    seconds, evaluations = options.length.seconds, EVALUATIONS
    steps = options.length.steps_of(candidate.step_tokens, data_tokens)
    if "steps" in options.tables["fit"]:
        steps = candidate.fit.steps
    if seconds is not None:
        assert measured is not None
        evaluations = evaluations_within(seconds, measured)
        if steps is None:
            steps = steps_within(seconds, measured)
            progress.say(describe_measured(measured, seconds))
    fit = build_config(FitConfig, {**to_plain(candidate.fit), "steps": steps}, where="fit.")
    return replace(candidate, fit=with_evaluations(fit, evaluations))
