"""What a user wants to see of a pretraining run beside its losses: prompts, tasks, loggers. All checked before any work."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.errors import ConfigError, DataError

if TYPE_CHECKING:
    from groundup.evaluate.task import Task
    from groundup.progress import Progress
    from groundup.train.monitor.config import MonitorConfig

# An evaluation comes nine times in a run: a task's figures are a hint here, and `groundup evaluate` measures on all items.
ITEMS = 50
MAX_PROMPT_FILE_BYTES = 2**20


@dataclass(frozen=True)
class MonitorOptions:
    """The options."""

    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="NAME", help="Also log to tensorboard or wandb, in OUT/logs (again for more)."),
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help="A file of beginnings, one a line: samples go on from them."),
    ] = None
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="KIND[=DATA]",
            help="Measure this at each evaluation: answers (packaged ones, or =FILE), text=FILE, labels=FILE (again for more).",
        ),
    ] = None


def monitor_config_of(given: MonitorOptions, *, seed: int, progress: "Progress") -> "MonitorConfig":
    """All three together. Raises ConfigError, DataError, MissingExtra."""
    from groundup.train.monitor.config import MonitorConfig
    from groundup.train.monitor.loggers import loggers

    observers = loggers(given.log or [])
    found = [task for name in given.task or [] for task in tasks_of(name, seed, progress)]
    names = [task.name for task in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"The task '{twice}' is named twice.", fix="Name each task once.")
    return MonitorConfig(read_prompts(given.prompts) if given.prompts else (), tuple(found), tuple(observers))


def read_prompts(file: Path) -> tuple[str, ...]:
    """The lines of a file that are not empty. Raises ConfigError, DataError."""
    try:
        if file.stat().st_size > MAX_PROMPT_FILE_BYTES:
            raise DataError(f"--prompts {file} has more than {MAX_PROMPT_FILE_BYTES:,} bytes.", fix="Give a few lines.")
        lines = tuple(line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except OSError as error:
        raise ConfigError(f"--prompts {file} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"--prompts {file} is not UTF-8 text (byte {error.start}).") from error
    if not lines:
        raise DataError(f"--prompts {file} has no line with text.", fix="Write one beginning a line.")
    return lines


def tasks_of(name: str, seed: int, progress: "Progress") -> "list[Task]":
    """KIND or KIND=DATA as tasks that a base language model can do. Raises ConfigError, DataError."""
    from groundup.data.sources import Source
    from groundup.evaluate.run import task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.evaluate.tasks.answers import ShownAnswers
    from groundup.evaluate.tasks.text import BitsPerByte
    from groundup.recipes.packaged import STARTER, instructions_source

    kind, _, data = name.partition("=")
    known = task_kind(kind, "--task")
    if kind == "answers":
        data = instructions_source(data or STARTER)
    if not data:
        raise ConfigError(f"--task {kind} needs data.", fix=f"Write --task {kind}=FILE.")
    found = known.tasks(HeldOut(Source(data), ITEMS, seed=seed), "language", progress)
    named = [replace(task, name=data) if isinstance(task, BitsPerByte) else task for task in found]
    return [task for task in named if not isinstance(task, ShownAnswers)]
