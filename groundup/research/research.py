"""Research: switches of the recipe tried beside the baseline, in the same processor time, with the
same seeds, in rounds of which the better half goes on; the best at last on the sealed test split,
once.

    OUT/research.jsonl    what was chosen, and each try (`research_log.py`)
    OUT/texts/4096/       the texts as tokens, for each size of the vocabulary
    OUT/runs/             the run folders of the last round, with their models
    OUT/results.json      ResearchResults
    OUT/research.html     the page, written after each round (`report/pages/research_page.py`)
"""

import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from groundup.data.split import TEST, VALIDATION
from groundup.data.test_openings import note_opening
from groundup.device import Compute, processor_name, select_compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.paired import mean_difference
from groundup.files import json_bytes, write_json, write_text
from groundup.locks import only_one
from groundup.planning.pretrain_config import MIN_S, PretrainConfig
from groundup.planning.pretrain_options import AnyData, PretrainOptions
from groundup.progress import Progress, stage_of
from groundup.report.pages.research_page import render_research_page
from groundup.report.values import duration as duration_words
from groundup.research.baseline import (
    BaseRecipe,
    Texts,
    choose,
    kept,
    possible_options,
    remove_empty,
    usable,
)
from groundup.research.research_config import ResearchConfig
from groundup.research.research_log import ResearchLog
from groundup.research.results import (
    ResearchResults,
    ResearchRound,
    ResearchTry,
    SealedTest,
)
from groundup.research.rounds import PlannedRound, full_tries, judged, survivors, together
from groundup.research.switches import BASELINE, TOGETHER, Switch, chosen_switches
from groundup.research.tries import TryRunner, with_steps
from groundup.runs import RunFolder
from groundup.threads import set_thread_count
from groundup.train.pretrain import PretrainInputs
from groundup.train.run_lifecycle import claim_folder

LOG_FILE, PAGE_FILE, RESULTS_FILE = "research.jsonl", "research.html", "results.json"
TEXTS, RUNS = "texts", "runs"
OWN = (LOG_FILE, PAGE_FILE, RESULTS_FILE, TEXTS, RUNS)
# Steps of the baseline in a try of the first round, at least: fewer are warm-up.
MIN_TRY_STEPS = 16


@dataclass(frozen=True)
class _Begun:
    """What was chosen and measured before the first try."""

    inputs: Mapping[str, PretrainInputs]
    """The baseline's, and of each switch that is tried."""
    switches: tuple[Switch, ...]
    left_out: Mapping[str, str]
    step_s: Mapping[str, float]
    """Processor seconds of a step; {} where steps were asked for."""
    start_s: Mapping[str, float]
    """Before the first step, of those that take any."""
    rounds: tuple[PlannedRound, ...]
    seconds: float | None


def run_research(
    data: AnyData,
    out: Path,
    config: ResearchConfig,
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress,
) -> ResearchResults:
    """The same call goes on where it was stopped. Raises ConfigError, DataError, FormatError,
    DiskError, and what training raises.
    """
    switches = chosen_switches(config.switches)
    config.seconds_of(config.planned(len(switches)))  # refuses before anything is read
    options = _options(data, config)
    claim_folder(RunFolder(out), fresh=fresh, also=OWN)
    made = [path for path in (out, *out.parents) if not path.exists()]
    threads = torch.get_num_threads()
    compute = replace(select_compute(device), thread_counts=())
    try:
        set_thread_count(config.threads)
        with only_one(out):
            return _Research(out, config, options, switches, compute, progress).go()
    finally:
        set_thread_count(threads)
        # where something was refused, the texts' folder has folders and no file
        below = [Path(each) for each, _, _ in os.walk(out / TEXTS, topdown=False)]
        remove_empty([*below, *made])


def _options(data: AnyData, config: ResearchConfig) -> PretrainOptions:
    """What `pretrain` is asked for by the baseline. Raises ConfigError."""
    seconds = config.seconds_of(config.planned(len(chosen_switches(config.switches))))
    minutes = None
    if seconds is not None:
        minutes = max(seconds, MIN_S) / 60
    asked = PretrainConfig(
        minutes=minutes,
        steps=config.steps,
        model=config.model,
        texts=config.texts,
        settings=config.settings,
        seed=config.seed,
    )
    return possible_options(data, asked)


class _Research:
    """One call of `run_research`, in a folder that is its own."""

    def __init__(
        self,
        out: Path,
        config: ResearchConfig,
        options: PretrainOptions,
        switches: tuple[Switch, ...],
        compute: Compute,
        progress: Progress,
    ) -> None:
        self.out, self.config, self.options = out, config, options
        self.switches, self.compute, self.progress = switches, compute, progress
        self.texts = Texts(out / TEXTS, options, progress)
        self.log = ResearchLog(out / LOG_FILE)
        fixed = replace(compute, fixed_choices=True)  # what a try may choose was chosen once
        self.runner = TryRunner(out / RUNS, fixed)
        self.spent_s = self.planned_s = 0.0

    def go(self) -> ResearchResults:
        shards, _ = self.texts.of(self.options.vocab_size)
        if VALIDATION not in shards.splits:
            raise DataError("The texts have no validation split, by which switches are judged.")
        begun = self._begin()
        done: list[ResearchRound] = []
        left = list(begun.switches)
        for planned in begun.rounds:
            if done:
                left = survivors(done[-1], left, planned.candidates)
            done.append(self._round(begun, planned, left))
            results = self._results(begun, done)
            write_text(self.out / PAGE_FILE, render_research_page(results.to_plain()))
        test = self.log.test() or self._measure_test(begun, results)
        results = replace(results, test=test)
        write_json(self.out / RESULTS_FILE, results.to_plain())
        write_text(self.out / PAGE_FILE, render_research_page(results.to_plain()))
        return results

    def _begin(self) -> _Begun:
        """As an earlier call chose, or chosen and measured now."""
        shards, _ = self.texts.of(self.options.vocab_size)
        asked = {
            **_comparable(self.config),
            "switches": {each.name: list(each.settings) for each in self.switches},
            "texts": shards.fingerprint,
        }
        record = self.log.begun(asked)
        if record is not None:
            baseline = kept(self.options, self.texts, record["baseline"], self.log.file)
            return self._begun(baseline, record["step_s"], record.get("start_s", {}))
        compute = replace(self.compute, fixed_choices=self.config.steps is not None)
        baseline = choose(self.options, self.texts, compute, self.progress)
        begun = self._begun(baseline, {}, {})
        for name, reason in begun.left_out.items():
            self.progress.say(f"note: {name} is left out: {reason}")
        if begun.seconds is not None:
            step_s = self.runner.step_seconds(begun.inputs, self.progress)
            start_s = self.runner.start_seconds(begun.inputs)
            begun = replace(begun, step_s=step_s, start_s=start_s)
            self._require_steps(begun)
        self.log.begin(
            asked=asked,
            baseline=baseline.plain(),
            left_out=dict(begun.left_out),
            step_s=dict(begun.step_s),
            start_s=dict(begun.start_s),
        )
        return begun

    def _begun(
        self, baseline: BaseRecipe, step_s: Mapping[str, float], start_s: Mapping[str, float]
    ) -> _Begun:
        """Raises ConfigError for a switch that was named and is of no use here; of all, it is left
        out.
        """
        base = baseline.inputs()
        inputs, left_out = {BASELINE: base}, {}
        for switch in self.switches:
            found, reason = usable(baseline, switch.settings, base)
            if found is not None:
                inputs[switch.name] = found
                continue
            if self.config.switches:
                fix = "Leave it out of `switches`."
                raise ConfigError(f"The switch {switch.name} can't be tried: {reason}", fix=fix)
            left_out[switch.name] = reason
        tried = tuple(switch for switch in self.switches if switch.name in inputs)
        rounds = self.config.planned(len(tried))
        seconds = self.config.seconds_of(rounds)
        self.baseline = baseline
        return _Begun(inputs, tried, left_out, step_s, start_s, rounds, seconds)

    def _require_steps(self, begun: _Begun) -> None:
        """Raises ConfigError where the tries of the first round have too few steps."""
        assert begun.seconds is not None
        share, step_s = begun.rounds[0].share, begun.step_s[BASELINE]
        steps = int(begun.seconds * share / step_s)
        if steps < MIN_TRY_STEPS:
            needed = MIN_TRY_STEPS * step_s / share
            raise ConfigError(
                f"{begun.seconds:.3g} s a try leave {steps} steps of {1000 * step_s:.0f} ms for "
                f"one of the first round, and at least {MIN_TRY_STEPS} are needed.",
                fix=f"Give at least {needed:.0f} `seconds`, fewer `rounds`, or a smaller `size`.",
            )

    def _round(
        self, begun: _Begun, planned: PlannedRound, switches: Sequence[Switch]
    ) -> ResearchRound:
        seeds = [self.config.seed + number for number in range(planned.seeds)]
        full = begun.seconds or self.config.steps or 0
        length = round(planned.share * full, 2)
        self._try_all(begun, planned, switches, seeds)

        def found(tried: Sequence[Switch]) -> ResearchRound:
            return judged(planned, tried, self.log.of_round(planned.number), seeds, length)

        singles = found(switches)
        both = together(singles, switches)
        if both is None or not planned.is_last:
            return singles
        begun = self._with_together(begun, both)
        self._try_all(begun, planned, [both], seeds)
        return found([*switches, both])

    def _with_together(self, begun: _Begun, both: Switch) -> _Begun:
        """With the inputs of the best switches as one, and the time of its step."""
        inputs = {**begun.inputs, both.name: self.baseline.inputs(both.settings)}
        step_s = dict(begun.step_s)
        if begun.seconds is not None:
            step_s[both.name] = self.log.timed(both.name) or self._timed_again(begun, inputs)
        start_s = dict(begun.start_s)
        if inputs[both.name].fit.initial_tables == "bigrams":
            start_s[both.name] = max(start_s.values(), default=0.0)
        return replace(begun, inputs=inputs, step_s=step_s, start_s=start_s)

    def _timed_again(self, begun: _Begun, inputs: Mapping[str, PretrainInputs]) -> float:
        """Beside the baseline, whose step may take another time now. Kept in the log."""
        both = {name: inputs[name] for name in (BASELINE, TOGETHER)}
        own = self.runner.step_seconds(both, self.progress)
        step_s = begun.step_s[BASELINE] * own[TOGETHER] / own[BASELINE]
        self.log.time(TOGETHER, step_s)
        return step_s

    def _try_all(
        self,
        begun: _Begun,
        planned: PlannedRound,
        switches: Sequence[Switch],
        seeds: Sequence[int],
    ) -> None:
        """Those that are not in the log; a seed of all, then the next."""
        names = [BASELINE, *(switch.name for switch in switches)]
        wanted = [(planned.number, name, seed) for seed in seeds for name in names]
        failed = {each.name for each in self.log.tries.values() if each.failed}
        for place, (number, name, seed) in enumerate(wanted, 1):
            if (number, name, seed) in self.log.tries or name in failed:
                continue
            title = f"Round {number} of {len(begun.rounds)}, try {place} of {len(wanted)}"
            title += f"{self._time_left(begun, planned)}: {name}, seed {seed}"
            steps = self._steps(begun, planned, name)
            inputs = with_steps(begun.inputs[name], steps, seed)
            with stage_of(self.progress, title) as shown:
                found = self.runner.run(inputs, number, name, progress=shown, keep=planned.is_last)
                shown.end(_line(found, self.log.tries.get((number, BASELINE, seed))))
            self.log.tried(found)
            if found.failed:
                failed.add(name)
            self.spent_s += found.wall_s
            self.planned_s += planned.share

    def _steps(self, begun: _Begun, planned: PlannedRound, name: str) -> int:
        if begun.seconds is None:
            assert self.config.steps is not None
            return max(1, round(planned.share * self.config.steps))
        start_s = begun.start_s.get(name, 0.0)
        return max(1, round((planned.share * begun.seconds - start_s) / begun.step_s[name]))

    def _time_left(self, begun: _Begun, planned: PlannedRound) -> str:
        """As long as the tries of this call took, for those that are left."""
        if not self.planned_s:
            return ""
        here = planned.tries - len(self.log.of_round(planned.number))
        later = [each for each in begun.rounds if each.number > planned.number]
        shares = here * planned.share + full_tries(later)
        left_s = shares * self.spent_s / self.planned_s
        return f", about {duration_words(left_s)} left"

    def _results(self, begun: _Begun, done: Sequence[ResearchRound]) -> ResearchResults:
        last, best = done[-1], BASELINE
        settings: tuple[str, ...] = ()
        top = last.tried[0]
        if len(done) == len(begun.rounds) and top.order < 0:
            best, settings = top.name, top.settings
        return ResearchResults(
            texts=tuple(self.options.data),
            unit={True: "steps", False: "seconds"}[begun.seconds is None],
            threads=self.config.threads,
            machine=f"{processor_name()}, {os.cpu_count()} cores",
            command=shlex.join(["groundup", *sys.argv[1:]]),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            rounds=tuple(done),
            planned=len(begun.rounds),
            left_out=begun.left_out,
            best=best,
            settings=settings,
            test=None,
            processor_s=round(sum(each.processor_s for each in self.log.tries.values()), 1),
        )

    def _measure_test(self, begun: _Begun, results: ResearchResults) -> SealedTest | None:
        """Of the best and the baseline, with the models of the last round."""
        winner, last = results.winner, results.rounds[-1]
        if winner is None:
            return None
        recipes = {
            BASELINE: begun.inputs[BASELINE],
            winner.name: self.baseline.inputs(winner.settings),
        }
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in recipes}
        for name, inputs in recipes.items():
            shards = self.texts.whole(inputs.tokenizer)
            if TEST not in shards.splits or shards.num_tokens(TEST) < 2:
                return None
            for seed in last.seeds:
                folder = self.runner.folder(last.number, name, seed)
                figures[name].append(self.runner.measure(folder, inputs, shards, TEST))
        note_opening(shards.test_text_sha256, self.log.file.parent)
        base, best = (tuple(each["bits_per_byte"] for each in row) for row in figures.values())
        tokens = round(figures[BASELINE][0]["tokens"])
        found = SealedTest(tokens, base, best, mean_difference(base, best))
        self.log.tested(found)
        return found


def _comparable(config: ResearchConfig) -> Mapping[str, Any]:
    """The fields that must be the same where a research goes on, as JSON has them."""
    plain = json.loads(json_bytes(asdict(replace(config, switches=()))))
    return {name: value for name, value in plain.items() if name not in ("switches", "texts")}


def _line(found: ResearchTry, base: ResearchTry | None) -> str:
    if found.failed:
        return f"failed: {found.failed}"
    against = ""
    if base is not None:
        against = f" ({found.bits_per_byte - base.bits_per_byte:+.3f})"
    return f"{found.bits_per_byte:.3f} bits per byte{against}, {found.steps} steps"
