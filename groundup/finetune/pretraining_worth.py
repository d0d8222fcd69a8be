"""What pretraining is worth: the same labelled texts learned from random weights, by the same model pretrained, and by a larger public one.

Both small models are trained whole, in the same way, with the same seed: the difference is what they knew before the first label. All three are
compared on the same test texts, paired. Values below "pretraining" in a classifier's results.json; "skipped" says why there are none.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.evaluate.paired import share_difference
from groundup.evaluate.tasks.classification import compare
from groundup.files import TMP_PREFIX
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_config import ClassifierConfig
from groundup.finetune.classifier_results import OURS
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.config import FINETUNE_LEARNING_RATE
from groundup.train.pretrain import new_model
from groundup.train.run_lifecycle import write_finished
from groundup.weights.model_io import OpenModel

Splits = Mapping[str, Sequence[Example]]
PUBLIC, OWN, RANDOM = "the public model", "pretrained here", "random weights"


def worth_config(max_tokens: int, seed: int) -> ClassifierConfig:
    """Return how both small models are trained: whole, at one rate, since the usual ones for a pretrained model hardly move random weights."""
    return ClassifierConfig(
        max_tokens=max_tokens, train="all", learning_rate=FINETUNE_LEARNING_RATE, precision="float32", seed=seed
    )


def add_pretraining_worth(
    results: Mapping[str, Any],
    own: OpenModel,
    splits: Splits,
    run: RunFolder,
    config: ClassifierConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> dict[str, Any]:
    """Return a public model's results with the comparison, and write them to its run folder. Raises what `fit_classifier` raises."""
    random = OpenModel(new_model(own.config, config.seed, compute), own.tokenizer, own.config, own.path, "language")
    predicted = {PUBLIC: results["predictions"][OURS]}
    for name, opened in ((OWN, own), (RANDOM, random)):
        progress.say(f"      the same messages, learned from {name}")
        predicted[name] = _predictions(opened, splits, run.path.with_name(f"{TMP_PREFIX}worth"), config, compute)
    actual = [example.label for example in splits["test"]]
    rows, _ = compare(predicted, actual, tuple(results["labels"]), results["positive"])
    right = {name: [a == p for a, p in zip(actual, labels, strict=True)] for name, labels in predicted.items()}
    found = {
        "models": rows,
        "own_over_random": share_difference(right[RANDOM], right[OWN]).plain(),
        "public_over_own": share_difference(right[OWN], right[PUBLIC]).plain(),
        "parameters": sum(parameter.numel() for parameter in own.model.parameters()),
        "learning_rate": config.learning_rate,
    }
    return _written({**results, "pretraining": found}, run)


def without_pretraining_worth(results: Mapping[str, Any], run: RunFolder, reason: str) -> dict[str, Any]:
    """Return the results with the reason why the comparison was not made, and write them."""
    return _written({**results, "pretraining": {"skipped": reason}}, run)


def _predictions(
    opened: OpenModel, splits: Splits, folder: Path, config: ClassifierConfig, compute: Compute
) -> list[str]:
    """Return the labels of the test texts by a classifier that is not kept."""
    shutil.rmtree(folder, ignore_errors=True)  # of a stopped call
    try:
        found: list[str] = fit_classifier(opened, splits, RunFolder(folder), config, compute=compute)["predictions"][
            OURS
        ]
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(results: dict[str, Any], run: RunFolder) -> dict[str, Any]:
    write_finished(run, results)
    return results
