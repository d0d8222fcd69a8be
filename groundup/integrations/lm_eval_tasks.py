"""Suites as lm-eval tasks: groundup_NAME.yaml with the items beside it as JSON lines, all with the
tag "groundup".

    Choices       output_type multiple_choice   acc (our accuracy_by_sum), acc_bytes (our accuracy,
                                                where it is per byte)
    MinimalPair   output_type multiple_choice   acc (our accuracy); both sentences without a prompt,
                                                as its BLiMP
    Completion    output_type loglikelihood     acc (our accuracy_by_prefix), as its LAMBADA
    Written       output_type generate_until    our own metrics, computed here: such a task needs
                                                groundup installed

Items and worked examples are those of `groundup evaluate` with the same options. The accuracy of
choices relative to those without a question (emotions) has no counterpart in lm-eval, whose
acc_mutual_info takes the empty text. A task names its files by their full paths, as lm-eval needs
it.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, require
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.items import Choices, Completion, Item, MinimalPair, Written
from groundup.evaluate.suite import Suite, in_order, shots_first
from groundup.evaluate.suites.registry import SUITES
from groundup.files import write_text
from groundup.progress import Progress, Silent

TAG = "groundup"
Row = dict[str, object]
Answered = tuple[str, str, str]
"""(suite, item, answer): the summand of a metric over a corpus."""


class Function(str):
    """That lm-eval imports (YAML `!function`)."""


def export(
    suites: Sequence[Suite], folder: Path, options: EvaluationConfig, progress: Progress
) -> list[str]:
    """Return the tasks' names. Raises ConfigError for more shots than items."""
    (shots,) = options.shots
    require(shots >= 0, "shots", shots, "0 or more")
    names = []
    for suite in suites:
        items = in_order(suite.read(progress), options.seed)
        count = 0
        if items[0].shot is not None:
            count = shots
        if count >= len(items):
            raise ConfigError(
                f"{count} shots: the suite '{suite.name}' has {len(items)} items, "
                "and examples are not measured.",
                fix=f"Give at most {len(items) - 1}.",
            )
        pool, rest = shots_first(items, count)
        names.append(_write(suite, pool, rest[: options.items], folder.absolute()))
    return names


def _write(suite: Suite, pool: Sequence[Item], items: Sequence[Item], folder: Path) -> str:
    name = f"{TAG}_{suite.name}"
    files = {"test": folder / f"{name}.jsonl"}
    config: Row = {"task": name, "tag": TAG, "dataset_path": "json", "test_split": "test"}
    if pool:
        files["shots"] = folder / f"{name}_shots.jsonl"
        config |= {"fewshot_split": "shots", "fewshot_config": {"sampler": "first_n"}}
    config |= {
        "num_fewshot": len(pool),
        "dataset_kwargs": {"data_files": {key: str(files[key]) for key in files}},
    }
    config |= task_of(suite, items)
    for key, rows in (("test", items), ("shots", pool)):
        if rows:
            lines = [json.dumps(row_of(item, suite), ensure_ascii=False) for item in rows]
            write_text(files[key], "\n".join(lines) + "\n")
    write_text(folder / f"{name}.yaml", as_yaml(config))
    return name


def row_of(item: Item, suite: Suite) -> Row:
    row: Row = {"id": item.id, "group": item.group, "suite": suite.name}
    match item:
        case Choices():
            return {
                **row,
                "prompt": item.prompt,
                "choices": list(item.choices),
                "answer": item.answer,
            }
        case MinimalPair():
            return {**row, "prompt": "", "choices": [item.good, item.bad], "answer": 0}
        case Completion():
            return {**row, "prompt": item.prompt, "answer": item.answer}
        case Written():
            return {**row, "prompt": item.prompt, "answer": item.reference}
    raise AssertionError(item)


def task_of(suite: Suite, items: Sequence[Item]) -> Row:
    """All items of a suite are of one class."""
    first = items[0]
    task: Row = {"doc_to_text": "prompt", "doc_to_target": "answer", "target_delimiter": ""}
    match first:
        case Choices() | MinimalPair():
            task |= {"output_type": "multiple_choice", "doc_to_choice": "choices"}
            metrics = [_metric("acc", "mean")]
            if isinstance(first, Choices):
                task["target_delimiter"] = " "
            if isinstance(first, Choices) and not first.without:
                metrics.append(_metric("acc_bytes", "mean"))
            return {**task, "metric_list": metrics}
        case Completion():
            metrics = [_metric("acc", "mean")]
            return {**task, "output_type": "loglikelihood", "metric_list": metrics}
        case Written():
            return {**task, "target_delimiter": " ", **_generation(suite, first)}
    raise AssertionError(first)


def _metric(name: str, aggregation: str) -> dict[str, str | bool]:
    return {"metric": name, "aggregation": aggregation, "higher_is_better": True}


def _generation(suite: Suite, item: Written) -> Row:
    ours = [_metric(name, _function(ratio)) for name in item.counts([item.reference])]
    if suite.corpus:
        (over_all,) = suite.corpus([item], [item.reference])
        ours.append(_metric(over_all.metric, _function(corpus_value)))
    ends = {
        "until": list(item.until),
        "max_gen_toks": item.max_tokens,
        "do_sample": False,
        "temperature": 0.0,
    }
    return {
        "output_type": "generate_until",
        "generation_kwargs": ends,
        "process_results": _function(process_results),
        "metric_list": ours,
    }


def _function(function: Any) -> Function:
    return Function(f"{__name__}.{function.__name__}")


def as_yaml(value: Any, indent: str = "") -> str:
    """Every plain value is JSON, which YAML contains."""
    lines = []
    for key, each in value.items():
        if isinstance(each, Function):
            lines.append(f"{indent}{key}: !function {each}\n")
        elif isinstance(each, list) and each and isinstance(each[0], Mapping):
            parts = [as_yaml(part, indent + "    ") for part in each]
            lines += [f"{indent}{key}:\n", *(f"{indent}  - {part.lstrip()}" for part in parts)]
        else:
            lines.append(f"{indent}{key}: {json.dumps(each, ensure_ascii=False)}\n")
    return "".join(lines)


def process_results(
    doc: Mapping[str, str], results: Sequence[str]
) -> dict[str, tuple[float, float] | Answered]:
    """Of one written answer: a (total, count) each, and the answer for a metric over all of
    them.
    """
    suite, item = SUITES[doc["suite"]], _items(doc["suite"])[doc["id"]]
    assert isinstance(item, Written)
    answer = results[0].strip()
    found: dict[str, tuple[float, float] | Answered] = dict(item.counts([answer]))
    if suite.corpus:
        found[suite.corpus([item], [item.reference])[0].metric] = (suite.name, item.id, answer)
    return found


@functools.cache
def _items(suite: str) -> dict[str, Item]:
    return {item.id: item for item in SUITES[suite].read(Silent())}


def ratio(counts: Sequence[tuple[float, float]]) -> float:
    return sum(total for total, _ in counts) / sum(count for _, count in counts)


def corpus_value(answered: Sequence[Answered]) -> float:
    suite = SUITES[answered[0][0]]
    assert suite.corpus is not None
    of_suite = [_items(suite.name)[id] for _, id, _ in answered]
    items = [item for item in of_suite if isinstance(item, Written)]
    return suite.corpus(items, [answer for *_, answer in answered])[0].value
