"""Text in and out of the program: untrusted text, from models and files, made safe for a terminal;
and what the locale or the user wants in another encoding than UTF-8 (LC_ALL=C,
PYTHONIOENCODING=ascii).
"""

import codecs
import io
import json
import os
import re
import shlex
import sys
from typing import Any

from groundup.files import json_bytes

SUGGESTED_WORDS = 4
# What could move the cursor or give the terminal an order: control characters but for newline and
# tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Marks, embeddings and isolates of direction are not seen, and make a line read as another (Unicode
# TR 36; Boucher and Anderson 2021, arXiv:2111.00169).
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def terminal_safe(text: str) -> str:
    """Control characters are replaced, marks of direction removed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _DIRECTION.sub("", text))


def json_safe(json_text: str) -> str:
    """The same characters are escaped, which changes no value."""

    def escaped(found: re.Match[str]) -> str:
        return f"\\u{ord(found[0]):04x}"

    return _CONTROL.sub(escaped, _DIRECTION.sub(escaped, json_text))


def plain(text: str) -> str:
    """Return a text as one line, control characters replaced."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())
    )


def beginning(text: str) -> str:
    """The first words, quoted for a suggested command line."""
    words = plain(text).split()[:SUGGESTED_WORDS]
    return shlex.quote(" ".join(words)) if words else ""


UTF8_MODE = "PYTHONUTF8"


def start_in_utf8() -> None:
    """Start again in Python's UTF-8 mode (PEP 540) where arguments and names of files are decoded
    as ASCII.
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
    """Escape what stdout and stderr have no bytes for, as a file name that is not UTF-8; read UTF-8
    from a stdin in ASCII.
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
