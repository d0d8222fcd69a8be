"""How work deep inside tells the edge how far it is, without printing: a `Progress` is handed in and called.

The command line gives one that draws bars with the time left (`cli/console.py`); tests and notebooks give `Silent()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, runtime_checkable


@runtime_checkable
class Advance(Protocol):
    """Called as work proceeds: `advance(3, "loss 2.10")`. `total`: the work is now known to be so much in all."""

    def __call__(self, amount: float = 1, note: str = "", total: float | None = None) -> None: ...


@runtime_checkable
class Progress(Protocol):
    """Two things only: `say` a line worth keeping, and `track` work of a known size."""

    def say(self, text: str) -> None: ...

    def track(self, what: str, total: float, unit: str = "") -> "AbstractTrack": ...


@runtime_checkable
class AbstractTrack(Protocol):
    """A context manager that gives an `Advance`."""

    def __enter__(self) -> Advance: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Silent:
    """A Progress that shows nothing."""

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        yield lambda amount=1, note="", total=None: None
