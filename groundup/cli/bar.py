"""One line of progress within a width: what is done, a bar, how much of how much, the time left, a
note.

    measuring a step  ━━━━━━━━━━━━────────────  2.1/4.0 s  0:02 left

What does not fit is left out from the right; a count never exceeds its total.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

BAR_COLUMNS, LEAST_BAR_COLUMNS = 24, 8
# Room for two echoes of ^C behind the line: one that wraps would leave it behind.
ECHO_COLUMNS = 4
# Totals below are counted with a decimal, where they are no whole numbers.
FEW = 10


@dataclass
class Bar:
    """Work of a known size, as a line of text. Times are seconds of a monotonic clock."""

    what: str
    total: float
    unit: str = ""
    started: float = 0.0
    done: float = 0.0
    note: str = ""

    def advance(self, amount: float = 1, note: str = "", total: float | None = None) -> None:
        """Count `amount` more; `total` is another total from now on."""
        self.done += amount
        self.note = note or self.note
        if total is not None:
            self.total = total

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        if self.total <= 0:
            return 0.0
        return min(1.0, self.done / self.total)

    @property
    def counted(self) -> str:
        """How much of how much: "23/94 steps"."""
        is_measured = self.unit in ("s", "MB") or self.total != int(self.total)
        digits = int(self.total < FEW and is_measured)
        digits += 0 < self.total < 0.1  # not "0.0/0.0 MB"
        done = min(self.done, self.total)
        return f"{done:,.{digits}f}/{self.total:,.{digits}f} {self.unit}".rstrip()

    def left_s(self, now: float) -> float | None:
        """Seconds to the end at the speed so far; None at the beginning."""
        if self.share <= 0:
            return None
        return (now - self.started) * (1 / self.share - 1)

    def line(self, width: int, now: float, *, ascii_only: bool = False) -> str:
        """Return the line, at most `width` columns."""
        left = self.left_s(now)
        parts = [self.what, self.counted]
        if left is not None:
            parts.append(f"{duration(left)} left")
        if self.note:
            parts.append(self.note)
        while len(parts) > 1 and len("  ".join(parts)) + LEAST_BAR_COLUMNS + 2 > width:
            parts.pop()
        room = min(BAR_COLUMNS, width - len("  ".join(parts)) - 2)
        if room >= LEAST_BAR_COLUMNS:
            parts.insert(1, draw_bar(self.share, room, ascii_only=ascii_only))
        return "  ".join(parts)[:width]


def draw_bar(share: float, columns: int, *, ascii_only: bool = False) -> str:
    """Return a bar that is full at 1.

    >>> draw_bar(0.5, 4, ascii_only=True)
    '##..'
    """
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    done = round(share * columns)
    return full * done + empty * (columns - done)


def duration(seconds: float) -> str:
    """Return a time as minutes and seconds, or hours and minutes.

    >>> duration(83), duration(7_380)
    ('1:23', '2:03 h')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d} h"


class BarLine:
    """What a terminal shows of work in progress: the line of its bar, or how long it takes already.

    Drawn by rich, at the time of `now`.
    """

    def __init__(self, title: str, now: Callable[[], float]) -> None:
        self.title, self._now, self._started = title, now, now()
        self.bar: Bar | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, options.max_width - ECHO_COLUMNS)
        text = Text(self.text(width, ascii_only=options.ascii_only), no_wrap=True, overflow="crop")
        text.highlight_regex("━+", "green")
        text.highlight_regex("─+", "dim")
        yield text

    def text(self, width: int, *, ascii_only: bool = False) -> str:
        """Return the line as it is now."""
        now, bar = self._now(), self.bar
        if bar is None:
            return f"{self.title}  {duration(now - self._started)}"[:width]
        head = f"{self.title}  ".lstrip()
        return f"{head}{bar.line(max(1, width - len(head)), now, ascii_only=ascii_only)}"[:width]
