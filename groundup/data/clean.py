"""Cleaning of a text, with counts of each change: newlines, control characters, trailing spaces,
Unicode normalisation.

    U+0080 to U+009F, where Windows-1252 has a character        become it: U+0092 is ’
    "\\r\\n", "\\r", form feed, vertical tab, U+2028, U+2029     become "\\n"
    control characters but "\\n" and "\\t", U+FEFF in the text   are removed
    lone surrogates (a JSON text can hold "\\ud800")            become U+FFFD: no UTF-8 can hold them
    spaces and tabs at line ends, newlines around the text      are removed
    canonically equivalent characters                           become their composed form (NFC)

Why Windows-1252: its bytes 80 to 9F, read as Latin-1, are the control characters U+0080 to U+009F
(C1), which no text uses as such. Browsers show the characters of Windows-1252 in their place
(WHATWG Encoding Standard, label "latin1"; HTML 13.2.5.80), and so does this, U+0085 (…) included.

Why NFC: "é" as one code point or as "e" with a combining accent has the same meaning but other
tokens, so a model would learn each from a part of the texts, and repeats would not be found. Most
texts are in NFC already. NFKC is not used, as it changes meaning (x² becomes x2). Cleaning is
idempotent.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

NEWLINES = "\r\v\f\u2028\u2029"
LINE_ENDS = re.compile("\r\n?|[\v\f\u2028\u2029]")
# All but the five bytes that Windows-1252 leaves undefined.
WINDOWS_1252 = re.compile("[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")
SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROL_BYTES = bytes([*range(9), *range(0x0E, 0x20), 0x7F])


@dataclass(frozen=True)
class Cleaned:
    text: str
    changes: Counter[str]
    """windows_1252, newlines, control_characters, lone_surrogates, trailing_spaces, outer_newlines:
    characters; composed: 1 when NFC changed the text."""


def clean(text: str) -> Cleaned:
    """Return the cleaned text.

    >>> clean("one \\r\\ntwo\\x00").text
    'one\\ntwo'
    """
    changes: Counter[str] = Counter()
    is_simple = is_plain(text)
    if not is_simple:
        text, changes["windows_1252"] = with_windows_1252(text)
    if any(mark in text for mark in NEWLINES):
        text, changes["newlines"] = LINE_ENDS.subn("\n", text)
    if not is_simple or "\ufeff" in text:
        text, changes["control_characters"] = CONTROL.subn("", text)
        text, changes["lone_surrogates"] = SURROGATES.subn("\ufffd", text)
    shorter = text
    if " \n" in text or "\t\n" in text or text.endswith((" ", "\t")):
        # Line by line: a regular expression for trailing spaces takes quadratic time on long runs
        # of them.
        shorter = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    stripped = shorter.strip("\n")
    composed = unicodedata.normalize("NFC", stripped)
    changes["trailing_spaces"] = len(text) - len(shorter)
    changes["outer_newlines"] = len(shorter) - len(stripped)
    changes["composed"] = int(composed != stripped)
    return Cleaned(composed, +changes)


def with_windows_1252(text: str) -> tuple[str, int]:
    """Return the text with the characters of Windows-1252 in place of control characters (C1), and
    their number.

    >>> with_windows_1252("I\\x92m")
    ('I’m', 1)
    """
    return WINDOWS_1252.subn(lambda found: found[0].encode("latin-1").decode("cp1252"), text)


def is_plain(text: str) -> bool:
    """Return whether `text` certainly has no control character but white space, no character of
    U+0080 to U+009F and no surrogate.

    A quick test on the UTF-8 bytes, ten times as fast as a regular expression: few other characters
    begin with the bytes C2 and ED.
    """
    data = text.encode("utf-8", "surrogatepass")
    return (
        len(data.translate(None, _CONTROL_BYTES)) == len(data)
        and b"\xc2" not in data
        and b"\xed" not in data
    )
