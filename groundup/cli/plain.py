"""Untrusted text, from models and files, made safe for a terminal, now or when what was written
into a file or pipe is shown on one.
"""

import re
import shlex

SUGGESTED_WORDS = 4
# What could move the cursor or give the terminal an order: control characters but for newline and
# tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Marks, embeddings and isolates of direction are not seen, and make a line read as another (Unicode
# TR 36; Boucher and Anderson 2021, arXiv:2111.00169).
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def terminal_safe(text: str) -> str:
    """Return a text with control characters replaced and marks of direction removed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _DIRECTION.sub("", text))


def json_safe(json_text: str) -> str:
    """Return JSON with the same characters escaped, which changes no value."""

    def escaped(found: re.Match[str]) -> str:
        return f"\\u{ord(found[0]):04x}"

    return _CONTROL.sub(escaped, _DIRECTION.sub(escaped, json_text))


def plain(text: str) -> str:
    """Return a text as one line, control characters replaced."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())
    )


def beginning(text: str) -> str:
    """Return the first words of a text, quoted for a suggested command line; "" where it has
    none.
    """
    words = plain(text).split()[:SUGGESTED_WORDS]
    return shlex.quote(" ".join(words)) if words else ""
