"""BUILD/build.log: what the stages of a build say while they work, which its console shows as one
line each.

Lines are appended, so those of a continued build follow the earlier ones. It is a log: nothing
reads it, and no result depends on it.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from groundup.files import disk_errors
from groundup.progress import Advance, Progress, StageProgress, stage_of

LOG_FILE = "build.log"
# How a training run says that it was stopped and saved (train/loop.py).
STOPPED = "Stopped after "


class LoggedStage:
    """The Progress of a stage: what it says goes into the log, too."""

    def __init__(self, shown: StageProgress, log: Path, title: str) -> None:
        self._shown, self._log, self._last = shown, log, ""
        self._write(title)

    def say(self, text: str) -> None:
        self._last = text.strip()
        self._write(text)
        self._shown.say(text)

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        return self._shown.track(what, total, unit)

    def end(self, result: str) -> None:
        self._write(f"      {result}")
        self._shown.end(result)

    @property
    def stopped_after(self) -> str:
        """Where a training run that was stopped has saved its state: "after step 3 of 50"; "" where
        it has none.
        """
        if not self._last.startswith(STOPPED):
            return ""
        return self._last.removeprefix("Stopped ").partition(",")[0]

    def _write(self, text: str) -> None:
        with (
            disk_errors(self._log),
            self._log.open("a", encoding="utf-8", errors="backslashreplace") as log,
        ):
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")


@contextmanager
def logged_stage(progress: Progress, out: Path, title: str) -> Iterator[LoggedStage]:
    """Show a stage of the build in `out`, and log it."""
    with stage_of(progress, title) as shown:
        yield LoggedStage(shown, out / LOG_FILE, title)
