"""One try: a training run of so many steps, measured on the validation split; how many steps a time
has room for; and the test split at the end.

A try's time is processor time of this process, since the clock of a shared machine measures other
programs, too. Its steps are counted before it begins: learning-rate schedules need them, and tries
of the same research stay the same when a machine is busy. So each recipe is measured over a whole
short schedule, in turns with the others, and its shortest time counts.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from groundup.data.batches.shards import ShardSet
from groundup.data.split import VALIDATION
from groundup.device import Compute
from groundup.errors import GroundupError
from groundup.model.heads import LanguageModel
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.research.results import ResearchTry
from groundup.research.switches import BASELINE
from groundup.runs import RunFolder
from groundup.train.bigram_start import start_seconds
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks, MonitorConfig
from groundup.train.monitor.evaluation import HeldOutRows, Validation
from groundup.train.monitor.time_budget import StepControl
from groundup.train.pretrain import (
    PretrainInputs,
    pretrain,
    pretraining_loss,
    train_windows,
    training_batches,
)
from groundup.weights.model_io import open_model

# Steps of the short runs that are timed, in turns: until the baseline's took so many seconds, at
# least and at most so many times.
TIMED_STEPS, TIMED_S, TURNS = 12, 4.0, (2, 10)
# A shortest time this near to the baseline's is the same.
SAME_WITHIN = 0.02
# Of a longer split, windows of about so many tokens are measured: in earlier rounds; in the last
# one and on test.
FEWER_TOKENS, HELD_OUT_TOKENS = 2**15, 2**18
# The samples that `pretrain` writes at an evaluation are not looked at.
MONITOR = MonitorConfig(prompts=("A",))


@dataclass(frozen=True)
class TryRunner:
    runs: Path
    """The folder of run folders."""
    compute: Compute

    @property
    def clock(self) -> Callable[[], float]:
        """Of the processor; on a GPU the machine's."""
        if self.compute.is_cpu:
            return time.process_time
        return time.perf_counter

    def step_seconds(
        self, recipes: Mapping[str, PretrainInputs], progress: Progress
    ) -> dict[str, float]:
        """Seconds of a step of each, averaged over a whole short schedule. Raises what `fit`
        raises.
        """
        shortest: dict[str, float] = {}
        least, most = TURNS
        with progress.track("timing steps", TIMED_S, "s") as advance:
            for turn in range(most):
                taken = {name: self._timed(inputs) for name, inputs in recipes.items()}
                shortest = {name: min(taken[name], shortest.get(name, math.inf)) for name in taken}
                spent = TIMED_STEPS * taken[BASELINE]
                advance(spent)
                if turn + 1 >= max(least, TIMED_S / spent):
                    break
        return {name: rounded(step_s, shortest[BASELINE]) for name, step_s in shortest.items()}

    def start_seconds(self, recipes: Mapping[str, PretrainInputs]) -> dict[str, float]:
        """Seconds before the first step of each, where it takes any."""
        return {
            name: start_seconds(inputs.initial_model(self.compute), inputs.shards, self.clock)
            for name, inputs in recipes.items()
            if inputs.fit.initial_tables == "bigrams"
        }

    def _timed(self, inputs: PretrainInputs) -> float:
        _, fitted = self.trained(with_steps(inputs, TIMED_STEPS))
        return fitted.state.training_s / fitted.steps

    def trained(self, inputs: PretrainInputs) -> tuple[LanguageModel, FitResult]:
        """Trained without a run folder, evaluations and samples."""
        windows = train_windows(inputs.shards, inputs.shape, inputs.fit)
        model = inputs.initial_model(self.compute)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(
                model,
                training_batches(windows, inputs.fit),
                pretraining_loss(inputs.shape, inputs.fit),
                inputs.fit,
                RunFolder(Path(folder) / "run"),
                compute=self.compute,
                hooks=Hooks(control=StepControl(clock=self.clock)),
            )
        return model, fitted

    def proxy(
        self, inputs: PretrainInputs, target: ShardSet, number: int, name: str
    ) -> ResearchTry:
        """Train and measure on the validation split of `target`; nothing is kept. Raises what `fit`
        raises.
        """
        begun, started = time.perf_counter(), self.clock()
        model, fitted = self.trained(inputs)
        found = self._figures(model.eval(), inputs, target, VALIDATION, FEWER_TOKENS)
        return ResearchTry(
            number,
            name,
            inputs.fit.seed,
            fitted.steps,
            parameter_count(inputs.shape).total,
            found["bits_per_byte"],
            round(self.clock() - started, 2),
            round(time.perf_counter() - begun, 1),
        )

    def run(
        self, inputs: PretrainInputs, number: int, name: str, *, progress: Progress, keep: bool
    ) -> ResearchTry:
        """Train and measure; begun before, it is resumed. `keep`: its model is kept. Raises what
        `pretrain` raises; of a switch, divergence is a result.
        """
        seed, folder = inputs.fit.seed, self.folder(number, name, inputs.fit.seed)
        begun = time.perf_counter()
        try:
            trained = pretrain(
                inputs,
                RunFolder(folder),
                compute=self.compute,
                progress=progress,
                monitor=MONITOR,
                control=StepControl(clock=self.clock),
            )
        except GroundupError as error:
            if type(error) is not GroundupError or name == BASELINE:  # as loss_spikes.py raises it
                raise
            shutil.rmtree(folder, ignore_errors=True)
            reason, wall_s = error.message, time.perf_counter() - begun
            steps = inputs.fit.steps
            return ResearchTry(number, name, seed, steps, 0, float("inf"), 0.0, wall_s, reason)
        most = {True: HELD_OUT_TOKENS, False: FEWER_TOKENS}[keep]
        found = self.measure(folder, inputs, inputs.shards, VALIDATION, most)
        shutil.rmtree(RunFolder(folder).checkpoints, ignore_errors=True)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        return ResearchTry(
            number,
            name,
            seed,
            trained.steps,
            trained.parameters,
            found["bits_per_byte"],
            trained.elapsed_s,
            round(time.perf_counter() - begun, 1),
        )

    def measure(
        self,
        folder: Path,
        inputs: PretrainInputs,
        shards: ShardSet,
        split: str,
        max_tokens: int = HELD_OUT_TOKENS,
    ) -> dict[str, float]:
        """Bits per byte and tokens of a split, by the model of a try."""
        opened = open_model(folder, self.compute, progress=Silent())
        model = cast(LanguageModel, opened.model)
        return self._figures(model, inputs, shards, split, max_tokens)

    def _figures(
        self,
        model: LanguageModel,
        inputs: PretrainInputs,
        shards: ShardSet,
        split: str,
        max_tokens: int,
    ) -> dict[str, float]:
        # a split that is shorter than the context is read in one window
        context = min(inputs.shape.context_tokens, shards.num_tokens(split) - 1)
        rows = HeldOutRows(inputs.fit.batch_size, seed=0, max_tokens=max_tokens)
        held_out = Validation(
            shards, inputs.tokenizer, context, rows, compute=self.compute, split=split
        )
        return held_out.figures(model)

    def folder(self, number: int, name: str, seed: int) -> Path:
        return self.runs / f"round-{number}-{name}-{seed}"


def rounded(step_s: float, baseline_s: float) -> float:
    """A step's time, or the baseline's where they can't be told apart.

    >>> rounded(0.0403, 0.04), rounded(0.05, 0.04)
    (0.04, 0.05)
    """
    if abs(step_s - baseline_s) <= SAME_WITHIN * baseline_s:
        return baseline_s
    return step_s


def with_steps(inputs: PretrainInputs, steps: int, seed: int | None = None) -> PretrainInputs:
    """With a number of steps, and evaluated at its end only."""
    fields = {"steps": steps, "evaluate_every": steps, "checkpoints.every": max(1, steps // 2)}
    if seed is not None:
        fields["seed"] = seed
    return replace(inputs, fit=inputs.fit.with_fields(fields))
