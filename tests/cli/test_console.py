"""Results go to stdout, the way there to stderr."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from groundup.cli import console
from groundup.cli.console import PlainProgress, TerminalProgress, print_result, program, table
from groundup.progress import Progress


def test_people_get_lines_and_scripts_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(["one", "two"], {"name": "é"}, False)
    assert capsys.readouterr().out == "one\ntwo\n"
    print_result(["one", "two"], {"name": "é", "none": None}, True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "é", "none": None} and "é" in out


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    lines = table(["what", "count"], [["files", "1,234"], ["share", "5.0 %"], ["a long name", "7"]])
    assert lines == [
        "what         count",
        "-----------  -----",
        "files        1,234",
        "share        5.0 %",
        "a long name      7",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(["what"], []) == ["what", "----"]


def test_a_log_gets_a_plain_line_now_and_then_with_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    progress = PlainProgress()
    progress.say("Begins.")
    with progress.track("training", 40, "steps") as advance:
        advance(2)
        advance(8, "loss 2.5")
        advance(1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "Begins.\ntraining: 10/40 steps, 60 s left, loss 2.5\n"


def test_work_that_turns_out_another_amount_is_counted_and_timed_by_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with PlainProgress().track("training", 40, "steps") as advance:
        advance(10, total=30)
        advance(10)
    assert (
        capsys.readouterr().err
        == "training: 10/30 steps, 40 s left\ntraining: 20/30 steps, 20 s left\n"
    )
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.undo()
    monkeypatch.setattr(console, "stderr_console", lambda: terminal)
    with TerminalProgress().track("training", 4, "steps") as advance:
        advance(1, total=2)
        advance(1, total=2)
    assert "2/2 steps" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_gets_a_bar_and_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    with progress.track("training", 4, "steps") as advance:
        progress.say("[bold] is no order")
        advance(4, "loss 2.5")
    shown = capsys.readouterr()
    assert shown.out == "" and "[bold] is no order" in shown.err


def test_both_are_progress() -> None:
    assert isinstance(PlainProgress(), Progress) and isinstance(TerminalProgress(), Progress)


def test_closing_lines_can_be_typed_where_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    script = folder / "groundup"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/groundup", "build"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert program() == ".venv/bin/groundup"
    monkeypatch.setenv("PATH", str(folder))
    assert program() == "groundup"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "groundup" / "__main__.py"), "build"])
    assert program() == f"{sys.executable} -m groundup"


def test_a_table_stays_within_the_terminal_and_long_texts_go_on_below() -> None:
    rows = [
        [
            "pretrain",
            "48",
            "a model of 1,311,872 parameters with a validation loss of 5.972 nats per token",
        ]
    ]
    lines = table(["stage", "actual s", "result"], rows, columns=50)
    assert max(map(len, lines)) <= 50 and len(lines) > 3
    assert " ".join(line[20:].strip() for line in lines[2:]) == rows[0][2]
    assert table(["stage", "actual s", "result"], rows, columns=200) == table(
        ["stage", "actual s", "result"], rows
    )


def stage_of_two_works(progress: TerminalProgress | PlainProgress) -> None:
    with progress.stage("[3/6] pretrain") as stage:
        for step in range(60):
            stage.say(f"step {step} of 60")
        with stage.track("training", 60, "steps") as advance, stage.track("within", 9) as inner:
            advance(60)
            inner(9)
        stage.end("12 s  " + "a long result " * 20)


def test_a_stage_in_a_log_is_one_line_without_carriage_returns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage_of_two_works(PlainProgress())
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "\r" not in shown and "\x1b" not in shown
    assert shown.startswith("[3/6] pretrain  12 s  a long result")


def test_a_stage_on_a_terminal_leaves_one_line_within_its_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for width in (80, 120):
        terminal = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
        monkeypatch.setattr(console, "stderr_console", lambda terminal=terminal: terminal)
        stage_of_two_works(TerminalProgress())
        shown = terminal.file.getvalue()  # type: ignore[attr-defined]
        assert "step 59" not in shown and "within" not in shown
        last = shown.rstrip("\n").rpartition("\x1b[2K")[2]
        assert (
            "\n" not in last
            and len(last) <= width
            and last.startswith("[3/6] pretrain  12 s  a long")
        )
