"""Classifier fine-tuning: of a language model the last block, the final norm and a score head are
trained (or more: `train`), the rest is frozen.

    messages -> ids, in windows -> embedding and frozen blocks, once -> features -> last block,
        norm, head -> class scores

The result is a folder that transformers opens as LlamaForSequenceClassification. Its context is the
length of a window: the shortest that holds nearly all training messages. Of a longer message up to
`windows` windows are read and their scores averaged; other programs read the first. Text is
tokenised without a prompt or an end token, so that any program gives the same scores. How scores
become a decision is in classifier.json (`weights.decision_rule`).

results.json: labels, positive, splits (messages by label), models (this one first, then any
baselines), validation, majority, examples, lengths (what was cut), features, steps, learning_rate,
learning_rates (tried, with their validation losses), decision, calibration, costs, coverage, curves
(ROC, precision and recall of the positive label), learning_curve, wrong_labels, trained_parameters,
elapsed_s. Learning rate, epoch, temperature and where it abstains are chosen on the validation
messages, and so are the settings of the baselines; the test messages are judged once.
trained_on.json: the hashes of the training and validation messages (`data.preparation.trained_on`).
`classifier_baselines` adds simple methods and the base model without training (zero-shot) on the
same test messages; then there are more models, and same_messages (all methods on the messages that
the base model was asked about), zero_shot (the question, how many were asked of how many).
"""

import time
from collections.abc import Sequence
from typing import Any

import torch

from groundup.config import to_plain
from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute
from groundup.files import sha256_text
from groundup.finetune.classifier_config import ClassifierConfig
from groundup.finetune.classifier_results import DecisionTarget
from groundup.finetune.classifier_training import ClassifierJob
from groundup.finetune.features import FEATURES_FILE
from groundup.finetune.label_errors import wrong_labels
from groundup.finetune.learning_curve import learning_curve
from groundup.finetune.learning_rate import remove_runs
from groundup.finetune.messages import Splits
from groundup.finetune.multi_label import messages_of
from groundup.finetune.multi_label_results import RESULTS
from groundup.finetune.stacked import require_scikit_learn
from groundup.model.lora import merge_lora
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import begin_or_finished, finish
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
) -> dict[str, Any]:
    """Train on splits["train"], measure on "validation" and "test", save the classifier into the
    run folder; returns the contents of results.json.

    A stopped run is resumed; `opened` is left as it was. `card` names data and licences for the
    model card. Raises DataError (a split empty, one label only), ModelError, ConfigError.
    """
    started = time.monotonic()
    job = ClassifierJob(
        opened, messages_of(splits, vars(config)), config, compute, progress or Silent()
    )
    choose_decision, measure, card_figures = RESULTS[job.messages.kind]
    messages, progress = job.messages, job.progress
    if config.train in ("stacked", "auto"):
        require_scikit_learn()
    model = job.classifier()
    inputs = {
        "features": job.fingerprint(model),
        "labels": sha256_text(repr(messages.classes)),
        "splits": messages.counts(),
    }
    finished = begin_or_finished(run, "classifier", to_plain(config), inputs)
    if finished is not None:
        return finished
    progress.say(job.lengths.line())
    learner = job.learner(run)

    def with_rows(rows: Sequence[int], folder: RunFolder) -> dict[str, float]:
        return job.messages.figures(learner.trained_on(rows, folder)(messages.rows["validation"]))

    def held_out_scores(
        rows: Sequence[int], held_out: Sequence[int], folder: RunFolder
    ) -> torch.Tensor:
        return learner.trained_on(rows, folder)(held_out)

    validated, train_rows = len(messages.rows["validation"]), messages.rows["train"]
    curve = config.learning_curve and learning_curve(
        with_rows, train_rows, messages.classes, validated, run, progress
    )
    suspects = config.find_wrong_labels and wrong_labels(held_out_scores, messages, run, progress)
    learned = learner.final(run)
    scores = {split: learned.scores(messages.rows[split]) for split in ("validation", "test")}
    wish = DecisionTarget(config.cost_false_alarm, config.cost_miss, config.abstain)
    decision = choose_decision(scores["validation"], messages, wish, config.windows, progress)
    results = {
        **measure(scores, messages, decision, wish, progress),
        "lengths": job.lengths.plain(),
        **learned.figures,
        **({"learning_curve": curve} if curve else {}),
        **({"wrong_labels": suspects} if suspects else {}),
        "elapsed_s": round(time.monotonic() - started, 1),
    }
    if config.train == "lora":
        merge_lora(learned.model)
    if learned.stacked is not None:
        results["plain_head"] = job.plain_head(learned, progress)
    remove_runs(run)
    (run.path / FEATURES_FILE).unlink(missing_ok=True)  # of an older version's run
    seen = [
        *messages.of_split("train"),
        *messages.of_split("validation"),
    ]  # the best epoch is chosen on the latter
    write_trained_on(run.path, seen, base=opened.path)
    tokenizer = opened.require_tokenizer()
    figures = card_figures(results)
    finish(
        run,
        learned.model,
        tokenizer,
        results,
        card,
        figures,
        messages.labels,
        decision,
        learned.stacked,
    )
    return results
