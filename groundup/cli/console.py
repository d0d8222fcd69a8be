"""Output: results to stdout, progress and messages to stderr.

On a terminal `track` draws a bar with the time left, and during training the panel (`panel.py`); elsewhere it prints a plain line now
and then. `print_result` prints lines for people or one JSON value for scripts.
"""

import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from groundup.cli.plain import json_safe, terminal_safe
from groundup.files import json_bytes
from groundup.progress import Advance

if TYPE_CHECKING:
    from groundup.cli.panel import LivePanel
    from groundup.train.monitor.callbacks import Line, RunFacts

PLAIN_LINE_EVERY_S = 15.0
NAME = "groundup"
_NUMBER = re.compile(r"[-+~]*[\d,]*\.?\d[\d,]*[% ]*")


def program() -> str:
    """Return the command that starts this program: "groundup" where it is in PATH, else its path, quoted for a shell."""
    started = Path(sys.argv[0])
    found = shutil.which(NAME)
    if found is not None and started.name == NAME and Path(found).resolve() == started.resolve():
        return NAME
    if started.name == "__main__.py":  # python -m groundup
        return f"{_from_here(Path(sys.executable))} -m {NAME}"
    return _from_here(started)


def _from_here(path: Path) -> str:
    """Return a path quoted for a shell, relative to the working directory where it is below it."""
    path, here = path.absolute(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


@cache
def stderr_console() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, emoji=False)  # a path with ":x:" in it is a path


def console_progress() -> "TerminalProgress | PlainProgress":
    """Return the Progress for stderr: bars and a panel on a terminal, plain lines elsewhere (also on one without cursor movement)."""
    console = stderr_console()
    return TerminalProgress() if console.is_terminal and not console.is_dumb_terminal else PlainProgress()


class TerminalProgress:
    """Bars with the time left, and the panel during `fit()`, as whose callback it is called. Messages are printed above them."""

    def __init__(self) -> None:
        self._panel: "LivePanel | None" = None

    def begin(self, facts: "RunFacts") -> None:
        from groundup.cli.panel import LivePanel

        self._panel = LivePanel(stderr_console(), facts)

    def observe(self, line: "Line") -> None:
        if self._panel is not None:
            self._panel.observe(line)

    def close(self) -> None:
        self._panel = None

    def say(self, text: str) -> None:
        stderr_console().print(terminal_safe(text), markup=False, highlight=False, soft_wrap=True)

    def show(self, parts: Sequence[tuple[str, str]]) -> None:
        stderr_console().print(Text.assemble(*((terminal_safe(text), style) for style, text in parts)), soft_wrap=True)

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        if self._panel is not None:  # the training itself, or work of an evaluation, which is not drawn
            with self._panel.shown() as advance:
                yield advance
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Progress(*columns, console=stderr_console(), transient=True) as bars:
            task = bars.add_task(what, total=total, note="")
            yield lambda amount=1, note="", total=None: bars.update(
                task, advance=amount, total=total, **({"note": note} if note else {})
            )


class PlainProgress:
    """Plain lines for logs: messages, and for work in progress a line every 15 seconds."""

    def say(self, text: str) -> None:
        print(terminal_safe(text), file=sys.stderr, flush=True)

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        started = last = time.monotonic()
        done, whole = 0.0, total

        def advance(amount: float = 1, note: str = "", total: float | None = None) -> None:
            nonlocal done, last, whole
            done, whole = done + amount, whole if total is None else total
            now = time.monotonic()
            if now - last >= PLAIN_LINE_EVERY_S:
                last = now
                left = (now - started) / done * (whole - done) if done else 0.0
                counted = f"{done:.0f}/{whole:.0f} {unit}".rstrip()
                self.say(f"{what}: {counted}, {left:.0f} s left{', ' + note if note else ''}")

        yield advance


def print_result(lines: Iterable[str], value: Any, as_json: bool) -> None:
    """Print `lines` for people, or `value` as JSON."""
    if as_json:
        print(json_safe(json_bytes(value, indent=2).decode()))  # lone surrogates as \udXXX, which JSON can read
        return
    for line in lines:
        print(terminal_safe(line))


def table(headers: list[str], rows: list[list[str]]) -> list[str]:
    """Return the rows as aligned plain lines under their headers, columns of numbers right-aligned."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    numeric = [bool(rows) and all(_NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(headers))]

    def line(row: list[str]) -> str:
        cells = (cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numeric, strict=True))
        return "  ".join(cells).rstrip()

    return [line(headers), "  ".join("-" * width for width in widths), *(line(row) for row in rows)]
