"""How contenders are timed: alternately, several rounds, medians, and costs compared pair by pair.

    rows = compare("decode", "tokens/s", [Contender("groundup", ours, amount=64), Contender("peer", theirs, amount=64)], rounds=5)
    print(table(rows))

The first contender is ours. A round runs every one once, in turn: what a busy neighbour slows down, it slows down for all of them.
So the ratio is taken inside each round, and its median tells more than two averages would. A contender whose slowest round took
much longer than its fastest is marked: its own figure is worth little then, the ratio more.
"""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from groundup.runs import package_version

# Units of costs, in seconds or as they are measured; every other unit is work a second.
COSTS = {"s": 1, "ms": 1000, "MB": 1, "kB": 1, "nats": 1, "share": 1}
# Slowest round over fastest: above this, something else ran on the machine.
NOISY = 1.3
PEERS = ("torch", "transformers", "tokenizers", "tiktoken", "xllamacpp")
HEADER = ("what", "contender", "median", "cost / ours", "lowest-highest", "noise")


@dataclass(frozen=True)
class Contender:
    """Something that does `amount` of work each time it is called, by itself or as a `command`."""

    name: str
    work: Callable[[], object]
    amount: float = 1.0


@dataclass(frozen=True)
class Row:
    """What one contender came to."""

    what: str
    contender: str
    median: float
    """In `unit`."""
    unit: str
    """Work a second ("tokens/s"); or a cost ("s", "MB")."""
    ratio: float
    """Its cost for the same work over the first contender's, median of the rounds. Above 1: the first is better."""
    lowest: float
    highest: float
    """The lowest and highest ratio of any round."""
    noise: float
    """Its slowest round over its fastest."""


class Skipped(Exception):
    """A table that can't be measured here, and why, in one sentence."""


def compare(what: str, unit: str, contenders: Sequence[Contender], *, rounds: int) -> list[Row]:
    """Run each once unmeasured, then `rounds` times in turn, every other round backwards. `unit`: "s", "ms", or work a second."""
    for contender in contenders:
        contender.work()
    cost_s: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            cost_s[contender.name].append(seconds(contender.work) / contender.amount)
    return rows_of(what, unit, cost_s)


def rows_of(what: str, unit: str, costs: Mapping[str, Sequence[float]]) -> list[Row]:
    """Rows of costs that were measured elsewhere, each contender's by the round: in seconds, or as `COSTS` has the unit."""
    first = next(iter(costs.values()))
    return [_row(what, name, unit, taken, first) for name, taken in costs.items()]


def _row(what: str, name: str, unit: str, costs: Sequence[float], first: Sequence[float]) -> Row:
    ratios = [cost / ours for cost, ours in zip(costs, first, strict=True)]
    middle = median(costs) * COSTS[unit] if unit in COSTS else 1 / median(costs)
    return Row(
        what, name, middle, unit, median(ratios), min(ratios), max(ratios), max(costs) / min(costs)
    )


def costs(what: str, unit: str, measured: dict[str, float]) -> list[Row]:
    """Rows of costs that were measured once (memory)."""
    return rows_of(what, unit, {name: [cost] for name, cost in measured.items()})


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(*arguments: object) -> str:
    """Run a contender that needs a process of its own; what it printed. Raises CalledProcessError when it fails."""
    return subprocess.run(
        [str(a) for a in arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def table(rows: Sequence[Row]) -> str:
    """The rows in columns (a Markdown table too), and under them which figures were noisy."""
    cells = [HEADER, tuple("-" * len(name) for name in HEADER), *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    noisy = sum(row.noise > NOISY for row in rows)
    note = f"Noisy: {noisy} of {len(rows)} contenders took over {NOISY} times as long in one round as in another."
    return "\n".join([*lines, *([note] if noisy else [])])


def _cells(row: Row) -> tuple[str, ...]:
    mark = " !" if row.noise > NOISY else ""
    between = f"{row.lowest:.3g}-{row.highest:.3g}"
    return (
        row.what,
        row.contender,
        f"{row.median:,.4g} {row.unit}",
        f"{row.ratio:.3g}",
        between,
        f"{row.noise:.2f}{mark}",
    )


def machine() -> dict[str, Any]:
    """What the figures were taken on, and how busy it was when they began."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {name: package_version(name) for name in PEERS},
    }
