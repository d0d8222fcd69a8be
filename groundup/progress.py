"""Progress reporting without printing: long work is given a `Progress` and calls it.

The command line passes one that draws bars with the time left (`cli/console.py`); tests and notebooks pass `Silent()`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Advance(Protocol):
    """A callback as work proceeds: `advance(3, "loss 2.10")`; `total` changes the total amount."""

    def __call__(self, amount: float = 1, note: str = "", total: float | None = None) -> None: ...


@runtime_checkable
class Progress(Protocol):
    """An object that prints a line (`say`) and follows work of a known size (`track`)."""

    def say(self, text: str) -> None: ...

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]: ...


class Silent:
    """A Progress that shows nothing."""

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        yield lambda amount=1, note="", total=None: None
