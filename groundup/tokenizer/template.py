"""Rendering of chat templates: our own in this process, a model's in a limited process (see
`sandbox.py`).

The process for a template stays for the next conversation, a rendering then costs well under a
millisecond; at most four that nobody asks are kept. Each template has a lock of its own, so that
one that takes its time holds up its own model only.
"""

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from groundup.errors import ModelError
from groundup.limited_process import LimitedProcess, ProcessEnded, ProcessLimits
from groundup.tokenizer.special import CHATML_TEMPLATE

if TYPE_CHECKING:
    from groundup.tokenizer.sandbox import Variables

CPU_SECONDS = 5.0
WAIT_SECONDS = 60.0  # of who waits behind others
MEMORY_BYTES = 2**30
MAX_TEMPLATE_CHARACTERS = 200_000  # the longest of known models have some 20,000
MAX_TEXT_CHARACTERS = 4_000_000
MAX_ANSWER_BYTES = (
    2 * 12 * MAX_TEXT_CHARACTERS
)  # two variants; JSON writes a character in up to 12 bytes
KEPT_PROCESSES = 4

_FIX = (
    "Use another chat template: edit chat_template in the model's tokenizer_config.json, "
    "or delete it where the model knows ChatML."
)


@functools.cache
def _our_renderer() -> "Callable[[Sequence[Variables]], list[str]]":
    from groundup.tokenizer.sandbox import (
        renderer,  # jinja2, which a model's template needs elsewhere
    )

    return renderer(CHATML_TEMPLATE, MAX_TEXT_CHARACTERS)


def render_template(template: str, variants: "Sequence[Variables]") -> list[str]:
    """Return the rendered text for each set of variables, with the same time for all.

    Raises ModelError with the template's own message when it raises, and when it exceeds a limit of
    time, memory or output.
    """
    if template == CHATML_TEMPLATE:
        return _our_renderer()(variants)
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        message = (
            f"The chat template has {len(template):,} characters, "
            f"at most {MAX_TEMPLATE_CHARACTERS:,} are allowed."
        )
        raise ModelError(message, fix=_FIX)
    answer = _ask(template, {"variants": variants})
    if answer is None:
        raise ModelError(
            "The model's chat template was stopped: "
            f"it took over {CPU_SECONDS:.0f} s of CPU time, or crashed.",
            fix=_FIX,
        )
    if "error" in answer:
        raise ModelError(
            f"The model's chat template raised an error: {answer['error'].rstrip('.')}.", fix=_FIX
        )
    return answer["texts"]


def start_template(template: str | None) -> None:
    """Begin to start the process of a model's template, for a first rendering that does not wait
    for it (a tenth of a second, half a second of a busy machine).
    """
    if template in (None, CHATML_TEMPLATE) or len(template or "") > MAX_TEMPLATE_CHARACTERS:
        return

    def start() -> None:
        with contextlib.suppress(ModelError):
            _ask(template or "", {"variants": []})

    threading.Thread(target=start, name="template", daemon=True).start()


class TemplateProcess:
    """One template in a process of its own, which is started for the first request and after it was
    stopped.
    """

    def __init__(self, template: str) -> None:
        limits = ProcessLimits(MEMORY_BYTES, MAX_ANSWER_BYTES)
        start = {"template": template, "max_characters": MAX_TEXT_CHARACTERS}
        self.limited = LimitedProcess("groundup.tokenizer.sandbox", limits, start)
        self.lock = threading.Lock()
        """Held by who asks: one question at a time."""
        self.users = 0  # who ask or wait

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to `request`, or None when the process ended, stalled or wrote too
        much; it is then stopped.
        """
        try:
            self.limited.send(request, cpu_seconds=CPU_SECONDS)
            answer: dict[str, Any] = self.limited.receive()
            return answer
        except ProcessEnded:
            return None

    def close(self) -> None:
        self.limited.close()


# The processes of this process (a fork starts its own), by template, the one used last at the end.
# `_lock` is held to look at them, never to wait.
_processes: dict[tuple[int, str], TemplateProcess] = {}
_lock = threading.Lock()


def _ask(template: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the process of `template`; of those that nobody asks the least recently used are closed.

    Raises ModelError when others have the process for too long.
    """
    key = (os.getpid(), template)
    with _lock:
        process = _processes.pop(key, None) or TemplateProcess(template)
        _processes[key] = process
        process.users += 1
        idle = [
            owned
            for owned, each in _processes.items()
            if owned[0] == os.getpid() and not each.users
        ]
        while len(idle) >= KEPT_PROCESSES:
            _processes.pop(idle.pop(0)).close()
    try:
        if not process.lock.acquire(timeout=WAIT_SECONDS):
            message = f"The model's chat template is busy: {WAIT_SECONDS:.0f} s were waited for it."
            raise ModelError(message, fix="Try again later.")
        try:
            return process.ask(request)
        finally:
            process.lock.release()
    finally:
        with _lock:
            process.users -= 1


@atexit.register
def close_templates() -> None:
    """End all template processes; the next rendering starts a new one."""
    with _lock:
        closed = [_processes.pop(key) for key in list(_processes) if key[0] == os.getpid()]
    for process in closed:
        process.close()
