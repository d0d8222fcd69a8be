"""What a terminal shows of work in progress: one line of a bar within a width (`Bar`), and during
training the panel, redrawn at most four times a second: `TrainingView` is the state of the run,
from the lines that it logs, `rows` its lines of text, the most important first.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from rich.cells import chop_cells
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from groundup.cli.plain import plain
from groundup.progress import Advance

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.train.monitor.callbacks import Line, RunFacts

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
        if self.total <= 0:
            return 0.0
        return min(1.0, self.done / self.total)

    @property
    def counted(self) -> str:
        """How much of how much: "23/94 steps"; of an unknown total "23 steps"."""
        if self.total <= 0:
            return f"{self.done:,.0f} {self.unit}".rstrip()
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
        left = self.left_s(now)
        parts = [self.what, self.counted]
        if left is not None:
            parts.append(f"{duration(left)} left")
        if self.note:
            parts.append(self.note)
        while len(parts) > 1 and len("  ".join(parts)) + LEAST_BAR_COLUMNS + 2 > width:
            parts.pop()
        room = min(BAR_COLUMNS, width - len("  ".join(parts)) - 2)
        if room >= LEAST_BAR_COLUMNS and self.total > 0:
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
    """The line of its bar, or how long it takes already. Drawn by rich, at the time of `now`."""

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
        now, bar = self._now(), self.bar
        if bar is None:
            return f"{self.title}  {duration(now - self._started)}"[:width]
        head = f"{self.title}  ".lstrip()
        return f"{head}{bar.line(max(1, width - len(head)), now, ascii_only=ascii_only)}"[:width]


REDRAW_S = 0.25
# The speed shown is the median of this many steps.
SPEED_STEPS = 16
LABEL_COLUMNS = 11
# Terminals with fewer lines get no frame; lines left free for messages.
FRAMED_HEIGHT, FRAMED_COLUMNS, FREE_LINES = 16, 50, 2
TWO_LINE_HEIGHT = 14
SAMPLE_LINES = 3
WIDEST = 110
BARS, ASCII_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
MAX_POINTS = 512


class Sparkline:
    """Neighbours are averaged when there are more than MAX_POINTS."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._stride = 1
        self._waiting: list[float] = []

    def add(self, value: float) -> None:
        self._waiting.append(value)
        if len(self._waiting) < self._stride:
            return
        self.points.append(fmean(self._waiting))
        self._waiting = []
        if len(self.points) >= MAX_POINTS:
            self.points = [fmean(self.points[at : at + 2]) for at in range(0, len(self.points), 2)]
            self._stride *= 2

    def columns(self, width: int) -> list[float]:
        """Return at most `width` means of neighbouring points."""
        count = min(width, len(self.points))
        edges = [round(k * len(self.points) / max(1, count)) for k in range(count + 1)]
        return [fmean(self.points[a:b]) for a, b in pairwise(edges)]


def bars(values: Sequence[float], lines: int = 1, *, ascii_only: bool = False) -> list[str]:
    """Return the values as `lines` lines of bars; the lowest value is an eighth of a line high, the
    highest fills all lines.

    >>> bars([3.0, 2.0, 1.0])
    ['█▅▁']
    """
    marks = ASCII_BARS if ascii_only else BARS
    if not values:
        return [""] * lines
    low, high = min(values), max(values)
    eighths = 8 * lines
    heights = [1 + round((value - low) / ((high - low) or 1) * (eighths - 1)) for value in values]
    return [
        "".join(marks[max(0, min(8, height - 8 * below))] for height in heights)
        for below in reversed(range(lines))
    ]


@dataclass
class TrainingView:
    """The state of a run, as known from its log lines."""

    facts: "RunFacts"
    started: float
    """Seconds of a monotonic clock."""
    peak_flops: float | None = None
    step: int = 0
    steps: int = 0
    """Of the whole run; changed during a run with a time budget."""
    losses: Sparkline = field(default_factory=Sparkline)
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=SPEED_STEPS))
    last: dict[str, Any] = field(default_factory=dict)
    """The line of the last step."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    best_loss: float | None = None
    sample: str = ""
    last_sample_step: int | None = None
    skipped: int = 0
    rolled_back: int = 0

    def __post_init__(self) -> None:
        self.step, self.steps = self.facts.done, self.facts.steps

    def observe(self, line: "Line") -> None:
        """Process one line of the run's log."""
        event = line.get("event")
        if event == "evaluation":
            self.evaluation = dict(line)
            loss = line.get("validation_loss")
            if loss is not None:
                self.best_loss = min(loss, self.best_loss or loss)
        elif event == "sample":
            # Only the first sample of an evaluation is shown.
            if self.last_sample_step != line["step"]:
                self.last_sample_step = int(line["step"])
                self.sample = f"{line.get('prompt', '')}|{line.get('text', '')}"
        else:
            self.step = int(line["step"])
            self.steps = int(line.get("steps", self.steps))
            self.skipped = int(line.get("skipped", self.skipped))
            self.rolled_back = int(line.get("rolled_back", self.rolled_back))
        if event is None:
            self.last = dict(line)
            self.losses.add(line["loss"])
            self.speeds.append(line["tokens_per_s"])

    @property
    def speed(self) -> float | None:
        return median(self.speeds or [0.0]) or None

    def left_s(self, now: float) -> float | None:
        """At the speed of this session, evaluations and checkpoints included."""
        done = self.step - self.facts.done
        if done <= 0:
            return None
        return (now - self.started) / done * (self.steps - self.step)


@dataclass(frozen=True)
class PanelState:
    """Bytes of the GPU in use, else of this process."""

    now: int | None
    peak: int
    where: str = ""


def memory_of(compute: "Compute") -> PanelState:
    from groundup.device import device_memory_bytes, memory_bytes, peak_memory_bytes

    on_device = device_memory_bytes(compute)
    if on_device:
        return PanelState(*on_device, " of the GPU")
    return PanelState(memory_bytes(), peak_memory_bytes())


def rows(
    view: TrainingView, memory: PanelState, now: float, width: int, height: int, *, ascii_only: bool
) -> list[Text]:
    """At most `height` lines of at most `width` columns, the most important ones first."""
    loss = "".join(f"{view.last[name]:.3f}  " for name in ("loss",) if name in view.last)
    columns = view.losses.columns(width - LABEL_COLUMNS - len(loss))
    curve = bars(columns, 1 + (height >= TWO_LINE_HEIGHT), ascii_only=ascii_only)
    named = {
        "loss": [loss + curve[0], *(" " * len(loss) + bar for bar in curve[1:])],
        **{name: [text] for name, text in _figures(view, memory).items()},
        "sample": chop_cells(plain(view.sample), max(8, width - LABEL_COLUMNS))[:SAMPLE_LINES],
    }
    found = [_head(view, now, width, ascii_only)]
    for name, texts in named.items():
        for label, text in zip([name, *[""] * len(texts)], filter(None, texts), strict=False):
            if ascii_only:
                text = text.encode("ascii", "replace").decode()
            found.append(Text.assemble((label.ljust(LABEL_COLUMNS), "dim"), text, no_wrap=True))
    for each in found:
        each.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return found[: max(1, height)]


def _head(view: TrainingView, now: float, width: int, ascii_only: bool) -> Text:
    share, left = view.step / view.steps, view.left_s(now)
    counted = f"step {view.step:,} of {view.steps:,}"
    ends = f"{100 * share:3.0f} %"
    if left is not None:
        ends += f"  {duration(left)} left"
    room = width - len(counted) - len(ends) - 4
    if room < LEAST_BAR_COLUMNS:
        room = 0
    bar, done = draw_bar(share, room, ascii_only=ascii_only), round(share * room)
    full, empty = (bar[:done], "green"), (bar[done:], "dim")
    return Text.assemble((counted, "bold"), "  ", full, empty, "  ", ends, no_wrap=True)


def _figures(view: TrainingView, memory: PanelState) -> dict[str, str]:
    facts, last = view.facts, view.last
    figures = {"validation": _evaluation(view), "speed": _speed(view)}
    if view.skipped or view.rolled_back:
        figures["skipped"] = f"{view.skipped:,} steps"
    if view.rolled_back:
        figures["skipped"] += f", rolled back {view.rolled_back} times"
    figures["memory"] = f"{memory.peak / 1e9:.2f} GB at the peak{memory.where}"
    if memory.now is not None:
        figures["memory"] = f"{memory.now / 1e9:.2f} GB now, {figures['memory']}"
    if "tokens" in last:
        figures["text"] = f"{last['tokens']:,} {_unit(view)}"
        if facts.epoch_tokens:
            figures["text"] = f"{last['tokens'] / facts.epoch_tokens:.2f} epochs, {figures['text']}"
    if last:
        figures["rate"] = f"{last['learning_rate']:.2g}, gradient {last['grad_norm']:.2g}"
    return figures


def _unit(view: TrainingView) -> str:
    """Of fine-tuning only the tokens that are learned from."""
    return "tokens" if view.facts.flops_per_token else "learned"


def _speed(view: TrainingView) -> str:
    flops_per_token = view.facts.flops_per_token
    if view.speed is None:
        return ""
    if not flops_per_token:
        return f"{view.speed:,.0f} {_unit(view)} per second"
    speed = f"{view.speed:,.0f} {_unit(view)}/s"
    if not view.peak_flops:
        return speed
    share = view.speed * flops_per_token / view.peak_flops
    return f"{speed}, {100 * share:.0f} % of {flops(view.peak_flops)} ({view.facts.precision})"


def _evaluation(view: TrainingView) -> str:
    names = {"validation_loss": "nats", "bits_per_byte": "bits per byte"}
    shown = [
        f"{value:.3f} {names.get(name, plain(name.replace('_', ' ')))}"
        for name, value in view.evaluation.items()
        if name not in ("event", "step", "evaluation_s", "elapsed_s", "pieces")
    ]
    if not shown:
        return ""
    first, others = shown[:2], "".join(f"; {each}" for each in shown[2:])
    if view.best_loss is not None:
        first.append(f"best {view.best_loss:.3f}")
    return f"{', '.join(first)} (step {view.evaluation['step']:,}){others}"


def flops(per_second: float) -> str:
    """Return floating-point operations per second with a unit."""
    if per_second >= 1e12:
        return f"{per_second / 1e12:.1f} TFLOP/s"
    return f"{per_second / 1e9:.0f} GFLOP/s"


class LivePanel:
    """A TrainingView on a terminal."""

    def __init__(self, console: Console, facts: "RunFacts") -> None:
        import torch

        from groundup.model.matmul_precision import peak_flops

        self._console, self._compute = console, facts.compute
        self._view = TrainingView(facts, time.monotonic())
        if facts.flops_per_token and facts.done < facts.steps:
            dtype = torch.bfloat16 if facts.precision == "bf16" else torch.float32
            self._view.peak_flops = peak_flops(facts.compute.device, dtype)
        self._live: Live | None = None
        self._drawn, self._width = 0.0, 0

    def observe(self, line: "Line") -> None:
        """Evaluations and samples are drawn at the next step."""
        self._view.observe(line)

    @contextmanager
    def shown(self) -> Iterator[Advance]:
        """Other work tracked meanwhile is not drawn."""
        if self._live is not None:
            yield lambda amount=1, note="", total=None: None
            return
        self._view.started = time.monotonic()
        live = Live(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        with live:
            self._live = live
            try:
                yield self._advance
            finally:
                self._live = None

    def _advance(self, amount: float = 1, note: str = "", total: float | None = None) -> None:
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= REDRAW_S:
            self._drawn = now
            self._live.update(self._picture(now), refresh=True)

    def _picture(self, now: float) -> RenderableType:
        width, height = self._console.size
        if width < self._width:  # a narrower terminal has wrapped the lines of the last panel
            self._console.clear()
        self._width = width
        width = min(max(1, width - ECHO_COLUMNS), WIDEST)
        height -= FREE_LINES
        framed = height >= FRAMED_HEIGHT - FREE_LINES and width >= FRAMED_COLUMNS
        lines = rows(
            self._view,
            memory_of(self._compute),
            now,
            width - 4 * framed,
            height - 2 * framed,
            ascii_only=self._console.options.ascii_only,
        )
        if not framed:
            return Group(*lines)
        return Panel(
            Group(*lines), title="training", title_align="left", width=width, border_style="dim"
        )
