"""The start of the `groundup` command and of `python -m groundup`, and what Ctrl-C does while
modules are imported.

Before a verb begins nothing is to be saved: the process ends at once, with one word. Later an
import (torch's takes seconds) is never interrupted, since libraries catch what is raised in the
middle of theirs and break afterwards: KeyboardInterrupt follows when the import is done.
"""

import os
import signal
import sys
import threading
from types import FrameType

from groundup.cli.start import START, VERBS
from groundup.garbage_collection import without_collection

STOPPED = 130
# How long after a Ctrl-C within an import it is tried again.
LATER_S = 0.05
_IMPORTER = "<frozen importlib._bootstrap>"


def main() -> None:
    """Import the command line and run it."""
    signal.signal(signal.SIGINT, _end)
    if sys.argv[1:2] and sys.argv[1] in VERBS and "--help" not in sys.argv:
        START.watch()
    with without_collection():
        from groundup.cli.main import main as command_line

    signal.signal(signal.SIGINT, interrupt_after_imports)
    command_line()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped.\n")
    os._exit(STOPPED)


def interrupt_after_imports(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but within an import send the signal again a little later."""
    if not _is_importing(frame):
        raise KeyboardInterrupt
    timer = threading.Timer(LATER_S, signal.raise_signal, [signal.SIGINT])
    timer.daemon = True
    timer.start()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTER:
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main()
