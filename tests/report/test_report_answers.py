"""The page of a build of a domain pack: answers with and without documents, and summaries, from their results alone."""

from pathlib import Path

import pytest
from left_in_english import left_in_english

from groundup.files import write_json
from groundup.report.pages.build_page import render_page
from groundup.report.report_data import read_report_data

CHANGE = {"value": 0.25, "low": 0.1, "high": 0.4, "verdict": "better"}


def share(value: float, n: int, **more: object) -> dict[str, object]:
    return {
        "value": value,
        "low": max(0.0, value - 0.1),
        "high": min(1.0, value + 0.1),
        "n": n,
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kinds = {
        "base": "base",
        "docs": "index",
        "chat": "chat",
        "answers": "answers",
        "summaries": "summaries",
    }
    stages: dict[str, dict[str, object]] = {
        name: {"status": "done", "line": f"{name} is done", "elapsed_s": 2.0} for name in kinds
    }
    stages["docs"]["thin"] = ["Only 7 instructions are questions."]
    write_json(tmp_path / "build.json", {"recipe": "bank", "kinds": kinds, "stages": stages})
    figures = {
        "contains": share(0.5, 40, change=CHANGE),
        "exact": share(0.1, 40),
        "f1": share(0.3, 40),
        "silent": share(0.2, 40),
    }
    arm = {
        "name": "base with documents",
        **figures,
        "refused": share(0.9, 10),
        "cited": share(0.8, 30),
        "written": 50,
        "left_out": 12,
    }
    answers = {
        "base": {"text": "", "cited": []},
        "base with documents": {"text": "At <b>4 pm</b>.", "cited": ["hours.md"]},
    }
    item = {"question": "When?", "answer": "4 pm", "document": "hours.md", "answers": answers}
    found = {
        "questions": {"answerable": 40, "unanswerable": 10},
        "arms": [{"name": "base", **figures}, arm],
        "items": [item],
    }
    (tmp_path / "answers").mkdir()
    write_json(tmp_path / "answers/results.json", found)
    first = {
        "name": "first three sentences",
        "rouge_l": share(0.4, 13),
        "facts": share(0.5, 13, change=CHANGE),
    }
    said = {
        "text": "A long text.",
        "summary": "A text.",
        "answers": {"first three sentences": "A long text."},
    }
    (tmp_path / "summaries").mkdir()
    write_json(tmp_path / "summaries/results.json", {"texts": 13, "arms": [first], "items": [said]})
    return tmp_path


def test_each_figure_of_the_answers_is_shown_with_its_interval_and_number(folder: Path) -> None:
    page = render_page(read_report_data(folder)).replace("\u202f", " ").replace("\xa0", " ")
    for said in (
        "40 % to 60 %, n 40",
        "Only 7 instructions are questions.",
        "+25.0 (+10.0 to +40.0)",
        "80 % to 100 %, n 10",
        "the right document is cited in 80 % (70 % to 90 %) of 30 answers; 12 of 50 sentences failed a check",
        "Documents: docs",
        "Stage 4 · answers",
        "(no answer)",
        "hours.md",
        "first three sentences",
        "0.30 to 0.50, n 13",
    ):
        assert said in page, said
    assert "<b>4 pm</b>" not in page and "&lt;b&gt;4 pm" in page
    assert left_in_english(folder) == []


def test_results_that_are_missing_or_damaged_are_one_line(folder: Path) -> None:
    (folder / "answers/results.json").write_text("{")
    (folder / "summaries/results.json").unlink()
    page = render_page(read_report_data(folder))
    assert "Not in this build: no questions have been answered." in page
    assert "Not in this build: no texts have been summarised." in page
