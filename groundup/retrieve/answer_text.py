"""The text of an answer's parts: quotations and sentences with their source's number."""

import re

from groundup.retrieve.cite import Quote, is_item, without_mark
from groundup.retrieve.generation import Sentence
from groundup.retrieve.notes import Note

# Marks that turn the direction of the characters behind them, which would be the number of the
# source, too.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def part_text(part: Quote | Note | Sentence) -> str:
    """Return a quotation or a sentence with the number of its source; a row of a table in words, an
    item of a list as "its head … item"; a note as it is, with its lines.

    A quotation's line breaks are spaces here, but before the items of a list, and its marks " are
    ', so that it can't end early; nothing turns the direction of what follows. A row in words has
    no quotation marks.
    """
    if isinstance(part, Note):
        lines = _DIRECTIONS.sub("", part.text).split("\n")
        return "\n".join(" ".join(line.split()) for line in lines)
    if isinstance(part, Quote) and not part.in_words:
        quoted = _quoted_lines(part).replace('"', "'")
        return f'"{quoted}" [{part.source}]'
    text = part.text
    if isinstance(part, Quote):
        text = part.in_words
    return f"{' '.join(_DIRECTIONS.sub('', text).split())} [{part.source}]"


def _quoted_lines(quote: Quote) -> str:
    """The words of a quotation; of a list each item on a line, of a single one without its mark."""
    lines = [" ".join(line.split()) for line in _DIRECTIONS.sub("", quote.text).split("\n")]
    text = "".join(f"\n{line}" if is_item(line) else f" {line}" for line in lines if line).strip()
    if "\n" not in text:
        text = without_mark(text)
    if quote.head is None:
        return text
    head = " ".join(_DIRECTIONS.sub("", quote.head.text).split())
    return f"{head} … {text}"
