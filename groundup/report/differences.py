"""A short text before and after a change, the characters that differ marked; those that can't be
seen get a sign: \\r ⏎ · U+0301.
"""

import unicodedata
from difflib import SequenceMatcher

from groundup.html_nodes import Node, foreign, node

MAX_CHARACTERS = 400
# Shown in the marked parts only: in the others a space is a space.
SIGNS = {"\n": "⏎\n", "\r": "\\r", "\f": "\\f", "\v": "\\v", "\t": "\\t", " ": "·"}


def before_and_after(before: str, after: str) -> Node:
    """Return both texts side by side; what was removed and what was put in its place are marked."""
    old, new = before[:MAX_CHARACTERS], after[:MAX_CHARACTERS]
    removed, put = foreign("", "p", "changed-text"), foreign("", "p", "changed-text")
    for kind, start, end, new_start, new_end in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        for parent, tag, piece in (
            (removed, "del", old[start:end]),
            (put, "ins", new[new_start:new_end]),
        ):
            if kind == "equal":
                parent.append(node("span", piece))
            elif piece:
                parent.append(node(tag, "".join(map(_sign, piece))))
    sides = [
        node("div", node("h4", "before"), removed, class_="side"),
        node("div", node("h4", "after"), put, class_="side after"),
    ]
    return node("div", sides, class_="sides")


def _sign(character: str) -> str:
    """The character, or a sign for one that can't be seen alone.

    >>> _sign("a"), _sign("\\u0301"), _sign("\\x00")
    ('a', 'U+0301', 'U+0000')
    """
    if character in SIGNS:
        return SIGNS[character]
    if unicodedata.combining(character) or not character.isprintable():
        return f"U+{ord(character):04X}"
    return character
