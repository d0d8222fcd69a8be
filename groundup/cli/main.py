"""`groundup`: the table of contents of the project. A verb's module is imported when it is chosen, so help answers at once.

Exit codes: 0 done, 1 a bug (with traceback), 2 something the user can mend (one message and what to do), 130 stopped by Ctrl-C.
"""

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from groundup import __version__
from groundup.errors import GroundupError, did_you_mean

# name -> (module with `app` or `command`, one line for the table of contents), in the order of a model's life.
VERBS: dict[str, tuple[str, str]] = {
    "pull": ("groundup.cli.pull", "Fetch a named model: pull NAME."),
    "generate": ("groundup.cli.generate", "Continue a text: generate MODEL PROMPT."),
    "chat": ("groundup.cli.chat", "Talk with a model in the terminal: chat MODEL."),
    "convert": ("groundup.cli.convert", "Write a model in another format: for transformers, llama.cpp or Ollama."),
    "report": ("groundup.cli.report", "The page that shows every stage, made again from a build's folder alone."),
    "verify": ("groundup.cli.verify", "Check every hash and length below a path."),
    "build": ("groundup.cli.build", "A whole life of a model from one command: data to page."),
    "doctor": ("groundup.cli.doctor", "What this machine has, and what that means for you."),
    "data": ("groundup.cli.data", "Look at texts before they are trained on: data inspect SOURCE."),
    "tokenizer": (
        "groundup.cli.tokenizer",
        "Train a tokenizer, or look at what one does to a text: tokenizer train | show.",
    ),
    "pretrain": ("groundup.cli.pretrain", "Train a model of your own from random weights: pretrain DATA --out RUN."),
    "finetune": (
        "groundup.cli.finetune",
        "Teach a pretrained model a task: finetune classifier | chat MODEL DATA --out RUN.",
    ),
    "evaluate": ("groundup.cli.evaluate", "Measure models side by side on the same held-out data."),
    "classify": ("groundup.cli.classify", "The class of a text, or of every line of a file, with probabilities."),
}
DEBUG_VARIABLE = "GROUNDUP_DEBUG"


class LazyVerbs(TyperGroup):
    """A group that knows its verbs' names and one-line helps without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with the one-line help; the real verb is loaded by `resolve_command`."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name][1]) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in VERBS:
            raise GroundupError(f"There is no verb '{name}'.", fix=f"{did_you_mean(name, VERBS)} See groundup --help.")
        return name, load_verb(name), args[1:]


def load_verb(name: str) -> Any:
    """Import a verb's module and make its command."""
    module = importlib.import_module(VERBS[name][0])
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name)(module.command)
    command = typer.main.get_command(app)
    command.name = name
    return command


app = typer.Typer(cls=LazyVerbs, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def root(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of errors that are yours to mend, too."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    """Build your own language model from the ground up: from raw text to a model that chats, classifies and runs elsewhere.

    Begin with [bold]groundup build quickstart[/bold], or [bold]groundup build FOLDER[/bold] with texts of your own.
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Run the command line; returns the exit code instead of exiting. Bugs keep their traceback."""
    try:
        result = app(args, prog_name="groundup", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except GroundupError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _complain(error.message, error.fix)
    except (KeyboardInterrupt, typer.Abort):
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (the reader left; nothing more can be said on exit)
        return 0
    except typer.Exit as stop:
        return stop.exit_code
    except USAGE_ERROR as error:
        return _complain(error.format_message(), f"See groundup {' '.join(args[:1])} --help.")


# typer keeps click's error class to itself; every usage error descends from the one that BadParameter descends from.
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]


def _complain(message: str, fix: str) -> int:
    from groundup.cli.console import stderr_console

    console = stderr_console()
    console.print(f"[bold red]error:[/bold red] {console_escape(message)}", soft_wrap=True, highlight=False)
    if fix:
        console.print(f"       {console_escape(fix)}", soft_wrap=True, highlight=False)
    return 2


def console_escape(text: str) -> str:
    """Text for rich, its square brackets taken as they are and control characters made visible."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))
