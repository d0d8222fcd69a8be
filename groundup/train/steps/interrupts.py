"""Ctrl-C and SIGTERM while training: raised at once where nothing is half done, deferred
(`shielded`) during an update and a save.

A step can be discarded until the weights change, and an evaluation always; so both signals raise
out of them, and the state at the last boundary is saved. With several processes none may leave
alone: there a signal is only noted (`received`), every step tells all ranks what any has received,
and all end after the same step (`agree`).
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Shells report a process that ended by a signal as 128 + its number.
TERMINATED_EXIT_CODE = 128 + signal.SIGTERM


class Interrupts:
    """Handles both signals; in a thread other than the main one Python allows no handlers."""

    def __init__(self, *, together: bool = False) -> None:
        """`together`: with other processes."""
        self._together = together
        self._agreed = 0
        self._before: dict[signal.Signals, Any] = {}
        self.received = 0
        """The number of the signal received, 0: none."""
        self._shielded = False
        self._held = False

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None: it was set outside Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.received:  # a second Ctrl-C changes nothing: the first is being handled
            self.received = number
            if not self._shielded:
                self.check()

    def agree(self, number: int) -> None:
        """Set the signal that any of the processes received."""
        self._agreed = number

    def check(self) -> None:
        """Raise KeyboardInterrupt or SystemExit for a signal that was deferred (or whose exception
        was lost in a destructor).
        """
        number = self.received
        if self._together:
            number = self._agreed
        if number == 0 or self._held:
            return
        if number == signal.SIGTERM:
            sys.exit(TERMINATED_EXIT_CODE)
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """An error of the block itself takes precedence."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        self.check()

    def hold(self) -> None:
        """The run is being ended."""
        self._held = True
