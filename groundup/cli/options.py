"""The options that verbs share, each defined once.

ProcessOptions, MonitorOptions, ListenOptions, OutputOptions
        options that verbs take together (`fields.grouped` makes options of them)
"""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from groundup.errors import ConfigError, DataError

if TYPE_CHECKING:
    from groundup.engine.structured_output import OutputConstraint
    from groundup.evaluate.task import EvaluationTask
    from groundup.progress import Progress
    from groundup.train.monitor.callbacks import MonitorConfig

# A run has nine evaluations, so tasks are measured on few items; `groundup evaluate` takes all.
ITEMS = 50
MAX_PROMPT_FILE_BYTES = 2**20


def folder_to_write(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse a path that is a file, or is below one. Raises ConfigError."""
    if path is not None:
        _require_folder(path, option, path)
    return path


def file_to_write(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse a path that is a folder, or is below a file. Raises ConfigError."""
    if path is None:
        return None
    if _exists(path, option) and path.is_dir():
        fix = "Name a file, such as one in that folder."
        raise ConfigError(f"{option.opts[0]} {path} is a folder, expected a file.", fix=fix)
    return name_to_write(option, path)


def name_to_write(option: typer.CallbackParam, path: Path) -> Path:
    """Refuse a path that can be neither a file nor a folder. Raises ConfigError."""
    _exists(path, option)
    _require_folder(path.parent, option, path)
    return path


def _require_folder(folder: Path, option: typer.CallbackParam, path: Path) -> None:
    """`folder` is a folder or can be made: the nearest existing one of its parents is a folder, and
    where the option was given, one that may be written.
    """
    nearest = next(
        (parent for parent in (folder, *folder.parents) if _exists(parent, option)), None
    )
    if nearest is not None and not nearest.is_dir():
        raise ConfigError(
            f"{option.opts[0]} {path} can't be written: {nearest} is a file, expected a folder.",
            fix="Name a path in an existing folder, or in a new one.",
        )
    if nearest is not None and path != option.default and not os.access(nearest, os.W_OK):
        raise ConfigError(
            f"{option.opts[0]} {path} can't be written: {nearest} may not be written by this user.",
            fix="Choose another folder, or change its permissions.",
        )


def _exists(path: Path, option: typer.CallbackParam) -> bool:
    """Also a broken link. Raises ConfigError for an invalid name."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        message = f"{option.opts[0]} {str(path)[:60]}... can't be written: {error.strerror}."
        raise ConfigError(message, fix="Use a shorter path, or another one.") from error
    return True


SeedOption = Annotated[int, Option("--seed", help="Random seed.", min=0)]
DeviceOption = Annotated[str, Option("--device", help="auto, cpu, cuda or mps.")]
FixedChoicesOption = Annotated[
    bool,
    Option(
        "--fixed-choices",
        help="Precision, threads and torch.compile by fixed rules, not by measuring: a busy machine changes no weights.",
    ),
]
PrecisionOption = Annotated[
    str | None,
    Option(
        "--precision",
        help="float32, bf16, int8, int4, or auto (the fastest, measured once).",
        show_default="int8 with bf16 in the processor, numba and a folder that keeps packed weights, else float32",
    ),
]
SpeculateOption = Annotated[
    bool,
    Option(
        "--speculate",
        help="Draft tokens from the prompt, verified: faster where an answer repeats it, same text.",
    ),
]
KVCacheOption = Annotated[
    Literal["auto", "int8"],
    Option(
        "--kv-cache-dtype",
        help="Keys and values of earlier tokens: as the precision has them, or int8 (twice the context in the same memory; with weights in int8).",
    ),
]
TextColumnOption = Annotated[
    str, Option("--text-column", help="Field or column with the text; default: recognised.")
]
CharsetOption = Annotated[
    str,
    Option(
        "--charset",
        help="Charset of text files that are not UTF-8: auto, or a name such as cp1251 or "
        "shift_jis; FILE=NAME forces it.",
    ),
]
StrictOption = Annotated[bool, Option("--strict", help="Stop at the first bad line.")]
PortOption = Annotated[
    int, Option("--port", min=0, max=65535, help="Port to listen on; 0: any free port.")
]
SetOption = Annotated[
    list[str] | None, Option("--set", metavar="FIELD=VALUE", help="Set a field (again for more).")
]
StrideOption = Annotated[
    int | None,
    Option(
        "--stride",
        min=1,
        max=10**9,
        help="Tokens from one window to the next.",
        show_default="the context",
    ),
]
FollowLinksOption = Annotated[
    bool, Option("--follow-links", help="Follow links that leave DATA's folder.")
]


def _language(given: str | None) -> str:
    """A language that there are messages in; None: the system's. Raises ConfigError."""
    from groundup.language.messages import languages, system_language

    if given is None:
        return system_language(os.environ)
    if given not in languages():
        known = ", ".join(languages())
        raise ConfigError(
            f"--language {given} is not there, expected one of: {known}.",
            fix="Leave it out for the system's language.",
        )
    return given


LanguageOption = Annotated[
    str | None,
    Option(
        "--language",
        metavar="en|de|fr|es",
        callback=_language,
        help="The language of the page or list; default: the system's (LANG), where it is one of these.",
    ),
]
JsonOption = Annotated[
    bool, Option("--json", help="Print the result as JSON (progress goes to stderr).")
]
FreshOption = Annotated[
    bool, Option("--fresh", help="Start again from the beginning instead of resuming.")
]
OutOption = Annotated[Path, Option("--out", callback=folder_to_write, help="The folder to write.")]
DryRunOption = Annotated[bool, Option("--dry-run", help="Print the plan and do nothing else.")]


@dataclass(frozen=True)
class ActionOptions:
    """What the actions of an assistant may use beyond their own database."""

    allow_http: Annotated[
        list[str] | None,
        Option(
            "--allow-address",
            metavar="ADDRESS",
            help="Actions may send requests to this address and those below it (again for more).",
        ),
    ] = None
    python_modules: Annotated[
        list[str] | None,
        Option(
            "--allow-module",
            metavar="MODULE",
            help="Actions may call functions of this Python module (again for more).",
        ),
    ] = None

    mcp_tools: Annotated[
        list[str] | None,
        Option(
            "--allow-tool",
            metavar="SERVER:TOOL=COMMAND",
            help="Actions may call this tool of the MCP server that the command starts, or of a URL "
            "(again for more; SERVER:TOOL,TOOL=... for several of one server).",
        ),
    ] = None

    def given(self) -> dict[str, tuple[str, ...]]:
        """Return them as arguments."""
        return {name: tuple(value or ()) for name, value in vars(self).items()}


ModelArgument = Annotated[
    str,
    Argument(help="A model's name, its folder, a .gguf file, or a build folder (its chat stage)."),
]


GeneralOption = Annotated[
    str | None,
    Option(
        "--general",
        metavar="WHAT,...",
        help="What forgetting is measured on: texts (a file, wikipedia), suites "
        "(common_knowledge, sciq=200).",
    ),
]


def items_to_keep_out(given: list[str] | None) -> list[str] | None:
    """The name of a packaged suite stands for its file."""
    if not given or all(os.path.exists(each) for each in given):
        return given
    from groundup.evaluate.suites.registry import suite_file

    return [each if os.path.exists(each) else str(suite_file(each) or each) for each in given]


@dataclass(frozen=True)
class ProcessOptions:
    """Steps over documents (docs/processing.md)."""

    process: Annotated[
        str,
        Option(
            "--process",
            metavar="STEP,...",
            help="Steps over documents: repair, repeated-lines, languages, rules, personal-data, "
            "near-duplicates, decontaminate.",
        ),
    ] = ""
    rules: Annotated[
        str, Option("--rules", metavar="SET,...", help="Quality rules: web, books, code.")
    ] = ""
    languages: Annotated[
        str,
        Option(
            "--languages",
            metavar="CODE,...",
            help="Languages to keep, and what is of no known one: en,fr.",
        ),
    ] = ""
    decontaminate: Annotated[
        list[str] | None,
        Option(
            "--decontaminate",
            metavar="FILE",
            callback=items_to_keep_out,
            help="Drop what holds items of this test file, or of a suite: arithmetic, grammar ... (again for more).",
        ),
    ] = None


@dataclass(frozen=True)
class ListenOptions:
    """Address of a server, and access to it."""

    host: Annotated[
        str, Option("--host", help="Address to listen on; other machines need a key.")
    ] = "127.0.0.1"
    api_key: Annotated[
        str | None,
        Option(
            "--api-key",
            envvar="GROUNDUP_API_KEY",
            help="Key that clients must send (Bearer, or as a password).",
        ),
    ] = None
    is_open: Annotated[
        bool, Option("--open", help="Accept every client that reaches --host, without a key.")
    ] = False


@dataclass(frozen=True)
class OutputOptions:
    """The required form of the output; at most one of them may be given."""

    format: Annotated[
        str | None,
        Option("--format", metavar="json|FILE", help="json: a JSON object; FILE: a JSON schema."),
    ] = None
    regex: Annotated[
        str | None, Option("--regex", metavar="PATTERN", help="Pattern of the whole output.")
    ] = None
    grammar: Annotated[
        Path | None, Option("--grammar", metavar="FILE", help="Grammar: Lark or GBNF.")
    ] = None

    def constraint(self) -> "OutputConstraint | None":
        """Raises ConfigError for two of them, or for a file that can't be read."""
        from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint

        given = [f"--{name}" for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise ConfigError(
                f"{given[0]} and {given[1]} can't be combined.", fix="Give one of them."
            )
        if self.format is not None:
            named = self.format
            return (
                ANY_OBJECT
                if named == "json"
                else OutputConstraint.schema_in(_text(Path(named), "--format"))
            )
        if self.grammar is not None:
            return OutputConstraint.grammar(_text(self.grammar, "--grammar"))
        return None if self.regex is None else OutputConstraint.regex(self.regex)


def _text(file: Path, option: str) -> str:
    """Raises ConfigError (it can't be read) and DataError (not UTF-8)."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"{option} {str(file)[:200]} can't be read: {error.strerror}."
        raise ConfigError(message, fix="Name a text file.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{option} {file} is not UTF-8 text (byte {error.start}).", fix="Name a text file."
        ) from error


@dataclass(frozen=True)
class MonitorOptions:
    """The options --log, --prompts and --task."""

    log: Annotated[
        list[str] | None,
        Option(
            "--log",
            metavar="NAME",
            help="Also log to tensorboard or wandb, in OUT/logs (again for more).",
        ),
    ] = None
    prompts: Annotated[
        Path | None,
        Option("--prompts", metavar="FILE", help="Prompts of the samples, one per line."),
    ] = None
    task: Annotated[
        list[str] | None,
        Option(
            "--task",
            metavar="KIND[=DATA]",
            help="Also evaluate: answers[=FILE], text=FILE, labels=FILE (again for more).",
        ),
    ] = None

    def config(self, *, seed: int, progress: "Progress") -> "MonitorConfig":
        """Raises ConfigError, DataError, MissingExtra."""
        from groundup.train.monitor.callbacks import MonitorConfig, loggers

        observers = loggers(self.log or [])
        found = [task for name in self.task or [] for task in tasks_of(name, seed, progress)]
        for name, count in Counter(task.name for task in found).items():
            if count > 1:
                raise ConfigError(f"The task '{name}' is named twice.", fix="Name each task once.")
        return MonitorConfig(
            read_prompts(self.prompts) if self.prompts else (), tuple(found), tuple(observers)
        )


def read_prompts(file: Path) -> tuple[str, ...]:
    """Raises ConfigError, DataError."""
    if file.is_file() and file.stat().st_size > MAX_PROMPT_FILE_BYTES:
        raise DataError(
            f"--prompts {file} has more than {MAX_PROMPT_FILE_BYTES:,} bytes.",
            fix="Give a few lines.",
        )
    lines = tuple(line for line in _text(file, "--prompts").splitlines() if line.strip())
    if not lines:
        raise DataError(
            f"--prompts {file} has no line with text.", fix="Write one prompt per line."
        )
    return lines


def tasks_of(name: str, seed: int, progress: "Progress") -> "list[EvaluationTask]":
    """Those that apply to a base language model. Raises ConfigError, DataError."""
    from groundup.data.reading.data import Data
    from groundup.evaluate.comparison.run import task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.evaluate.tasks.answers import ShownAnswers
    from groundup.evaluate.tasks.text import BitsPerByte
    from groundup.recipes.build_config import STARTER, instructions_source

    kind, _, data = name.partition("=")
    known = task_kind(kind, "--task")
    if kind == "answers":
        data = instructions_source(data or STARTER)
    if not data:
        raise ConfigError(f"--task {kind} needs data.", fix=f"Write --task {kind}=FILE.")
    found = known.tasks(HeldOut(Data(data), ITEMS, seed=seed), "language", progress)
    named = [replace(task, name=data) if isinstance(task, BitsPerByte) else task for task in found]
    return [task for task in named if not isinstance(task, ShownAnswers)]
