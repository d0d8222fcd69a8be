"""Output: results to stdout, progress and messages to stderr.

On a terminal `track` draws a bar with the time left, and during training the panel; elsewhere it
prints a plain line now and then. A `stage` is one line: its bar while it works, then its result.
`print_result` prints lines for people or one JSON value for scripts.
"""

import re
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from groundup.cli.panel import Bar, BarLine, LivePanel
from groundup.cli.plain import json_safe, json_text, terminal_safe
from groundup.progress import Advance, Silent, nothing

if TYPE_CHECKING:
    from groundup.train.monitor.callbacks import Line, RunFacts

PLAIN_LINE_EVERY_S = 15.0
# Columns of a text in a table that is too wide for its terminal, at least.
NARROWEST_TEXT = 16
NAME = "groundup"
_NUMBER = re.compile(r"[-+~]*[\d,]*\.?\d[\d,]*[% ]*|-")


def program() -> str:
    """ "groundup" where it is in PATH, else its path, quoted for a shell."""
    started = Path(sys.argv[0])
    found = shutil.which(NAME)
    if started.name == "__main__.py":  # python -m groundup
        return f"{_from_here(Path(sys.executable))} -m {NAME}"
    if found is not None and started.stem == NAME and _bare(Path(found)) == _bare(started):
        return NAME
    return _from_here(started)


def _bare(path: Path) -> Path:
    """Without the ".exe" of Windows."""
    return path.with_suffix("").resolve()


def _from_here(path: Path) -> str:
    """Quoted for a shell, relative to the working directory where it is below it."""
    path, here = path.absolute(), Path.cwd()
    if path.is_relative_to(here):
        path = path.relative_to(here)
    return shlex.quote(str(path))


@cache
def stderr_console() -> Console:
    return Console(stderr=True, emoji=False)  # a path with ":x:" in it is a path


def console_progress() -> "TerminalProgress | PlainProgress":
    """Bars and a panel on a terminal, plain lines elsewhere."""
    console = stderr_console()
    if console.is_terminal and not console.is_dumb_terminal:
        return TerminalProgress()
    return PlainProgress()


def say(text: str, style: str | None = None) -> None:
    stderr_console().print(
        terminal_safe(text), markup=False, highlight=False, soft_wrap=True, style=style
    )


class TerminalProgress:
    """Bars with the time left, and the panel during `fit()`; messages are printed above them."""

    def __init__(self) -> None:
        self._panel: LivePanel | None = None
        self._is_drawing = False

    def begin(self, facts: "RunFacts") -> None:
        self._panel = LivePanel(stderr_console(), facts)

    def observe(self, line: "Line") -> None:
        if self._panel is not None:
            self._panel.observe(line)

    def close(self) -> None:
        self._panel = None

    def say(self, text: str) -> None:
        say(text)

    def show(self, parts: Sequence[tuple[str, str]]) -> None:
        stderr_console().print(
            Text.assemble(*((terminal_safe(text), style) for style, text in parts)), soft_wrap=True
        )

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        if self._panel is not None:  # the training, or work of an evaluation, which is not drawn
            with self._panel.shown() as advance:
                yield advance
            return
        if self._is_drawing:  # within work that has a bar
            yield nothing
            return
        shown = BarLine("", time.monotonic)
        shown.bar = Bar(what, total, unit, time.monotonic())
        self._is_drawing = True
        try:
            with _live(shown):
                yield shown.bar.advance
        finally:
            self._is_drawing = False

    @contextmanager
    def stage(self, title: str) -> Iterator["TerminalStage"]:
        """One line: its bar while it works, then its result, cut to the terminal's width."""
        stage = TerminalStage(BarLine(title, time.monotonic))
        with _live(stage.line):
            yield stage
        if stage.result is not None:
            line = Text(terminal_safe(f"{title}  {stage.result}"))
            stderr_console().print(line, no_wrap=True, overflow="ellipsis", crop=True)


def _live(shown: BarLine) -> Live:
    return Live(
        get_renderable=lambda: shown,
        console=stderr_console(),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=sys.stdout.isatty(),  # results that go elsewhere stay there
    )


class TerminalStage:
    """What it says is not shown; the outermost work that it tracks has the bar."""

    def __init__(self, line: BarLine) -> None:
        self.line = line
        self.result: str | None = None

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        if self.line.bar is not None:
            yield nothing
            return
        self.line.bar = Bar(what, total, unit, time.monotonic())
        try:
            yield self.line.bar.advance
        finally:
            self.line.bar = None

    def end(self, result: str) -> None:
        self.result = result


class PlainStage(Silent):
    """A stage in a log: one line at its end."""

    def __init__(self, title: str) -> None:
        self._title = title

    def end(self, result: str) -> None:
        print(terminal_safe(f"{self._title}  {result}"), file=sys.stderr, flush=True)


class PlainProgress:
    """Plain lines for logs; of work in progress one every PLAIN_LINE_EVERY_S."""

    def say(self, text: str) -> None:
        print(terminal_safe(text), file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[PlainStage]:
        yield PlainStage(title)

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        last = time.monotonic()
        bar = Bar(what, total, unit, last)

        def advance(amount: float = 1, note: str = "", total: float | None = None) -> None:
            nonlocal last
            bar.advance(amount, note, total)
            now = time.monotonic()
            if now - last >= PLAIN_LINE_EVERY_S:
                last = now
                left = bar.left_s(now)
                ends = "" if left is None else f"{left:.0f} s left"
                self.say(", ".join(filter(None, [f"{what}: {bar.counted}", ends, note])))

        yield advance


def print_result(lines: Iterable[str], value: Any, as_json: bool) -> None:
    """Print `lines` for people, or `value` as JSON."""
    if as_json:
        print(json_safe(json_text(value, indent=2)))
        return
    for line in lines:
        print(terminal_safe(line))


def in_browser(page: Path) -> str:
    return f"{page} ({page.stat().st_size / 1000:,.0f} kB): open it in a browser."


def terminal_columns() -> int | None:
    """None: results go elsewhere than to a terminal."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def table(headers: list[str], rows: list[list[str]], *, columns: int | None = None) -> list[str]:
    """Columns of numbers are right-aligned. On a terminal (or within `columns`) long texts are
    continued on lines of their own, in their column.
    """
    columns = columns or terminal_columns()
    numeric = [
        bool(rows) and all(_NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(headers))
    ]
    widths = _fitting_widths([headers, *rows], numeric, columns)

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(w) if right else cell.ljust(w)
            for cell, w, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(cells).rstrip()

    def lines(row: list[str]) -> list[str]:
        if columns is None:
            return [line(row)]
        parts = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        return [line(each) for each in zip_longest(*parts, fillvalue="")]

    whole = [each for row in rows for each in lines(row)]
    return [line(headers), "  ".join("-" * width for width in widths), *whole]


def wrapped(text: str, columns: int | None, indent: str = "") -> list[str]:
    """None: as one line. `indent` begins all lines but the first."""
    if columns is None or len(text) <= columns:
        return [text]
    return textwrap.wrap(text, columns, subsequent_indent=indent)


def _fitting_widths(
    rows: Sequence[Sequence[str]], numeric: Sequence[bool], columns: int | None
) -> list[int]:
    """Within `columns` the widest texts are narrower, down to a few words."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(numeric))]
    least = [max(NARROWEST_TEXT, len(header)) for header in rows[0]]
    while columns is not None and sum(widths) + 2 * (len(widths) - 1) > columns:
        texts = [i for i, is_number in enumerate(numeric) if not is_number and widths[i] > least[i]]
        if not texts:
            break
        widths[max(texts, key=lambda i: widths[i])] -= 1
    return widths
