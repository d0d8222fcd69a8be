"""Repair of a text before it is cleaned: wrongly decoded characters, HTML entities, ligatures,
terminal colours; and lines that repeat (docs/processing.md).

    repair(text)                  "dÃ©jÃ  vu &amp; co" -> "déjà vu & co"     ftfy (extra `clean`)
    remove_repeated_lines(text)   page headers, footers and numbers; notices; lines that break
                                  sentences

ftfy reads some 0.5 MB/s where text isn't ASCII. A line can have been UTF-8, decoded as something
else, only if a lead byte of UTF-8 as that charset shows it is followed by as many continuation
bytes as it announces: a search for these pairs passes over ASCII and nearly all lines of real
languages. Whether a suspicious line is repaired is ftfy's decision. It must see the characters
U+0080 to U+009F, which `clean` changes, and pages are parted by form feeds: so both go first.
"""

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
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
MIN_PAGES, MIN_PAGE_SHARE, BORDER_LINES, HEADER_WORDS = 3, 1 / 3, 2, 2
MIN_BREAKS, MIN_BREAK_SHARE = 4, 1 / 2
NOTICE_CHARACTERS, NOTICE_WORDS, MAX_NOTICES = 40, 6, 10
# More of the lines than this are indented, or end as code does: nothing is removed.
CODE_INDENTED, CODE_ENDS, CODE_MARKS = 0.3, 0.15, (";", "{", "}", "):", "},", ");")

PAGE_NUMBER = re.compile(
    r"[-–—(\[ ]*(?:(?:page|p\.|pg\.|seite|p[áa]gina|pagina|side|sida|strona|стр\.?) ?)?"
    r"(\d{1,4})(?: ?(?:/|of|von|sur|de|di|из) ?\d{1,4})?[-–—)\] ]*",
    re.IGNORECASE,
)
PAGE, BREAKS, NOTICE = "page_furniture", "breaking_lines", "repeated_notices"


@dataclass(frozen=True)
class Repaired:
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


def remove_repeated_lines(text: str) -> tuple[str, Counter[str]]:
    """Return the text without headers, footers and repeated notices, and the number of lines
    removed by each rule.

    >>> remove_repeated_lines("one line\\nanother")
    ('one line\\nanother', Counter())
    """
    lines = text.split("\n")
    repeated = _repeated_lines(lines)
    if ("\f" not in text and not repeated) or _is_code(lines):
        return text, Counter()
    removed: dict[int, str] = {}
    for rule, places in ((PAGE, _page_furniture), (BREAKS, _breaking), (NOTICE, _notices)):
        for place in places(lines, repeated):
            removed.setdefault(place, rule)
    if not removed:
        return text, Counter()
    # The form feed stays: it ends a page.
    kept = []
    for place, line in enumerate(lines):
        if place not in removed:
            kept.append(line)
        elif "\f" in line:
            kept.append("\f" * line.count("\f"))
    return "\n".join(kept), Counter(removed.values())


def _repeated_lines(lines: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of the lines that occur often enough for the rules without pages."""
    counts = Counter(lines)
    often = {line for line, count in counts.items() if count >= MIN_BREAKS and line.strip()}
    places: dict[str, list[int]] = defaultdict(list)
    if often:
        for place, line in enumerate(lines):
            if line in often:
                places[line.strip()].append(place)
    return places


def _is_code(lines: Sequence[str]) -> bool:
    filled = [line for line in lines if line.strip()]
    indented = sum(line.startswith(("  ", "\t")) for line in filled)
    ends = sum(line.rstrip().endswith(CODE_MARKS) for line in filled)
    return indented > CODE_INDENTED * len(filled) or ends > CODE_ENDS * len(filled)


def _page_furniture(lines: Sequence[str], repeated: dict[str, list[int]]) -> Iterator[int]:
    pages = _pages(lines)
    if len(pages) < MIN_PAGES:
        return
    enough = max(MIN_PAGES, MIN_PAGE_SHARE * len(pages))
    headers: dict[str, list[int]] = defaultdict(list)
    numbers: dict[int, list[int]] = defaultdict(list)  # page number less the page's place -> lines
    for at, page in enumerate(pages):
        for place in sorted({*page[:BORDER_LINES], *page[-BORDER_LINES:]}):
            line = lines[place].strip()
            found = PAGE_NUMBER.fullmatch(line)
            if found:
                numbers[int(found[1]) - at].append(place)
            elif len(line.split()) >= HEADER_WORDS and any(map(str.isalpha, line)):
                headers[line].append(place)
    for places in (*headers.values(), *numbers.values()):
        if len(places) >= enough:
            yield from places


def _pages(lines: Sequence[str]) -> list[list[int]]:
    """Return the places of the filled lines of each page; a line with a form feed begins one."""
    pages: list[list[int]] = [[]]
    for place, line in enumerate(lines):
        if "\f" in line:
            pages.append([])
        if line.strip():
            pages[-1].append(place)
    return pages


def _breaking(lines: Sequence[str], repeated: dict[str, list[int]]) -> Iterator[int]:
    for line, places in repeated.items():
        if not (line[0].isupper() or line[0].isdigit()):
            continue
        breaks = sum(_breaks_sentence(lines, place) for place in places)
        if breaks >= max(MIN_BREAKS - 1, MIN_BREAK_SHARE * len(places)):
            yield from places


def _breaks_sentence(lines: Sequence[str], place: int) -> bool:
    """Return whether the text goes on in the middle of a sentence after this line."""
    before, after = _next_filled(lines, place, -1), _next_filled(lines, place, 1)
    if not before or not after:
        return False
    return (before[-1].isalpha() or before[-1] == ",") and after[0].islower()


def _next_filled(lines: Sequence[str], place: int, step: int) -> str:
    """Return the next line that is not blank, at most three away."""
    near = range(place + step, place + 4 * step, step)
    return next((line for at in near if 0 <= at < len(lines) and (line := lines[at].strip())), "")


def _notices(lines: Sequence[str], repeated: dict[str, list[int]]) -> Iterator[int]:
    for line, places in repeated.items():
        is_long = len(line) >= NOTICE_CHARACTERS and len(line.split()) >= NOTICE_WORDS
        if is_long and len(places) > MAX_NOTICES:
            yield from places[1:]
