"""Rendering of chat templates in jinja2's sandbox; a template from a model file runs in a process
of its own, whose main function is here.

The sandbox keeps a template from reaching Python objects. It does not limit the cost: two nested
loops, `'x' * 10**9` or `9**9**9` are plain jinja. So the process is limited (see
`limited_process`); the length of the output is checked while it is produced.

The process starts with {"template", "max_characters"}; a request {"variants": [variables, ...]} is
answered by {"texts": [...]} or {"error": "..."}. It imports nothing else of groundup, so that it
starts in a tenth of a second.
"""

import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from groundup.limited_process import Handler, serve_requests

Variables = Mapping[str, Any]
# Exceptions of errors in a template; any other ends the process, which the parent reports too.
FAILURES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def renderer(template: str, max_characters: int) -> Callable[[Sequence[Variables]], list[str]]:
    """Return a function that renders `template` for each set of variables, with the same time for
    all. It raises one of FAILURES.
    """
    extensions = ["jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=extensions
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    compiled = environment.from_string(template)

    def render(variants: Sequence[Variables]) -> list[str]:
        strftime_now = datetime.datetime.now().strftime
        generated = (
            compiled.generate(**variables, strftime_now=strftime_now) for variables in variants
        )
        return [_joined(chunks, max_characters) for chunks in generated]

    return render


def _joined(chunks: Any, max_characters: int) -> str:
    parts, characters = [], 0
    for chunk in chunks:
        characters += len(chunk)
        if characters > max_characters:
            raise ValueError(f"its output has more than {max_characters:,} characters")
        parts.append(chunk)
    return "".join(parts)


def _refuse(message: str) -> NoReturn:
    """The `raise_exception` that templates call."""
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The `tojson` filter of transformers: no HTML escapes, no ASCII escapes."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    serve_requests(_begin)


def _begin(start: Mapping[str, Any]) -> Handler:
    render = None

    def answers(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        nonlocal render
        try:
            render = render or renderer(start["template"], start["max_characters"])
            yield {"texts": render(request["variants"])}
        except FAILURES as error:
            words = str(error)[:500]
            if isinstance(error, MemoryError):
                words = "it exceeds its memory limit"
            yield {"error": words or type(error).__name__}

    return answers
