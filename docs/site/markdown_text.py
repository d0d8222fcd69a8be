"""Text of pages and docstrings -> Markdown: `>>>` examples as blocks of code, and in docstrings names in a column with what is said
of each as a list, brackets as what they are: neither links nor elements of HTML.

`Docstrings` is an extension of griffe, which reads the code for mkdocstrings (`zensical.toml`).
"""

import re
from typing import Any

import griffe

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
# Two lines or more of a name, two spaces and words; the lines that go on are indented.
_ENTRY = r"\S+(?: \S+)* {2,}\S.*\n(?: +\S.*\n)*"
_COLUMNS = re.compile(rf"^(?:{_ENTRY}){{2,}}", re.MULTILINE)


def fenced_examples(text: str) -> str:
    """Return the text with each bare `>>>` example as a block of code; Markdown would take it as a quotation."""
    parts = _FENCED.split(re.sub(r" *# doctest: .*$", "", text, flags=re.MULTILINE))
    parts[::2] = [
        re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", part, flags=re.MULTILINE)
        for part in parts[::2]
    ]
    return "".join(parts)


def lists_of_columns(text: str) -> str:
    """Return the text with names in a column as a list; Markdown would take them and their words as one paragraph."""
    parts = _FENCED.split(text + "\n")
    parts[::2] = [_COLUMNS.sub(_listed, part) for part in parts[::2]]
    return "".join(parts).removesuffix("\n")


def _listed(found: re.Match[str]) -> str:
    items = []
    for entry in re.findall(_ENTRY, found[0]):
        name, *words = re.split(r" {2,}", re.sub(r"\n +", " ", entry).strip())
        items.append(f"- **{name.removesuffix(':')}**: {'; '.join(words)}\n")
    return "\n" + "".join(items) + "\n"


def plain_brackets(text: str) -> str:
    """Return the text with `[` and `<` outside of code as characters: `confusion[actual][predicted]` is no link, <pre> no element."""
    parts = _FENCED.split(text)
    parts[::2] = ["\n".join(map(_plain_line, part.split("\n"))) for part in parts[::2]]
    return "".join(parts)


def _plain_line(line: str) -> str:
    return (
        line
        if line.startswith("    ")
        else re.sub(r"(`[^`]*`)|\[|<", lambda found: found[1] or f"&#{ord(found[0])};", line)
    )


class Docstrings(griffe.Extension):
    """Prepares each docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Replace the text of its docstring."""
        if obj.docstring:
            obj.docstring.value = plain_brackets(
                lists_of_columns(fenced_examples(obj.docstring.value))
            )
