"""The run of a chat model's training, whatever it learns from: a `ChatMethod` has the examples,
their batches and what is measured on the held-out ones; the loss is that of its config.

    examples -> batches -> fit() on LoRA adapters (or all weights) -> folder

The folder holds the adapters in PEFT's format, or a whole model; results.json holds `ChatResults`,
trained_on.json the hashes of the training examples (`data.preparation.trained_on`).
"""

from dataclasses import replace
from typing import Protocol

from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute
from groundup.evaluate.comparison.forgetting import compare, measure, suites
from groundup.evaluate.task import language_model
from groundup.finetune.adapters import begin_training, finish_chat
from groundup.finetune.chat_results import ChatResults
from groundup.finetune.config import ChatTraining, training_fields
from groundup.finetune.instruction_data import ChatData
from groundup.finetune.order import EpochBatches
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import begin_or_finished
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import finetune_loss
from groundup.weights.model_io import ModelCard, OpenModel


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


def train_chat(
    method: ChatMethod,
    opened: OpenModel,
    run: RunFolder,
    *,
    compute: Compute,
    progress: Progress,
    card: ModelCard | None,
) -> ChatResults:
    """Train by a method and save the model or adapter into the run folder; returns the contents of
    results.json.

    A stopped run is resumed, a finished one only read. `opened` is changed: open the run folder for
    the result. `card` names data and licences. Raises what `fit` raises, and DataError for general
    text that can't be read.
    """
    config, data = method.config, method.data
    model, _ = language_model(opened)
    tasks = suites(config.general, progress)
    inputs = {
        "base": frozen_fingerprint(model.requires_grad_(False)),  # of all weights
        "examples": method.batches.fingerprint,
        "held_out": data.held_out_key,
    }
    finished = begin_or_finished(run, config.method, training_fields(config), inputs)
    if finished is not None:
        return ChatResults.read(finished)
    data.report(progress)
    progress.say(method.batches.line(config.epochs, config.tokens))
    method.begin(model)
    before = measure(tasks, opened, compute, progress)
    trained = begin_training(opened, config)
    fitted = fit(
        model,
        method.batches,
        finetune_loss(config.method, config.loss),
        fit_config_of(method),
        run,
        compute=compute,
        hooks=Hooks(method.evaluate, progress=progress),
    )
    results = method.complete(results_of(method, fitted, model, run), fitted.state.evaluation)
    after = measure(tasks, opened, compute, progress)
    results = replace(results, forgetting=compare(before, after))
    progress.say(method.describe(results))
    write_trained_on(run.path, data.learned, base=opened.path)
    figures = method.card_figures(results)
    finish_chat(run, opened, trained, results.plain(), card, figures, merge=config.merge)
    return results


def fit_config_of(method: ChatMethod) -> FitConfig:
    """Return `fit()`'s config for the epochs and the token budget."""
    config = method.config
    steps = method.batches.steps(config.epochs, config.tokens)
    return FitConfig(
        steps=steps,
        batch_size=config.batch_size,
        precision=config.precision,
        recompute=config.recompute,
        compile="off",  # batches of many shapes
        evaluate_every=-(-steps // method.evaluations(steps)),
        seed=config.seed,
        # LoRA's weights are small already, and B A is bounded by its rank
        optimizer=AdamW(learning_rate=config.highest_rate, weight_decay=0.0),
    )


def results_of(
    method: ChatMethod, fitted: FitResult, model: LanguageModel, run: RunFolder
) -> ChatResults:
    """Return the results that every method has, but for `forgetting`."""
    config, batches = method.config, method.batches
    parameters = sum(each.numel() for each in model.parameters() if each.requires_grad)
    lora = None
    if config.train == "lora":
        lora = {"rank": config.rank, "alpha": config.alpha, "parameters": parameters}
    return ChatResults(
        held_out_loss={
            "before": loss_before(run),
            "after": fitted.state.evaluation["held_out_loss"],
        },
        examples=method.data.counts,
        lengths=method.data.lengths.plain(),
        epochs=round(fitted.steps / batches.batches_per_epoch, 3),
        tokens=sum(batches.num_tokens(position) for position in range(fitted.steps)),
        steps=fitted.steps,
        train_loss=fitted.last_loss,
        train=config.train,
        lora=lora,
        parameters=parameters,
        precision=fitted.precision,
        elapsed_s=round(fitted.state.elapsed_s, 1),
    )


def loss_before(run: RunFolder) -> float:
    """Return the held-out loss before the first step from the log (a resumed run did not measure it
    itself).
    """
    for record in read_lines(run.metrics_file):
        if record.get("event") == "evaluation" and record["step"] == 0:
            return float(record["held_out_loss"])
    raise AssertionError("fit() evaluates before the first step")
