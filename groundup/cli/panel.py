"""The panel that a terminal shows while a model trains: one picture of where the run stands, drawn again at most four times a second.

    TrainingView     what is known, from the lines that a run logs (an observer's); no terminal
    rows(view, ...)  that as lines of text, the most important first, for a width and a height
    LivePanel        the two on a terminal; gone without a trace when training ends or is stopped

Nothing here computes for the run: the figures are those of its log; the peak of this machine is measured once, for a tenth of a second.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.cells import chop_cells
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from groundup.cli.plain import plain
from groundup.progress import Advance

if TYPE_CHECKING:
    from groundup.train.monitor.callbacks import Line, RunFacts

REDRAW_S = 0.25
# The speed that is shown is the median of so many steps.
SPEED_STEPS = 16
LABEL_COLUMNS = 11
# Below this many lines of terminal there is no frame; so many lines are left to what is said.
FRAMED_HEIGHT, FREE_LINES = 16, 2
TWO_LINE_HEIGHT = 14
SAMPLE_LINES = 3
WIDEST = 110
# A terminal echoes ^C behind the picture: it must not begin a new line, or one line of the picture would stay. Twice, for the impatient.
ECHO_COLUMNS = 4
BARS, ASCII_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
MAX_POINTS = 512


class Sparkline:
    """Values over time, thinned to at most 512 points."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._stride = 1
        self._waiting: list[float] = []

    def add(self, value: float) -> None:
        """The next value."""
        self._waiting.append(value)
        if len(self._waiting) < self._stride:
            return
        self.points.append(_mean(self._waiting))
        self._waiting = []
        if len(self.points) >= MAX_POINTS:
            self.points = [_mean(self.points[at : at + 2]) for at in range(0, len(self.points), 2)]
            self._stride *= 2

    def columns(self, width: int) -> list[float]:
        """The points as at most `width` means of neighbours."""
        count = min(width, len(self.points))
        edges = [round(k * len(self.points) / count) for k in range(count + 1)] if count else []
        return [_mean(self.points[a:b]) for a, b in pairwise(edges)]


def bars(values: Sequence[float], lines: int = 1, *, ascii_only: bool = False) -> list[str]:
    """The values as `lines` lines of bars, the lowest value an eighth of a line high, the highest all of them.

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
        "".join(marks[max(0, min(8, height - 8 * below))] for height in heights) for below in reversed(range(lines))
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@dataclass
class TrainingView:
    """Where a run stands, as far as its lines tell."""

    facts: "RunFacts"
    started: float
    """Of a clock in seconds."""
    peak_flops: float | None = None
    step: int = 0
    steps: int = 0
    """Of the whole run; another number where it keeps a time."""
    losses: Sparkline = field(default_factory=Sparkline)
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=SPEED_STEPS))
    last: dict[str, Any] = field(default_factory=dict)
    """The last step's line."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    best_loss: float | None = None
    sample: str = ""
    last_sample_step: int | None = None
    skipped: int = 0
    rolled_back: int = 0

    def __post_init__(self) -> None:
        self.step, self.steps = self.facts.done, self.facts.steps

    def observe(self, line: "Line") -> None:
        """Take in one line of a run's log."""
        event = line.get("event")
        if event == "evaluation":
            self.evaluation = dict(line)
            loss = line.get("validation_loss")
            self.best_loss = loss if self.best_loss is None else min(self.best_loss, loss or self.best_loss)
        elif event == "sample":
            self._take_sample(line)
        else:
            self.step = int(line["step"])
            self.steps = int(line.get("steps", self.steps))
            self.skipped = int(line.get("skipped", self.skipped))
            self.rolled_back = int(line.get("rolled_back", self.rolled_back))
        if event is None:
            self.last = dict(line)
            self.losses.add(line["loss"])
            self.speeds.append(line["tokens_per_s"])

    def _take_sample(self, line: "Line") -> None:
        """Of an evaluation's samples the first is shown."""
        if self.last_sample_step != line["step"]:
            self.last_sample_step = int(line["step"])
            self.sample = f"{line.get('prompt', '')}|{line.get('text', '')}"

    @property
    def speed(self) -> float | None:
        """Tokens a second."""
        return median(self.speeds) if self.speeds else None

    def left_s(self, now: float) -> float | None:
        """Seconds to the end at the pace of this session, evaluations and saves included."""
        done = self.step - self.facts.done
        return (now - self.started) / done * (self.steps - self.step) if done > 0 else None


@dataclass(frozen=True)
class PanelState:
    """Bytes now and at the peak; of a GPU, where one computes."""

    now: int | None
    peak: int
    where: str = ""


def rows(
    view: TrainingView, memory: PanelState, now: float, width: int, height: int, *, ascii_only: bool
) -> list[Text]:
    """At most `height` lines of at most `width` columns, the most important ones where there is no room for all."""
    loss = view.last.get("loss")
    shown = "" if loss is None else f"{loss:.3f}  "
    lines = 2 if height >= TWO_LINE_HEIGHT else 1
    curve = bars(view.losses.columns(width - LABEL_COLUMNS - len(shown)), lines, ascii_only=ascii_only)
    named = {
        "loss": [shown + curve[0], *(" " * len(shown) + bar for bar in curve[1:])],
        "validation": [_evaluation(view)],
        "speed": [_speed(view)],
        "skipped": [_skipped(view)],
        "memory": [_memory(memory)],
        "text": [_read(view)],
        "rate": [_rate(view)],
        "sample": chop_cells(plain(view.sample), max(8, width - LABEL_COLUMNS))[:SAMPLE_LINES],
    }
    found = [_head(view, now, width, ascii_only)]
    for name, texts in named.items():
        texts = [text.encode("ascii", "replace").decode() for text in texts] if ascii_only else texts
        found += [_row("" if number else name, text) for number, text in enumerate(texts) if text]
    for each in found:
        each.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return found[: max(1, height)]


def _row(name: str, text: str) -> Text:
    return Text.assemble((name.ljust(LABEL_COLUMNS), "dim"), text, no_wrap=True)


def _head(view: TrainingView, now: float, width: int, ascii_only: bool) -> Text:
    share = view.step / view.steps
    left = view.left_s(now)
    counted = f"step {view.step:,} of {view.steps:,}"
    ends = f"{100 * share:3.0f} %  {'' if left is None else duration(left) + ' left'}".rstrip()
    room = width - len(counted) - len(ends) - 4
    done = round(share * max(0, room))
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    bar = ("", "") if room < 8 else (full * done, empty * (room - done))
    return Text.assemble((counted, "bold"), "  ", (bar[0], "green"), (bar[1], "dim"), "  ", ends, no_wrap=True)


def _evaluation(view: TrainingView) -> str:
    """The figures of the last evaluation: loss and bits per byte first, those of sources and tasks after them."""
    figures = {k: v for k, v in view.evaluation.items() if k not in ("event", "step", "evaluation_s", "elapsed_s")}
    if not figures:
        return ""
    shown = [f"{value:.3f} {_NAMES.get(name, plain(name.replace('_', ' ')))}" for name, value in figures.items()]
    best = [] if view.best_loss is None else [f"best {view.best_loss:.3f}"]
    first, others = ", ".join([*shown[:2], *best]), "".join(f"; {each}" for each in shown[2:])
    return f"{first} (step {view.evaluation['step']:,}){others}"


_NAMES = {"validation_loss": "nats", "bits_per_byte": "bits per byte"}


def _speed(view: TrainingView) -> str:
    if view.speed is None:
        return ""
    text = f"{view.speed:,.0f} tokens/s" if view.facts.flops_per_token else f"{view.speed:,.0f} learned a second"
    if view.facts.flops_per_token and view.peak_flops:
        share = view.speed * view.facts.flops_per_token / view.peak_flops
        text += f", {100 * share:.0f} % of {flops(view.peak_flops)} ({view.facts.precision})"
    return text


def _skipped(view: TrainingView) -> str:
    back = f", rolled back {view.rolled_back} times" if view.rolled_back else ""
    return f"{view.skipped:,} steps{back}" if view.skipped or view.rolled_back else ""


def _memory(memory: PanelState) -> str:
    now = "" if memory.now is None else f"{memory.now / 1e9:.2f} GB now, "
    return f"{now}{memory.peak / 1e9:.2f} GB at the peak{memory.where}"


def _read(view: TrainingView) -> str:
    tokens = view.last.get("tokens")
    if tokens is None:
        return ""
    epochs = f"{tokens / view.facts.epoch_tokens:.2f} epochs, " if view.facts.epoch_tokens else ""
    return f"{epochs}{tokens:,} {'tokens' if view.facts.flops_per_token else 'learned'}"


def _rate(view: TrainingView) -> str:
    """Of learning; and how long the gradient is."""
    return f"{view.last['lr']:.2g}, gradient {view.last['grad_norm']:.2g}" if view.last else ""


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes.

    >>> duration(83), duration(7_380)
    ('1:23', '2:03 h')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def flops(per_second: float) -> str:
    """Floating-point operations a second for people."""
    return f"{per_second / 1e12:.1f} TFLOP/s" if per_second >= 1e12 else f"{per_second / 1e9:.0f} GFLOP/s"


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
        """Take in a line; what comes between steps (an evaluation, a sample) is drawn at the next step."""
        self._view.observe(line)

    @contextmanager
    def shown(self) -> Iterator[Advance]:
        """While the training lasts; inside it, what else is tracked is not drawn."""
        if self._live is not None:
            yield lambda amount=1, note="", total=None: None
            return
        self._view.started = time.monotonic()
        live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
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

    def _make_room(self, width: int) -> None:
        """A terminal that was made narrower has broken the lines of the last picture in two: away with them."""
        if width < self._width:
            self._console.clear()
        self._width = width

    def _picture(self, now: float) -> RenderableType:
        width, height = self._console.size
        self._make_room(width)
        width = min(max(1, width - ECHO_COLUMNS), WIDEST)
        framed = height >= FRAMED_HEIGHT and width >= 50
        room = (width - 4, height - FREE_LINES - 2) if framed else (width, height - FREE_LINES)
        ascii_only = self._console.options.ascii_only
        found = Group(*rows(self._view, self._memory(), now, *room, ascii_only=ascii_only))
        return Panel(found, title="training", title_align="left", width=width, border_style="dim") if framed else found

    def _memory(self) -> PanelState:
        from groundup.device import device_memory_bytes, memory_bytes, peak_memory_bytes

        on_device = device_memory_bytes(self._compute)
        if on_device is not None:
            return PanelState(*on_device, " of the GPU")
        return PanelState(memory_bytes(), peak_memory_bytes())
