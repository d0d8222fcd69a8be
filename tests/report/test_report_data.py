"""Reading a build or a run folder: what is there, and what is not."""

import json
from pathlib import Path

import pytest

from groundup.errors import FormatError
from groundup.report.downsampling import MAX_CURVE_POINTS, MAX_RECORDS, DownsampledCurve, EvenSample
from groundup.report.pages.build_page import render_page
from groundup.report.report_data import read_report_data


def test_a_build_is_read_with_its_stages_in_order(build_folder: Path) -> None:
    story = read_report_data(build_folder)
    assert [stage.name for stage in story.stages][:3] == ["data", "tokenizer", "pretrain"]
    assert (story.name, story.damaged) == ("quickstart", [])
    assert story.elapsed_s == pytest.approx(595.1)


def test_the_stage_that_makes_the_page_is_left_out(build_folder: Path) -> None:
    build = json.loads((build_folder / "build.json").read_text())
    build["stages"]["report"] = {"status": "running", "planned_s": 3.0}
    (build_folder / "build.json").write_text(json.dumps(build))
    assert read_report_data(build_folder).stage("report") is None


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("pretrain", "pretrain"),
        ("classifier", "classifier"),
        ("chat", "chat"),
        ("other", "pretrain"),
    ],
)
def test_a_single_run_goes_to_its_chapter(tmp_path: Path, kind: str, place: str) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"kind": kind}))
    story = read_report_data(tmp_path)
    assert not story.is_build
    assert story.run(place).run == {"kind": kind}


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"neither build\.json nor run\.json"):
        read_report_data(tmp_path)
    with pytest.raises(FormatError):
        read_report_data(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_a_damaged_file_is_named_and_the_rest_is_read(build_folder: Path, content: bytes) -> None:
    (build_folder / "spam" / "results.json").write_bytes(content)
    story = read_report_data(build_folder)
    assert story.run("spam").results == {}
    assert [what.split(":")[0] for what in story.damaged] == ["spam/results.json"]
    assert story.json("export/results.json")


def test_texts_of_a_package_are_nobodys_own(build_folder: Path) -> None:
    assert read_report_data(build_folder).texts == "these texts"
    (build_folder / "recipe.toml").write_text('[[data.sources]]\nspec = "/home/me/letters"\n')
    assert read_report_data(build_folder).texts == "your texts"


def test_evaluations_are_kept_apart_from_steps_and_half_a_line_is_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "run.json").write_text('{"kind": "pretrain"}')
    lines = [
        '{"event": "evaluation", "step": 0, "validation_loss": 8.3}',
        '{"step": 1, "loss": 8.1}',
        '{"step": 2, "lo',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    run = read_report_data(tmp_path).run("pretrain")
    assert run.losses == [(1.0, 8.1)]
    assert [record["step"] for record in run.evaluations] == [0]


def test_odd_metrics_are_drawn_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"kind": "pretrain"}')
    records = [
        {"step": step, "loss": loss}
        for step, loss in ((-5, 1e308), (-1, -1e18), (0, 1e18), ("x", 1), (1, None))
    ]
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records)
    )
    story = read_report_data(tmp_path)
    assert story.run("pretrain").losses == [(-1.0, -1e18), (0.0, 1e18)]
    assert "nan" not in render_page(story)


@pytest.mark.parametrize("length", [0, 1, 399, 801, 25_000])
def test_a_curve_of_any_length_is_thinned_to_means_of_neighbours(length: int) -> None:
    curve = DownsampledCurve()
    for step in range(length):
        curve.add(step, 2.0 * step)
    points = curve.points()
    assert len(points) <= 2 * MAX_CURVE_POINTS
    assert all(y == pytest.approx(2 * x) for x, y in points)
    assert not length or points[0][0] <= length * 2 / MAX_CURVE_POINTS


@pytest.mark.parametrize("length", [0, 1, 200, 201, 5000])
def test_long_logs_keep_their_first_and_last_record(length: int) -> None:
    spread = EvenSample()
    for step in range(length):
        spread.add({"step": step})
    steps = [record["step"] for record in spread.records()]
    assert len(steps) <= MAX_RECORDS + 1
    assert steps == sorted(set(steps))
    assert not length or (steps[0], steps[-1]) == (0, length - 1)
