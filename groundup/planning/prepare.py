"""From the options of a command to a run that can begin.

    PretrainOptions -> corpus: shards and tokenizer -> choose_model: shape, batch ->
        choose_optimizer -> choose_tables -> with_steps: FitConfig -> make_plan: Plan

What was measured and chosen is written to RUN/plan.json once, so that the same command, resuming,
trains the same model for as many steps, in the same precision.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.batches.shards import ShardSet, open_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.split import TRAIN
from groundup.device import Compute, memory_bytes, peak_memory_bytes
from groundup.errors import ConfigError, FormatError
from groundup.model.config import ModelConfig
from groundup.planning import measure
from groundup.planning.corpus import corpus
from groundup.planning.measure import Benchmark, Candidate, Measured, steps_within
from groundup.planning.plan import (
    RunPlan,
    forecast,
    make_plan,
    plan_lines,
    probe,
    probe_steps,
)
from groundup.planning.planner import (
    choose_model,
    choose_optimizer,
    choose_tables,
    text_stats,
    used_up,
    useful_steps,
)
from groundup.planning.pretrain_options import PretrainOptions, require_its_tokens, size_note
from groundup.planning.scaling_law import LAW
from groundup.planning.sweep import read_law
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import table_from_json
from groundup.train.cut.cut_start import CUT_FOLDER, cut_in, cut_start
from groundup.train.cut.vocabulary import token_pieces
from groundup.train.monitor.callbacks import MonitorConfig
from groundup.train.monitor.time_budget import TimeBudget
from groundup.train.pretrain import PretrainInputs, most_steps, require_steps, train_windows
from groundup.train.starting_model import StartingModel
from groundup.train.steps.config import EVALUATIONS, FREE_FIELDS, FitConfig
from groundup.train.steps.process_group import ProcessGroup, require_shares


@dataclass(frozen=True)
class PreparedRun:
    inputs: PretrainInputs
    planned: dict[str, Any]
    """The plan's figures, to be compared with the run's own."""
    plan: RunPlan | None = None
    """None: an earlier call made it."""

    def plan_lines(self) -> list[str]:
        if self.plan is None:
            return []
        return plan_lines(self.plan)

    def message(self) -> dict[str, Any]:
        """Return what rank 0 sends to the other ranks."""
        inputs = self.inputs
        cut = ""
        if inputs.start is not None and inputs.start.cut_from:
            cut = inputs.start.address
        return {
            "cut": cut,
            "shards": str(inputs.shards.folder.resolve()),
            "table": inputs.tokenizer.table.to_json(),
            "tokenizer": inputs.tokenizer.config(),
            "model": to_plain(inputs.shape),
            "fit": to_plain(inputs.fit),
        }


def prepare_on_all_ranks(
    options: PretrainOptions,
    run: RunFolder,
    compute: Compute,
    progress: Progress,
    group: ProcessGroup,
) -> PreparedRun:
    """Call `prepare_run` on rank 0; the other ranks open the shards it made, which they must see
    under the same path.
    """
    own = group.made_first(
        lambda: prepare_run(options, run, compute, progress, processes=group.world)
    )
    sent = group.first(lambda: own.message() if own else {})
    if own is not None:
        return own
    tokenizer = Tokenizer(table_from_json(sent["table"], "rank 0"), sent["tokenizer"])
    shape, fit = build_config(ModelConfig, sent["model"]), build_config(FitConfig, sent["fit"])
    shards = open_shards(Path(sent["shards"]))
    start = options.start
    if options.source is not None and sent["cut"]:
        start = cut_in(Path(sent["cut"]), options.source)
    return PreparedRun(PretrainInputs(shards, tokenizer, shape, fit, start), planned={})


def prepare_run(
    options: PretrainOptions,
    run: RunFolder,
    compute: Compute,
    progress: Progress,
    *,
    measured: bool = False,
    processes: int = 1,
) -> PreparedRun:
    """Make shards of the texts, and a plan unless the run folder has one. `measured`: measure a
    step even where the steps are given.

    With several `processes`, this one's share of a step is measured. Raises ConfigError, DataError
    and what reading texts raises.
    """
    data_config = build_config(DataConfig, options.tables["data"], where="data.")
    # options that can't be fulfilled are refused before texts are read
    batch_size = options.fit().batch_size
    if not options.open_batch:
        require_shares(batch_size, processes)
    options.shape(options.vocab_size)
    _require_overlap(options)
    if options.law is not None:
        read_law(options.law)
    shards, tokenizer = corpus(
        options.data,
        run,
        data_config,
        tokenizer=options.tokenizer,
        vocab_size=options.vocab_size,
        runner=options.runner,
        progress=progress,
    )
    if options.start is not None:
        require_its_tokens(options.start, shards)
    kept = _kept_plan(run, options)
    if kept is not None:
        shape, fit, planned = kept
        start = _start(options, run, shape, shards, tokenizer, progress)
        return PreparedRun(PretrainInputs(shards, tokenizer, shape, fit, start), planned)
    run_s = options.length.seconds or float("inf")
    monitor = options.config.monitor or MonitorConfig()
    benchmark = Benchmark(shards, tokenizer, compute, progress, monitor, run_s, processes)
    candidate, plan = plan_run(options, benchmark, measured=measured)
    figures = plan.figures()
    start = options.start
    if not measured:  # a plan alone makes no model
        start = _start(options, run, candidate.shape, shards, tokenizer, progress)
    if options.source is not None and start is not None:
        fit = candidate.fit.with_fields({"initial_weights": start.weights})
        candidate = replace(candidate, fit=fit)
    if not run.run_file.exists():  # otherwise it holds another run, and `fit` says how they differ
        run.write_plan(
            options.key(),
            model=to_plain(candidate.shape),
            fit=to_plain(candidate.fit),
            planned=figures,
        )
    return PreparedRun(benchmark.inputs(candidate, start), figures, plan)


def _require_overlap(options: PretrainOptions) -> None:
    """Refuse a given vocabulary that has nothing of the model that is cut. Raises ConfigError."""
    given = options.tokenizer
    if options.source is None or given is None:
        return
    if not isinstance(given, Tokenizer):
        given = Tokenizer.load(given)
    token_pieces(given, options.source.tokenizer)


def _start(
    options: PretrainOptions,
    run: RunFolder,
    shape: ModelConfig,
    shards: ShardSet,
    tokenizer: Tokenizer,
    progress: Progress,
) -> StartingModel | None:
    """The model that is continued, or the one that is cut for this run. Raises ConfigError."""
    if options.source is None:
        return options.start
    return cut_start(options.source, shape, shards, tokenizer, run.path / CUT_FOLDER, progress)


def _kept_plan(
    run: RunFolder, options: PretrainOptions
) -> tuple[ModelConfig, FitConfig, dict[str, Any]] | None:
    """Return what an earlier call of the same command chose, with the present FREE_FIELDS. Raises
    FormatError (damaged).
    """
    record = run.read_plan()
    if record is None or record["asked"] != options.key():
        return None
    now = to_plain(options.fit())
    try:
        shape = build_config(ModelConfig, record["model"], where="model.")
        fit = {**record["fit"], **{name: now[name] for name in FREE_FIELDS}}
        return shape, build_config(FitConfig, fit, where="fit."), record["planned"]
    except ConfigError as error:
        raise FormatError(
            run.plan_file, "model, fit", error.message, fix="Start again with `fresh`."
        ) from error


def plan_run(
    options: PretrainOptions, benchmark: Benchmark, *, measured: bool
) -> tuple[Candidate, RunPlan]:
    """Choose what the options leave open, count the steps, and state cost and expected loss."""
    text = text_stats(benchmark.shards, benchmark.tokenizer.special.document_end_id)
    law = read_law(options.law) if options.law else LAW
    # before candidates are measured, since memory that they free is reused
    program_bytes = memory_bytes() or peak_memory_bytes()
    candidate, reasons = choose_model(options, text, law, benchmark)
    note = size_note(options.config.model.size, candidate.shape)
    if note:
        benchmark.progress.say(note)
    benchmark.process_share(candidate)  # refuses too little text or memory
    candidate, more = choose_optimizer(options, candidate, benchmark)
    times = None
    if measured or options.length.seconds is not None:
        times = benchmark.measure(candidate)
    if times is not None and options.length.seconds is not None:
        steps = steps_within(options.length.seconds, times)
        with_tables, why = choose_tables(options, candidate, steps, text)
        if why:
            candidate, more = with_tables, more + why
            times = benchmark.measure(candidate)
    if times is not None:
        times = replace(times, program_bytes=program_bytes)
    candidate = with_steps(options, candidate, times, benchmark.shards, benchmark.progress)
    candidate, step_s = benchmark.with_precision(candidate)
    steps = candidate.fit.steps
    made = make_plan(benchmark.shards, candidate, times, device=benchmark.compute.device.type)
    made = replace(
        made, typical_document_tokens=text.typical_document_tokens, precision_step_s=step_s
    )
    first = options.start or options.source
    if first is not None:  # the law is of random weights
        return candidate, replace(made, start=first.name, cut=options.source is not None)
    probed = None
    if times is not None:
        probed_for = probe_steps(candidate, steps, times, text, law)
        if probed_for:
            probed = (probed_for, probe(benchmark, candidate, probed_for))
    if options.time_budget is not None and times is not None:
        seconds = options.time_budget.seconds
        note = used_up(candidate, steps, seconds, times, text.tokens)
        made = replace(made, used_up=note)
    own_text = options.law is not None
    expected = forecast(candidate, steps, text, law, probed=probed, own_text=own_text)
    return candidate, replace(made, expected=expected, reasons=reasons + more)


def most_useful(options: PretrainOptions, candidate: Candidate, shards: ShardSet) -> int | None:
    """The steps that the text is good for; None: unknown, as weights are not random, or a number is
    given.
    """
    begun = options.start is not None or options.source is not None
    if begun or options.time_budget is None:
        return None
    return useful_steps(candidate, shards.num_tokens(TRAIN))


def time_budget(options: PretrainOptions, inputs: PretrainInputs) -> TimeBudget | None:
    """The time that the run keeps, in at most the steps that the text is good for."""
    budget = options.time_budget
    if budget is None:
        return None
    most = most_useful(options, Candidate(inputs.shape, inputs.fit), inputs.shards)
    return replace(budget, max_steps=most)


def with_steps(
    options: PretrainOptions,
    candidate: Candidate,
    measured: Measured | None,
    shards: ShardSet,
    progress: Progress,
) -> Candidate:
    """The candidate with its number of steps, and for a time as many evaluations as it has room
    for.

    Raises ConfigError, also for more steps than the epochs of a mixture have text for; a time is
    cut to them.
    """
    context, rows = candidate.shape.context_tokens, candidate.fit.rows
    windows, most = None, None
    if not rows.mixture.as_they_come:
        windows = train_windows(shards, candidate.shape, candidate.fit)
        most = most_steps(windows, candidate.fit)
    seconds, evaluations = options.length.seconds, EVALUATIONS
    overlap = context / (rows.stride or context)
    tokens = max(1, round(overlap * shards.num_tokens(TRAIN)))
    steps = options.length.steps_of(candidate.step_tokens, tokens)
    if "steps" in options.tables["fit"]:
        steps = candidate.fit.steps
    if seconds is not None:
        assert measured is not None
        evaluations = measure.evaluations_within(seconds, measured)
        if steps is None:
            steps = steps_within(seconds, measured)
            steps = min(steps, most or steps, most_useful(options, candidate, shards) or steps)
            progress.say(measure.describe_measured(measured, seconds))
    fit = candidate.fit.with_fields({"steps": steps})
    if windows is not None:
        require_steps(windows, fit)
    return replace(candidate, fit=measure.with_evaluations(fit, evaluations))
