"""Curves over steps, sizes and shots: the same items at every point, in order; items that stand in the training text are counted."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import groundup
from groundup.cli.evaluate import CHANCE, COLUMNS, VALUE, draw_interval
from groundup.cli.main import run
from groundup.data.documents import Document
from groundup.data.split import SplitWriter
from groundup.evaluate.item_overlap import find_overlap, item_texts
from groundup.evaluate.items import Choices, Completion, Item, MinimalPair
from groundup.evaluate.task import Measure
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.weights.model_io import OpenModel, save_model

TEXTS = ["the cat sat on a mat and saw two dogs at the station"] * 4


def made_run(opened: OpenModel, path: Path, steps: tuple[int, ...] = (0, 20, 100)) -> Path:
    """A pretraining run with a snapshot at each step, each of other weights, and its data folder."""
    run_folder = RunFolder(path)
    run_folder.create("pretrain", {}, {})
    save_model(opened.model, path, opened.tokenizer)
    for step in steps:
        torch.manual_seed(step)
        model = LanguageModel(opened.config)
        save_model(model.eval(), run_folder.snapshot(step), opened.tokenizer)
    written(path / "data", TEXTS)
    return path


def written(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(parents=True)
    with SplitWriter(folder, ("train", "validation", "test")) as writer:
        for text in texts:
            for split in ("train", "validation", "test"):
                writer.write(split, Document(text, "here", "a text"))
    return folder


def test_a_curve_over_steps_has_each_snapshot_in_order_and_the_paired_change(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_run(opened, tmp_path / "run")
    args = [
        "evaluate",
        str(made),
        "--tasks",
        "grammar,copying,text",
        "--items",
        "10",
        "--over",
        "steps",
    ]
    assert (
        run([*args, "--plot", str(tmp_path / "out.png"), "--out", str(tmp_path / "out.json")]) == 0
    )
    shown = capsys.readouterr().out
    results = json.loads((tmp_path / "out.json").read_text())
    grammar, *copying, text = results["curves"]
    assert [(c["task"], c["metric"]) for c in copying] == [
        ("copying", "accuracy"),
        ("copying", "bits_per_byte"),
        ("copying", "bits_per_byte_control"),
    ]
    assert [point["x"] for point in grammar["points"]] == [0, 20, 100] and grammar["chance"] == 0.5
    assert text["change"]["from"] == "step 0" and text["change"]["to"] == "step 100"
    prompts = {row["prompts"] for row in results["rows"] if row["task"] == "grammar"}
    assert len(prompts) == 1, "the same items at every step"
    config = groundup.EvaluationConfig(items=10)
    alone = groundup.run_suites(RunFolder(made).snapshot(20), "grammar", config)
    assert grammar["points"][1]["value"] == alone.rows[0].value, "as without a curve"
    assert "step  20" in shown and "grammar: 0 of 10 items stand in the training text of" in shown
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_over_sizes_is_ordered_by_parameters_and_takes_the_longest_runs_of_a_sweep(
    opened: OpenModel, tmp_path: Path
) -> None:
    sweep, runs = tmp_path / "law", []
    for depth, steps in ((2, 10), (1, 10), (2, 40), (1, 40)):
        config = dataclasses.replace(opened.config, num_layers=depth)
        name = f"d{depth}-s{steps}"
        save_model(LanguageModel(config).eval(), sweep / "runs" / name, opened.tokenizer)
        RunFolder(sweep / "runs" / name).write_results({})
        runs.append({"name": name})
    (sweep / "sweep.json").write_text(json.dumps({"runs": runs}))
    written(sweep / "data", TEXTS)
    config = groundup.EvaluationConfig(items=10, over="sizes")
    results = groundup.run_suites(sweep, ["grammar", "text"], config)
    assert [row.model for row in results.rows if row.task == "grammar"] == ["d1-s40", "d2-s40"]
    sizes = [point.x for point in results.curves[0].points]
    assert sizes == sorted(sizes) and len(set(sizes)) == 2
    assert results.overlap and results.overlap["grammar"][str(sweep)].overlapping == 0
    two = [sweep / "runs" / name for name in ("d2-s40", "d1-s40")]
    [curve] = groundup.run_suites(two, "grammar", config).curves
    assert curve.to_plain()["points"] == results.curves[0].to_plain()["points"]


def test_a_curve_over_shots_has_a_point_for_each_number(opened: OpenModel, tmp_path: Path) -> None:
    config = dataclasses.replace(opened.config, context_tokens=512)
    save_model(LanguageModel(config), tmp_path / "m", opened.tokenizer)
    config = groundup.EvaluationConfig(items=30, shots=(2, 0, 1), over="shots")
    results = groundup.run_suites(tmp_path / "m", "copying", config).to_plain()
    accuracy, *bits = results["curves"]
    assert [curve["metric"] for curve in bits] == ["bits_per_byte", "bits_per_byte_control"]
    assert [point["x"] for point in accuracy["points"]] == [0, 1, 2] and accuracy[
        "task"
    ] == "copying"
    assert len({point["n"] for point in accuracy["points"]}) == 1, (
        "those that fit with most examples"
    )
    [change] = results["changes"]
    assert (change["from"], change["to"]) == ("0 shots", "2 shots")


def test_what_gives_no_curve_is_one_sentence(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(opened.model, tmp_path / "m", opened.tokenizer)
    for args, said in (
        (["--tasks", "grammar", "--over", "steps"], "keeps 0 snapshots"),
        (["--tasks", "grammar", "--over", "sizes"], "needs 2 models or more, got 1"),
        (["--tasks", "copying", "--over", "shots"], "needs two numbers of shots"),
        (["--over", "steps"], "--over is of suites"),
        (["--tasks", "grammar", "--plot", "a.png"], "--plot draws the curves of --over"),
        (["--tasks", "grammar", "--over", "steps", "--plot", "a.gif"], "has no picture's suffix"),
        (["--tasks", "text"], "has no data folder"),
    ):
        assert run(["evaluate", str(tmp_path / "m"), *args]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_items_that_stand_in_the_training_text_are_found_and_short_ones_are_counted_apart(
    tmp_path: Path,
) -> None:
    known = "the old ferryman counts seventeen grey herons beside the broken lock"
    items: list[Item] = [
        Completion("seen", "", known, " gate"),
        Completion("new", "", "a clock maker in the harbour town sells four green lamps", " today"),
        MinimalPair("short", "", "the cat sat", "cat the sat"),
    ]
    folder = written(
        tmp_path / "data", [f"Once, {known.upper()}! And so on.", "the cat sat on a mat"]
    )
    found = find_overlap(items, folder, Silent())
    assert (found.overlapping, found.long_enough, found.items) == (1, 2, 3)
    assert find_overlap(items, written(tmp_path / "other", TEXTS), Silent()).overlapping == 0


def test_the_template_is_no_part_of_an_items_text() -> None:
    items = [
        Choices(str(n), "", f"Question: {text}\nAnswer:", ("a", "b"), 0)
        for n, text in enumerate(("Who?", "Is it"))
    ]
    assert item_texts(items) == ["Who?", "Is it"]


def test_an_interval_is_drawn_where_it_is() -> None:
    drawn = draw_interval(Measure("accuracy", 0.5, 0.25, 0.75, 9), 0.0, 0.0, 1.0)
    assert (
        len(drawn) == COLUMNS
        and drawn[0] == CHANCE
        and drawn.index(VALUE) == 20
        and drawn.count("─") == 19
    )
    alone = Measure("accuracy", 1.0, None, None, 9)
    assert draw_interval(alone, None, 1.0, 1.0).startswith(VALUE)
