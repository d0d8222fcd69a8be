"""Rendering of chat templates in jinja2's sandbox; a template from a model file runs in a process of its own (this file as a script).

The sandbox keeps a template from reaching Python objects. It does not limit the cost: two nested loops, `'x' * 10**9` or `9**9**9` are plain
jinja, and a running multiplication can't be interrupted from Python. So the operating system limits the process: CPU seconds per request
(SIGPROF, which ends the process even inside C code), memory, no file writes. The length of the output is checked while it is produced.

Protocol, one JSON value per line: first {"template", "cpu_seconds", "memory_bytes", "max_characters"}, then requests {"variants": [variables, ...]},
each answered by {"texts": [...]} or {"error": "..."}. Nothing of groundup is imported, so that it starts in a tenth of a second.
"""

import contextlib
import datetime
import json
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
    """Return a function that renders `template` for each set of variables, with the same time for all. It raises one of FAILURES."""
    extensions = ["jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    compiled = environment.from_string(template)

    def render(variants: Sequence[Variables]) -> list[str]:
        strftime_now = datetime.datetime.now().strftime
        generated = (compiled.generate(**variables, strftime_now=strftime_now) for variables in variants)
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
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    start = json.loads(sys.stdin.readline())
    # macOS does not support every limit; the CPU seconds hold everywhere.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (start["memory_bytes"], start["memory_bytes"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    render = None
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, start["cpu_seconds"])
        try:
            render = render or renderer(start["template"], start["max_characters"])
            answer = json.dumps({"texts": render(json.loads(line)["variants"])})
        except FAILURES as error:
            words = "it exceeds its memory limit" if isinstance(error, MemoryError) else str(error)[:500]
            answer = json.dumps({"error": words or type(error).__name__})
        print(answer, flush=True)
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
