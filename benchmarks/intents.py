"""The intent classifiers of the packaged packs, in five folds over all messages: ours as `groundup build` trains it, logistic regression on
all-minilm-l6-v2's vectors, and on TF-IDF of words and of letters.

python benchmarks/intents.py [--packs bank airline ...] [--json OUT]

Each message is tested once, by classifiers that were trained on 65 % of the messages and chose everything on 15 %; the interval of a difference is
that of McNemar's pairs over all messages (Newcombe 1998). Folds share texts to learn from, so over new training texts it is wider.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import machine

from groundup.cli.console import console_progress, table
from groundup.data.documents import Example
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import stratified_split, without_repeats
from groundup.data.reading.examples import read_labelled
from groundup.device import Compute, select_compute
from groundup.engine.engine import Engine
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.paired import share_difference
from groundup.evaluate.tasks.label_baselines import predict_regression, predict_tfidf
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import OURS
from groundup.finetune.config import ClassifierConfig
from groundup.packs.pack import packaged_packs
from groundup.progress import Silent
from groundup.recipes.named_stages import (
    ANSWERED_RIGHT,
    CLASSIFIER_EPOCHS,
    VALIDATION_SHARE,
)
from groundup.runs import RunFolder
from groundup.weights.catalog import SENTENCE_ENCODER
from groundup.weights.model_io import OpenModel, find_model, open_model

MODEL = "smollm2-135m-instruct"
FOLDS, SEED = 5, 1
MINILM, WORDS, LETTERS = "MiniLM + regression", "TF-IDF of words", "TF-IDF of letters"
METHODS = (OURS, MINILM, WORDS, LETTERS)


def messages_of(pack: str) -> list[Example]:
    """The distinct messages of a pack."""
    data = Data(str(packaged_packs()[pack] / "messages.jsonl"), text="text", label="label")
    return list(without_repeats(read_labelled(data, progress=Silent())).examples)


def folds_of(messages: Sequence[Example]) -> list[dict[str, list[Example]]]:
    """Five splits, whose tests are all messages together."""
    sizes = {str(fold): (len(messages) + fold) // FOLDS for fold in range(FOLDS)}
    folds = stratified_split(messages, sizes, SEED)
    found = []
    for name, test in folds.items():
        others = [each for other in folds if other != name for each in folds[other]]
        validation = round(VALIDATION_SHARE * len(messages))
        parts = {"validation": validation, "train": len(others) - validation}
        found.append({**stratified_split(others, parts, SEED), "test": test})
    return found


def predictions(
    splits: dict[str, list[Example]], opened: OpenModel, compute: Compute
) -> dict[str, Sequence[str]]:
    """What each method says of the test messages."""
    parts = splits["train"], splits["validation"], splits["test"]
    labels = sorted({each.label for part in parts for each in part})
    found: dict[str, Any] = {
        WORDS: predict_tfidf(*parts, labels, characters=False).predicted,
        LETTERS: predict_tfidf(*parts, labels, characters=True).predicted,
    }
    config = ClassifierConfig(
        train="auto",
        encoder=SENTENCE_ENCODER,
        epochs=CLASSIFIER_EPOCHS,
        abstain=ANSWERED_RIGHT,
        few_shot=0,
        seed=SEED,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        results = fit_classifier(opened, splits, run, config, compute=compute, progress=Silent())
    found[OURS] = results.predictions[OURS]
    found[MINILM] = by_vectors(parts, labels, compute)
    return found


def by_vectors(
    parts: tuple[list[Example], list[Example], list[Example]],
    labels: Sequence[str],
    compute: Compute,
) -> Sequence[str]:
    """What a regression on the encoder's vectors says."""
    folder = find_model(SENTENCE_ENCODER, progress=console_progress())
    engine = Engine(open_model(folder, compute), compute)
    rows = [engine.embed([each.text for each in part]).numpy() for part in parts]
    train, validation, _ = parts
    found = predict_regression(MINILM, train, validation, labels, (rows[0], rows[1], rows[2]))
    return [str(label) for label in found.predicted]


def measured(pack: str, opened: OpenModel, compute: Compute) -> dict[str, Any]:
    """The accuracies of a pack over all its folds, and ours against each other method."""
    right: dict[str, list[bool]] = {name: [] for name in METHODS}
    by_fold = []
    folds = folds_of(messages_of(pack))
    for splits in folds:
        truth = [each.label for each in splits["test"]]
        found = predictions(splits, opened, compute)
        of_fold = {
            name: [said == label for said, label in zip(found[name], truth, strict=True)]
            for name in METHODS
        }
        by_fold.append({name: sum(each) / len(each) for name, each in of_fold.items()})
        for name, each in of_fold.items():
            right[name] += each
        pairs = {name: share_difference(right[name], right[OURS]).plain() for name in METHODS[1:]}
        print(pack, len(right[OURS]), json.dumps([by_fold[-1], pairs]), flush=True)
    n = len(right[OURS])
    accuracy = {name: vars(wilson_interval(sum(each), n)) for name, each in right.items()}
    return {"pack": pack, "n": n, "folds": by_fold, "accuracy": accuracy, "ours_over": pairs}


def main() -> None:
    """Measure the packs and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packs", nargs="+", default=sorted(packaged_packs()))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    compute = select_compute("cpu")
    opened = open_model(MODEL, compute, progress=console_progress())
    results = [measured(pack, opened, compute) for pack in asked.packs]
    print(f"\n{machine()}\n")
    print(summary(results))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine(), "packs": results}, indent=1))


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Return a row for each pack and method."""
    rows = []
    for each in results:
        for name in METHODS:
            least = min(fold[name] for fold in each["folds"])
            most = max(fold[name] for fold in each["folds"])
            cells = [
                each["pack"],
                str(each["n"]),
                name,
                f"{100 * each['accuracy'][name]['value']:.1f}",
            ]
            over = each["ours_over"].get(name)
            told = ""
            if over:
                told = "{value:+.1f} ({low:+.1f} to {high:+.1f})".format(
                    **{key: 100 * over[key] for key in ("value", "low", "high")}
                )
            rows.append([*cells, f"{100 * least:.1f} to {100 * most:.1f}", told])
    head = ["pack", "n", "method", "accuracy %", "of the folds", "ours over it, points (95 %)"]
    return "\n".join(table(head, rows))


if __name__ == "__main__":
    main()
