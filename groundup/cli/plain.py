"""Untrusted text, from models and files, made safe for a terminal."""

import shlex

SUGGESTED_WORDS = 4


def plain(text: str) -> str:
    """Return a text as one line, control characters replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def beginning(text: str) -> str:
    """Return the first words of a text, quoted for a suggested command line; "" where it has none."""
    words = plain(text).split()[:SUGGESTED_WORDS]
    return shlex.quote(" ".join(words)) if words else ""
