"""The numbers of README.md and docs/benchmarks.md, block by block, for `claims.toml` and the test that holds it against the pages.

A block is a row of a table, a paragraph, an item of a list, a heading, a line of printed output or a comment of a command. It is known by its page,
its section and its label: a row's cells before the first that is a number, or a paragraph's first words. Its numbers are all that it has, as they are
written. Not read: commands, code between backticks, addresses, dates, digits inside a name (int8, SmolLM2-135M, AVX-512), and numbers in words.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/benchmarks.md")
LABEL_CHARACTERS = 60
NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)(?<![A-Za-z]\d-)[+-]?\d[\w.,]*(?:(?<=e)-\d+)?")
NOT_READ = re.compile(r"`[^`]*`|\]\([^)]*\)|\b\d{4}-\d\d-\d\d\b|\b[0-9a-f]{40,}\b")
# A cell that is a figure, with its unit.
FIGURE = re.compile(r"[+-]?\d[\d.,]*!?( [%\w/]+)?([,;].*| \(.*| to .*)?")
# A line that begins a block of its own in a paragraph's place.
BEGINS = re.compile(r"[-*] |\d+\. |\||#")


@dataclass(frozen=True)
class Block:
    """A block of a page that has numbers, or a line of `stands` in claims.toml that says so."""

    page: str
    section: str
    label: str
    numbers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.label}: {' '.join(self.numbers)}"

    @classmethod
    def said(cls, page: str, section: str, line: str) -> "Block":
        """Return the block that a line `LABEL: NUMBER NUMBER ...` of claims.toml names."""
        label, _, numbers = line.strip().rpartition(": ")
        return cls(page, section, label, tuple(numbers.split()))


def blocks(page: str, text: str) -> list[Block]:
    """Return the blocks of a page of Markdown that have numbers, in order."""
    found = []
    for section, lines in passages(text):
        passage = NOT_READ.sub("", " ".join(lines))
        numbers = tuple(each.rstrip(".,") for each in NUMBER.findall(passage))
        if numbers:
            found.append(Block(page, section, label_of(passage), numbers))
    return found


def passages(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each block's section and lines. Of code only printed output (```text) and comments of ```sh are read, line by line."""
    section, fence, lines = "", "", []
    for line in [*text.splitlines(), ""]:
        if fence or line.startswith("```"):
            if fence and not line.startswith("```"):
                yield section, [line if fence == "```text" else line.partition(" # ")[2]]
            fence = "" if fence and line.startswith("```") else fence or line
            continue
        if lines and (not line.strip() or BEGINS.match(line) or BEGINS.match(lines[0][:1])):
            yield section, lines
            lines = []
        if line.startswith("#"):
            section = line.lstrip("# ")
        if line.strip() and not line.startswith("    "):
            lines.append(line)


def label_of(passage: str) -> str:
    """Return the words that a block is known by."""
    text = re.sub(r"[*\[#|]| - ", lambda mark: mark[0] if mark[0] == "|" else "", passage)
    if text.startswith("|"):
        cells = [cell.strip() for cell in text.strip("| ").split("|")]
        named = [*cells[:1], *takewhile(lambda cell: not FIGURE.fullmatch(cell), cells[1:])]
        text = " / ".join(cell for cell in named if cell)
    return textwrap.shorten(text.strip(" ,-"), LABEL_CHARACTERS, placeholder="").rstrip(" .,:;/(")
