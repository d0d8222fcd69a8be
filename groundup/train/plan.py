"""What a pretraining run will cost and whether its text is enough for it, told before it begins.

measure(...)        a few seconds on the real model and batches: seconds of a step and of an evaluation
steps_within(...)   how many steps a time holds
make_plan(...)      parameters, tokens, epochs, memory, disk, minutes, and warnings that teach
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from groundup.data.shards import ShardSet
from groundup.device import Compute, peak_memory_bytes
from groundup.errors import FormatError
from groundup.files import read_json, write_json
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, attention_path, training_memory
from groundup.model.sizes import parameter_count
from groundup.model.transformer import use_recompute
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.config import EVALUATIONS, FitConfig
from groundup.train.looks import Looks
from groundup.train.precision import MEASURED_S, StepClock, measure_steps
from groundup.train.pretrain import evaluation_of, new_model, pretraining_loss, snapshot_bytes, train_windows
from groundup.weights.exportable import gguf_reason, hf_reason

PLAN_FILE = "plan.json"
# Compute-optimal training reads about 20 tokens a parameter (Hoffmann et al. 2022, "Chinchilla", table 3).
OPTIMAL_TOKENS_PER_PARAMETER = 20
# Up to 4 times the same text is nearly as good as new text; later repeats teach less and less (Muennighoff et al. 2023, figure 1).
HARMLESS_EPOCHS = 4
# Batches, log lines and checkpoints, in shares of the time of the steps.
BESIDE_STEPS_SHARE = 0.05


@dataclass(frozen=True)
class Measured:
    """What this machine takes for one model and batch."""

    step_s: float
    """In the precision that the config says, or in the faster of both for "auto"."""
    evaluation_s: float
    """Held-out figures, samples, and tasks where there are any."""


def measure(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    *,
    compute: Compute,
    looks: Looks = Looks(),
) -> Measured:
    """Take real steps for about two seconds in each precision that is open, and one evaluation; nothing is kept. Raises DataError."""
    model = new_model(model_config, fit_config.seed, compute)
    use_recompute(model, fit_config.recompute)
    windows = train_windows(shards, model_config, fit_config)
    batches = [windows.batch(position) for position in range(fit_config.accumulation)]
    loss = pretraining_loss(model_config, fit_config)
    clock = StepClock(model, batches, loss, fit_config, compute=compute)
    kinds = {"float32": (False,), "bf16": (True,), "auto": (False, True)}[fit_config.precision]
    step_s = min(measure_steps(clock, kinds, seconds=MEASURED_S).values())
    evaluation = evaluation_of(shards, tokenizer, model_config, fit_config, compute, looks)
    started = time.perf_counter()
    evaluation.measure(model.eval())
    evaluation.sample(model)
    return Measured(step_s, time.perf_counter() - started)


def steps_within(budget_s: float, measured: Measured) -> int:
    """Steps that a run of `budget_s` seconds has time for beside its evaluations; at least 1."""
    left = budget_s - (EVALUATIONS + 1) * measured.evaluation_s
    return max(1, int(left / (measured.step_s * (1 + BESIDE_STEPS_SHARE))))


def fixed_steps(run: RunFolder, minutes: float, count: Callable[[], int]) -> int:
    """The steps of a run that was given a time: counted once, written to RUN/plan.json, and the same whenever it is resumed."""
    file = run.path / PLAN_FILE
    if file.exists():
        before = read_json(file)
        if not isinstance(before, dict) or not isinstance(before.get("steps"), int):
            raise FormatError(file, "steps", "is missing", fix="Begin anew with --fresh.")
        if before.get("minutes") == minutes:
            return int(before["steps"])
    steps = count()
    write_json(file, {"minutes": minutes, "steps": steps})
    return steps


def steps_for(
    budget_s: float,
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    looks: Looks = Looks(),
) -> int:
    """Measure, and say how many steps the time holds."""
    measured = measure(shards, tokenizer, model_config, fit_config, compute=compute, looks=looks)
    steps = steps_within(budget_s, measured)
    (progress or Silent()).say(
        f"A step takes {1000 * measured.step_s:.0f} ms here: {steps:,} steps in {budget_s:.0f} s. "
        f"An evaluation takes {measured.evaluation_s:.2g} s, all {EVALUATIONS + 1} of them "
        f"{100 * (EVALUATIONS + 1) * measured.evaluation_s / budget_s:.0f} % of the time."
    )
    return steps


@dataclass(frozen=True)
class Plan:
    """A run before it begins."""

    parameters: int
    steps: int
    tokens: int
    """Tokens the model will read, repeats counted."""
    data_tokens: int
    """Tokens of the train split."""
    memory_bytes: int
    """Of this process at the peak, an estimate."""
    disk_bytes: int
    """The run folder at the end."""
    step_s: float | None
    """None: not measured."""
    evaluation_s: float = 0.0
    attention: str = ""
    """Which of the ways to compute it is taken, and why."""
    gguf: str | None = None
    """Why the model can't be written as GGUF; None: it can."""
    hugging_face: str | None = None
    """Why no class of transformers has it; None: one does."""

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    @property
    def epochs(self) -> float:
        """How often the text is read."""
        return self.tokens / self.data_tokens

    @property
    def minutes(self) -> float | None:
        """Wall time, where a step was measured."""
        if self.step_s is None:
            return None
        return (self.steps * self.step_s * (1 + BESIDE_STEPS_SHARE) + (EVALUATIONS + 1) * self.evaluation_s) / 60

    @property
    def warnings(self) -> list[str]:
        """What a reader should expect, one sentence each."""
        found = []
        if self.tokens_per_parameter < OPTIMAL_TOKENS_PER_PARAMETER:
            found.append(
                f"It reads {self.tokens_per_parameter:.2g} tokens for each parameter; a model has learned most of what it can hold "
                f"after about {OPTIMAL_TOKENS_PER_PARAMETER} (Hoffmann et al. 2022): expect rough text, or give it more time."
            )
        if self.epochs > HARMLESS_EPOCHS:
            found.append(
                f"It reads the same text {self.epochs:.0f} times; after about {HARMLESS_EPOCHS} a repeat teaches little "
                "(Muennighoff et al. 2023): more text would help more than more steps."
            )
        if self.data_tokens < self.parameters and self.epochs > 1:
            found.append(
                f"The text has {self.data_tokens:,} tokens, the model {self.parameters:,} parameters: it can learn the text by "
                "heart. Where validation loss rises, it does; the best weights are kept."
            )
        return found

    def lines(self) -> list[str]:
        """The plan for people."""
        minutes = "not measured" if self.minutes is None else f"{self.minutes:.1f} minutes"
        return [
            f"parameters  {self.parameters:,}",
            f"tokens      {self.tokens:,} in {self.steps:,} steps, {self.tokens_per_parameter:.2g} a parameter",
            f"text        {self.data_tokens:,} tokens, read {self.epochs:.2f} times",
            f"memory      about {self.memory_bytes / 1e9:.1f} GB",
            f"disk        {self.disk_bytes / 1e6:.0f} MB",
            f"time        {minutes}",
            f"attention   {self.attention}",
            f"exportable  GGUF {_possible(self.gguf)}; Hugging Face {_possible(self.hugging_face)}",
            *(f"note: {warning}" for warning in self.warnings),
        ]


def _possible(reason: str | None) -> str:
    return "yes" if reason is None else f"no ({reason.rstrip('.')})"


def make_plan(
    shards: ShardSet,
    model_config: ModelConfig,
    fit_config: FitConfig,
    measured: Measured | None = None,
    *,
    device: str = "cpu",
) -> Plan:
    """The plan of a run of `fit_config.steps` steps on a device ("cpu", "cuda", "mps")."""
    parameters = parameter_count(model_config).total
    context = model_config.context_tokens
    memory = training_memory(
        model_config, batch_size=fit_config.batch_size, context_tokens=context, recompute=fit_config.recompute
    )
    # A checkpoint holds the weights and AdamW's two moments; the run keeps the last ones and the best, and the model.
    kept = 3 * (fit_config.keep_checkpoints + 1) + 1
    return Plan(
        parameters=parameters,
        steps=fit_config.steps,
        tokens=fit_config.steps * fit_config.accumulation * fit_config.batch_size * context,
        data_tokens=max(1, shards.num_tokens("train")),
        memory_bytes=memory.total + peak_memory_bytes(),
        disk_bytes=kept * FLOAT32_BYTES * parameters + len(fit_config.snapshot_steps) * snapshot_bytes(model_config),
        step_s=measured.step_s if measured else None,
        evaluation_s=measured.evaluation_s if measured else 0.0,
        attention=attention_path(model_config, context, device),
        gguf=gguf_reason(model_config),
        hugging_face=hf_reason(model_config),
    )
