"""Tables of Markdown in words: a row with the names of its columns, as it is read aloud.

| Treatment | Price |
| --------- | ----- |
| Crown     | £690  |      ->      Crown: £690 (Price)
"""

import re

_CELL = re.compile(r"(?<!\\)\|")
_MARKUP = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")


def cells(line: str) -> list[str]:
    r"""Return the cells of a table's line, without spaces and emphasis.

    >>> cells("| **Crown** | £690 | a \\| b |")
    ['Crown', '£690', 'a | b']
    """
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    parts = (_MARKUP.sub("", part.strip()) for part in _CELL.split(inner))
    return [part.replace("\\|", "|") for part in parts]


def row_in_words(head: str, row: str) -> str:
    """Return a row as a phrase: the first cell, then each other one with its column's name; empty
    cells are left out.

    >>> row_in_words("| Treatment | Price | Guarantee |", "| Crown | £690 | 5 years |")
    'Crown: £690 (Price), 5 years (Guarantee)'
    >>> row_in_words("", "| Crown | £690 |")
    'Crown: £690'
    """
    names, values = cells(head) if head else [], cells(row)
    parts = []
    for place, value in enumerate(values[1:], start=1):
        name = names[place] if place < len(names) else ""
        if value:
            parts.append(f"{value} ({name})" if name and name.lower() != value.lower() else value)
    if not values or not values[0]:
        return ", ".join(parts)
    return f"{values[0]}: {', '.join(parts)}" if parts else values[0]
