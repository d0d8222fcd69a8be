"""`groundup evaluate INDEX --questions FILE`, and the promise in `index` and `ask`, as a user has them."""

import json
from pathlib import Path

import pytest

from groundup.cli.main import run as run_verb

DOCUMENT = "# Hours\n\nThe shop closes at 18:00.\n\nA bell rings at noon every day.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/hours.md").write_text(DOCUMENT)
    rows = [
        {
            "question": f"When does the shop close{'?' * n}",
            "answer": "18:00",
            "document": "hours.md",
        }
        for n in range(1, 91)
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(*args: object) -> int:
    return run_verb([str(each) for each in args])


def test_a_promise_is_made_printed_and_evaluated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, asked = folder / "own.index", folder / "asked.jsonl"
    assert run("index", folder / "docs", "--out", index, "--questions", asked) == 0
    assert (
        "at most 5 % are wrong, with 95 % confidence, from 90 questions" in capsys.readouterr().out
    )
    assert run("ask", index, "When does the shop close?", "--promised", "--explain") == 0
    said = capsys.readouterr().out
    assert "covers this answer" in said and "the promised operating point" in said
    assert "[1] 1.000  hours.md" in said
    out = folder / "outcomes.json"
    assert run("evaluate", index, "--questions", asked, "--out", out) == 0
    said = capsys.readouterr().out
    assert "BM25's first passage" in said and "Promised: Of the answers shown" in said
    assert "90 of the questions are those that the index was calibrated on" in said
    assert json.loads(out.read_text())["items"][0]["given"]["ask"]["outcome"] == "right"


def test_bad_input_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, asked = folder / "own.index", folder / "asked.jsonl"
    assert run("index", folder / "docs", "--out", index) == 0
    for args, said in [
        (("evaluate", index), "is an index: its answers need questions"),
        (("evaluate", index, "--questions", folder / "none.jsonl"), "none.jsonl"),
        (("evaluate", folder / "docs", "--questions", asked), "index.sqlite"),
        (("evaluate", index, "--questions", asked, "--tasks", "written"), "asked of one index"),
        (("evaluate", "some-model", "--model", "other"), "--model writes the answers"),
        (
            ("index", folder / "docs", "--out", index, "--questions", folder / "docs/hours.md"),
            "no JSON",
        ),
        (("ask", index, "When?", "--promised"), "no promised error rate"),
        (
            ("ask", index, "When?", "--promised", "--min-evidence", "0.2"),
            "least evidence of its own",
        ),
    ]:
        assert run(*args) == 2
        assert said in capsys.readouterr().err, args
