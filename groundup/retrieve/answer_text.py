"""The text of an answer's parts: quotations and sentences on one line with their source's number."""

import re

from groundup.retrieve.cite import Quote
from groundup.retrieve.generation import Sentence
from groundup.retrieve.notes import Note

# Marks that turn the direction of the characters behind them, which would be the number of the
# source, too.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def part_text(part: Quote | Note | Sentence) -> str:
    """Return a quotation or a sentence with the number of its source; a row of a table in words, an
    item of a list as "its head … item"; a note as it is, with its lines.

    A quotation's line breaks are spaces here and its marks " are ', so that it can't end early;
    nothing turns the direction of what follows. A row in words has no quotation marks.
    """
    if isinstance(part, Note):
        lines = _DIRECTIONS.sub("", part.text).split("\n")
        return "\n".join(" ".join(line.split()) for line in lines)
    text = part.text
    if isinstance(part, Quote) and part.in_words:
        text = part.in_words
    elif isinstance(part, Quote) and part.head:
        text = f"{part.head.text} … {text}"
    text = " ".join(_DIRECTIONS.sub("", text).split())
    if isinstance(part, Quote) and not part.in_words:
        quoted = text.replace('"', "'")
        text = f'"{quoted}"'
    return f"{text} [{part.source}]"
