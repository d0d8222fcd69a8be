"""A chat template runs here: in jinja2's sandbox, and for a template from a model file in a process of its own (this file as a script).

The sandbox keeps a template from reaching Python. It does not bound what a template costs: two nested loops, `'x' * 10**9` or `9**9**9` are plain
jinja, and no check around the call can stop a running multiplication. A process can be stopped, so the operating system bounds it:
processor seconds for each request (SIGPROF, which ends the process even inside C code), memory, no file written. The text is
counted as it comes out.

Protocol, one JSON text a line: first {"template", "cpu_seconds", "memory_bytes", "max_characters"}, then requests {"variants": [variables, ...]},
each answered by {"texts": [...]} or {"error": "..."}. It imports nothing of groundup, so that it starts in a tenth of a second.
"""

import contextlib
import datetime
import json
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

Variables = Mapping[str, Any]
# What a template's own mistakes raise; anything else ends the process, which the parent reports too.
FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def renderer(template: str, max_characters: int) -> Callable[[Sequence[Variables]], list[str]]:
    """A function that renders the compiled `template` once for each set of variables, all at the same moment. Raises one of FAILURES."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    compiled = environment.from_string(template)

    def render(variants: Sequence[Variables]) -> list[str]:
        now = datetime.datetime.now()
        return [
            _joined(compiled.generate(**variables, strftime_now=now.strftime), max_characters) for variables in variants
        ]

    return render


def _joined(chunks: Any, max_characters: int) -> str:
    parts, characters = [], 0
    for chunk in chunks:
        characters += len(chunk)
        if characters > max_characters:
            raise ValueError(f"its output passes {max_characters:,} characters")
        parts.append(chunk)
    return "".join(parts)


def _refuse(message: str) -> NoReturn:
    """The `raise_exception` that templates call."""
    raise jinja2.TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as models were trained on it: no HTML escapes, letters of all scripts as they are. Its arguments are those of transformers."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _sentence(error: BaseException) -> str:
    """What went wrong, short."""
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    return str(error)[:500] or type(error).__name__


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may go on
    start = json.loads(sys.stdin.readline())
    # macOS does not take every limit; the processor seconds hold everywhere.
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
            answer = json.dumps({"error": _sentence(error)})
        print(answer, flush=True)
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
