"""The spam classifier against its baselines over several splits of quickstart's messages: test errors, their mean and spread.

python benchmarks/spam.py [--seeds 1 2 3 4 5] [--train 1600] [--epochs N] [--json OUT]

Each seed splits the distinct messages anew: `--train` to learn from, 300 for validation, 500 for testing. Learning rate and epoch of the classifier
and the settings of the baselines are chosen on the validation messages; each test set is judged once. The splits share messages, so the spread over
them is a little narrower than over new messages. The features of the frozen blocks are computed once for all splits, and stay in the cache.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from measure import machine

from groundup.cli.console import console_progress, table
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import stratified_split, without_repeats
from groundup.data.reading.examples import read_labelled
from groundup.device import select_compute
from groundup.evaluate.tasks.label_baselines import baseline_predictions
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import OURS, ClassifierResults
from groundup.finetune.config import ClassifierConfig
from groundup.progress import Silent
from groundup.recipes.named_stages import ClassifierStage
from groundup.recipes.recipe import load_recipe
from groundup.runs import RunFolder
from groundup.weights.model_io import open_model

VALIDATION, TEST = 300, 500


def main() -> None:
    """Measure every seed and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--train", type=int, default=1600)
    parser.add_argument("--epochs", type=int, default=ClassifierConfig().epochs)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    recipe, compute, progress = load_recipe("quickstart"), select_compute("cpu"), console_progress()
    table = recipe.of_kind(ClassifierStage)["spam"]
    data = Data(
        table.source.spec,
        sha256=table.source.sha256,
        text=table.text,
        label=table.label,
    )
    examples = without_repeats(read_labelled(data, progress=Silent())).examples
    sizes = {"train": asked.train, "validation": VALIDATION, "test": TEST}
    rows = []
    for seed in asked.seeds:
        splits = stratified_split(examples, sizes, seed)
        config = ClassifierConfig(
            train="last-block", max_tokens=table.max_tokens, epochs=asked.epochs, seed=seed
        )
        with tempfile.TemporaryDirectory() as folder:
            opened = open_model(recipe.base.model, compute, progress=Silent())
            run = RunFolder(Path(folder) / "run")
            results = fit_classifier(
                opened, splits, run, config, compute=compute, progress=progress
            )
        rows.append(errors_of(seed, results, splits))
        print(json.dumps(rows[-1]), flush=True)
    print(
        f"\n{machine()}; {asked.train:,} messages to learn from, errors of {TEST} test messages\n"
    )
    print(summary(rows))
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": machine(), "train": asked.train, "rows": rows}, indent=1)
        )


def errors_of(seed: int, results: ClassifierResults, splits: dict[str, Any]) -> dict[str, Any]:
    """Return the test errors of every method on one split, and what was chosen."""
    test = [example.label for example in splits["test"]]
    found = baseline_predictions(
        splits["train"], splits["validation"], splits["test"], results.labels
    )
    predicted = {OURS: results.predictions[OURS]} | {each.name: each.predicted for each in found}
    return {
        "seed": seed,
        "errors": {
            name: sum(a != b for a, b in zip(each, test, strict=True))
            for name, each in predicted.items()
        },
        "learning_rate": results.learning_rate,
        "best_step": results.best_step,
        "steps": results.steps,
        "settings": {each.name: each.settings for each in found if each.settings},
        "spam": Counter(test)[results.positive],
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the errors by split, their mean, standard deviation and accuracy."""
    head = ["method", *(f"seed {row['seed']}" for row in rows), "mean", "st. dev.", "accuracy"]
    body = []
    for name in rows[0]["errors"]:
        errors = [row["errors"][name] for row in rows]
        spread = f"{stdev(errors):.1f}" if len(errors) > 1 else ""
        body.append(
            [
                name,
                *map(str, errors),
                f"{mean(errors):.1f}",
                spread,
                f"{100 - 100 * mean(errors) / TEST:.2f} %",
            ]
        )
    return "\n".join(table(head, body))


if __name__ == "__main__":
    main()
