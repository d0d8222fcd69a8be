"""A language model becomes a classifier: the last block, the final norm and a score head learn, everything below stays as it is.

    messages -> ids (cut at 64 tokens) -> embedding and frozen blocks, once -> features -> last block, norm, head -> class scores

The result is a folder that transformers opens as LlamaForSequenceClassification. Its context is `max_tokens`: it reads a message
exactly as far as it was trained and measured. Text goes in as it is, without a prompt or an end token, so that any program
that tokenises it gives the same scores.

results.json: labels, positive, splits (messages by label), models (this one first; baselines may be added behind it), validation,
majority, examples, features, steps, trained_parameters, elapsed_s.
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import nn

from groundup.config import to_plain
from groundup.data.documents import Example
from groundup.device import Compute, generator
from groundup.engine.padded_batch import classifier_ids
from groundup.errors import ConfigError, DataError, ModelError
from groundup.evaluate.metrics import majority_share
from groundup.evaluate.task import describe
from groundup.evaluate.tasks.classification import judge, labels_of, model_row, positive_label
from groundup.files import sha256_text, write_manifest
from groundup.finetune.features import FEATURES_FILE, Features, features_fingerprint, keep_features
from groundup.finetune.finished import APART, begin_or_finished
from groundup.finetune.lastblock import FeatureBatches, LastBlock, class_scores, feature_loss
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.state import load_weights, step_folder
from groundup.train.config import FitConfig, Precision
from groundup.train.loop import FitResult, fit
from groundup.weights.model_io import ModelCard, OpenModel, save_model

SPLITS = ("train", "validation", "test")
POSITION_TABLE = "position_embedding.weight"
OURS = "fine-tuned classifier"
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
    learning_rate: float = 5e-4
    """The highest learning rate, after the warm-up."""
    weight_decay: float = 0.1
    """AdamW's."""
    positive: str | None = None
    """The label whose F1 is reported; None: the rarest."""
    precision: Precision = "auto"
    """Arithmetic of the frozen blocks; "auto" measures and takes the faster. What learns is computed in float32."""
    seed: int = 0
    """Seed of the score head's first weights and of the order of messages."""

    def __post_init__(self) -> None:
        for name in ("max_tokens", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1 (got {getattr(self, name)}).")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision must be {', '.join(get_args(Precision))} (got {self.precision!r}).")


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
    """Train on splits["train"], measure on "validation" and "test", save the classifier into the run folder; returns what results.json holds.

    Goes on where a stopped run was; `opened` is left as it was. `card` names data and licences for the model card. Raises DataError
    (a split empty, one label only), ModelError, ConfigError.
    """
    progress = progress or Silent()
    started = time.monotonic()
    messages = Messages.of(splits, config.positive)
    model = classifier_from(opened, messages.labels, config)
    ids = message_ids(opened, model, messages)
    num_frozen = model.config.num_layers - 1
    inputs = {
        "features": features_fingerprint(model.transformer, ids, num_frozen),
        "labels": sha256_text(repr(messages.classes)),
        "splits": messages.counts(),
    }
    finished = begin_or_finished(run, "classifier", to_plain(config), inputs)
    if finished is not None:
        return finished
    file = run.path / FEATURES_FILE
    features = keep_features(
        file, model.transformer, ids, num_frozen, precision=config.precision, compute=compute, progress=progress
    )
    last = LastBlock(model)
    fitted = train(last, features, messages, run, config, compute=compute, progress=progress)
    results = {
        **measure(last, features, messages, compute=compute, progress=progress),
        "features": features.described(),
        "trained_parameters": sum(parameter.numel() for parameter in last.parameters()),
        "steps": fitted.steps,
        "epochs": config.epochs,
        "elapsed_s": round(time.monotonic() - started, 1),
    }
    save_model(model, run.path, opened.require_tokenizer(), labels=messages.labels, card=finished_card(card, results))
    run.write_results(results)
    file.unlink(missing_ok=True)  # a killed run needs them, a finished one does not
    write_manifest(run.path, skip=APART)
    return results


@dataclass(frozen=True)
class Messages:
    """The examples of all splits one behind another, and which are whose."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    """In alphabetical order: the order of the scores."""
    positive: str
    rows: Mapping[str, range]
    """Split -> places in `examples`."""

    @classmethod
    def of(cls, splits: Splits, positive: str | None) -> "Messages":
        """Raises DataError for an empty split, for one label only, or labels that the training messages lack."""
        for split in SPLITS:
            if not splits.get(split):
                raise DataError(f"There are no {split} messages.", fix=f"Give some to each of {', '.join(SPLITS)}.")
        labels = labels_of(splits["train"])
        unknown = sorted({example.label for split in SPLITS for example in splits[split]} - set(labels))
        if unknown:
            raise DataError(
                f"No training message has the label {unknown[0]!r}, but others do.", fix="Add some, or drop it."
            )
        if positive is not None and positive not in labels:
            raise ConfigError(f"positive is {positive!r}, which is no label.", fix=f"Labels are {', '.join(labels)}.")
        ends = list(accumulate(len(splits[split]) for split in SPLITS))
        rows = {split: range(end - len(splits[split]), end) for split, end in zip(SPLITS, ends, strict=True)}
        examples = tuple(example for split in SPLITS for example in splits[split])
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
    """A classifier on the language model's body, all frozen: lower blocks shared with it, last block and norm copied, the score head seeded.

    Raises ModelError when it is no language model.
    """
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(f"{opened.path} is a classifier already.", fix="Begin with a language model.")
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


def message_ids(opened: OpenModel, model: Classifier, messages: Messages) -> list[list[int]]:
    """The messages as the engine's `classify` will read them."""
    tokenizer = opened.require_tokenizer()
    return [classifier_ids(tokenizer, example.text, model.config.context_tokens) for example in messages.examples]


def train(
    last: LastBlock,
    features: Features,
    messages: Messages,
    run: RunFolder,
    config: ClassifierConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> FitResult:
    """`fit()` on the features, the validation messages judged after every epoch, the best epoch kept. In float32: bf16 gains nothing here."""
    last.requires_grad_(True)
    rows = messages.rows["train"]
    batches = FeatureBatches(features, messages.classes, rows, batch_size=config.batch_size, seed=config.seed)
    fit_config = FitConfig(
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

    def evaluate() -> dict[str, float]:
        return validation_figures(last, features, messages, compute=compute)

    fitted = fit(last, batches, feature_loss, fit_config, run, compute=compute, evaluate=evaluate, progress=progress)
    if fitted.best_step not in (None, fitted.steps):
        load_weights(last, step_folder(run.checkpoints, fitted.best_step))
        progress.say(f"Validation loss was lowest after step {fitted.best_step}: those weights are kept.")
    return fitted


def validation_figures(
    last: LastBlock, features: Features, messages: Messages, *, compute: Compute
) -> dict[str, float]:
    """Loss in nats a message, and accuracy, on the validation messages."""
    rows = messages.rows["validation"]
    scores = class_scores(last, features, rows, device=compute.device)
    truth = torch.tensor(messages.classes)[rows.start : rows.stop]
    right = int((scores.argmax(dim=1) == truth).sum())
    return {"validation_loss": float(F.cross_entropy(scores, truth)), "validation_accuracy": right / len(rows)}


def measure(
    last: LastBlock, features: Features, messages: Messages, *, compute: Compute, progress: Progress
) -> dict[str, Any]:
    """The finished classifier on validation and test messages, as results.json has it."""
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
    """A few test messages for reading: mistakes first, the surest of them before the others, then right answers."""

    def rank(place: int) -> tuple[bool, float]:
        right = examples[place].label == predicted[place]
        return right, 0.0 if right else -probabilities[place]

    return [
        {
            "text": examples[place].text,
            "label": examples[place].label,
            "predicted": predicted[place],
            "probability": round(probabilities[place], 4),
        }
        for place in sorted(range(len(examples)), key=rank)[:SHOWN_EXAMPLES]
    ]


def finished_card(card: ModelCard | None, results: Mapping[str, Any]) -> ModelCard | None:
    """The caller's card (name, data, licences) with labels and figures."""
    if card is None:
        return None
    measured, n = results["test"], sum(results["splits"]["test"].values())
    low, high = measured["accuracy"]["low"], measured["accuracy"]["high"]
    figures = {
        f"test accuracy (n = {n})": f"{measured['accuracy']['value']:.1%}, 95 % interval {low:.1%} to {high:.1%}",
        "accuracy of always naming the commonest label": f"{results['majority']['value']:.1%}",
        f"F1 of '{results['positive']}'": f"{measured['f1']:.3f}",
    }
    return dataclasses.replace(card, labels=tuple(results["labels"]), figures={**card.figures, **figures})
