"""Repair of a text before it is cleaned: wrongly decoded characters, HTML entities, ligatures,
terminal colours.

    repair(text)    "dÃ©jÃ  vu &amp; co" -> "déjà vu & co"      ftfy (extra `clean`), on suspicious
                                                                lines only

ftfy reads some 0.5 MB/s where text isn't ASCII. A line can have been UTF-8, decoded as something
else, only if a lead byte of UTF-8 as that charset shows it is followed by as many continuation
bytes as it announces: a search for these pairs passes over ASCII and nearly all lines of real
languages. Whether a suspicious line is repaired is ftfy's decision. It must see the characters
U+0080 to U+009F, which `clean` changes: repair goes first.

Not changed: quotation marks, full-width characters (punctuation of Chinese and Japanese), anything
in a line that ftfy finds well-formed.
"""

import html
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from html.entities import html5
from typing import Any

from groundup.errors import require_extra

EXTRA, PACKAGE = "clean", "ftfy"

# The charsets that UTF-8 is mistaken for (those that ftfy knows), with the names of Python's
# codecs.
MISTAKEN = (
    "latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso8859-2",
    "mac-roman", "cp437",
)  # fmt: skip
# Lead bytes of UTF-8 and the number of continuation bytes (80 to BF) after them.
LEADS = ((range(0xC2, 0xE0), 1), (range(0xE0, 0xF0), 2), (range(0xF0, 0xF5), 3))
# What a continuation byte may have become since; after "Ã" and "Â" a no-break space often is a
# space, and after "â€" a control character is lost.
LOST, LOST_PAIRS = "\ufffd\x1a", ("Ã ", "Â ", "â€")

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Text with markup or code: entities stay.
MARKUP = re.compile(r"</?[A-Za-z!][^<>]*>|[\"'`]&[#\w]+;[\"'`]")
LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
LIGATURE = re.compile("[ﬀ-ﬆ]")
TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")


@dataclass(frozen=True)
class Repaired:
    """A repaired text and the number of changes of each kind."""

    text: str
    changes: Counter[str] = field(default_factory=Counter)
    """mojibake: lines; html_entities, ligatures, terminal_escapes: occurrences."""


def repair(text: str) -> Repaired:
    """Return the text with repaired decoding, entities, ligatures and terminal escapes. Raises
    MissingExtra where ftfy is missing and needed.

    >>> repair("1 &lt; 2").text
    '1 < 2'
    """
    changes: Counter[str] = Counter()
    if "\x1b[" in text:
        text, changes["terminal_escapes"] = TERMINAL_ESCAPE.subn("", text)
    if not text.isascii():
        text = _decode_again(text, changes)
        text, changes["ligatures"] = LIGATURE.subn(lambda found: LIGATURES[found[0]], text)
    if "&" in text and ENTITY.search(text) and not MARKUP.search(text):
        text = ENTITY.sub(lambda found: _unescape(found[0], changes), text)
    return Repaired(text, +changes)


def _unescape(entity: str, changes: Counter[str]) -> str:
    # html.unescape would read "&notanentity;" as "&not" and the rest.
    if entity[1] == "#":
        plain = html.unescape(entity)
    else:
        plain = html5.get(entity[1:], entity)
    changes["html_entities"] += plain != entity
    return plain


def _decode_again(text: str, changes: Counter[str]) -> str:
    """Return the text with the lines that ftfy decodes otherwise."""
    if not mistaken().search(text):
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if is_suspicious(line):
            lines[number] = _ftfy().fix_encoding(line)
            changes["mojibake"] += lines[number] != line
    return "\n".join(lines)


def is_suspicious(line: str) -> bool:
    """Return whether a line may be UTF-8 that was decoded as something else."""
    return not line.isascii() and mistaken().search(line) is not None


@cache
def mistaken() -> re.Pattern[str]:
    """Return the pattern of one character of UTF-8, as one of the mistaken charsets shows its
    bytes.
    """
    every, parts = (
        "".join(_decode_bytes(codes, name) for codes, _ in LEADS for name in MISTAKEN),
        [],
    )
    for leads, count in LEADS:
        # A part for each charset: a lead of one and a continuation of another are no character.
        # The lead is consumed first, as one class, which is fast to search for; then each part
        # looks back at it.
        for name in MISTAKEN:
            parts.append(
                f"(?<=[{_decode_bytes(leads, name)}])[{_decode_bytes(range(0x80, 0xC0), name)}{LOST}]{{{count}}}"
            )
    parts += [f"(?<={pair[0]}){pair[1]}" for pair in LOST_PAIRS]
    return re.compile(f"[{every}](?:{'|'.join(parts)})")


def _decode_bytes(codes: range, charset: str) -> str:
    """Return the characters that these bytes are in a charset, for a character class; a byte that
    it does not define stays U+0080 to U+009F.
    """
    decoded = [bytes([code]).decode(charset, "replace") for code in codes]
    pairs = zip(decoded, codes, strict=True)
    return "".join(re.escape(each.replace("\ufffd", chr(code))) for each, code in pairs)


@cache
def _ftfy() -> Any:
    require_extra(EXTRA, PACKAGE)
    import ftfy

    return ftfy
