"""Configurations: dataclass or pydantic model <-> JSON/TOML, and `--set a.b=c`; arguments of the
Python surface.

A config is a frozen dataclass or pydantic model; pydantic checks types (for dataclasses too), this
file turns its first error into one sentence and adds "did you mean" to an unknown field.
"""

import copy
import dataclasses
import difflib
import functools
import inspect
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import pydantic

from groundup.errors import ConfigError, did_you_mean

T = TypeVar("T")
P = ParamSpec("P")
Settings = Mapping[str, Any] | Sequence[str]
"""Fields to override: {"a.b": 2} in Python, ["a.b=2"] from `--set`."""
MAX_TOML_BYTES = 2**20
_PYDANTIC = re.compile(r"^: Input should be (a )?(valid )?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?")
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
MAX_JSON_DEPTH = 100
# Most of a shorter training would be start and evaluation.
MIN_BUDGET_S = 30.0


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises ConfigError with the line when it is missing, too large or not TOML.
    """
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise ConfigError(f"{path} is over {MAX_TOML_BYTES} bytes: not a recipe.")
        return parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text.", fix="Save it in UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.", fix="Correct that line.") from error


def parse_toml(text: str) -> Any:
    """Parse TOML, a table. Raises TOMLDecodeError, also where `tomllib` raises other errors."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("Nested too deep") from error
    except ValueError as error:  # a number with more digits than Python converts
        raise tomllib.TOMLDecodeError(str(error)) from error


def build_config(kind: type[T], values: Mapping[str, Any], *, where: str = "") -> T:
    """Return a `kind` (dataclass or pydantic model) from plain values, strictly: unknown fields and
    wrong types are refused.

    `where` prefixes field names in messages ("pretrain."). Raises ConfigError.
    """
    _refuse_unknown(kind, values, where)
    try:
        adapter: pydantic.TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]
        return adapter.validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = where + ".".join(str(part) for part in first["loc"])
        says = _PYDANTIC.sub(r" must be \1", f": {first['msg'].partition(', unable')[0]}")
        if not isinstance(first.get("input"), dict):
            says += f" (got {first.get('input')!r})"
        raise ConfigError(f"{field or kind.__name__}{says}.") from error


@functools.lru_cache(maxsize=256)
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    """Making one takes some milliseconds, and plans and searches make hundreds of configurations."""
    return pydantic.TypeAdapter(kind)


def _refuse_unknown(kind: Any, values: Mapping[str, Any], where: str) -> None:
    known = field_types(kind)
    for name, value in values.items():
        if name not in known:
            fix = _field_of_part(known, name, where) or did_you_mean(name, known)
            raise ConfigError(f"Unknown field '{where}{name}'.", fix=fix)
        if isinstance(value, Mapping) and field_types(known[name]):
            _refuse_unknown(known[name], value, f"{where}{name}.")


def _field_of_part(known: Mapping[str, Any], name: str, where: str) -> str:
    """Return a sentence with the parts that have a field of about this name; "" for none."""
    if difflib.get_close_matches(name, known):
        return ""
    parts = {
        field: f"{where}{part}.{field}"
        for part, kind in known.items()
        for field in field_types(get_args(kind)[0] if get_origin(kind) is Annotated else kind)
    }
    close = difflib.get_close_matches(name, parts, n=1)
    return f"Did you mean '{parts[close[0]]}'?" if close else ""


def field_types(kind: Any) -> dict[str, Any]:
    """Return field names and types of a dataclass or pydantic model; {} for anything else."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        return {field.name: field.type for field in dataclasses.fields(kind)}
    return {}


def apply_sets(values: Mapping[str, Any], sets: Settings | None) -> dict[str, Any]:
    """Return a copy of `values` with each field of `sets` applied; the c of "a.b=c" is read as TOML
    (numbers, true, lists, "text"), else as text.

    >>> apply_sets({"a": {"b": 1}}, ["a.b=2"]), apply_sets({}, {"a.b": 2})
    ({'a': {'b': 2}}, {'a': {'b': 2}})
    """
    result = copy.deepcopy(dict(values))
    pairs = sets.items() if isinstance(sets, Mapping) else map(_parse, sets or ())
    for path, value in pairs:
        *parents, last = path.split(".")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {path}: '{parent}' is a value, not a table.")
        table[last] = value
    return result


def _parse(text: str) -> tuple[str, Any]:
    """The field and the value of "a.b=c"."""
    name, equals, raw = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {text!r} has no '='.", fix="Write it as --set FIELD=VALUE.")
    try:
        return name.strip(), parse_toml(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), raw


def checked_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: wrong arguments are a ConfigError that says what was expected, instead of
    Python's TypeError or a failure later.

    Types are checked as far as annotations are plain: texts, paths, numbers, flags, choices, lists
    of them; nothing is converted.
    """
    signature, name = inspect.signature(function), function.__name__

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            kinds = {each.kind for each in signature.parameters.values()}
            known = [
                each for each in signature.parameters if each not in ("self", "options", "sampling")
            ]
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                _refuse_fields_of_configs(name, kwargs, signature)
                require_names(name, kwargs, known)
            raise ConfigError(
                f"{name}: {error}.", fix=f"Its arguments: {', '.join(known)}."
            ) from error
        for each, value in bound.arguments.items():
            kind = signature.parameters[each].annotation
            plain = signature.parameters[each].kind is not inspect.Parameter.VAR_KEYWORD
            if plain and not _fits(value, kind):
                raise ConfigError(f"{name}: {each} must be {_words(kind)} (got {value!r:.80}).")
        return function(*args, **kwargs)

    return checked


def checked_fields(config: type[T]) -> type[T]:
    """A decorator of a config (a dataclass): an unknown field, or a value of a wrong type, is a
    ConfigError with the nearest name, instead of Python's TypeError or a failure later.
    """
    made = config.__init__
    made.__name__ = config.__name__
    config.__init__ = checked_arguments(made)  # type: ignore[method-assign]
    return config


def require_names(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError, with the nearest name, for an argument that a function does not have."""
    known = list(known)
    for name in given:
        if name not in known:
            raise ConfigError(
                f"{function} has no argument '{name}'.", fix=did_you_mean(name, known)
            )


def _refuse_fields_of_configs(
    function: str, given: Iterable[str], signature: inspect.Signature
) -> None:
    """Say of an argument that is a field of one of the function's configs where it belongs."""
    for name in set(given) - signature.parameters.keys():
        for parameter, config in signature.parameters.items():
            for kind in (config.annotation, *get_args(config.annotation)):
                if name in field_types(kind):
                    raise ConfigError(
                        f"{function} has no argument '{name}', it is a field of {kind.__name__}.",
                        fix=f"Write {parameter}={kind.__name__}({name}=...).",
                    )


def require_instance(function: str, name: str, value: Any, kind: type) -> None:
    """Raise ConfigError for an argument that is neither None nor of a class."""
    if value is not None and not isinstance(value, kind):
        raise ConfigError(
            f"{function}: {name} must be of the class {kind.__name__} (got {value!r:.80})."
        )


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type; True for a type that is not plain."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in args)
    if origin is Literal:
        return value in args
    if origin is Sequence:
        listed = (
            isinstance(value, Iterable)
            and isinstance(value, Sized)
            and not isinstance(value, str | bytes)
        )
        return listed and all(_fits(each, args[0]) for each in value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return isinstance(value, kind)
    plain = {
        str: str,
        Path: os.PathLike,
        bool: bool,
        int: Integral,
        float: Real,
        type(None): type(None),
    }.get(kind)
    is_flag = isinstance(value, bool) and kind is not bool
    return plain is None or (isinstance(value, plain) and not is_flag)


def _words(kind: Any) -> str:
    """A plain type in words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_words(each) for each in args)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is Sequence:
        return f"a list of which each is {_words(args[0])}"
    words = {
        str: "a text",
        Path: "a path",
        bool: "True or False",
        int: "a whole number",
        float: "a number",
        type(None): "None",
    }
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def duration_s(text: str) -> float:
    """Return the seconds of "90s", "3m", "1h30m" or "600". Raises ConfigError.

    >>> duration_s("1h30m")
    5400.0
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise ConfigError(f"{text!r} is not a duration.", fix="Write it as 90s, 3m or 1h30m.")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def budget_s(text: str) -> float:
    """Return the seconds of a time in which something is trained. Raises ConfigError, also where
    they are too few.
    """
    seconds = duration_s(text)
    if seconds < MIN_BUDGET_S:
        fix = f"Give at least {MIN_BUDGET_S:g}s, written as 90s, 3m or 1h30m."
        if seconds and text.strip().isdigit():
            fix = f"Did you mean {text.strip()}m? {fix}"
        raise ConfigError(f"A `budget` of {seconds:g} s is too short.", fix=fix)
    return seconds


def size_bytes(text: str) -> int:
    """Return the bytes of "5GB", "1.5 MB", "300kB" or "0". Raises ConfigError.

    >>> size_bytes("1.5GB")
    1500000000
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if not match:
        raise ConfigError(f"{text!r} is not a size.", fix="Write it as 5GB, 300MB or 64kB.")
    return round(float(match[1]) * 1000 ** "bkmgt".index(match[2] or "b"))


def to_plain(config: Any) -> dict[str, Any]:
    """Return a config, or a table of one, as plain JSON values without None fields (TOML has no
    null).
    """
    plain = config
    if isinstance(config, pydantic.BaseModel):
        plain = config.model_dump(mode="json")
    elif not isinstance(config, dict):
        plain = dataclasses.asdict(config)
    return {
        name: to_plain(value) if isinstance(value, dict) else value
        for name, value in plain.items()
        if value is not None
    }


def is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects in `value` are nested deeper than `depth`.

    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [1]}, 1)
    (False, True)
    """
    level = _nested([value])
    while level and depth:
        level = [child for each in level for child in _children(each)]
        depth -= 1
    return bool(level)


def _children(value: Any) -> list[Any]:
    """Return the lists and objects that are directly in one."""
    if isinstance(value, dict):
        return _nested(value.values())
    return _nested(value)


def _nested(values: Iterable[Any]) -> list[Any]:
    return [each for each in values if isinstance(each, dict | list)]
