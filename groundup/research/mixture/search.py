"""The search for a mixture: proxy runs with drawn shares, a surface through their losses, its lowest
point, and a comparison of proportional and found shares in paired runs.

    OUT/search.jsonl     what was asked and chosen, and each run (`research_log.py`)
    OUT/texts/           the texts as tokens (`texts.py`)
    OUT/results.json     MixtureResults
    OUT/mixture.html     the page (`report/pages/mixture_page.py`)

A quarter of the budget is for the search. Its seconds are processor time of this process, as in
`groundup research`; steps are counted before the first run, so that a search that is stopped goes
on with the same runs.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from groundup.data.batches.mixture_config import MixtureConfig, short_names
from groundup.data.split import TRAIN, VALIDATION
from groundup.device import Compute, select_compute
from groundup.errors import ConfigError, DataError, FormatError, GroundupError, clear_variables
from groundup.evaluate.paired import mean_difference
from groundup.files import json_bytes, write_json, write_text
from groundup.locks import only_one
from groundup.planning.measure import Benchmark, steps_within
from groundup.planning.planner import choose_model, text_stats
from groundup.planning.pretrain_config import MIN_S, ModelShape, PretrainConfig
from groundup.planning.pretrain_options import AnyData, PretrainOptions, pretrain_options
from groundup.planning.scaling_law import LAW
from groundup.progress import Progress, stage_of
from groundup.report.pages.mixture_page import render_mixture_page
from groundup.report.values import duration as duration_words
from groundup.research.baseline import BaseRecipe, possible_options, remove_empty
from groundup.research.mixture.config import MixtureSearchConfig
from groundup.research.mixture.findings import (
    COMPARED,
    FOUND,
    PROPORTIONAL,
    PROXIES,
    SearchFindings,
    SearchPlan,
    proxy_name,
)
from groundup.research.mixture.results import MixtureResults, SharesComparison
from groundup.research.mixture.surface import draw_shares
from groundup.research.mixture.texts import SearchTexts, tokens_of
from groundup.research.research_log import ResearchLog
from groundup.research.rounds import MIN_TRY_S
from groundup.research.switches import BASELINE
from groundup.research.tries import TryRunner, with_steps
from groundup.runs import RunFolder
from groundup.threads import set_thread_count
from groundup.train.pretrain import PretrainInputs, train_windows
from groundup.train.run_lifecycle import claim_folder

LOG_FILE, PAGE_FILE, RESULTS_FILE, TEXTS = "search.jsonl", "mixture.html", "results.json", "texts"
OWN = (LOG_FILE, PAGE_FILE, RESULTS_FILE, TEXTS)
# A proxy run shorter than this has two blocks (0.2 million parameters), a longer one three.
DEEPER_FROM_S = 60.0
MIN_PROXY_STEPS, MIN_PROXIES = 16, 10
# Evaluation and start of a run beside its training.
BESIDE_TRAINING_SHARE = 0.15
# Preparing the texts again for each step may take this share of the search.
PREPARING_SHARE = 0.3


def search_mixture(
    data: AnyData,
    out: Path,
    config: MixtureSearchConfig,
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress,
) -> MixtureResults:
    """The same call goes on where it was stopped. Raises ConfigError, DataError, FormatError,
    DiskError, and what training raises.
    """
    options = _options(data, config)
    _require_long_enough(config, _number_of_runs(config, 2, 0))
    claim_folder(RunFolder(out), fresh=fresh, also=OWN)
    made = [path for path in (out, *out.parents) if not path.exists()]
    threads = torch.get_num_threads()
    compute = replace(select_compute(device, fixed_choices=True), thread_counts=())
    try:
        set_thread_count(config.threads)
        with only_one(out):
            return _MixtureSearch(out, config, options, compute, progress).go()
    except (ConfigError, DataError) as error:
        if not (out / LOG_FILE).exists():  # refused before the first run
            clear_variables(error)
            shutil.rmtree(out / TEXTS, ignore_errors=True)
            remove_empty(made)
        raise
    finally:
        set_thread_count(threads)


def _options(data: AnyData, config: MixtureSearchConfig) -> PretrainOptions:
    """What `pretrain` is asked for by a proxy. Raises ConfigError."""
    shape = config.model
    if not shape.given:
        run_s = (config.search_s or 0) / (_number_of_runs(config, 2, 0))
        shape = ModelShape(depth=2 + (run_s >= DEEPER_FROM_S))
    asked = PretrainConfig(
        steps=config.proxy_steps or 1,
        model=shape,
        texts=config.texts,
        settings=config.settings,
        seed=config.seed,
    )
    return possible_options(data, asked)


def _number_of_proxies(config: MixtureSearchConfig, sources: int, steps: int) -> int:
    return config.proxies or max(MIN_PROXIES, 4 * sources + 3 * steps)


def _number_of_runs(config: MixtureSearchConfig, sources: int, steps: int) -> int:
    return _number_of_proxies(config, sources, steps) + 2 * config.seeds


def _require_long_enough(config: MixtureSearchConfig, runs: int) -> None:
    """Raises ConfigError for a budget without time for so many runs."""
    if config.budget_s is None or config.search_s is None:
        return
    needed = runs * MIN_TRY_S * (1 + BESIDE_TRAINING_SHARE)
    if config.search_s < needed:
        raise ConfigError(
            f"A quarter of {config.budget_s:g} s is too short for {runs} proxy runs of "
            f"{MIN_TRY_S:g} s.",
            fix=f"Give a `budget` of at least {needed * config.budget_s / config.search_s:.0f}s, "
            "or fewer `proxies` or `seeds`.",
        )


class _MixtureSearch:
    """One call of `search_mixture`, in a folder that is its own."""

    def __init__(
        self,
        out: Path,
        config: MixtureSearchConfig,
        options: PretrainOptions,
        compute: Compute,
        progress: Progress,
    ) -> None:
        self.out, self.config, self.options = out, config, options
        self.progress, self.compute = progress, compute
        self.runner = TryRunner(out / "runs", compute)
        self.begun_s = self.runner.clock()
        self.texts = SearchTexts(out / TEXTS, options, progress)
        shape = options.shape(self.texts.tokenizer.vocab_size)
        tables = options.tables["fit"]
        self.inputs = BaseRecipe(options, self.texts.texts, shape, tables).inputs()
        self.tokens = self.texts.tokens
        self.log = ResearchLog(out / LOG_FILE)
        self.done = self.wall_s = 0.0

    def go(self) -> MixtureResults:
        self._require_sources()
        self.target = self.texts.target(self.config.target)
        plan = self._plan()
        runs = len(plan.shares) + 2 * self.config.seeds
        for number, (shares, step) in enumerate(zip(plan.shares, plan.variants, strict=True)):
            steps = tuple(filter(None, (step,)))
            self._run(plan, PROXIES, proxy_name(number), shares, steps, runs=runs)
        findings = SearchFindings(self.texts, self.config, plan, self.log.tries)
        self._write(findings, None)
        comparison = self._compare(plan, findings, runs)
        return self._write(findings, comparison)

    def _require_sources(self) -> None:
        if VALIDATION not in self.texts.shards.splits:
            raise DataError("The texts have no validation split, by which shares are judged.")
        if len(self.tokens) < 2:
            raise ConfigError(
                f"{' '.join(self.options.data)} is one source, and shares are of two or more.",
                fix="Name several, or a folder with 2 to 16 folders in it.",
            )
        equal = (1 / len(self.tokens),) * len(self.tokens)
        train_windows(self._with(equal, ()).shards, self.inputs.shape, self._with(equal, ()).fit)

    def _with(self, shares: Sequence[float] | None, steps: Sequence[str]) -> PretrainInputs:
        """The inputs of a run; without shares as the texts come."""
        mixture = MixtureConfig()
        if shares is not None:
            mixture = MixtureConfig(dict(zip(self.tokens, shares, strict=True)))
        rows = replace(self.inputs.fit.rows, mixture=mixture)
        fit = replace(self.inputs.fit, rows=rows)
        return replace(self.inputs, shards=self.texts.with_steps(steps), fit=fit)

    def _plan(self) -> SearchPlan:
        """As an earlier call chose, or chosen and measured now."""
        asked = {
            **json.loads(json_bytes(asdict(self.config))),
            "texts": self.texts.shards.fingerprint,
            "target": self.target.fingerprint,
        }
        record = self.log.begun(asked)
        if record is not None:
            return SearchPlan.kept(record, self.log.file)
        usable, left_out = self._usable_steps()
        for name, reason in left_out.items():
            self.progress.say(f"note: {name} is not tried: {reason}")
        sources = len(self.tokens)
        count = _number_of_proxies(self.config, sources, len(usable))
        counts = np.array(list(self.tokens.values()), dtype=float)
        shares = draw_shares(counts / counts.sum(), count, self.config.seed)
        variants = [("", *usable)[number % (len(usable) + 1)] for number in range(count)]
        tokens = self._tokens_of_training()
        steps = self._steps_of_a_run(count + 2 * self.config.seeds)
        if tokens is None:
            tokens = round(3 * (count + 2 * self.config.seeds) * steps * self._step_tokens)
        plan = SearchPlan(
            tuple(tuple(float(each) for each in row) for row in shares),
            tuple(variants),
            steps,
            tokens,
            left_out,
            round(self.runner.clock() - self.begun_s, 2),
        )
        self.log.begin(asked=asked, **asdict(plan))
        return plan

    @property
    def _step_tokens(self) -> int:
        fit = self.inputs.fit
        return fit.accumulation * fit.batch_size * self.inputs.shape.context_tokens

    def _usable_steps(self) -> tuple[list[str], dict[str, str]]:
        """The steps that change the texts and leave each source some."""
        usable, left_out = [], {}
        seconds = self.config.search_s or float("inf")
        for name in self.config.steps:
            reason = "The texts are prepared already."
            if self.texts.is_read:
                reason = self._reason(name)
            if not reason and self.runner.clock() - self.begun_s > PREPARING_SHARE * seconds:
                reason = "Preparing the texts again for it takes too much of the time."
            if reason:
                left_out[name] = reason
            else:
                usable.append(name)
        return usable, left_out

    def _reason(self, step: str) -> str:
        """Why a step can't be tried here; "": it can."""
        if self.texts.process([step]) == self.texts.process([]):
            return "It is done in any case."
        try:
            shards = self.texts.with_steps([step])
        except GroundupError as error:
            if isinstance(error, FormatError):
                raise
            return error.message
        left = tokens_of(shards)
        gone = [name for name in self.tokens if left.get(name, 0) <= self._step_tokens]
        if gone:
            return f"It leaves too little of {short_names(self.tokens)[gone[0]]}."
        if shards.splits[TRAIN] == self.texts.shards.splits[TRAIN]:
            return "It changes nothing here."
        return ""

    def _tokens_of_training(self) -> int | None:
        """That the rest of the budget has room for, by the model that `pretrain` would choose; None
        where steps are given.
        """
        if self.config.budget_s is None or self.config.search_s is None:
            return None
        rest_s = max(self.config.budget_s - self.config.search_s, MIN_S)
        asked = replace(self.options.config, steps=None, minutes=rest_s / 60, model=ModelShape())
        options = pretrain_options(self.options.data, asked)
        shards, tokenizer = self.texts.shards, self.texts.tokenizer
        benchmark = Benchmark(shards, tokenizer, self.compute, self.progress, run_s=rest_s)
        text = text_stats(shards, tokenizer.special.document_end_id)
        candidate, _ = choose_model(options, text, LAW, benchmark)
        return steps_within(rest_s, benchmark.measure(candidate)) * candidate.step_tokens

    def _steps_of_a_run(self, runs: int) -> int:
        """Raises ConfigError where the time is too short."""
        if self.config.search_s is None:
            assert self.config.proxy_steps is not None
            return self.config.proxy_steps
        _require_long_enough(self.config, runs)
        step_s = self.runner.step_seconds({BASELINE: self.inputs}, self.progress)[BASELINE]
        left_s = self.config.search_s - (self.runner.clock() - self.begun_s)
        steps = int(left_s / (runs * step_s * (1 + BESIDE_TRAINING_SHARE)))
        if steps < MIN_PROXY_STEPS:
            needed = runs * MIN_PROXY_STEPS * step_s * (1 + BESIDE_TRAINING_SHARE) - left_s
            whole = self.config.budget_s or 0.0
            raise ConfigError(
                f"Of {self.config.search_s:.0f} s, a quarter of the budget, {max(left_s, 0):.0f} s "
                f"are left for {runs} proxy runs: {max(steps, 0)} steps each, and at least "
                f"{MIN_PROXY_STEPS} are needed.",
                fix=f"Give a `budget` of at least {1.1 * (whole + 4 * needed):.0f}s, or fewer "
                "`proxies` or `seeds`.",
            )
        return steps

    def _run(
        self,
        plan: SearchPlan,
        number: int,
        name: str,
        shares: Sequence[float] | None,
        steps: Sequence[str],
        *,
        runs: int,
        seed: int | None = None,
    ) -> None:
        """One run that is not in the log."""
        seed = self.config.seed if seed is None else seed
        if (number, name, seed) in self.log.tries:
            return
        place = len(self.log.tries) + 1
        left = ""
        if self.done:
            seconds = (runs - place + 1) * self.wall_s / self.done
            left = f", about {duration_words(seconds)} left"
        title = f"Run {place} of {runs}{left}: {name}, {self._words(shares, steps)}"
        with stage_of(self.progress, title) as shown:
            inputs = with_steps(self._with(shares, steps), plan.steps, seed)
            found = self.runner.proxy(inputs, self.target, number, name)
            shown.end(f"{found.bits_per_byte:.3f} bits per byte")
        self.log.tried(found)
        self.done, self.wall_s = self.done + 1, self.wall_s + found.wall_s

    def _words(self, shares: Sequence[float] | None, steps: Sequence[str]) -> str:
        if shares is None:
            return PROPORTIONAL
        names = short_names(self.tokens).values()
        each = [f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True)]
        return ", ".join([*each, *steps])

    def _compare(self, plan: SearchPlan, findings: SearchFindings, runs: int) -> SharesComparison:
        shares, steps = tuple(findings.shares), findings.steps
        seeds = [self.config.seed + number for number in range(1, self.config.seeds + 1)]
        for seed in seeds:
            self._run(plan, COMPARED, PROPORTIONAL, None, (), runs=runs, seed=seed)
            self._run(plan, COMPARED, FOUND, shares, steps, runs=runs, seed=seed)
        base, found = (
            tuple(self.log.tries[COMPARED, name, seed].bits_per_byte for seed in seeds)
            for name in (PROPORTIONAL, FOUND)
        )
        return SharesComparison(tuple(seeds), base, found, mean_difference(base, found))

    def _write(
        self, findings: SearchFindings, comparison: SharesComparison | None
    ) -> MixtureResults:
        results = findings.results(comparison, self.target.num_tokens(VALIDATION))
        write_json(self.out / RESULTS_FILE, results.to_plain())
        write_text(self.out / PAGE_FILE, render_mixture_page(results.to_plain()))
        return results
