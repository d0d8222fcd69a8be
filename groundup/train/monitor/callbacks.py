"""Callbacks of a run, which receive each figure as it is logged, the other hooks of `fit()`, and
loggers for TensorBoard and Weights & Biases.

    begin(facts)     before the first step of this session
    observe(line)    each line of metrics.jsonl, and each sample, as {"event": "sample", "step",
                     "prompt", "text", ...}
    close()          at the end, also of a run that was stopped

A callback that raises is reported once, closed, and not called again. A `Progress` that is also a
callback is called too. Loggers write into RUN/logs; Weights & Biases is offline unless WANDB_MODE
says otherwise. A resumed run continues at its step.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from groundup.errors import ConfigError, MissingExtra, did_you_mean
from groundup.progress import Progress
from groundup.runs import LOGS
from groundup.train.monitor.time_budget import StepControl

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.evaluate.task import EvaluationTask

Line: TypeAlias = Mapping[str, Any]
BEST_BY = "validation_loss"


@dataclass(frozen=True)
class RunFacts:
    """What a callback receives before the first line."""

    folder: Path
    identity: str
    """The same for every session of a run."""
    steps: int
    """Of the whole run."""
    done: int
    """Steps of earlier sessions; 0: it begins."""
    precision: str
    compute: "Compute"
    flops_per_token: float | None = None
    """Forward and backward; None: not known, or not every weight is trained."""
    epoch_tokens: int | None = None
    """Tokens (or texts) whose loss is counted in an epoch."""


@runtime_checkable
class Callback(Protocol):
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
    """Gives figures, before the first step, every `evaluation_interval` steps, at the end."""
    beside: Callable[[], dict[str, Any]] = dict
    """Gives what is logged beside the figures of an evaluation, after it."""
    best_by: str = BEST_BY
    """The figure whose lowest value is the best checkpoint's."""
    prepare: Callable[[], None] | None = None
    """Called before the first step of a new run; its time is the run's."""
    first_may_be_best: bool = True
    """Whether the weights before the first step may be the best checkpoint; not those of a new
    head.
    """
    sample: Sample | None = None
    """Gives records for samples.jsonl, after each evaluation; both without gradients, in evaluation
    mode.
    """
    snapshot: Snapshot | None = None
    """Writes the model into a folder, after each of `config.snapshot_steps`."""
    callbacks: Sequence[Callback] = ()
    progress: Progress | None = None
    control: StepControl = field(default_factory=StepControl)


@dataclass(frozen=True)
class MonitorConfig:
    """What the user monitors besides the losses of a run.

    None of it changes the run or is part of its identity: no weight, no random number and no choice
    of the best checkpoint depends on a prompt, a task or a callback.
    """

    prompts: Sequence[str] = ()
    """The prompts of samples; empty: first words of sentences of the validation text."""
    tasks: "Sequence[EvaluationTask]" = ()
    """Measured at each evaluation."""
    callbacks: Sequence[Callback] = ()
    forgetting: "tuple[EvaluationTask, ...]" = ()
    """Of continued training: measured before and after (`evaluate.comparison.forgetting`)."""


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
        try:
            call(callback)
        except Exception as error:  # a callback's library raises what it likes
            self._say(
                f"{type(callback).__name__} failed and is not called again; training continues: {error!r}"
            )
            return False
        return True


PROJECT = "groundup"


class TensorBoardLog:
    def begin(self, facts: RunFacts) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = facts.folder / LOGS / "tensorboard"
        purge = facts.done + 1 if facts.done else None  # the first step that is done again
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def observe(self, line: Line) -> None:
        event, step = line.get("event", "training"), int(line["step"])
        for name, value in numbers(line).items():
            self._writer.add_scalar(f"{event}/{name}", value, step)
        if event == "sample":
            self._writer.add_text(
                "sample", "    " + f"{line['prompt']}|{line['text']}".replace("\n", "\n    "), step
            )

    def close(self) -> None:
        self._writer.close()


class WandbLog:
    def begin(self, facts: RunFacts) -> None:
        import wandb

        folder = facts.folder / LOGS
        folder.mkdir(
            parents=True, exist_ok=True
        )  # wandb makes its own below it; where there is none, elsewhere
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=facts.folder.resolve().name,
            id=facts.identity[:16],
            resume="allow" if mode == "online" else None,
            dir=str(folder),
            mode=mode,
            config={"steps": facts.steps, "precision": facts.precision},
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("*", step_metric="step")

    def observe(self, line: Line) -> None:
        event = line.get("event", "training")
        figures: dict[str, Any] = {
            f"{event}/{name}": value for name, value in numbers(line).items()
        }
        if event == "sample":
            figures["sample"] = f"{line['prompt']}|{line['text']}"
        self._run.log({**figures, "step": int(line["step"])})

    def close(self) -> None:
        self._run.finish()


def numbers(line: Line) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in line.items()
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }


# --log NAME -> its package (and extra), and its class.
LOGGERS: dict[str, tuple[str, Callable[[], Callback]]] = {
    "tensorboard": ("tensorboard", TensorBoardLog),
    "wandb": ("wandb", WandbLog),
}


def loggers(names: Sequence[str]) -> list[Callback]:
    """Raises ConfigError for an unknown name, MissingExtra."""
    for name in names:
        if name not in LOGGERS:
            raise ConfigError(
                f"`log` {name!r} is not one of {', '.join(LOGGERS)}.",
                fix=did_you_mean(name, LOGGERS),
            )
        if find_spec(LOGGERS[name][0]) is None:
            raise MissingExtra(LOGGERS[name][0], name)
    return [LOGGERS[name][1]() for name in dict.fromkeys(names)]
