"""The training panel: what it shows, that it fits any terminal, that it is gone afterwards, and that it costs next to nothing."""

import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console

from groundup.cli.console import TerminalProgress
from groundup.cli.panel import (
    MAX_POINTS,
    REDRAW_S,
    LivePanel,
    PanelState,
    Sparkline,
    TrainingView,
    bars,
    duration,
    rows,
)
from groundup.device import Compute, memory_bytes, peak_memory_bytes
from groundup.model.matmul_precision import peak_flops
from groundup.train.monitor.callbacks import Callback, RunFacts

CPU = Compute(torch.device("cpu"))
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
MEMORY = PanelState(1_500_000_000, 2_000_000_000)


def step_line(step: int, loss: float) -> dict[str, Any]:
    return {
        "step": step,
        "tokens": step * 1000,
        "loss": loss,
        "learning_rate": 0.002,
        "grad_norm": 0.5,
        "tokens_per_s": 8000.0,
    }


def view_at(step: int = 40) -> TrainingView:
    facts = RunFacts(
        Path("run"), "id", 100, 10, "float32", CPU, flops_per_token=2e6, epoch_tokens=50_000
    )
    view = TrainingView(facts, started=100.0, peak_flops=4e10)
    for number in range(11, step + 1):
        view.observe(step_line(number, 5 - number / 20))
    figures = {"validation_loss": 3.5, "bits_per_byte": 1.5, "bits_per_byte:a\x1b[31mb": 1.25}
    view.observe(
        {"event": "evaluation", "step": step, **figures, "evaluation_s": 1.0, "elapsed_s": 9.0}
    )
    view.observe(
        {
            "event": "sample",
            "step": step,
            "prompt": "To\x1b[2J be",
            "text": "or\a not 海の聲, é\u0301\u202e " * 20,
        }
    )
    view.observe({"event": "sample", "step": step, "prompt": "Second", "text": "prompt"})
    view.observe({"event": "skipped", "step": step, "reason": "the loss is nan", "skipped": 2})
    return view


def shown(
    view: TrainingView, width: int = 100, height: int = 30, *, ascii_only: bool = False
) -> list[str]:
    return [each.plain for each in rows(view, MEMORY, 130.0, width, height, ascii_only=ascii_only)]


def test_the_panel_says_where_the_run_stands() -> None:
    lines = shown(view_at())
    text = "\n".join(lines)
    assert lines[0].startswith("step 40 of 100") and lines[0].endswith("40 %  1:00 left"), (
        "30 steps took 30 s"
    )
    assert "loss       3.000  " in text and "█" in text and "▁" in text
    assert "3.500 nats, 1.500 bits per byte, best 3.500" in text and "(step 40)" in text
    assert "8,000 tokens/s, 40 % of 40 GFLOP/s (float32)" in text, (
        "8,000 tokens of 2 MFLOP are 16 of 40 GFLOP/s"
    )
    assert "1.50 GB now, 2.00 GB at the peak" in text and "0.80 epochs, 40,000 tokens" in text
    assert "0.002, gradient 0.5" in text and "skipped    2 steps" in text
    assert "To\N{REPLACEMENT CHARACTER}[2J be|or" in text and "Second" not in text


def test_a_run_that_aims_at_another_number_of_steps_shows_it_with_the_time_that_is_left_then() -> (
    None
):
    view = view_at()
    view.observe({"event": "re-aimed", "step": 40, "steps": 60, "elapsed_s": 9.5})
    head = shown(view)[0]
    assert head.startswith("step 40 of 60") and head.endswith("67 %  0:20 left"), (
        "30 steps took 30 s"
    )
    view.observe(step_line(41, 3.0))
    assert shown(view)[0].startswith("step 41 of 60")


@pytest.mark.parametrize("width", [4, 12, 36, 60, 200])
@pytest.mark.parametrize("height", [1, 3, 8, 14, 40])
def test_it_fits_any_terminal_and_lets_no_control_character_through(
    width: int, height: int
) -> None:
    for ascii_only in (False, True):
        lines = shown(view_at(), width, height, ascii_only=ascii_only)
        assert 1 <= len(lines) <= height and all(cell_len(line) <= width for line in lines)
        assert all(character.isprintable() for line in lines for character in line)
    assert shown(view_at(), 60, 8)[0].startswith("step 40"), "what matters most comes first"


def test_before_the_first_step_and_without_flops_it_shows_what_it_knows() -> None:
    facts = RunFacts(Path("run"), "id", 100, 0, "bf16", CPU)
    view = TrainingView(facts, started=0.0)
    assert [line.split()[0] for line in shown(view)] == ["step", "memory"]
    view.observe(step_line(1, 2.0))
    text = "\n".join(shown(view))
    assert "8,000 learned per second" in text and "epochs" not in text and "GFLOP" not in text


def test_where_only_ascii_can_be_written_there_is_only_ascii() -> None:
    lines = shown(view_at(), ascii_only=True)
    assert all(line.isascii() for line in lines) and "##" in lines[0]


def test_a_curve_keeps_the_whole_way_in_bounded_memory() -> None:
    curve = Sparkline()
    for step in range(10_000):
        curve.add(10_000 - step)
    assert len(curve.points) < MAX_POINTS
    columns = curve.columns(10)
    assert (
        len(columns) == 10
        and columns == sorted(columns, reverse=True)
        and columns[0] > 9000 > 1100 > columns[-1]
    )
    assert bars([1.0, 1.0]) == ["▁▁"] and bars([]) == [""]
    assert bars([0.0, 1.0], 2) == [" █", "▁█"]


def test_it_is_drawn_at_most_four_times_a_second_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("groundup.cli.panel.time.monotonic", lambda: now[0])
    console = Console(
        file=io.StringIO(), force_terminal=True, width=80, height=24, legacy_windows=False
    )
    panel = LivePanel(console, RunFacts(Path("run"), "id", 1000, 0, "float32", CPU))
    drawn: list[float] = []
    real = panel._picture
    monkeypatch.setattr(panel, "_picture", lambda at: drawn.append(at) or real(at))
    with panel.shown() as advance:
        for step in range(1, 1001):
            now[0] += 0.002
            panel.observe(step_line(step, 1.0))
            advance()
        console.print("a line said meanwhile")
        with panel.shown() as inner:
            inner(3, "an evaluation's own progress is not drawn")
    assert 2 <= len(drawn) <= 2 / REDRAW_S + 1
    with console.capture() as captured:
        console.print(real(now[0]))
    assert max(map(cell_len, ANSI.sub("", captured.get()).splitlines())) <= 76, (
        "an echoed ^C breaks no line"
    )
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a line said meanwhile" in written and written.rindex("\x1b[?25h") > written.rindex(
        "\x1b[?25l"
    )


def test_the_terminal_shows_the_panel_only_while_a_run_trains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    monkeypatch.setattr("groundup.cli.console.stderr_console", lambda: console)
    progress = TerminalProgress()
    assert isinstance(progress, Callback)
    progress.begin(RunFacts(Path("run"), "id", 4, 0, "float32", CPU))
    with progress.track("training", 4, "steps") as advance:
        progress.observe(step_line(1, 2.0))
        advance(1, "loss 2.000")
    progress.close()
    progress.observe(step_line(2, 2.0))
    with progress.track("merging", 4) as advance:
        advance(4)
    panel, _, bar = console.file.getvalue().partition("merging")  # type: ignore[attr-defined]
    assert "step 1 of 4" in panel and "step 1" not in bar


def test_peak_and_memory_are_measured_here() -> None:
    before = torch.get_rng_state()
    assert 1e8 < peak_flops(torch.device("cpu"), torch.float32) < 1e15
    assert torch.equal(before, torch.get_rng_state()), "a panel draws no random number of the run's"
    now = memory_bytes()
    assert now is None or 1e7 < now <= peak_memory_bytes() * 1.01


def test_durations_are_for_people() -> None:
    assert [duration(seconds) for seconds in (0, 59.6, 3599, 3600, 90_000)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00 h",
        "25:00 h",
    ]


SMALL = [
    *("--set", "model.width=32", "--set", "model.num_layers=1", "--set", "model.context_tokens=16"),
    *(
        "--set",
        "model.vocab_size=280",
        "--set",
        "fit.precision=float32",
        "--set",
        "fit.batch_size=2",
    ),
]


@pytest.mark.slow
def test_ctrl_c_in_a_real_terminal_saves_and_leaves_a_clean_screen(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(6):
        (tmp_path / "texts" / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang. " * 20
        )
    command = [
        sys.executable,
        "-m",
        "groundup",
        "pretrain",
        "texts",
        "--out",
        "run",
        "--steps",
        "20000",
        *SMALL,
    ]
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    path = os.pathsep.join(
        [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        env={**environment, "TERM": "xterm-256color", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    os.close(slave)
    written, stopped = "", False
    ends = time.monotonic() + 600  # seconds, on a machine that is not busy: ten
    while process.poll() is None and time.monotonic() < ends:
        if select.select([master], [], [], 0.2)[0]:
            try:
                written += os.read(master, 65536).decode(errors="replace")
            except OSError:
                break
        if not stopped and "tokens/s" in ANSI.sub("", written).partition("─ training ─")[2]:
            stopped = True
            os.write(master, b"\x03")
    if process.poll() is None and time.monotonic() >= ends:
        process.kill()
    assert process.wait(60) == 130, written[-2000:]
    letters = ANSI.sub("", written)
    assert "─ training ─" in letters and "tokens/s" in letters
    last = written[written.rindex("\x1b[?25h") :]
    assert "─" not in last and "Stopped." in written[written.rindex("Stopped after step") :]
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is back"
