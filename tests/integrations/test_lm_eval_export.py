"""Suites as lm-eval tasks: files that lm-eval reads, with the items and metrics of `groundup evaluate`. Needs no lm-eval."""

import json
from pathlib import Path
from typing import Any

import pytest

from groundup.evaluate.items import Written
from groundup.evaluate.suite import in_order, shots_first
from groundup.evaluate.suites.registry import SUITES, WRITTEN
from groundup.integrations import lm_eval_tasks
from groundup.integrations.lm_eval import main
from groundup.progress import Silent

yaml = pytest.importorskip("yaml")


class Loader(yaml.SafeLoader):  # type: ignore[name-defined, misc]
    """YAML as lm-eval reads it."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def read(folder: Path, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    config = yaml.load((folder / f"groundup_{name}.yaml").read_text(), Loader)
    lines = Path(config["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()
    return config, [json.loads(line) for line in lines]


def test_every_written_suite_is_a_task_with_all_its_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "tasks")]) == 0
    assert capsys.readouterr().out.split() == [f"groundup_{suite.name}" for suite in WRITTEN]
    for suite in WRITTEN:
        config, rows = read(tmp_path / "tasks", suite.name)
        items = suite.read(Silent())
        assert sorted(row["id"] for row in rows) == sorted(item.id for item in items)
        assert config["doc_to_text"] in rows[0] and config["doc_to_target"] in rows[0]
        assert (config["tag"], config["num_fewshot"]) == ("groundup", 0)


def test_shots_and_items_are_those_of_evaluate(tmp_path: Path) -> None:
    assert (
        main(
            [
                "export",
                str(tmp_path),
                "--tasks",
                "arithmetic,grammar",
                "--shots",
                "4",
                "--items",
                "9",
            ]
        )
        == 0
    )
    config, rows = read(tmp_path, "arithmetic")
    shots = [
        json.loads(line)
        for line in Path(config["dataset_kwargs"]["data_files"]["shots"])
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    pool, rest = shots_first(in_order(SUITES["arithmetic"].read(Silent()), 0), 4)
    assert [row["id"] for row in shots] == [item.id for item in pool] and config["num_fewshot"] == 4
    assert [row["id"] for row in rows] == [item.id for item in rest[:9]]
    assert read(tmp_path, "grammar")[0]["num_fewshot"] == 0  # sentences have no examples


def test_written_answers_have_our_metrics_over_all_items() -> None:
    suite = SUITES["format"]
    items = [item for item in suite.read(Silent()) if isinstance(item, Written)][:20]
    answers = [
        item.reference if place % 2 else "something else entirely"
        for place, item in enumerate(items)
    ]
    docs = [lm_eval_tasks.row_of(item, suite) for item in items]
    found = [
        lm_eval_tasks.process_results(doc, [answer])
        for doc, answer in zip(docs, answers, strict=True)
    ]
    right = sum(
        item.counts([answer])["accuracy"][0] for item, answer in zip(items, answers, strict=True)
    )
    assert lm_eval_tasks.ratio([each["accuracy"] for each in found]) == right / 20
    assert 10 <= right < 20


def test_bleu_is_that_of_the_corpus() -> None:
    pytest.importorskip("sacrebleu")
    suite = SUITES["translation"]
    items = [item for item in suite.read(Silent()) if isinstance(item, Written)][:10]
    docs = [lm_eval_tasks.row_of(item, suite) for item in items]
    answers = [item.reference if place else "nothing of this" for place, item in enumerate(items)]
    found = [
        lm_eval_tasks.process_results(doc, [answer])
        for doc, answer in zip(docs, answers, strict=True)
    ]
    assert suite.corpus is not None
    assert (
        lm_eval_tasks.corpus_value([each["bleu"] for each in found])
        == suite.corpus(items, answers)[0].value
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "gramar"], "'gramar' is unknown"),
        (["--shots", "5000"], "5000 shots"),
        (["--shots", "-1"], "shots"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path), *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
