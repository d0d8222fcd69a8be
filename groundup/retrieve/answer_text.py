"""The text of an answer's parts: quotations and sentences with their source's number."""

import re
from textwrap import dedent

from groundup.retrieve.cite import Quote, is_item, without_mark
from groundup.retrieve.generation import Sentence
from groundup.retrieve.notes import Note
from groundup.retrieve.table_rows import ROWS_APART

# Marks that turn the direction of the characters behind them, which would be the number of the
# source, too.
_FENCES = re.compile(r"`{3,}")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def part_text(part: Quote | Note | Sentence) -> str:
    """Return a quotation or a sentence with the number of its source; a row of a table in words,
    several as a list, an item of a list as "its head … item"; a note as it is, with its lines.

    A quotation's line breaks are spaces here, but before the items of a list and in code, and its
    marks " are ', so that it can't end early; nothing turns the direction of what follows. A row in
    words and code have no quotation marks; code stands between fences, with its number before.
    """
    if isinstance(part, Note):
        lines = _DIRECTIONS.sub("", part.text).split("\n")
        return "\n".join(" ".join(line.split()) for line in lines)
    said, code = said_text(part), ""
    if isinstance(part, Quote) and part.is_code:
        said, code = _of_code(part)
    return " ".join(filter(None, [said, f"[{part.source}]"])) + code


def said_text(part: Quote | Sentence) -> str:
    """Return the same without the number."""
    if not isinstance(part, Quote):
        return _line(part.text)
    if part.in_words:
        rows = [_line(row) for row in part.in_words.split(ROWS_APART)]
        return "\n".join(f"- {row}" for row in rows) if len(rows) > 1 else rows[0]
    if part.is_code:
        return "".join(_of_code(part))
    return _quoted(_quoted_lines(part))


def _of_code(quote: Quote) -> tuple[str, str]:
    """Return the line that code belongs to, quoted, or "", and the code between fences."""
    code = dedent(_DIRECTIONS.sub("", quote.text).expandtabs(4))
    fence = "`" * max(3, 1 + max(map(len, _FENCES.findall(code)), default=0))
    head = ""
    if quote.head is not None:
        head = _quoted(_line(quote.head.readable))
    return head, f"\n\n{fence}\n{code}\n{fence}"


def _quoted(text: str) -> str:
    marked = text.replace('"', "'")
    return f'"{marked}"'


def _line(text: str) -> str:
    return " ".join(_DIRECTIONS.sub("", text).split())


def _quoted_lines(quote: Quote) -> str:
    """The words of a quotation; of a list each item on a line, of a single one without its mark."""
    lines = [" ".join(line.split()) for line in _DIRECTIONS.sub("", quote.readable).split("\n")]
    text = "".join(f"\n{line}" if is_item(line) else f" {line}" for line in lines if line).strip()
    if "\n" not in text:
        text = without_mark(text)
    if quote.head is None:
        return text
    return f"{_line(quote.head.readable)} … {text}"
