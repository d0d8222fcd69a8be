"""TextWriter: the plain text that a reader of markup writes, with the marks of Markdown or without."""

import re
from collections.abc import Iterable
from textwrap import dedent

FENCE = "```"
MAX_LEVEL = 6
_BLANK_LINES = re.compile(r"\n{3,}")


class TextWriter:
    """Lines of text.

    `marked`: headings begin with #, code stands between fences, so that its own # are no headings.
    """

    def __init__(self, marked: bool) -> None:
        self.marked = marked
        self.lines: list[str] = []
        self.level = 0
        """The level of the last heading."""

    def line(self, text: str) -> None:
        self.lines.append(text.rstrip())

    def heading(self, level: int, text: str) -> None:
        self.level = min(max(level, 1), MAX_LEVEL)
        text = text.strip()
        if self.marked:
            text = f"{'#' * self.level} {text}"
        self.lines += ["", text, ""]

    def code(self, lines: Iterable[str]) -> None:
        text = dedent("\n".join(lines)).strip("\n")
        if not text.strip():
            return
        if self.marked and FENCE not in text:
            text = f"{FENCE}\n{text}\n{FENCE}"
        self.lines += ["", *text.split("\n"), ""]

    def text(self) -> str:
        if not any(self.lines):
            return ""
        return _BLANK_LINES.sub("\n\n", "\n".join(self.lines)).strip("\n") + "\n"


def until(lines: list[str], start: int, end: re.Pattern[str]) -> int:
    """Return the place of the next line that `end` matches, from `start` on; that behind the last
    line where none does.
    """
    return next((at for at in range(start, len(lines)) if end.match(lines[at])), len(lines))
