"""Callbacks of a run, which receive each figure as it is logged, and the other hooks of `fit()`.
None of them changes a weight; `Hooks.control` may change how many steps there are.

    begin(facts)     before the first step of this session: which run it is, and after which step it
                     resumes
    observe(line)    each line as it goes into metrics.jsonl, and each sample, as {"event":
                     "sample", "step", "prompt", "text", ...}
    close()          at the end, also of a run that was stopped

A callback that raises is reported once, closed, and not called again: a full log server ends no
training. A `Progress` that is also a callback (the terminal's panel) is called too, without being
named.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import nn

from groundup.device import Compute
from groundup.model.heads import LanguageModel
from groundup.model.sizes import flops_per_token
from groundup.progress import Progress
from groundup.train.monitor.time_budget import StepControl

Line: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class RunFacts:
    """What a callback receives before the first line."""

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
    """Forward and backward of one token; None: not known, or not every token's weights are
    trained.
    """
    epoch_tokens: int | None = None
    """Tokens (or texts) whose loss is counted in an epoch; None: not known."""


@runtime_checkable
class Callback(Protocol):
    """Receives what a run logs."""

    def begin(self, facts: RunFacts) -> None: ...

    def observe(self, line: Line) -> None: ...

    def close(self) -> None: ...


Evaluate: TypeAlias = Callable[[], dict[str, float]]
Sample: TypeAlias = Callable[[int], list[dict[str, Any]]]
Snapshot: TypeAlias = Callable[[Path], None]


@dataclass(frozen=True)
class Hooks:
    """What a run does besides its steps. None of it is part of the run's identity."""

    evaluate: Evaluate | None = None
    """Gives figures ("validation_loss" decides the best checkpoint): before the first step, every
    `evaluation_interval` planned steps, at the end.
    """
    first_may_be_best: bool = True
    """Whether the weights before the first step may be the best checkpoint; not those of a new
    head, which are random.
    """
    sample: Sample | None = None
    """Gives records for samples.jsonl, after each evaluation.

    Both are called without gradients, the model in evaluation mode.
    """
    snapshot: Snapshot | None = None
    """Writes the model into a folder, after each of `config.snapshot_steps`."""
    callbacks: Sequence[Callback] = ()
    """Receive each line of the logs (`monitor/callbacks.py`)."""
    progress: Progress | None = None
    """Shows how far the run is; None: nothing is shown."""
    control: StepControl = field(default_factory=StepControl)
    """Changes the number of steps and of threads on the way."""


class CallbackList:
    """All callbacks of a run as one, none of which can end it."""

    def __init__(self, receivers: Iterable[object], say: Callable[[str], None]) -> None:
        self._callbacks = [each for each in receivers if isinstance(each, Callback)]
        self._say = say

    def begin(self, facts: RunFacts) -> None:
        self._each(lambda callback: callback.begin(facts))

    def observe(self, line: Line) -> None:
        self._each(lambda callback: callback.observe(line))

    def close(self) -> None:
        for callback in self._callbacks:
            self._call(callback, lambda callback: callback.close())

    def _each(self, call: Callable[[Callback], None]) -> None:
        for callback in list(self._callbacks):
            if not self._call(callback, call):
                self._callbacks.remove(callback)
                with contextlib.suppress(
                    Exception
                ):  # what failed may fail again, and that was reported
                    callback.close()

    def _call(self, callback: Callback, call: Callable[[Callback], None]) -> bool:
        """Whether it succeeded; a failure is reported."""
        try:
            call(callback)
        except Exception as error:  # a callback's library raises what it likes
            self._say(
                f"{type(callback).__name__} failed and is not called again; training continues: {error!r}"
            )
            return False
        return True


def training_flops(model: nn.Module, batches: object) -> float | None:
    """FLOPs of one token, forward and backward, of a language model of which every weight trains;
    None for any other.
    """
    context = getattr(batches, "context_tokens", None)
    if (
        not isinstance(model, LanguageModel)
        or context is None
        or not all(p.requires_grad for p in model.parameters())
    ):
        return None
    return flops_per_token(model.config, context_tokens=context).training
