"""Observers of a run: whoever wants to know each figure as it is logged. They are told, they are never asked, and none of them changes a run.

    begin(facts)     before the first step of this session: what run it is, and after which step it goes on
    observe(line)    each line as it goes into metrics.jsonl, and each sample, as {"event": "sample", "step", "prompt", "text", ...}
    close()          at the end, also of a run that was stopped

An observer that fails is said once, closed, and told nothing more: a full log server ends no training. A `Progress` that is also an observer
(the terminal's panel) is told too, without being named.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import nn

from groundup.device import Compute
from groundup.model.heads import LanguageModel
from groundup.model.sizes import flops_per_token

Line: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class RunFacts:
    """What an observer may want to know before the first line."""

    folder: Path
    """The run folder."""
    identity: str
    """The same for every session of a run (`identity.py`)."""
    steps: int
    """Of the whole run."""
    done: int
    """Steps of earlier sessions; 0: it begins."""
    precision: str
    """float32 or bf16."""
    compute: Compute
    flops_per_token: float | None = None
    """Forward and backward of one token; None: not known, or not every token's weights are trained."""
    epoch_tokens: int | None = None
    """Tokens (or texts) whose loss is counted in an epoch; None: not known."""


@runtime_checkable
class Callback(Protocol):
    """Told what a run logs."""

    def begin(self, facts: RunFacts) -> None: ...

    def observe(self, line: Line) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class Counted(Protocol):
    """A BatchSource that knows how many losses an epoch has."""

    @property
    def epoch_tokens(self) -> int: ...


class CallbackList:
    """All observers of a run as one, none of which can end it."""

    def __init__(self, observers: Iterable[object], say: Callable[[str], None]) -> None:
        self._observers = [observer for observer in observers if isinstance(observer, Callback)]
        self._say = say

    def begin(self, facts: RunFacts) -> None:
        self._each(lambda observer: observer.begin(facts))

    def observe(self, line: Line) -> None:
        self._each(lambda observer: observer.observe(line))

    def close(self) -> None:
        for observer in self._observers:
            self._tell(observer, lambda observer: observer.close())

    def _each(self, tell: Callable[[Callback], None]) -> None:
        for observer in list(self._observers):
            if not self._tell(observer, tell):
                self._observers.remove(observer)
                with contextlib.suppress(Exception):  # what failed may fail again, and that it fails was said
                    observer.close()

    def _tell(self, observer: Callback, tell: Callable[[Callback], None]) -> bool:
        """Whether it went well; else that is said."""
        try:
            tell(observer)
        except Exception as error:  # an observer's library raises what it likes
            self._say(f"{type(observer).__name__} fails and is told nothing more; training goes on: {error!r}")
            return False
        return True


def training_flops(model: nn.Module, batches: object) -> float | None:
    """Of one token of a language model of which every weight trains; None for any other: frozen weights have no gradient."""
    context = getattr(batches, "context_tokens", None)
    if not isinstance(model, LanguageModel) or context is None or not all(p.requires_grad for p in model.parameters()):
        return None
    return flops_per_token(model.config, context_tokens=context).training


def epoch_tokens(batches: object) -> int | None:
    """Tokens of an epoch, where the batches know."""
    return batches.epoch_tokens if isinstance(batches, Counted) else None
