"""Progress reporting without printing: long work is given a `Progress` and calls it.

The command line passes one that draws bars with the time left (`cli/console.py`); tests and
notebooks pass `Silent()`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Advance(Protocol):
    """A callback as work proceeds: `advance(3, "loss 2.10")`; `total` changes the total amount."""

    def __call__(self, amount: float = 1, note: str = "", total: float | None = None) -> None: ...


@runtime_checkable
class Progress(Protocol):
    """An object that prints a line (`say`) and follows work (`track`); a total of 0 is unknown."""

    def say(self, text: str) -> None: ...

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]: ...


@runtime_checkable
class Styled(Protocol):
    """A Progress that can also print a paragraph of (style, text), in rich's styles."""

    def show(self, parts: Sequence[tuple[str, str]]) -> None: ...


def show_parts(progress: Progress, parts: Sequence[tuple[str, str, bool]]) -> None:
    """Print a paragraph of (style, text, whether it is marked); marks stand where there are no
    colours: [[text]].
    """
    if isinstance(progress, Styled):
        progress.show([(style, text) for style, text, _ in parts])
    else:
        progress.say("".join(f"[[{text}]]" if marked else text for _, text, marked in parts))


@runtime_checkable
class StageProgress(Progress, Protocol):
    """The Progress of one stage of a longer work; `end` is told what came of it."""

    def end(self, result: str) -> None: ...


@runtime_checkable
class Staged(Protocol):
    """A Progress that shows each stage of a longer work as one line: a bar while it works, then its
    result.
    """

    def stage(self, title: str) -> AbstractContextManager[StageProgress]: ...


@contextmanager
def stage_of(progress: Progress, title: str) -> Iterator[StageProgress]:
    """Show one stage; a Progress that has no lines for stages is told all that the stage says."""
    if isinstance(progress, Staged):
        with progress.stage(title) as shown:
            yield shown
    else:
        progress.say(title)
        yield SaidStage(progress)


class SaidStage:
    """A stage whose messages are said as they come."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.say, self.track = progress.say, progress.track

    def end(self, result: str) -> None:
        self._progress.say(f"      {result}")


def nothing(amount: float = 1, note: str = "", total: float | None = None) -> None:
    """An Advance that is not shown."""


class Silent:
    """A Progress that shows nothing."""

    def say(self, text: str) -> None:
        pass

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        yield nothing
