"""Options of a command from the fields of dataclasses: `ConfigFields` names those of a config,
with the docstring below each as its help; `grouped` makes a command's parameters of them.
"""

import ast
import collections.abc
import copy
import functools
import inspect
import itertools
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer import Option

LISTS = {tuple, collections.abc.Sequence}
# Of `ConfigFields` of `Data`: the columns, whose options say so.
COLUMN_OPTIONS = {"text": {"option": "--text-column"}, "label": {"option": "--label-column"}}


class ConfigFields:
    """Which fields of a config are options of a command, as a mark of its parameter: the others are
    reached by --set, where the command has it.

    An option is called as its field, with its type, default and the docstring below it as help;
    `changes` says by field what is otherwise: `option` (its name), `metavar`, `help`, `min`, `max`,
    `show_default`. A field with a list of texts is written as NAME,NAME. Without names: all fields,
    whose types are options.
    """

    def __init__(self, *names: str, **changes: Mapping[str, Any]) -> None:
        self.names = names
        self.changes = changes

    def options(self, config: type) -> dict[str, Any]:
        types = get_type_hints(config, include_extras=True)
        if not self.names:
            return types
        helps, found = field_docstrings(config), {}
        for name in self.names:
            change = {"help": helps.get(name, ""), **self.changes.get(name, {})}
            option = change.pop("option", "--" + name.replace("_", "-"))
            kind = types[name]
            if {str, Path} <= {*get_args(kind)}:
                kind = str | None
            elif _is_listed(kind):
                is_mapping = collections.abc.Mapping in _origins(kind)
                change.setdefault("metavar", "NAME=VALUE,..." if is_mapping else "NAME,...")
                kind = str
            found[name] = Annotated[kind, Option(option, **change)]
        return found


def _is_listed(kind: Any) -> bool:
    """A tuple or mapping, or a text beside one: text on the command line."""
    return bool(_origins(kind) & {*LISTS, collections.abc.Mapping})


def _origins(kind: Any) -> set[Any]:
    return {get_origin(each) for each in (kind, *get_args(kind))}


def _names_in(value: Any) -> Any:
    if not isinstance(value, str) or "=" in value:
        return value
    return tuple(name.strip() for name in value.split(",") if name.strip())


@functools.cache
def field_docstrings(config: type) -> dict[str, str]:
    """Below each field, also of the classes it is made from, in one line."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        if not is_dataclass(owner):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
        for statement, below in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(statement.target)] = " ".join(_text_of(below).split())
    return found


def _text_of(below: ast.Expr) -> str:
    value = below.value
    return str(value.value) if isinstance(value, ast.Constant) else ""


def grouped(
    shown: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace each parameter whose type is a dataclass by one option per field, or per field that
    its `ConfigFields` names.

    Defaults are those of the parameter's default value; `shown` says what help shows instead.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        groups: dict[str, tuple[list[str], Any]] = {}
        parameters: dict[str, inspect.Parameter] = {}
        hints = get_type_hints(command, include_extras=True)
        for name, parameter in inspect.signature(command).parameters.items():
            parameter = parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
            kind, named = _group_of(hints[name])
            if kind is None:
                parameters[name] = parameter
                continue
            options = named.options(kind)
            groups[name] = list(options), parameter.default
            for field, option in options.items():
                if shown and field in shown:
                    info = copy.copy(option.__metadata__[0])
                    info.show_default = shown[field]
                    option = Annotated[option.__origin__, info]
                parameters[field] = parameter.replace(
                    name=field,
                    default=_written(getattr(parameter.default, field)),
                    annotation=option,
                )

        @functools.wraps(command)
        def run(**values: Any) -> None:
            for name, (names, default) in groups.items():
                types, given = get_type_hints(type(default)), {}
                for field in names:
                    value = values.pop(field)
                    if value == _written(getattr(default, field)):
                        continue
                    given[field] = _names_in(value) if _origins(types[field]) & LISTS else value
                values[name] = replace(default, **given)
            command(**values)

        run.__annotations__ = {name: each.annotation for name, each in parameters.items()}
        run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        return run

    return decorate


def _group_of(hint: Any) -> tuple[Any, Any]:
    """Return the dataclass of a parameter and which of its fields are options."""
    kind, *marks = (
        (hint.__origin__, *hint.__metadata__) if get_origin(hint) is Annotated else (hint,)
    )
    if not is_dataclass(kind):
        return None, None
    named = next((mark for mark in marks if isinstance(mark, ConfigFields)), None)
    return kind, named or ConfigFields()


def _written(default: Any) -> Any:
    """A field's default as it is written on the command line."""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default or "") if isinstance(default, Mapping) else default
