"""Text of pages and docstrings -> Markdown: `>>>` examples as blocks of code, and in docstrings square brackets as what they are, no links.

`Docstrings` is an extension of griffe, which reads the code for mkdocstrings (`zensical.toml`).
"""

import re
from typing import Any

import griffe

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def fenced_examples(text: str) -> str:
    """Return the text with each bare `>>>` example as a block of code; Markdown would take it as a quotation."""
    parts = _FENCED.split(re.sub(r" *# doctest: .*$", "", text, flags=re.MULTILINE))
    parts[::2] = [
        re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", part, flags=re.MULTILINE)
        for part in parts[::2]
    ]
    return "".join(parts)


def plain_brackets(text: str) -> str:
    """Return the text with `[` outside of code as a character, so that `confusion[actual][predicted]` is no link."""
    parts = _FENCED.split(text)
    parts[::2] = ["\n".join(map(_plain_line, part.split("\n"))) for part in parts[::2]]
    return "".join(parts)


def _plain_line(line: str) -> str:
    return (
        line
        if line.startswith("    ")
        else re.sub(r"(`[^`]*`)|\[", lambda found: found[1] or "&#91;", line)
    )


class Docstrings(griffe.Extension):
    """Prepares each docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Replace the text of its docstring."""
        if obj.docstring:
            obj.docstring.value = plain_brackets(fenced_examples(obj.docstring.value))
