"""The run of a chat model's training, whatever it learns from: a `ChatMethod` has the examples,
their batches and what is measured on the held-out ones; the loss is that of its config.

    examples -> batches -> fit() on LoRA adapters (or all weights) -> folder

The folder holds the adapters in PEFT's format, alone or merged into the whole model; results.json
holds `ChatResults`, trained_on.json the hashes of the training examples
(`data.preparation.trained_on`).
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from groundup.config import build_config
from groundup.data.documents import ChatExample
from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute
from groundup.evaluate.comparison.forgetting import compare, forgotten, measure, suites
from groundup.evaluate.task import language_model
from groundup.evaluate.tasks.answers import write_answers
from groundup.finetune.adapters import begin_training, finish_chat
from groundup.finetune.config import REPLAY_SHARE, ChatTraining, training_fields
from groundup.finetune.instruction_data import ChatData
from groundup.finetune.order import EpochBatches
from groundup.finetune.time_limit import TimeLimit, TimePlan, Workload
from groundup.model.heads import LanguageModel
from groundup.model.lora import remove_lora
from groundup.progress import Progress
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.time_budget import StepControl
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import (
    begin_or_finished,
    load_best,
)
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import finetune_loss
from groundup.train.steps.precision import MEASURED_S, StepClock, measure_steps, open_kinds
from groundup.weights.model_io import ModelCard, OpenModel

JsonObject = dict[str, Any]
HELD_OUT_LOSS = "held_out_loss"
# Of an answer that is shown before and after.
ANSWER_TOKENS = 96
# Rows of the steps that measure the speed: as many tokens per second as with 8 (docs/log.md), and
# several steps in the time of one.
MEASURED_ROWS = 2
# Without so many steps there is no run.
FEWEST_STEPS = 4
MAX_REPLAY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class ChatResults:
    """A field that is None was not measured and is not written, but for `lora`."""

    held_out_loss: dict[str, float]
    """before, after: nats a token of held-out answers, or the loss of held-out pairs; after: of
    the weights that are kept.
    """
    held_out: JsonObject | None = None
    """The loss after the training, with its interval. Of answers only, as the next two."""
    held_out_line: str | None = None
    supervised_share: float | None = None
    """The share of the training tokens that have labels."""
    accuracy: JsonObject | None = None
    """Share of held-out pairs whose chosen answer gained more than the rejected one, with its
    interval. Of pairs only, as the next four.
    """
    accuracy_line: str | None = None
    margin: float | None = None
    moved_nats: dict[str, float] | None = None
    """chosen, rejected: mean change of the answers' log-probabilities."""
    chosen_loss: dict[str, float] | None = None
    """before, after: nats a token of the chosen answers."""
    beta: float | None = None
    examples: dict[str, int]
    """train, held_out, left_out, repeats."""
    lengths: JsonObject
    """Of the training examples in tokens, and what was cut (`finetune.order`)."""
    mask: JsonObject | None = None
    """Which turns are trained, and the first examples (`finetune.instruction_data`)."""
    epochs: float
    tokens: int
    steps: int
    planned_steps: int
    """More than `steps` where the training ended early."""
    best_step: int
    """After it the held-out loss was lowest; its weights are kept. 0: those of the start are."""
    train_loss: float
    train: str
    """What was trained: lora or all."""
    lora: JsonObject | None
    """rank, alpha, parameters; None where all weights were trained."""
    parameters: int
    """How many were trained."""
    precision: str
    elapsed_s: float
    margins: JsonObject | None = None
    """before, after, paired difference: how much more the chosen answer gained, times beta."""
    prefers: JsonObject | None = None
    """before, after, paired difference: share of pairs whose chosen answer is the more probable
    one per token.
    """
    pairs: list[JsonObject] | None = None
    """Some held-out pairs, to be read."""
    gains: dict[str, float] | None = None
    """good, bad (those that are held out): mean gain of rated answers, beyond the drift, times
    beta.
    """
    answers: list[JsonObject] | None = None
    """Of some held-out prompts: instruction, input, reference, before, after."""
    answer_words: dict[str, float] | None = None
    """before, after, reference: mean words of these answers, of which at most ANSWER_TOKENS tokens
    are written.
    """
    same_answer: JsonObject | None = None
    """text, after, reference: the answer that more than half of these prompts got, of how many, and
    how many want it, where that is at most half as many.
    """
    forgetting: JsonObject | None = None
    """General text before and after (`evaluate.comparison.forgetting`)."""
    replay: JsonObject | None = None
    """source, share, tokens: general text that was read, too (`finetune.replay`)."""
    proposed_replay: float | None = None
    """The share of general text that is worth a try, where something was forgotten in instruction
    tuning.
    """
    budget: JsonObject | None = None
    """given; examples, of, epochs: what of the data there was time for (`finetune.time_limit`)."""
    pretraining: JsonObject | None = None
    """What pretraining is worth (`finetune.pretraining_ablation`)."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "ChatResults":
        """Raises ConfigError."""
        return build_config(cls, values)

    def plain(self) -> JsonObject:
        return {
            name: value for name, value in vars(self).items() if value is not None or name == "lora"
        }


class ChatMethod(Protocol):
    """A way to train a chat model."""

    @property
    def config(self) -> ChatTraining:
        """How it is trained."""

    @property
    def data(self) -> ChatData:
        """What it is trained on."""

    @property
    def batches(self) -> EpochBatches:
        """The training examples in batches."""

    def begin(self, model: LanguageModel) -> None:
        """Measure what the loss must know of the base model, before the first step."""

    def to_read(self, count: int) -> Sequence[ChatExample]:
        """Return so many held-out prompts, with the answers that are wanted."""

    def evaluations(self, steps: int) -> int:
        """Return how often the held-out examples are measured in this many steps."""

    def evaluate(self) -> dict[str, float]:
        """Return the figures of the held-out examples, `held_out_loss` among them."""

    def complete(self, results: ChatResults, figures: dict[str, float]) -> ChatResults:
        """Return the results with those of this method; `figures`: of the last evaluation."""

    def describe(self, results: ChatResults) -> str:
        """Return what came of it in one line."""

    def card_figures(self, results: ChatResults) -> dict[str, str]:
        """Return the figures for the model card."""


Row = TypeVar("Row")
Config = TypeVar("Config", bound=ChatTraining)


@dataclass(frozen=True)
class ChatJob(Generic[Row, Config]):
    """What is trained on which examples, how."""

    opened: OpenModel
    examples: Sequence[Row]
    config: Config
    make: Callable[[Sequence[Row], Config], ChatMethod]
    """Raises DataError, ModelError."""

    def method(self, plan: TimePlan | None = None) -> ChatMethod:
        """With a plan on as many of the examples as it has, drawn by the seed."""
        if plan is None:
            return self.make(self.examples, self.config)
        draw, places = random.Random(self.config.seed), range(len(self.examples))
        some = [self.examples[place] for place in sorted(draw.sample(places, plan.examples))]
        return self.make(some, replace(self.config, epochs=plan.epochs))


def train_chat(
    job: ChatJob[Row, Config],
    run: RunFolder,
    *,
    compute: Compute,
    progress: Progress,
    card: ModelCard | None,
    limit: TimeLimit | None,
) -> ChatResults:
    """Train by a method and save the model or adapter; returns the contents of results.json.

    A stopped run is resumed, a finished one only read. The opened model is changed: open the run
    folder for the result. Raises what `fit` raises, DataError for general text that can't be read,
    and ConfigError where there is no time for anything.
    """
    config, opened, method = job.config, job.opened, job.method()
    limit, (model, _) = limit or TimeLimit.of(config.budget), language_model(opened)
    tasks, asked = suites(config.general, progress), method.to_read(config.answers)
    inputs = _inputs(method, model.requires_grad_(False))
    finished = begin_or_finished(run, config.method, training_fields(config), inputs)
    if finished is not None:
        return ChatResults.read(finished)
    figures = partial(measure, tasks, opened, compute, progress)
    before = limit.compared(figures, progress) if limit else figures()
    with limit.repeated() if limit else nullcontext():
        said = _answers(opened, asked, compute, progress)
    plan, control = None, StepControl()
    if limit is not None:
        plan = _plan(job, method, run, limit, compute, progress)
        method = job.method(plan)
    method.data.report(progress)
    progress.say(method.batches.line(method.config.epochs, config.tokens))
    method.begin(model)
    trained = begin_training(opened, config)
    if limit is not None:
        control = limit.control(method.batches.steps(config.epochs, config.tokens))
    fitted = fit(
        model,
        method.batches,
        finetune_loss(config.method, config.loss),
        fit_config_of(method),
        run,
        compute=compute,
        hooks=Hooks(method.evaluate, best_by=HELD_OUT_LOSS, progress=progress, control=control),
    )
    load_best(model, fitted, run, progress, "Held-out loss")
    kept = evaluation_after(fitted.state.best_step or 0, run)
    results = method.complete(results_of(method, fitted, model, run), kept)
    after = figures() if before else {}
    answers = shown_answers(asked, said, _answers(opened, asked, compute, progress))
    read = {"given": config.budget, **asdict(plan)} if plan else None
    forgetting = compare(before, after)
    results = replace(results, forgetting=forgetting, budget=read, **words_of(answers))
    results = replace(results, proposed_replay=proposed_replay(results))
    progress.say(method.describe(results))
    write_trained_on(run.path, method.data.learned, base=opened.path)
    shown = method.card_figures(results)
    finish_chat(run, opened, trained, results.plain(), card, shown, merge=config.merge)
    return results


def _inputs(method: ChatMethod, model: LanguageModel) -> dict[str, str]:
    """What makes a run another one beside its config."""
    return {
        "base": frozen_fingerprint(model),  # of all weights
        "examples": method.batches.fingerprint,
        "held_out": method.data.held_out_key,
    }


def _plan(
    job: ChatJob[Row, Config],
    method: ChatMethod,
    run: RunFolder,
    limit: TimeLimit,
    compute: Compute,
    progress: Progress,
) -> TimePlan:
    """How many of the examples there is time for. Raises ConfigError."""
    config, batches = job.config, method.batches

    def example_s() -> float:
        few = replace(job, config=replace(config, batch_size=min(MEASURED_ROWS, config.batch_size)))
        rate = tokens_per_s(few.method(), job.opened, compute=compute, progress=progress)
        return batches.mean_tokens / config.batch_size / rate

    fewest = FEWEST_STEPS * config.batch_size
    work = Workload("examples", len(job.examples), config.epochs, fewest)
    return limit.plan(run, work, example_s, progress)


def tokens_per_s(
    method: ChatMethod, opened: OpenModel, *, compute: Compute, progress: Progress
) -> float:
    """Take real steps on the first batch for a few seconds, in the precision that training would
    take; nothing is kept.
    """
    model, _ = language_model(opened)
    config, batches = method.config, method.batches
    begin_training(opened, config)
    loss = finetune_loss(config.method, config.loss)
    clock = StepClock(model, [batches.batch(0)], loss, fit_config_of(method), compute=compute)
    kinds = open_kinds(config.precision, opened.config.width, compute=compute)
    step_s = min(measure_steps(clock, kinds, seconds=MEASURED_S, progress=progress).values())
    remove_lora(model)
    return batches.num_tokens(0) / step_s


def proposed_replay(results: ChatResults) -> float | None:
    """A first share, or twice that which was not enough; None: nothing was forgotten, or the loss
    is that of compared answers, beside which no text is read.
    """
    if results.held_out is None or not forgotten(results.forgetting or {}):
        return None
    read = (results.replay or {}).get("share", 0.0)
    return max(REPLAY_SHARE, min(MAX_REPLAY_SHARE, round(2 * read, 2)))


def _answers(
    opened: OpenModel, asked: Sequence[ChatExample], compute: Compute, progress: Progress
) -> list[str]:
    """The model's mode is left as it was."""
    if not asked:
        return []
    training = opened.model.training
    opened.model.eval()
    try:
        return write_answers(opened, asked, ANSWER_TOKENS, compute=compute, progress=progress)
    finally:
        opened.model.train(training)


def shown_answers(
    asked: Sequence[ChatExample], before: Sequence[str], after: Sequence[str]
) -> list[JsonObject]:
    return [
        {
            "id": example.id,
            "kind": example.kind,
            "instruction": example.instruction,
            "input": example.input,
            "reference": example.output,
            "before": first,
            "after": last,
        }
        for example, first, last in zip(asked, before, after, strict=True)
    ]


def words_of(answers: list[JsonObject]) -> JsonObject:
    """The fields of `ChatResults` on answers; none where there are none."""
    if not answers:
        return {}
    words = {
        side: sum(len(str(each[side]).split()) for each in answers) / len(answers)
        for side in ("before", "after", "reference")
    }
    return {"answers": answers, "answer_words": words, "same_answer": same_answer(answers)}


def same_answer(answers: Sequence[JsonObject]) -> JsonObject | None:
    """Whatever is asked is answered so: less was learned than the held-out loss says."""
    after, reference = (
        Counter(" ".join(str(each[side]).split()) for each in answers)
        for side in ("after", "reference")
    )
    (text, count) = after.most_common(1)[0]
    if 2 * count <= len(answers) or 2 * reference[text] > count:
        return None
    return {"text": text, "after": count, "reference": reference[text]}


def fit_config_of(method: ChatMethod) -> FitConfig:
    config = method.config
    steps = method.batches.steps(config.epochs, config.tokens)
    return FitConfig(
        steps=steps,
        batch_size=config.batch_size,
        precision=config.precision,
        recompute=config.recompute,
        compile="off",  # batches of many shapes
        evaluate_every=-(-steps // method.evaluations(steps)),
        patience=config.patience or None,
        seed=config.seed,
        # LoRA's weights are small already, and B A is bounded by its rank
        optimizer=AdamW(learning_rate=config.highest_rate, weight_decay=0.0),
    )


def results_of(
    method: ChatMethod, fitted: FitResult, model: LanguageModel, run: RunFolder
) -> ChatResults:
    config, batches, best = method.config, method.batches, fitted.state.best_step or 0
    parameters = sum(each.numel() for each in model.parameters() if each.requires_grad)
    lora = None
    if config.train == "lora":
        lora = {"rank": config.rank, "alpha": config.alpha, "parameters": parameters}
    return ChatResults(
        held_out_loss={
            "before": evaluation_after(0, run)[HELD_OUT_LOSS],
            "after": evaluation_after(best, run)[HELD_OUT_LOSS],
        },
        examples=method.data.counts,
        lengths=asdict(method.data.lengths),
        epochs=round(fitted.steps / batches.batches_per_epoch, 3),
        tokens=sum(batches.num_tokens(position) for position in range(fitted.steps)),
        steps=fitted.steps,
        planned_steps=batches.steps(config.epochs, config.tokens),
        best_step=best,
        train_loss=fitted.last_loss,
        train=config.train,
        lora=lora,
        parameters=parameters,
        precision=fitted.precision,
        elapsed_s=round(fitted.state.elapsed_s, 1),
    )


def evaluation_after(step: int, run: RunFolder) -> dict[str, float]:
    """A resumed run did not measure each itself: read from the log."""
    for record in read_lines(run.metrics_file):
        if record.get("event") == "evaluation" and record["step"] == step:
            return {name: float(value) for name, value in record.items() if name != "event"}
    raise AssertionError(f"fit() evaluates after step {step}")
