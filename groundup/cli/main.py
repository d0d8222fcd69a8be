"""`groundup`: the verbs. A verb's module is imported when it is called, so that help is fast.

Exit codes: 0 done, 1 a bug (with traceback), 2 an error that the user can fix (message and fix),
130 stopped by Ctrl-C.
"""

import importlib
import os
import re
import sys
from typing import Any

import typer
from typer import Option

from groundup import __version__
from groundup.cli.distributed_launch import require_alone
from groundup.cli.plain import start_in_utf8, tolerate_any_text
from groundup.cli.usage import (
    USAGE_ERROR,
    Verb,
    VerbApp,
    VerbGroup,
    name_options,
    unknown_verb,
    usage_message,
)
from groundup.errors import GroundupError, newer_library_wanted
from groundup.garbage_collection import without_collection
from groundup.offline import go_offline, is_offline
from groundup.threads import prepare

# Heading of the table of contents -> name of a verb -> one line, in the order of the stages of a
# model. The module of its name has an `app` or a `command`.
CONTENTS: dict[str, dict[str, str]] = {
    "Begin": {
        "build": "Every stage, data to report: build RECIPE|PACK|FOLDER.",
        "pack": "An assistant's texts: pack new|check|improve.",
        "learn": "The course in notebooks: learn [NUMBER].",
        "fetch": "What a build or the course needs, before: fetch --for NAME.",
    },
    "Data": {
        "data": "Inspect texts before training: data inspect SOURCE.",
        "tokenizer": "Train, import, compare and show tokenizers: tokenizer train.",
    },
    "Train": {
        "model": "Architecture of a model and its costs: model show MODEL.",
        "plan": "What a training run costs, and its expected loss: plan DATA.",
        "pretrain": "Train a model, new or --from one: pretrain DATA --out RUN.",
        "sweep": "Fit a scaling law to your own texts: sweep DATA --out DIR.",
        "research": "Try changes of the recipe: research DATA --out DIR.",
        "watch": "Follow runs during training: watch RUN...",
        "pull": "Fetch a named model: pull NAME.",
        "finetune": "Fine-tune a model: finetune classifier|chat MODEL DATA.",
    },
    "Look": {
        "evaluate": "Measure models on the same held-out data: evaluate MODEL...",
        "lab": "Look inside a model: lab MODEL --text TEXT --out PAGE.",
        "report": "Write the page of a build or run again: report RUN.",
    },
    "Use": {
        "generate": "Continue a text: generate MODEL PROMPT.",
        "chat": "Talk with a model in the terminal: chat MODEL.",
        "classify": "Classify a text or lines of a file: classify MODEL TEXT|FILE.",
        "index": "Make documents searchable: index DOCS... --out INDEX.",
        "search": "Passages that fit some words: search INDEX WORDS.",
        "ask": "Answer from your documents: ask INDEX QUESTION.",
    },
    "Serve": {
        "serve": "Serve models to clients of Ollama and OpenAI: serve MODEL...",
        "connect": "Let another program use the server: connect PROGRAM.",
        "actions": "What an assistant has done, and undo: actions BUILD.",
    },
    "Keep": {
        "convert": "Write a model in another format: convert MODEL --to gguf.",
        "app": "A model for someone without Python: app RUN --out FOLDER.",
        "sign": "A chain of signatures over a run: sign RUN --key KEY.",
        "verify": "Check hashes and signatures below a path: verify PATH.",
        "cache": "What is kept for later, and its removal: cache --limit 5GB.",
        "doctor": "What this machine has, and what that means.",
    },
}
VERBS = {name: verb for verbs in CONTENTS.values() for name, verb in verbs.items()}
DEBUG_VARIABLE = "GROUNDUP_DEBUG"
STOPPED = 130
# Field -> option of the verb that was called, for messages about fields; `added` is one of build, which
# other verbs name.
OPTIONS: dict[str, str] = {"added": "--with"}


class LazyVerbs(VerbGroup):
    """It has names and one-line helps of its verbs without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A placeholder with the one-line help; `resolve_command` loads the verb."""
        heading = next((heading for heading, verbs in CONTENTS.items() if cmd_name in verbs), None)
        if heading is None:
            return None
        return Verb(cmd_name, help=VERBS[cmd_name], rich_help_panel=heading)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in VERBS:
            raise unknown_verb(name, VERBS)
        require_alone(name)
        return name, load_verb(name), args[1:]


def load_verb(name: str) -> Any:
    """Docstrings are reflowed so that help wraps at the terminal's width."""
    with without_collection():
        module = importlib.import_module(f"groundup.cli.{name}")
    app = getattr(module, "app", None)
    if app is None:
        app = VerbApp()
        app.command(name)(module.command)
    command = typer.main.get_command(app)
    command.name = name
    for each in (command, *getattr(command, "commands", {}).values()):
        OPTIONS.update(
            {param.name: param.opts[0] for param in each.params if param.opts[0][0] == "-"}
        )
        # Each example is a paragraph of its own; a line of one that goes on is indented further.
        paragraphs = re.split(r"\n\n|\n(?=    \S)", each.help or "")
        each.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return command


app = typer.Typer(
    cls=LazyVerbs, no_args_is_help=True, add_completion=False, rich_markup_mode="rich"
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def root(
    debug: bool = Option(False, "--debug", help="Show the traceback of user errors, too."),
    offline: bool = Option(
        False, "--offline", help="Ask no other machine for anything (GROUNDUP_OFFLINE=1)."
    ),
    version: bool = Option(
        False, "--version", help="Show the version.", is_eager=True, callback=_version
    ),
) -> None:
    """Build your own language model from the ground up: from raw text to a model that chats,
    classifies and runs elsewhere.

    Start with [bold]groundup build quickstart[/bold], or [bold]groundup build FOLDER[/bold] with
    texts of your own. To understand each stage: [bold]groundup learn[/bold].
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if offline or is_offline():
        go_offline()


def main(args: list[str] | None = None) -> None:
    """The number of OpenMP threads is chosen first, before torch is imported."""
    if args is None:
        start_in_utf8()
    tolerate_any_text()
    prepare()
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Return the exit code. Bugs keep their traceback."""
    try:
        result = app(args, prog_name="groundup", standalone_mode=False)
        sys.stdout.flush()  # a closed pipe is noticed here
        if result == STOPPED:  # what typer returns for Ctrl-C inside a verb
            print("Stopped.", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except GroundupError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _complain(name_options(error.message, OPTIONS), name_options(error.fix, OPTIONS))
    except (KeyboardInterrupt, typer.Abort):
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer raises SystemExit from it
            return _reader_left()
        raise
    except PermissionError as error:
        fix = "Change its permissions, or name another file."
        return _complain(f"{error.filename} can't be opened: {error.strerror}", fix)
    except (ImportError, OSError) as error:
        complaint = newer_library_wanted(error)
        if complaint is None:
            raise
        return _complain(*complaint)
    except typer.Exit as stop:
        return stop.exit_code
    except USAGE_ERROR as error:
        return _usage(error, args)


def _reader_left() -> int:
    """A closed pipe is no error: `groundup ... | head`."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (closed at exit)
    return 0


def _usage(error: Any, args: list[str]) -> int:
    """Without any argument, the help is shown instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), end="")
        return 2
    return _complain(*usage_message(error, args))


def _complain(message: str, fix: str) -> int:
    from groundup.cli.console import stderr_console

    console = stderr_console()
    if not message.endswith((".", "!", "?")):
        message += "."
    shown = f"[bold red]error:[/bold red] {console_escape(message)}"
    if fix:
        shown += f"\n       {console_escape(fix)}"
    console.print(shown, soft_wrap=True, highlight=False)
    return 2


def console_escape(text: str) -> str:
    """For rich: square brackets escaped, control characters made visible."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))
