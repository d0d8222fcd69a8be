"""Instruction tuning: LoRA on all matrices of a language model's blocks (or all weights), trained
on answers only.

    instruction, input, output -> conversation -> render() -> ids and mask -> batches -> fit() on
        the LoRA parameters -> folder

The labels of the prompt are masked, which leaves the loss of the answer and its end-of-turn token.
Their share is reported, and a data set without any is refused. The whole set is read so many
epochs; a budget of tokens, prompts included and padding not, is a cap. The held-out loss before and
after is that of `evaluate.tasks.answers`.

results.json: held_out_loss (before, after), held_out (after, with interval), supervised_share,
examples, lengths (what was cut), mask (turns that are trained, the first examples), tokens, epochs,
steps, lora, precision, elapsed_s, forgetting (general text before and after,
`evaluate.comparison.forgetting`). trained_on.json: the hashes of the training examples
(`data.preparation.trained_on`).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import to_plain
from groundup.data.documents import ChatExample
from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute
from groundup.evaluate.comparison.forgetting import compared, measure, suites
from groundup.evaluate.metrics import Interval
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.evaluate.tasks.answers import AnswerLoss
from groundup.files import sha256_text
from groundup.finetune.adapters import ChatTraining, begin_training, finish_chat
from groundup.finetune.instruction_data import AnswerBatches, InstructionData, make_instruction_data
from groundup.model.heads import LanguageModel
from groundup.model.lora import remove_lora
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import begin_or_finished
from groundup.train.steps.config import FINETUNE_LEARNING_RATE, FitConfig
from groundup.train.steps.losses import finetune_loss
from groundup.train.steps.precision import MEASURED_S, StepClock, measure_steps, open_kinds
from groundup.weights.model_io import ModelCard, OpenModel

# An evaluation reads all held-out examples, a third of a step's work for each token: so often it
# takes at most a quarter of the training.
EVALUATE_EVERY_TOKENS = 20_000
EVALUATION_SHARE = 4 / 3
# Of examples where no limit is given: longer ones are rare, and a few of them decide the memory.
LONGEST_TOKENS = 1024
# Of all weights of a pretrained model: at LoRA's rate they would forget what they know.
ALL_LEARNING_RATE = 2e-5
# Examples up to which only form and tone are learned, and up to which the kinds of tasks that they
# show.
FORM_EXAMPLES, TASK_EXAMPLES = 1000, 10_000
# Rows of the steps that measure the speed: as many tokens per second as with 8 (docs/log.md), and
# several steps in the time of one.
MEASURED_ROWS = 2


@dataclass(frozen=True)
class ChatConfig(ChatTraining):
    """How a model is trained on instructions: the learning rate is 5e-4 for LoRA and 2e-5 for all
    weights, examples have at most 1,024 tokens.
    """

    epochs: float = 3.0
    """How often the whole set is read."""

    def __post_init__(self) -> None:
        super().__post_init__()
        finetune_loss("chat", self.loss)

    @property
    def highest_rate(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or (
            FINETUNE_LEARNING_RATE if self.train == "lora" else ALL_LEARNING_RATE
        )

    def limit(self, context_tokens: int) -> int:
        """Return the most tokens of an example."""
        return min(self.max_tokens or LONGEST_TOKENS, context_tokens)


def fit_chat(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    run: RunFolder,
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    general: str | Path | None = None,
) -> dict[str, Any]:
    """Train on the examples that are not held out, save the adapters (or the whole model) into the
    run folder; returns the contents of results.json.

    A stopped run is resumed, a finished one only read. `opened` is changed: open the run folder for
    the result. `card` names data and licences. `general`: a file of general text on which what was
    forgotten is measured, in place of the packaged one. Raises DataError, ModelError, ConfigError,
    and what `fit` raises.
    """
    progress = progress or Silent()
    model, _ = language_model(opened)
    tasks = suites(general, progress)
    data, batches = prepare(opened, examples, config)
    base = frozen_fingerprint(model.requires_grad_(False))  # of all weights, whatever is trained
    held_out = sha256_text(repr(data.held_out))
    inputs = {"base": base, "examples": batches.fingerprint, "held_out": held_out}
    finished = begin_or_finished(run, "chat", to_plain(config), inputs)
    if finished is not None:
        return finished
    report_data(data, progress)
    progress.say(batches.line(config.epochs, config.tokens))
    before = measure(tasks, opened, compute, progress)
    trained = begin_training(opened, config)
    task = AnswerLoss(data.held_out, max_tokens=config.limit(opened.config.context_tokens))

    def evaluate() -> dict[str, float]:
        (found,) = task.measure(opened, compute=compute, progress=progress).measures
        bounds = {
            "held_out_low": found.low,
            "held_out_high": found.high,
            "held_out_answers": found.n,
        }
        known = {name: float(value) for name, value in bounds.items() if value is not None}
        return {"held_out_loss": found.value, **known}

    held_out_tokens = len(data.held_out) * batches.mean_tokens / config.batch_size
    fit_config, hooks = (
        fit_config_of(batches, config, held_out_tokens),
        Hooks(evaluate, progress=progress),
    )
    loss = finetune_loss("chat", config.loss)
    fitted = fit(model, batches, loss, fit_config, run, compute=compute, hooks=hooks)
    results = described(data, batches, fitted, run, model, config)
    results["forgetting"] = compared(before, measure(tasks, opened, compute, progress))
    progress.say(
        f"held-out answers, before: {results['held_out_loss']['before']:.3f}, after: {results['held_out_line']}"
    )
    write_trained_on(run.path, data.learned, base=opened.path)
    finish_chat(run, opened, trained, results, card, card_figures(results), merge=config.merge)
    return results


def prepare(
    opened: OpenModel, examples: Sequence[ChatExample], config: ChatConfig
) -> tuple[InstructionData, AnswerBatches]:
    """Return the instruction data and its batches. Raises DataError, ModelError."""
    _, tokenizer = language_model(opened)
    max_tokens = config.limit(opened.config.context_tokens)
    data = make_instruction_data(examples, tokenizer, max_tokens=max_tokens, seed=config.seed)
    return data, AnswerBatches(data.train, batch_size=config.batch_size, seed=config.seed)


def report_data(data: InstructionData, progress: Progress) -> None:
    """Report how many examples there are and what they can teach, how long they are, and what of
    them is trained.
    """
    repeats = f", {data.repeats:,} repeats left out" if data.repeats else ""
    progress.say(data.lengths.line())
    progress.say(
        f"{len(data.train):,} examples to learn from, {len(data.held_out):,} held out{repeats}."
    )
    data.mask.show(progress)
    progress.say(what_they_teach(len(data.train)))


def what_they_teach(examples: int) -> str:
    """Return what a model can learn from so many examples, in one sentence.

    >>> what_they_teach(27)[:58]
    '27 examples can teach form and tone, not facts: the loss f'
    """
    many = "an example" if examples == 1 else f"{examples:,} examples"
    taught = (
        "form and tone"
        if examples <= FORM_EXAMPLES
        else "form, tone and the kinds of tasks that they show"
    )
    if examples > TASK_EXAMPLES:
        return f"{many} can teach {taught}; facts are better looked up (retrieval) than trust in what was learned of them."
    return (
        f"{many} can teach {taught}, not facts: the loss falls, and names, prices and dates are made up all the same. "
        "For facts the way is retrieval: put the passage that holds the answer before the question."
    )


def fit_config_of(
    batches: AnswerBatches, config: ChatConfig, held_out_tokens: float = 0.0
) -> FitConfig:
    """Return `fit()`'s config for the epochs and the token budget."""
    steps = batches.steps(config.epochs, config.tokens)
    tokens = batches.mean_tokens * steps
    interval = max(EVALUATE_EVERY_TOKENS, EVALUATION_SHARE * held_out_tokens)
    evaluations = max(1, round(tokens / interval))
    return FitConfig(
        steps=steps,
        batch_size=config.batch_size,
        precision=config.precision,
        recompute=config.recompute,
        compile="off",
        evaluate_every=-(-steps // evaluations),
        seed=config.seed,
        optimizer=AdamW(learning_rate=config.highest_rate, weight_decay=0.0),
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
    interval = Interval(
        found["held_out_loss"], found.get("held_out_low"), found.get("held_out_high")
    )
    after = as_measure("loss_nats", interval, int(found["held_out_answers"]), better="lower")
    counts = {"train": len(data.train), "held_out": len(data.held_out)}
    counts |= {"left_out": data.left_out, "repeats": data.repeats}
    parameters = sum(
        parameter.numel() for parameter in model.parameters() if parameter.requires_grad
    )
    return {
        "held_out_loss": {"before": loss_before(run), "after": after.value},
        "held_out": after.plain(),
        "held_out_line": describe(after),
        "supervised_share": data.supervised_share,
        "examples": counts,
        "lengths": data.lengths.plain(),
        "mask": data.mask.plain(),
        "epochs": round(fitted.steps / batches.batches_per_epoch, 3),
        "tokens": sum(batches.num_tokens(position) for position in range(fitted.steps)),
        "steps": fitted.steps,
        "train_loss": fitted.last_loss,
        "train": config.train,
        "lora": {"rank": config.rank, "alpha": config.alpha, "parameters": parameters}
        if config.train == "lora"
        else None,
        "parameters": parameters,
        "precision": fitted.precision,
        "elapsed_s": round(fitted.state.elapsed_s, 1),
    }


def loss_before(run: RunFolder) -> float:
    """Return the held-out loss before the first step from the log (a resumed run did not measure it
    itself).
    """
    records = (
        record for record in read_lines(run.metrics_file) if record.get("event") == "evaluation"
    )
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
    """Measure the tokens per second of training on this machine, in the precision it would take:
    real steps for a few seconds, nothing is kept.
    """
    model, _ = language_model(opened)
    few = dataclasses.replace(config, batch_size=min(MEASURED_ROWS, config.batch_size))
    _, batches = prepare(opened, examples, few)
    begin_training(opened, config)
    fit_config = fit_config_of(batches, config)
    loss = finetune_loss("chat", config.loss)
    clock = StepClock(model, [batches.batch(0)], loss, fit_config, compute=compute)
    kinds = open_kinds(config.precision, opened.config.width, compute=compute)
    step_s = min(measure_steps(clock, kinds, seconds=MEASURED_S, progress=progress).values())
    remove_lora(model)
    return batches.num_tokens(0) / step_s
