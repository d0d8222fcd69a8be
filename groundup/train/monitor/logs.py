"""The two logs of a run, metrics.jsonl and samples.jsonl, and whoever is told their lines as they are written.

Where several processes train, only the first opens them: on the others nothing is written and nobody told.
"""

from collections.abc import Callable
from typing import Any

from groundup.runs import LineLog, RunFolder
from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.callbacks import CallbackList, RunFacts


class Logs:
    """Written from `open` on; before, and where it is never called, lines go nowhere."""

    def __init__(self, run: RunFolder, observers: CallbackList) -> None:
        self._run, self._observers = run, observers
        self._metrics: LineLog | None = None
        self._samples: LineLog | None = None

    def open(self, state: TrainState, say: Callable[[str], None]) -> None:
        """Open both at the length they had: lines of steps that will be done again are dropped."""
        self._metrics, self._samples = LineLog(self._run.metrics_file), LineLog(self._run.samples_file)
        for log, length in ((self._metrics, state.metrics_bytes), (self._samples, state.samples_bytes)):
            if log.length_bytes() > length:
                log.cut(length)
            elif log.length_bytes() < length:
                say(f"{log.path} is shorter than it was: some of its lines are lost, the run is not.")

    def begin(self, facts: RunFacts) -> None:
        """Tell the observers what run it is."""
        self._observers.begin(facts)

    def metric(self, line: dict[str, Any]) -> None:
        """Write what a step or an evaluation came to."""
        self._append(self._metrics, line)

    def sample(self, line: dict[str, Any]) -> None:
        """Write what the model wrote; observers know it by its event."""
        self._append(self._samples, line, event="sample")

    def _append(self, log: LineLog | None, line: dict[str, Any], **told: Any) -> None:
        if log is not None:
            log.append(line)
            self._observers.observe({**told, **line})

    def note_lengths(self, state: TrainState) -> None:
        """How long both are, where `open` will look for it."""
        if self._metrics is not None and self._samples is not None:
            state.metrics_bytes, state.samples_bytes = self._metrics.length_bytes(), self._samples.length_bytes()

    def close(self) -> None:
        """End the observers and close both."""
        self._observers.close()
        for log in (self._metrics, self._samples):
            if log is not None:
                log.close()
