"""`groundup evaluate`: models on held-out data, side by side, each figure with its interval."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.finetune import STARTER, read_examples
from groundup.cli.options import DeviceOption, FollowLinksOption, JsonOption, SeedOption, file_to_write
from groundup.cli.plain import plain
from groundup.errors import ConfigError, did_you_mean
from groundup.files import write_json

if TYPE_CHECKING:
    from groundup.data.documents import Example
    from groundup.data.sources import Source
    from groundup.evaluate.task import Task
    from groundup.progress import Progress
    from groundup.weights.model_io import OpenModel

DataKind = Literal["answers", "labels", "text"]
SHARES = ("accuracy", "f1", "macro_f1")
SHOWN_ANSWERS = 4
FIRST_CHARACTERS = 65_536


def command(
    models: Annotated[list[str], typer.Argument(help="One model or more: names, folders, .gguf files, build folders.")],
    data: Annotated[
        str, typer.Option("--data", help="Instructions, labelled texts or plain texts; 'starter': packaged ones.")
    ] = STARTER,
    kind: Annotated[
        str | None, typer.Option("--as", help="What DATA is: answers, labels or text; by default it is looked at.")
    ] = None,
    items: Annotated[
        int, typer.Option("--items", min=1, help="Measure each figure on at most so many answers, labels or documents.")
    ] = 200,
    text_column: Annotated[str, typer.Option("--text-column", help="Field or column with the text.")] = "text",
    label_column: Annotated[str, typer.Option("--label-column", help="Field or column with the label.")] = "label",
    question: Annotated[
        str | None, typer.Option("--question", help="What language models are asked on labels.")
    ] = None,
    follow_links: FollowLinksOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", callback=file_to_write, help="Also write the results into this JSON file.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure models on the same held-out data: answers to instructions, labels, or bits per byte of text.

    Each figure comes with its 95 % interval, the number of items, and what guessing would give. DATA must be new to the models.

    Examples:

        groundup evaluate smollm2-135m-instruct runs/quickstart

        groundup evaluate runs/spam --data new-messages.csv

        groundup evaluate runs/mine runs/other --data held-out/ --as text
    """
    from groundup.data.sources import Source
    from groundup.device import select_compute
    from groundup.evaluate.run import evaluate
    from groundup.weights.model_io import open_model

    if kind is not None and kind not in get_args(DataKind):
        raise ConfigError(f"--as {kind!r} is unknown.", fix=did_you_mean(kind, get_args(DataKind)))
    if len(set(models)) < len(models):
        raise ConfigError("A model is named twice.", fix="Name each once.")
    compute, progress = select_compute(device), console_progress()
    chosen = kind or kind_of(data)
    prefer: Literal["chat", "spam"] = "spam" if chosen == "labels" else "chat"
    opened = {name: open_model(name, compute, prefer=prefer, progress=progress) for name in models}
    columns, read = (text_column, label_column), Source(data, follow_links=follow_links)
    results: dict[str, Any] = {"rows": [], "changes": [], "details": {}}
    for group in by_kind(opened):
        tasks = tasks_for(
            chosen, read, group, items=items, columns=columns, question=question, seed=seed, progress=progress
        )
        merge(results, evaluate(group, tasks, compute=compute, progress=progress))
    if out is not None:
        write_json(out, results)
    print_result(lines(results), results, as_json)


def by_kind(opened: "dict[str, OpenModel]") -> "list[dict[str, OpenModel]]":
    """Language models and classifiers apart: on labels they are measured by different tasks."""
    kinds = dict.fromkeys(model.kind for model in opened.values())
    return [{name: model for name, model in opened.items() if model.kind == kind} for kind in kinds]


def merge(results: dict[str, Any], more: dict[str, Any]) -> None:
    """Add what was found of another group of models."""
    results["rows"] += more["rows"]
    results["changes"] += more["changes"]
    for task, models in more["details"].items():
        results["details"].setdefault(task, {}).update(models)


def kind_of(data: str) -> DataKind:
    """What the data look like: the first line of a .jsonl tells, a .csv, .tsv or .parquet has labels, the rest is text."""
    path = Path(data)
    if data == STARTER:
        return "answers"
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if files and files[0].suffix == ".jsonl" and files[0].is_file():
        with files[0].open(encoding="utf-8", errors="replace") as handle:
            return kind_of_record(handle.readline(FIRST_CHARACTERS))
    return "labels" if path.suffix in (".csv", ".tsv", ".parquet") else "text"


def kind_of_record(line: str) -> DataKind:
    """What a line of a .jsonl is."""
    try:
        record = json.loads(line)
    except ValueError:
        return "text"
    fields = record.keys() if isinstance(record, dict) else ()
    return "answers" if "instruction" in fields else "labels" if "label" in fields else "text"


def tasks_for(
    kind: str,
    data: "Source",
    models: "dict[str, OpenModel]",
    *,
    items: int,
    columns: tuple[str, str],
    question: str | None,
    seed: int,
    progress: "Progress",
) -> "list[Task]":
    """The tasks of one kind of data for models of one kind: on labels a classifier predicts, a language model is asked. Raises DataError."""
    from groundup.evaluate.tasks.classification import Classification, ZeroShot

    if kind == "answers":
        return answer_tasks(data.spec, items, follow_links=data.follow_links, progress=progress)
    if kind == "labels":
        is_classifier = all(model.kind == "classifier" for model in models.values())
        chosen, labels, positive = labelled(data, items, columns, seed, progress)
        if is_classifier:
            return [Classification(chosen, positive)]
        return [ZeroShot(chosen, labels, positive, question=question, items=items)]
    return text_tasks(data, items, columns[0], seed, progress)


def answer_tasks(
    data: str, items: int, *, follow_links: bool = False, progress: "Progress | None" = None
) -> "list[Task]":
    """Loss on `items` answers, checked answers where there are any (as many), a handful to read. Held-out ones only, where some are marked."""
    from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, evenly

    examples = read_examples(data, follow_links=follow_links, progress=progress)
    examples = [example for example in examples if example.held_out] or examples
    checked = evenly([example for example in examples if example.check], items)
    shown = evenly([example for example in examples if not example.check], min(items, SHOWN_ANSWERS))
    return [
        AnswerLoss(evenly(examples, items)),
        *([CheckedAnswers(checked)] if checked else []),
        *([ShownAnswers(shown)] if shown else []),
    ]


def labelled(
    data: "Source", items: int, columns: tuple[str, str], seed: int, progress: "Progress"
) -> "tuple[list[Example], tuple[str, ...], str]":
    """At most `items` examples (for one seed always the same: chosen by hash, not by place in the file), all labels, the positive one."""
    from groundup.data.examples import read_labelled, stratified_split, without_repeats
    from groundup.data.sources import SourceOptions
    from groundup.evaluate.tasks.classification import labels_of, positive_label

    options = SourceOptions(text_column=columns[0])
    examples = without_repeats(read_labelled(data, options, label_column=columns[1], progress=progress)).examples
    labels, positive = labels_of(examples), positive_label(examples)
    chosen = stratified_split(examples, {"test": min(items, len(examples))}, seed=seed)["test"]
    return chosen, labels, positive


def text_tasks(data: "Source", items: int, text_column: str, seed: int, progress: "Progress") -> "list[Task]":
    """Bits per byte of at most `items` texts of a source, chosen by hash: for one seed always the same."""
    from groundup.data.source_report import SourceReport
    from groundup.data.sources import SourceOptions, read_source
    from groundup.evaluate.tasks.text import BitsPerByte, sample_texts

    documents = read_source(data, SourceOptions(text_column=text_column), SourceReport(), progress=progress)
    return [BitsPerByte(sample_texts((document.text for document in documents), seed=seed, max_texts=items))]


def lines(results: dict[str, Any]) -> list[str]:
    """The figures as a table, and what the models wrote."""
    headers = ["task", "model", "figure", "value", "95 % interval", "n", "chance"]
    return [*table(headers, [cells(row) for row in results["rows"]]), *change_lines(results), *answers(results)]


def change_lines(results: dict[str, Any]) -> list[str]:
    """How the further models differ from the first, on the same items."""
    return [
        f"{row['task']}, from {row['from']} to {row['to']}: {row['metric']} changes by {row['value']:+.3f}"
        + (f" (95 % interval {row['low']:+.3f} to {row['high']:+.3f})" if row["low"] is not None else "")
        for row in results["changes"]
    ]


def cells(row: dict[str, Any]) -> list[str]:
    """One figure as a row; shares in percent."""

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{100 * value:.1f} %" if row["metric"] in SHARES else f"{value:.3f}"

    interval = f"{shown(row['low'])} to {shown(row['high'])}" if row["low"] is not None else ""
    count = f"{row['n']:,}{' (thin)' if row['thin'] else ''}"
    return [row["task"], row["model"], row["metric"], shown(row["value"]), interval, count, shown(row["chance"])]


def answers(results: dict[str, Any]) -> list[str]:
    """A handful of answers, one model below the other."""
    written: list[str] = []
    models = results["details"].get("shown answers", {})
    for same in zip(*(details["answers"] for details in models.values()), strict=True):
        written += ["", plain(f"{same[0]['instruction']} {same[0]['input']}")]
        written += [f"    {name}: {plain(each['answer'])}" for name, each in zip(models, same, strict=True)]
    return written
