"""Classifier fine-tuning: of a language model the last block, the final norm and a score head are
trained (or more: `train`), the rest is frozen.

    messages -> ids, in windows -> embedding and frozen blocks, once -> features -> last block,
        norm, head -> class scores

The result is a folder that transformers opens as LlamaForSequenceClassification. Of a longer
message up to `windows` windows are read and their scores averaged; other programs read the first.
Text is tokenised without a prompt or an end token, so that any program gives the same scores.

Learning rate, epoch, temperature and where it abstains are chosen on the validation messages; the
test messages are judged once. Where an error rate is promised (`max_error`), half of the validation
messages are kept for the threshold alone: the promise wants texts that nothing was chosen on.
"""

import dataclasses
import time
from collections.abc import Sequence

import torch

from groundup.data.preparation.trained_on import write_trained_on
from groundup.data.reading.example_splits import require_label_sets
from groundup.device import Compute
from groundup.evaluate.tasks.classification import require_place_for_label
from groundup.finetune.candidates import learner_of
from groundup.finetune.classifier_results import (
    ClassifierResults,
    DecisionTarget,
    card_figures,
    choose_decision,
    measure,
)
from groundup.finetune.classifier_training import ClassifierJob, Learner
from groundup.finetune.config import ClassifierConfig, training_fields
from groundup.finetune.further_trainings import (
    LearningCurve,
    WrongLabels,
    learning_curve,
    remove_runs,
    wrong_labels,
)
from groundup.finetune.messages import Messages, Splits, with_calibration
from groundup.finetune.stacked import require_scikit_learn
from groundup.finetune.time_limit import TimeLimit
from groundup.model.lora import merge_lora
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import begin_or_finished, finish, with_figures
from groundup.weights.model_io import ModelCard, OpenModel


def fit_classifier(
    opened: OpenModel,
    splits: Splits,
    run: RunFolder,
    config: ClassifierConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    limit: TimeLimit | None = None,
) -> ClassifierResults:
    """Train on splits["train"], measure on "validation" and "test", save the classifier; returns
    the contents of results.json. `limit`: what is left of it decides how much is tried.

    A stopped run is resumed; `opened` is left as it was. Raises DataError (a split empty, one label
    only), ModelError, ConfigError.
    """
    started = time.monotonic()
    progress = progress or Silent()
    messages = messages_of(splits, config)
    job = ClassifierJob(opened, messages, config, compute, progress, limit)
    if config.train == "stacked":
        require_scikit_learn()
    finished = begin_or_finished(run, "classifier", training_fields(config), job.inputs())
    if finished is not None:
        return ClassifierResults.read(finished)
    progress.say(job.lengths.line())
    learner = learner_of(job, run)
    curve, suspects = _further_trainings(job, learner, run)
    learned = learner.final(run)
    scores = {split: learned.scores(messages.rows[split]) for split in messages.held_out}
    target = DecisionTarget.of(config)
    decision = choose_decision(scores, messages, target, config.windows, progress)
    results = dataclasses.replace(
        measure(scores, messages, decision, target, progress),
        lengths=dataclasses.asdict(job.lengths),
        learning_curve=curve,
        wrong_labels=suspects,
        elapsed_s=round(time.monotonic() - started, 1),
        **learned.figures,
    )
    if config.train == "lora":
        merge_lora(learned.model)
    if learned.stacked is not None:
        plain_head = dataclasses.asdict(job.plain_head(learned, progress))
        results = dataclasses.replace(results, plain_head=plain_head)
    remove_runs(run)
    write_trained_on(run.path, messages.seen, base=opened.path)
    finish(
        run,
        learned.model,
        opened.require_tokenizer(),
        results.plain(),
        with_figures(card, card_figures(results)),
        messages.labels,
        decision,
        learned.stacked,
    )
    return results


def messages_of(splits: Splits, config: ClassifierConfig) -> Messages:
    """Raises DataError, and ConfigError for a field that does not apply to several labels."""
    if require_label_sets(splits):
        config.require_several_labels()
        require_place_for_label(config.question)
    if config.max_error is not None and splits.get("validation"):
        splits = with_calibration(splits, config.seed)
    return Messages.of(splits, config.positive)


def _further_trainings(
    job: ClassifierJob, learner: Learner, run: RunFolder
) -> tuple[LearningCurve | None, WrongLabels | None]:
    config, messages, progress = job.config, job.messages, job.progress
    validation = messages.rows["validation"]

    def figures_with(rows: Sequence[int], folder: RunFolder) -> dict[str, float]:
        return messages.figures(learner.trained_on(rows, folder)(validation))

    def held_out_scores(
        rows: Sequence[int], held_out: Sequence[int], folder: RunFolder
    ) -> torch.Tensor:
        return learner.trained_on(rows, folder)(held_out)

    curve = suspects = None
    if config.learning_curve:
        train = messages.rows["train"]
        curve = learning_curve(
            figures_with, train, messages.classes, len(validation), run, progress
        )
    if config.find_wrong_labels:
        suspects = wrong_labels(held_out_scores, messages, run, progress)
    return curve, suspects
