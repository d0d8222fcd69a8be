"""Commands of the command line, and what is said about an invalid one in the form of our other
errors: a sentence, and what to do.

typer (from 0.26 on with click inside) has no public class but BadParameter for these errors, so
they are told apart by the names of their classes.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from groundup.errors import GroundupError, did_you_mean

# Every usage error descends from the one that BadParameter descends from.
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]
NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}
BEFORE_THE_VERB = ("--debug", "--offline", "--version")
_EXTRA = re.compile(r"extra argument\S* \((.*)\)", re.DOTALL)


class WithoutFlagTypes:
    """Help shows no type for an option that takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Verb(WithoutFlagTypes, TyperCommand):
    """A verb, or a command of a verb."""


class VerbGroup(WithoutFlagTypes, TyperGroup):
    """A verb with several commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0].startswith("-") or args[0] in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        raise unknown_verb(args[0], self.list_commands(ctx), ctx.info_name)


class VerbApp(typer.Typer):
    """The commands of a verb, each a `Verb`; `summary` is the help of all."""

    def __init__(self, summary: str = "") -> None:
        super().__init__(
            cls=VerbGroup, no_args_is_help=True, add_completion=False, rich_markup_mode="rich"
        )
        if summary:
            self.callback(help=summary)(lambda: None)

    def command(self, name: str | None = None, **options: Any) -> Any:
        return super().command(name, cls=Verb, **options)


# What others call our verbs.
OTHER_NAMES = {
    "export": "convert",
    "train": "pretrain",
    "download": "pull",
    "complete": "generate",
    "predict": "classify",
}
# What is no verb -> where it is.
ELSEWHERE = {
    "reproduce": "A number of the README is measured again from a clone: make claim ID=... "
    "(docs/benchmarks.md#claims). Of your own: groundup verify BUILD --rebuild, and "
    "groundup pretrain --again RUN.",
}


def unknown_verb(name: str, known: Iterable[str], verb: str = "") -> GroundupError:
    before, known = f"{verb} " if verb else "", tuple(known)
    meant = OTHER_NAMES.get(name, "")
    near = f"Did you mean '{meant}'?" if meant in known else did_you_mean(name, known)
    fix = f"{near} See groundup {before}--help."
    if not verb:
        fix = ELSEWHERE.get(name, fix)
    if not verb and Path(name).is_dir():
        folder = shlex.quote(name)
        fix = f"A model of the folder's texts: groundup build {folder}. "
        fix += f"Answers from them: groundup index {folder} --out {folder}.index"
    return GroundupError(f"There is no verb '{before}{name}'.", fix=fix)


def name_options(text: str, options: Mapping[str, str]) -> str:
    """`learning_rate`, and a field at the beginning, are written as the option is called."""

    def option(found: re.Match[str]) -> str:
        # where `text` is what a verb reads, the option of the field is `text_column`
        return options.get(found[1]) or options.get(f"{found[1]}_column", found[0])

    text = re.sub(r"`(\w+)`", option, text)
    return re.sub(r"^(\w+)(?= must be )", lambda found: options.get(found[1], found[1]), text)


def usage_message(error: Any, words: list[str]) -> tuple[str, str]:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else " ".join(["groundup", *words[:1]])
    see = f"See {command} --help."
    kind = type(error).__name__
    if kind == "MissingParameter" and error.param is not None:
        help_text = (getattr(error.param, "help", "") or "").rstrip(".")
        about = ": ".join(filter(None, (_name(error.param), help_text[:1].lower() + help_text[1:])))
        return f"{command} needs {about}.", _form(context)
    if kind == "NoSuchOption":
        return _no_option(error, command, see)
    if kind == "BadOptionUsage":
        if "not take" in error.message:
            return f"{error.option_name} takes no value.", see
        return f"{error.option_name} needs a value.", see
    if kind == "BadParameter" and error.param is not None:
        return _wrong_value(error), see
    extra = _EXTRA.search(error.message)
    if context and extra:
        fix = _form(context)
        if any(param.param_type_name == "argument" for param in context.command.params):
            fix = f"Put a text with spaces in quotes. {fix}"
        return f"{command} takes no further argument (got '{extra[1]}').", fix
    return error.format_message(), see


def _no_option(error: Any, command: str, see: str) -> tuple[str, str]:
    name, near = error.option_name, sorted(error.possibilities or ())
    message = f"{command} has no option {name}."
    if name in BEFORE_THE_VERB:
        verb = command.removeprefix("groundup ")
        return message, f"It stands before the verb: groundup {name} {verb} ..."
    if not near:
        return message, see
    return message, f"{did_you_mean(name, near)} {see}"


def _wrong_value(error: Any) -> str:
    """Typer's own sentence where the error does not come from pydantic."""
    name, first = _name(error.param), _first_fault(error.__cause__)
    if first is None:
        return f"{name}: {error.message}"
    kind = getattr(getattr(error.param, "type_descriptor", None), "annotation", None)
    expected = first["msg"]
    if kind in NUMBERS:
        expected = f"{NUMBERS[kind]}{_bounds(error.param)}"
    elif get_origin(kind) is Literal:
        *others, last = map(repr, get_args(kind))
        expected = f"{', '.join(others)} or {last}"
    return f"{name} must be {expected} (got {first['input']!r})."


def _first_fault(cause: Any) -> dict[str, Any] | None:
    """The first fault of a pydantic error; None for another."""
    faults: list[dict[str, Any]] = getattr(cause, "errors", list)()
    return faults[0] if faults else None


def _bounds(param: Any) -> str:
    low, high = (_figure(getattr(param, name, None)) for name in ("min", "max"))
    if low is None and high is None:
        return ""
    if low is None:
        return f" of at most {high}"
    if high is None:
        return f" of at least {low}"
    return f" from {low} to {high}"


def _figure(number: float | None) -> str | None:
    """As it may be typed; a large one with commas, to be read."""
    if number is None:
        return None
    if number < 1_000_000:
        return str(number)
    return f"{number:,}"


def _name(param: Any) -> str:
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())


def _form(context: Any) -> str:
    parts = [context.command_path]
    for param in context.command.get_params(context):
        name = _name(param)
        is_option = param.param_type_name == "option"
        if is_option:
            name += f" {param.metavar or param.name.upper()}"
        elif param.nargs != 1:
            name = f"{name.removesuffix('...')}..."
        if param.required:
            parts.append(name)
        elif not is_option:
            parts.append(f"[{name}]")
    form = " ".join(parts).removesuffix(".")
    return f"Write: {form}. See {context.command_path} --help."
