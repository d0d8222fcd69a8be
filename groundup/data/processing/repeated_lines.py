"""Repeated lines of a document: page headers and footers, page numbers, notices. Three rules that
leave verse, plays and code alone.

    page      pages are parted by form feeds (as pdftotext does); a line that is among the first or
              last two of at least 3 pages, and of a third of them, is a header or footer, if it has
              two words. A bare number, or "Page 7 of 9", that counts along with the pages is a page
              number.
    breaks    a line that occurs 4 times, begins with a capital letter or a digit, and at least half
              of the times breaks a sentence (the line before ends with a letter or comma, the next
              one begins with a small letter) is no part of the text.
    notice    a line of at least 40 characters and 6 words that occurs more than 10 times is kept
              once.

What repeats for a reason is not touched: refrains (lines of verse begin with capitals, and few have
40 characters and come 10 times), names of speakers (they follow a full stop), headings. Of code,
recognised by its indentation or line ends, nothing is removed. A line that many documents of a
source share is not removed: whether it is a banner, a licence, a heading or a formula of prayer
can't be told from its number; near-duplicates and the rules `web` see those.

The form feeds must still be there, so this goes before `clean`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

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
