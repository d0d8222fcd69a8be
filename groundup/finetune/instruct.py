"""Instruction tuning: LoRA on all matrices of a language model's blocks, trained on answers only and merged at the end.

    instruction, input, output -> conversation -> render() -> ids and mask -> batches -> fit() on the LoRA parameters -> merge -> folder

The labels of the prompt are masked, which leaves the loss of the answer and its end-of-turn token. Their share is reported, and a data set
without any is refused. A budget of tokens, prompts included and padding not, fixes the number of steps. The held-out loss before and after is
that of `evaluate.tasks.answers`.

results.json: held_out_loss (before, after), held_out (after, with interval), supervised_share, examples, lengths (what was cut), tokens, steps, lora,
precision, elapsed_s. trained_on.json: the hashes of the training examples (`data.reading.trained_on`).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.config import to_plain
from groundup.data.documents import ChatExample
from groundup.data.reading.trained_on import write_trained_on
from groundup.device import Compute, generator
from groundup.errors import require_choices, require_counts
from groundup.evaluate.metrics import Interval
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.evaluate.tasks.answers import AnswerLoss
from groundup.files import sha256_text
from groundup.finetune.instruction_data import AnswerBatches, InstructionData, make_instruction_data
from groundup.model.heads import LanguageModel
from groundup.model.lora import add_lora, lora_parameters, merge_lora, remove_lora
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.config import FINETUNE_LEARNING_RATE, FitConfig, TrainPrecision
from groundup.train.loop import FitResult, fit
from groundup.train.losses import finetune_loss
from groundup.train.monitor.callbacks import Hooks
from groundup.train.precision import MEASURED_S, StepClock, measure_steps, open_kinds
from groundup.train.run_lifecycle import begin_or_finished, finish
from groundup.weights.model_io import ModelCard, OpenModel

# An evaluation reads all held-out examples: at this interval it takes at most a quarter of the training.
EVALUATE_EVERY_TOKENS = 20_000
# Rows of the steps that measure the speed: as many tokens per second as with 8 (docs/log.md), and several steps in the time of one.
MEASURED_ROWS = 2


@dataclass(frozen=True)
class ChatConfig:
    """How a model is trained on instructions. Raises ConfigError."""

    tokens: int = 40_000
    """Tokens read in training, prompts and repeats included."""
    max_tokens: int = 128
    """Examples are cut to this many tokens; one whose answer lies wholly behind is left out."""
    rank: int = 8
    """R of LoRA."""
    alpha: float = 16.0
    """LoRA's scale is alpha / R."""
    batch_size: int = 8
    """Examples of one step."""
    learning_rate: float = FINETUNE_LEARNING_RATE
    """The highest learning rate, after the warm-up."""
    precision: TrainPrecision = "auto"
    """Arithmetic of the matrix products; "auto" takes the faster."""
    loss: str | None = None
    """Its name in `train.losses.FINETUNE_LOSSES`; None: cross-entropy."""
    seed: int = 0
    """Seed of LoRA's initial weights and of the order of examples."""

    def __post_init__(self) -> None:
        require_counts(self, "tokens", "max_tokens", "rank", "batch_size")
        require_choices(self)
        finetune_loss("chat", self.loss)


def fit_chat(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    run: RunFolder,
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
) -> dict[str, Any]:
    """Train on the examples that are not held out, save the merged model into the run folder; returns the contents of results.json.

    A stopped run is resumed, a finished one only read. `opened` is changed: open the run folder for the result. `card` names data and licences.
    Raises DataError, ModelError, ConfigError, and what `fit` raises.
    """
    progress = progress or Silent()
    model, tokenizer = language_model(opened)
    data, batches = prepare(opened, examples, config)
    base = frozen_fingerprint(model.requires_grad_(False))
    held_out = sha256_text(repr(data.held_out))
    inputs = {"base": base, "examples": batches.fingerprint, "held_out": held_out}
    finished = begin_or_finished(run, "chat", to_plain(config), inputs)
    if finished is not None:
        return finished
    report_data(data, progress)
    add_lora(model, rank=config.rank, alpha=config.alpha, generator=generator(config.seed, "lora"))
    task = AnswerLoss(data.held_out, max_tokens=min(config.max_tokens, opened.config.context_tokens))

    def evaluate() -> dict[str, float]:
        (found,) = task.measure(opened, compute=compute, progress=progress).measures
        bounds = {"held_out_low": found.low, "held_out_high": found.high, "held_out_answers": found.n}
        known = {name: float(value) for name, value in bounds.items() if value is not None}
        return {"held_out_loss": found.value, **known}

    fit_config, hooks = fit_config_of(batches, config), Hooks(evaluate, progress=progress)
    loss = finetune_loss("chat", config.loss)
    fitted = fit(model, batches, loss, fit_config, run, compute=compute, hooks=hooks)
    results = described(data, batches, fitted, run, model, config)
    progress.say(
        f"held-out answers, before: {results['held_out_loss']['before']:.3f}, after: {results['held_out_line']}"
    )
    merge_lora(model)
    write_trained_on(run.path, data.learned, base=opened.path)
    finish(run, model, tokenizer, results, card, card_figures(results))
    return results


def prepare(
    opened: OpenModel, examples: Sequence[ChatExample], config: ChatConfig
) -> tuple[InstructionData, AnswerBatches]:
    """Return the instruction data and its batches. Raises DataError, ModelError."""
    _, tokenizer = language_model(opened)
    max_tokens = min(config.max_tokens, opened.config.context_tokens)
    data = make_instruction_data(examples, tokenizer, max_tokens=max_tokens, seed=config.seed)
    return data, AnswerBatches(data.train, batch_size=config.batch_size, seed=config.seed)


def report_data(data: InstructionData, progress: Progress) -> None:
    """Report how many examples there are, how long they are, and the share of their tokens that have labels."""
    repeats = f", {data.repeats:,} repeats left out" if data.repeats else ""
    progress.say(data.lengths.line())
    progress.say(
        f"{len(data.train):,} examples to learn from, {len(data.held_out):,} held out{repeats}. "
        f"{data.supervised_share:.0%} of the tokens are learned (answers), the rest is read only (prompts)."
    )


def fit_config_of(batches: AnswerBatches, config: ChatConfig) -> FitConfig:
    """Return `fit()`'s config for the token budget."""
    steps = batches.steps_for(config.tokens)
    evaluations = max(1, round(config.tokens / EVALUATE_EVERY_TOKENS))
    return FitConfig(
        steps=steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=0.0,  # LoRA's weights are small already, and B A is bounded by its rank
        precision=config.precision,
        compile="off",  # batches of many shapes
        evaluate_every=-(-steps // evaluations),
        seed=config.seed,
    )


def described(
    data: InstructionData,
    batches: AnswerBatches,
    fitted: FitResult,
    run: RunFolder,
    model: LanguageModel,
    config: ChatConfig,
) -> dict[str, Any]:
    """Return the contents of results.json."""
    found = fitted.state.evaluation
    interval = Interval(found["held_out_loss"], found.get("held_out_low"), found.get("held_out_high"))
    after = as_measure("loss_nats", interval, int(found["held_out_answers"]), better="lower")
    counts = {"train": len(data.train), "held_out": len(data.held_out)}
    counts |= {"left_out": data.left_out, "repeats": data.repeats}
    parameters = sum(parameter.numel() for parameter in lora_parameters(model))
    return {
        "held_out_loss": {"before": loss_before(run), "after": after.value},
        "held_out": after.plain(),
        "held_out_line": describe(after),
        "supervised_share": data.supervised_share,
        "examples": counts,
        "lengths": data.lengths.plain(),
        "tokens": sum(batches.num_tokens(position) for position in range(fitted.steps)),
        "steps": fitted.steps,
        "train_loss": fitted.last_loss,
        "lora": {"rank": config.rank, "alpha": config.alpha, "parameters": parameters},
        "precision": fitted.precision,
        "elapsed_s": round(fitted.state.elapsed_s, 1),
    }


def loss_before(run: RunFolder) -> float:
    """Return the held-out loss before the first step from the log (a resumed run did not measure it itself)."""
    records = (record for record in read_lines(run.metrics_file) if record.get("event") == "evaluation")
    return float(next(record["held_out_loss"] for record in records if record["step"] == 0))


def card_figures(results: dict[str, Any]) -> dict[str, str]:
    """Return the figures for the model card."""
    loss, n = results["held_out_loss"], results["held_out"]["n"]
    return {
        f"loss on {n} held-out answers before, nats per token": f"{loss['before']:.3f}",
        f"loss on {n} held-out answers after, nats per token": f"{loss['after']:.3f}",
        "tokens read": f"{results['tokens']:,}",
    }


def measure_tokens_per_s(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> float:
    """Measure the tokens per second of training on this machine, in the precision it would take: real steps for a few seconds, nothing is kept."""
    model, _ = language_model(opened)
    few = dataclasses.replace(config, batch_size=min(MEASURED_ROWS, config.batch_size))
    _, batches = prepare(opened, examples, few)
    add_lora(model, rank=config.rank, alpha=config.alpha, generator=generator(config.seed, "lora"))
    fit_config = fit_config_of(batches, config)
    loss = finetune_loss("chat", config.loss)
    clock = StepClock(model, [batches.batch(0)], loss, fit_config, compute=compute)
    kinds = open_kinds(config.precision, opened.config.width, compute=compute)
    step_s = min(measure_steps(clock, kinds, seconds=MEASURED_S, progress=progress).values())
    remove_lora(model)
    return batches.num_tokens(0) / step_s
