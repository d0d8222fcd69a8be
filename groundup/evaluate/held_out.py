"""Held-out data of a user -> tasks, and models measured on them.

    data = HeldOut(Source("messages.csv"), kind_of("messages.csv"), items=200)
    results = evaluate_on(data, {"before": base, "after": chat}, compute=compute, progress=progress)

The kind of the data decides: instructions give a loss and checked answers, labelled texts accuracy and F1, plain texts bits per byte. Which
items are measured depends on the data and the seed alone, so every model gets the same ones.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from groundup.data.documents import Example
from groundup.data.examples import read_instructions, read_labelled, stratified_split, without_repeats
from groundup.data.source_report import SourceReport
from groundup.data.sources import Source, SourceOptions, read_source
from groundup.device import Compute
from groundup.errors import ConfigError, did_you_mean
from groundup.evaluate.run import evaluate
from groundup.evaluate.task import Task
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, evenly
from groundup.evaluate.tasks.classification import Classification, ZeroShot, labels_of, positive_label
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel

DataKind = Literal["answers", "labels", "text"]
SHOWN_ANSWERS = 4
FIRST_CHARACTERS = 65_536


@dataclass(frozen=True)
class HeldOut:
    """Data that models are measured on. Raises ConfigError for an unknown kind."""

    source: Source
    kind: str
    """One of `DataKind`."""
    items: int
    """Each figure is measured on at most so many answers, labels or documents."""
    text_column: str = "text"
    label_column: str = "label"
    question: str | None = None
    """What language models are asked on labels; None: which label fits."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(DataKind):
            raise ConfigError(f"--as {self.kind!r} is unknown.", fix=did_you_mean(self.kind, get_args(DataKind)))

    def tasks(self, progress: Progress, *, of_classifiers: bool = False) -> list[Task]:
        """The tasks for models of one kind: on labels a classifier predicts, a language model is asked. Raises DataError."""
        if self.kind == "answers":
            return self._answers(progress)
        if self.kind == "text":
            options = SourceOptions(text_column=self.text_column)
            documents = read_source(self.source, options, SourceReport(), progress=progress)
            texts = (document.text for document in documents)
            return [BitsPerByte(sample_texts(texts, seed=self.seed, max_texts=self.items))]
        chosen, labels, positive = self._labelled(progress)
        if of_classifiers:
            return [Classification(chosen, positive)]
        return [ZeroShot(chosen, labels, positive, question=self.question, items=self.items)]

    def _answers(self, progress: Progress) -> list[Task]:
        """Loss on `items` answers, as many checked ones where there are any, a handful to read. Held-out ones only, where some are marked."""
        links = self.source.follow_links
        examples = read_instructions(Path(self.source.spec), follow_links=links, progress=progress)
        examples = [example for example in examples if example.held_out] or examples
        checked = evenly([example for example in examples if example.check], self.items)
        shown = evenly([example for example in examples if not example.check], min(self.items, SHOWN_ANSWERS))
        return [
            AnswerLoss(evenly(examples, self.items)),
            *([CheckedAnswers(checked)] if checked else []),
            *([ShownAnswers(shown)] if shown else []),
        ]

    def _labelled(self, progress: Progress) -> tuple[list[Example], tuple[str, ...], str]:
        """At most `items` examples (chosen by hash, not by their place in the file), all labels, the positive one."""
        options = SourceOptions(text_column=self.text_column)
        examples = read_labelled(self.source, options, label_column=self.label_column, progress=progress)
        examples = without_repeats(examples).examples
        labels, positive = labels_of(examples), positive_label(examples)
        chosen = stratified_split(examples, {"test": min(self.items, len(examples))}, seed=self.seed)["test"]
        return chosen, labels, positive


def kind_of(data: str) -> DataKind:
    """What the data look like: the first line of a .jsonl tells, a .csv, .tsv or .parquet has labels, the rest is text."""
    path = Path(data)
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if files and files[0].suffix == ".jsonl" and files[0].is_file():
        with files[0].open(encoding="utf-8", errors="replace") as handle:
            return _kind_of_record(handle.readline(FIRST_CHARACTERS))
    return "labels" if path.suffix in (".csv", ".tsv", ".parquet") else "text"


def _kind_of_record(line: str) -> DataKind:
    """What a line of a .jsonl is."""
    try:
        record = json.loads(line)
    except ValueError:
        return "text"
    fields = record.keys() if isinstance(record, dict) else ()
    return "answers" if "instruction" in fields else "labels" if "label" in fields else "text"


def evaluate_on(
    data: HeldOut, models: Mapping[str, OpenModel], *, compute: Compute, progress: Progress
) -> dict[str, Any]:
    """Measure models, language models and classifiers apart: on labels they do different tasks. The results as `run.py` has them."""
    results: dict[str, Any] = {"rows": [], "changes": [], "details": {}}
    for kind in dict.fromkeys(model.kind for model in models.values()):
        group = {name: model for name, model in models.items() if model.kind == kind}
        found = evaluate(
            group, data.tasks(progress, of_classifiers=kind == "classifier"), compute=compute, progress=progress
        )
        results["rows"] += found["rows"]
        results["changes"] += found["changes"]
        for task, details in found["details"].items():
            results["details"].setdefault(task, {}).update(details)
    return results
