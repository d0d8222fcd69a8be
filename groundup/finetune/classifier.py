"""Classifier fine-tuning: the last block, the final norm and a score head of a language model are trained, the blocks below are frozen.

    messages -> ids (cut at 64 tokens) -> embedding and frozen blocks, once -> features -> last block, norm, head -> class scores

The result is a folder that transformers opens as LlamaForSequenceClassification. Its context is `max_tokens`: it reads as much of a message
as it was trained and measured on. Text is tokenised without a prompt or an end token, so that any program gives the same scores.

results.json: labels, positive, splits (messages by label), models (this one first, then any baselines), validation,
majority, examples, lengths (what was cut), features, steps, trained_parameters, elapsed_s.
trained_on.json: the hashes of the training and validation messages (`data.reading.trained_on`).
`add_baselines` measures simple methods and the base model without training (zero-shot) on the same test messages; then there are more models, and
same_messages (all methods on the messages that the base model was asked about), zero_shot (the question, how many were asked of how many).
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from groundup.config import to_plain
from groundup.data.documents import Example
from groundup.data.reading.distinct import without_repeats
from groundup.data.reading.trained_on import write_trained_on
from groundup.device import Compute, generator
from groundup.engine.padded_batch import classifier_ids
from groundup.errors import ConfigError, DataError, MissingExtra, ModelError, require_choices, require_counts
from groundup.evaluate.metrics import majority_share
from groundup.evaluate.task import describe
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_ITEMS,
    ZeroShot,
    baseline_predictions,
    compare,
    judge,
    labels_of,
    model_row,
    positive_label,
)
from groundup.files import sha256_text
from groundup.finetune.features import (
    FEATURES_FILE,
    FeatureBatches,
    Features,
    FrozenBlocks,
    LastBlock,
    class_scores,
    keep_features,
)
from groundup.finetune.lengths import Lengths
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.config import FINETUNE_LEARNING_RATE, FitConfig, TrainPrecision
from groundup.train.loop import fit
from groundup.train.losses import finetune_loss
from groundup.train.monitor.callbacks import Hooks
from groundup.train.run_lifecycle import begin_or_finished, finish, load_best, write_finished
from groundup.weights.model_io import ModelCard, OpenModel

SPLITS = ("train", "validation", "test")
POSITION_TABLE = "position_embedding.weight"
OURS, ASKED = "fine-tuned classifier", "the base model, asked"
SHOWN_EXAMPLES = 12

Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is trained. The defaults suit some 1,600 short messages. Raises ConfigError."""

    max_tokens: int = 64
    """Messages are cut to this many tokens."""
    epochs: int = 4
    """Times through the training messages."""
    batch_size: int = 16
    """Messages of one step."""
    learning_rate: float = FINETUNE_LEARNING_RATE
    """The highest learning rate, after the warm-up."""
    weight_decay: float = 0.1
    """AdamW's."""
    positive: str | None = None
    """The label whose F1 is reported; None: the rarest."""
    precision: TrainPrecision = "auto"
    """Arithmetic of the frozen blocks; "auto" measures and takes the faster. What learns is computed in float32."""
    loss: str | None = None
    """Its name in `train.losses.FINETUNE_LOSSES`; None: cross-entropy."""
    seed: int = 0
    """Seed of the score head's first weights and of the order of messages."""

    def __post_init__(self) -> None:
        require_counts(self, "max_tokens", "epochs", "batch_size")
        require_choices(self)
        finetune_loss("classifier", self.loss)


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
    """Train on splits["train"], measure on "validation" and "test", save the classifier into the run folder; returns the contents of results.json.

    A stopped run is resumed; `opened` is left as it was. `card` names data and licences for the model card. Raises DataError
    (a split empty, one label only), ModelError, ConfigError.
    """
    progress = progress or Silent()
    started = time.monotonic()
    messages = Messages.of(splits, config.positive)
    model = classifier_from(opened, messages.labels, config)
    tokenizer, context_tokens = opened.require_tokenizer(), model.config.context_tokens
    whole = [classifier_ids(tokenizer, example.text) for example in messages.examples]
    ids = [each[:context_tokens] for each in whole]
    lengths = Lengths.of_texts([len(each) for each in whole], context_tokens)
    frozen = FrozenBlocks(model.transformer, model.config.num_layers - 1, compute)
    inputs = {
        "features": frozen.fingerprint(ids),
        "labels": sha256_text(repr(messages.classes)),
        "splits": messages.counts(),
    }
    finished = begin_or_finished(run, "classifier", to_plain(config), inputs)
    if finished is not None:
        return finished
    progress.say(lengths.line())
    file = run.path / FEATURES_FILE
    features = keep_features(file, frozen, ids, precision=config.precision, progress=progress)
    last = LastBlock(model)
    last.requires_grad_(True)
    rows = messages.rows["train"]
    batches = FeatureBatches(features, messages.classes, rows, batch_size=config.batch_size, seed=config.seed)
    hooks = Hooks(lambda: validation_figures(last, features, messages, compute=compute), progress=progress)
    loss = finetune_loss("classifier", config.loss)
    fitted = fit(last, batches, loss, fit_config_of(batches, config), run, compute=compute, hooks=hooks)
    load_best(last, fitted, run, progress)
    results = {
        **measure(last, features, messages, compute=compute, progress=progress),
        "lengths": lengths.plain(),
        "features": features.described(),
        "trained_parameters": sum(parameter.numel() for parameter in last.parameters()),
        "steps": fitted.steps,
        "epochs": config.epochs,
        "elapsed_s": round(time.monotonic() - started, 1),
    }
    file.unlink(missing_ok=True)  # a killed run needs them, a finished one does not
    seen = [*messages.of_split("train"), *messages.of_split("validation")]  # the best epoch is chosen on the latter
    write_trained_on(run.path, seen, base=opened.path)
    finish(run, model, tokenizer, results, card, card_figures(results), messages.labels)
    return results


@dataclass(frozen=True)
class Messages:
    """The examples of all splits, concatenated."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    """In alphabetical order: the order of the scores."""
    positive: str
    rows: Mapping[str, range]
    """Split -> indices in `examples`."""

    @classmethod
    def of(cls, splits: Splits, positive: str | None) -> "Messages":
        """Raises DataError for an empty split, a text that occurs twice, one label only, or labels that the training messages lack."""
        for split in SPLITS:
            if not splits.get(split):
                raise DataError(f"There are no {split} messages.", fix=f"Give messages to each of {', '.join(SPLITS)}.")
        labels = labels_of(splits["train"])
        unknown = sorted({example.label for split in SPLITS for example in splits[split]} - set(labels))
        if unknown:
            raise DataError(
                f"No training message has the label {unknown[0]!r}, but others do.", fix="Add some, or drop it."
            )
        if positive is not None and positive not in labels:
            raise ConfigError(f"positive is {positive!r}, not a label.", fix=f"Labels are {', '.join(labels)}.")
        examples = tuple(example for split in SPLITS for example in splits[split])
        distinct = without_repeats(examples)
        if distinct.repeats or distinct.conflicts:
            raise DataError(
                f"{distinct.repeats + distinct.conflicts:,} messages occur more than once in the splits: memorising would count as accuracy.",
                fix="Split with groundup.data.reading.examples.stratified_split, which removes repeats before.",
            )
        ends = list(accumulate(len(splits[split]) for split in SPLITS))
        rows = {split: range(end - len(splits[split]), end) for split, end in zip(SPLITS, ends, strict=True)}
        return cls(examples, labels, positive or positive_label(splits["train"]), rows)

    @property
    def classes(self) -> list[int]:
        """The number of each example's label."""
        return [self.labels.index(example.label) for example in self.examples]

    def of_split(self, split: str) -> list[Example]:
        """The examples of one split."""
        return [self.examples[row] for row in self.rows[split]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> how many."""
        return {split: dict(sorted(Counter(e.label for e in self.of_split(split)).items())) for split in SPLITS}


def classifier_from(opened: OpenModel, labels: Sequence[str], config: ClassifierConfig) -> Classifier:
    """Return a classifier on the language model's transformer, all frozen: lower blocks shared, last block and norm copied, score head initialised.

    Raises ModelError when it is no language model.
    """
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(f"{opened.path} is a classifier already.", fix="Use a language model.")
    source = opened.model.transformer
    context_tokens = min(config.max_tokens, opened.config.context_tokens)
    with torch.device("meta"):
        model = Classifier(dataclasses.replace(opened.config, context_tokens=context_tokens), len(labels))
    learns = (f"blocks.{opened.config.num_layers - 1}.", "final_norm.")
    state = {
        name: t.detach().clone() if name.startswith(learns) else t.detach() for name, t in source.state_dict().items()
    }
    if POSITION_TABLE in state:
        state[POSITION_TABLE] = state[POSITION_TABLE][:context_tokens]
    model.transformer.load_state_dict(state, assign=True)
    score = nn.Linear(opened.config.width, len(labels), bias=False)
    initialise(score, generator(config.seed, "score head"))
    model.score = score.to(source.embedding.weight)
    return model.requires_grad_(False).eval()


def fit_config_of(batches: FeatureBatches, config: ClassifierConfig) -> FitConfig:
    """Return `fit()`'s config: an evaluation after every epoch, float32, as bf16 gains nothing on features."""
    return FitConfig(
        steps=config.epochs * batches.batches_per_epoch,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        precision="float32",
        compile="off",  # batches of many shapes
        evaluate_every=batches.batches_per_epoch,
        checkpoint_every=batches.batches_per_epoch,
        keep_checkpoints=1,
        seed=config.seed,
    )


def validation_figures(
    last: LastBlock, features: Features, messages: Messages, *, compute: Compute
) -> dict[str, float]:
    """Return loss (nats a message) and accuracy on the validation messages."""
    rows = messages.rows["validation"]
    scores = class_scores(last, features, rows, device=compute.device)
    truth = torch.tensor(messages.classes)[rows.start : rows.stop]
    right = int((scores.argmax(dim=1) == truth).sum())
    return {"validation_loss": float(F.cross_entropy(scores, truth)), "validation_accuracy": right / len(rows)}


def measure(
    last: LastBlock, features: Features, messages: Messages, *, compute: Compute, progress: Progress
) -> dict[str, Any]:
    """Measure the trained classifier on validation and test messages, as in results.json."""
    last.eval()
    results: dict[str, Any] = {
        "labels": list(messages.labels),
        "positive": messages.positive,
        "splits": messages.counts(),
    }
    for split in SPLITS[1:]:
        examples = messages.of_split(split)
        probabilities = class_scores(last, features, messages.rows[split], device=compute.device).softmax(dim=1)
        predicted = [messages.labels[i] for i in probabilities.argmax(dim=1).tolist()]
        actual = [example.label for example in examples]
        outcome = judge(actual, predicted, messages.labels, messages.positive)
        results[split] = model_row(OURS, outcome)
        for figure in outcome.measures:
            progress.say(f"{split}: {describe(figure)}")
    # the loop ends with the test messages
    results["models"] = [results["test"]]
    results["majority"] = {"value": majority_share(actual)}
    results["predictions"] = {OURS: predicted}
    results["examples"] = shown_examples(examples, predicted, probabilities.amax(dim=1).tolist())
    return results


def shown_examples(
    examples: Sequence[Example], predicted: Sequence[str], probabilities: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a few test messages for the report: mistakes first, by descending confidence, then right answers."""

    found: list[dict[str, Any]] = [
        {"text": example.text, "label": example.label, "predicted": label, "probability": round(probability, 4)}
        for example, label, probability in zip(examples, predicted, probabilities, strict=True)
    ]
    wrong = [each for each in found if each["label"] != each["predicted"]]
    right = [each for each in found if each["label"] == each["predicted"]]
    return [*sorted(wrong, key=lambda each: -each["probability"]), *right][:SHOWN_EXAMPLES]


def card_figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures for the model card."""
    measured, n = results["test"], sum(results["splits"]["test"].values())
    low, high = measured["accuracy"]["low"], measured["accuracy"]["high"]
    return {
        f"test accuracy (n = {n})": f"{measured['accuracy']['value']:.1%}, 95 % interval {low:.1%} to {high:.1%}",
        "accuracy of always predicting the most frequent label": f"{results['majority']['value']:.1%}",
        f"F1 of '{results['positive']}'": f"{measured['f1']:.3f}",
    }


def add_baselines(
    results: Mapping[str, Any],
    opened: OpenModel,
    splits: Mapping[str, Sequence[Example]],
    run: RunFolder,
    *,
    question: str | None = None,
    zero_shot_items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the results of `fit_classifier` with its baselines, and write them to the run folder. `opened` is the base model.

    Without scikit-learn its two baselines are left out, and so is a base model that can't be asked (no chat template, a
    context too short for the question); both are reported.
    """
    progress = progress or Silent()
    test = splits["test"]
    labels, positive = tuple(results["labels"]), results["positive"]
    predictions: dict[str, Sequence[str]] = dict(results["predictions"])
    whole = dict(results)
    try:
        predictions |= baseline_predictions(splits["train"], test)
    except MissingExtra as missing:
        progress.say(f"Left out: TF-IDF with logistic regression. {missing}")
    task = ZeroShot(test, labels, positive, question=question, items=zero_shot_items)
    try:
        details = task.measure(opened, compute=compute, progress=progress).details
        predictions[ASKED] = details["predictions"]
        whole["zero_shot"] = {name: details[name] for name in ("question", "asked", "of")}
    except ModelError as error:
        progress.say(f"Left out: {ASKED}. {error}")
    rows, same_messages = compare(predictions, [example.label for example in test], labels, positive)
    whole |= {"models": rows, "same_messages": same_messages, "predictions": predictions}
    write_finished(run, whole)
    return whole
