"""Loggers for TensorBoard and Weights & Biases, as callbacks. Both write into RUN/logs and are
extras.

    --log tensorboard    RUN/logs/tensorboard; shown by: tensorboard --logdir RUN/logs/tensorboard
    --log wandb          RUN/logs/wandb; offline unless WANDB_MODE says otherwise: by default
                         nothing leaves the machine

A resumed run continues at its step: TensorBoard hides what a killed session had logged beyond it,
and W&B plots over our own step. The figures have their names in metrics.jsonl.
"""

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from groundup.errors import ConfigError, MissingExtra, did_you_mean
from groundup.runs import LOGS
from groundup.train.monitor.callbacks import Callback, Line, RunFacts

PROJECT = "groundup"


class TensorBoardLog:
    """Curves and samples as TensorBoard's event files."""

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
    """The same figures for Weights & Biases."""

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
    """Return the figures of a line without its step."""
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
    """Return the loggers of these names.

    Raises ConfigError for an unknown name, MissingExtra where its package is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise ConfigError(
                f"`log` {name!r} is not one of {', '.join(LOGGERS)}.",
                fix=did_you_mean(name, LOGGERS),
            )
        if find_spec(LOGGERS[name][0]) is None:
            raise MissingExtra(LOGGERS[name][0], name)
    return [LOGGERS[name][1]() for name in dict.fromkeys(names)]
