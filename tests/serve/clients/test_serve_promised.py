"""`serve --promised`: all that a server answers is what its indexes promise, and without a promise it does not start."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run
from groundup.retrieve.database import begin_change, end_change

HOURS = "# Hours\n\nThe shop closes at 18:00.\n\nA bell rings at noon every day.\n"
CLOSES, LESS = "When does the shop close?", "When does the bell ring in Atlantis?"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a promise, which excludes questions like LESS, and a default, which does not."""
    folder = tmp_path_factory.mktemp("promised")
    (folder / "docs").mkdir()
    (folder / "docs/hours.md").write_text(HOURS)
    rows = [{"question": CLOSES + "?" * n, "answer": "18:00"} for n in range(90)]
    rows += [{"question": LESS + "?" * n, "answer": "at six"} for n in range(10)]
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = ["index", str(folder / "docs"), "--out", str(folder / "hours.index")]
    assert run([*made, "--questions", str(folder / "asked.jsonl")]) == 0
    return folder / "hours.index"


def asked(server: Any, question: str) -> dict[str, Any]:
    body = {"question": question, "promised": False}
    found: dict[str, Any] = json.loads(server.post("/groundup/ask", body).text.splitlines()[-1])
    return found


def test_a_request_that_does_not_say_is_answered_at_the_promised_operating_point(
    index: Path, serve: Callable[..., Any]
) -> None:
    usual, promised = serve("--index", str(index)), serve("--index", str(index), "--promised")
    by_default = asked(usual, LESS)
    assert by_default["operating_point"] == "default"
    assert by_default["found"] and not by_default["promised"]
    covered, left_out = asked(promised, CLOSES), asked(promised, LESS)
    assert covered["found"] and covered["promised"]
    assert covered["operating_point"] == left_out["operating_point"] == "promised"
    assert not left_out["found"] and left_out["evidence"] < left_out["least_evidence"]
    answer = promised.post("/chat/completions", {"messages": [{"role": "user", "content": LESS}]})
    assert "Not found" in answer.json()["choices"][0]["message"]["content"]


def test_an_index_without_a_promise_is_not_served_as_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hours.md").write_text(HOURS)
    index = str(tmp_path / "own.index")
    assert run(["index", str(tmp_path / "hours.md"), "--out", index]) == 0
    assert run(["serve", "--index", index, "--promised", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "own.index has no promised error rate" in said and "--questions FILE" in said


def test_a_promise_that_holds_no_longer_is_said_at_the_start(
    index: Path, tmp_path: Path, serve: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    older = shutil.copytree(index, tmp_path / "older.index")
    kept = json.loads((older / "evidence.json").read_text())
    begin_change(older)
    (older / "evidence.json").write_text(json.dumps({**kept, "chosen_by": {}}))
    end_change(older)
    assert run(["serve", "--index", str(older), "--promised", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "older.index has no promised error rate that holds" in said
    assert f"--questions {older}/calibration.jsonl" in said
    answered = asked(served := serve("--index", str(older)), CLOSES)
    assert answered["found"] and answered["promise"] is None
    assert "older.index has no promised error rate that holds" in served.said
