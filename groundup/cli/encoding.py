"""Text in and out of the program where the locale or the user asks for another encoding than UTF-8
(LC_ALL=C, PYTHONIOENCODING=ascii).
"""

import codecs
import io
import json
import os
import sys
from typing import Any

from groundup.files import json_bytes

UTF8_MODE = "PYTHONUTF8"


def start_in_utf8() -> None:
    """Start this program again in Python's UTF-8 mode (PEP 540) where arguments and names of files
    are decoded as ASCII.
    """
    if (
        _is_ascii(sys.getfilesystemencoding())
        and os.environ.get(UTF8_MODE) != "1"
        and sys.executable
    ):
        os.execve(
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, UTF8_MODE: "1"}
        )


def tolerate_any_text() -> None:
    """Let stdout and stderr escape what their encoding has no bytes for, as a file name that is not
    UTF-8; read UTF-8 from a stdin in ASCII.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper) and _is_ascii(sys.stdin.encoding):
        sys.stdin.reconfigure(encoding="utf-8")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that stdout's encoding can hold."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name.startswith("utf"):
        return json_bytes(
            value, indent=indent
        ).decode()  # lone surrogates as \udXXX, which JSON can read
    return json.dumps(value, indent=indent)


def _is_ascii(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "ascii"
