"""What a model or a stranger wrote, for a terminal."""

import shlex

SUGGESTED_WORDS = 4


def plain(text: str) -> str:
    """One line; control characters never reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def beginning(text: str) -> str:
    """The first words of a text, quoted for a command line that is suggested; "" where it has none."""
    words = plain(text).split()[:SUGGESTED_WORDS]
    return shlex.quote(" ".join(words)) if words else ""
