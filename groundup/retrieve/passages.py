"""Passages: a document split by its structure, so that each says where it stands and can be read by
itself.

    headings, paragraphs -> sections of whole paragraphs of at most `max_tokens` -> longer
        paragraphs at sentences -> longer sentences at spaces

The passages of a document, joined, are its text: none overlaps, nothing is left out, and a span in
a passage is a span in the document. A passage begins at a heading, and its title is the headings
that it stands under. Headings are Markdown's (# and underlined), and short lines that stand alone
and end like no sentence.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from groundup.data.processing.languages import can_detect, language_of
from groundup.language.stop_words import UNKNOWN, language_by_stop_words
from groundup.language.terms import ENGLISH, words
from groundup.retrieve.sentences import sentence_spans

# Enough for a paragraph or two; five of them leave a small model's context room to answer, and the
# common encoders read as much.
MAX_TOKENS = 256
# A short line that stands alone may be a heading, but breaks a section only from this share of
# `max_tokens` on: not in lists of short lines.
MIN_SECTION_SHARE = 0.25
MAX_TITLE_CHARACTERS = 200
_LINE_LEVEL = 7
BYTES_PER_TOKEN = 4

_BLANK_LINE = r"\n[ \t\r]*\n\s*"
_BREAK = re.compile(rf"{_BLANK_LINE}|\n(?=#{{1,6}}[ \t]+\S)")
_HASHES = re.compile(r"(#{1,6})[ \t]+([^\n]+)")
_UNDERLINED = re.compile(r"(\S.*)\n(=+|-{3,})[ \t\r]*(?:\n|\Z)")
_LINE = re.compile(r"[^\n]{1,80}\Z")
_PRICE = re.compile(r"[£$€] ?\d|\d ?(?:[£€]|EUR\b)")
_ENDS_LIKE_A_SENTENCE = (".", "!", ",", ";", ":", "。", "，", "…", '"', "”", "»")
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
FENCES = ("```", "~~~")
Counter = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of an index: where it stands, and how well it fits what was searched."""

    id: int
    """Its number in the index; never given to another one."""
    text: str
    title: str
    """The headings that it stands under, or ""."""
    document: str
    """The name of its document within its source."""
    address: str
    """Where the document is: the path of its file, with "!member", ":row" or "#part" where it is
    one of several there.
    """
    file: str
    """The path of the file, or the address of the source."""
    sha256: str
    """Of the file's bytes, when it was read."""
    start: int
    """Its first character in the document's decoded, uncleaned text."""
    end: int
    """The place after its last character."""
    language: str
    document_id: int
    score: float = 0.0
    """Higher is better; comparable within one search only."""


@dataclass(frozen=True, slots=True)
class PassageSpan:
    """A passage of a text: its span and its title."""

    start: int
    end: int
    title: str


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has, by its bytes."""
    size = len(text)
    if not text.isascii():
        size = len(text.encode("utf-8", "replace"))
    return size // BYTES_PER_TOKEN + 1


def split(
    text: str, max_tokens: int = MAX_TOKENS, count: Counter = estimated_tokens
) -> list[PassageSpan]:
    """Return the passages of a document, in order; none for one without text.

    >>> text = "# Care\\n\\nWash it cold.\\n\\n# Repair\\n\\nSend it back."
    >>> [(text[each.start : each.end], each.title) for each in split(text)]
    [('# Care\\n\\nWash it cold.\\n\\n', 'Care'), ('# Repair\\n\\nSend it back.', 'Repair')]
    """
    if not text.strip():
        return []
    found: list[PassageSpan] = []
    for section in _sections(text, max_tokens, count):
        for part in _divide(text, section, max_tokens, count):
            if found and text[part.start : part.end].isspace():
                found[-1] = replace(found[-1], end=part.end)
            else:
                found.append(part)
    return found


def _sections(text: str, max_tokens: int, count: Counter) -> Iterator[PassageSpan]:
    """Yield runs of whole paragraphs: up to a heading, or as many as `max_tokens` has room for."""
    headings: dict[int, str] = {}
    start = tokens = 0
    title, has_body = "", False
    for begin, end in _blocks(text):
        level, heading, rest = heading_of(text[begin:end])
        if level == _LINE_LEVEL and text.startswith(FENCES, end):
            level, heading, rest = 0, "", heading  # a line that introduces code
        size = count(text[begin:end])
        is_break = (
            bool(heading)
            and has_body
            and (level < _LINE_LEVEL or tokens >= MIN_SECTION_SHARE * max_tokens)
        )
        if is_break or (tokens + size > max_tokens and has_body):
            yield PassageSpan(start, begin, title)
            start, tokens, has_body = begin, 0, False
        if heading:
            headings = {each: name for each, name in headings.items() if each < level} | {
                level: heading
            }
        if not has_body:
            title = " > ".join(headings.values())[:MAX_TITLE_CHARACTERS]
        tokens, has_body = tokens + size, has_body or bool(rest)
    yield PassageSpan(start, len(text), title)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of paragraphs and headings, each with the blank lines behind it."""
    fences = []
    if "```" in text or "~~~" in text:
        fences = [found.span() for found in _FENCE.finditer(text)]
    start = 0
    for found in _BREAK.finditer(text):
        at = bisect_right(fences, (found.end(), 0)) - 1
        inside = at >= 0 and found.end() < fences[at][1]
        if found.end() > start and not inside and not text[start : found.end()].isspace():
            yield start, found.end()
            start = found.end()
    if start < len(text):
        yield start, len(text)


def heading_of(block: str) -> tuple[int, str, str]:
    """Return the level and the text of a heading at the beginning of a block, "" where there is
    none, and the rest of the block.
    """
    block = block.strip()
    if found := _HASHES.match(block):
        return len(found[1]), found[2].strip().rstrip("#").strip(), block[found.end() :].strip()
    if found := _UNDERLINED.match(block):
        level = "=-".index(found[2][0]) + 1
        return level, found[1].strip(), block[found.end() :].strip()
    if (
        _LINE.match(block)
        and not block.endswith(_ENDS_LIKE_A_SENTENCE)
        and len(block.split()) <= 12
        and (block[0].isupper() or block[0].isdigit())
        and not _PRICE.search(block)
    ):
        return _LINE_LEVEL, block, ""
    return 0, "", block


def _divide(
    text: str, section: PassageSpan, max_tokens: int, count: Counter
) -> Iterator[PassageSpan]:
    """Yield a section whole, or in parts of about equal length if it has more than `max_tokens`."""
    whole = text[section.start : section.end]
    tokens = count(whole)
    if tokens <= max_tokens:
        yield section
        return
    wanted = tokens / -(-tokens // max_tokens)  # tokens of each part
    start = taken = 0
    for begin, end in _units(whole, max_tokens, count):
        size = count(whole[begin:end])
        if taken and (taken + size > max_tokens or taken >= wanted):
            yield PassageSpan(section.start + start, section.start + begin, section.title)
            start, taken = begin, 0
        taken += size
    yield PassageSpan(section.start + start, section.end, section.title)


def _units(text: str, max_tokens: int, count: Counter) -> Iterator[tuple[int, int]]:
    """Yield the spans of sentences, each with the spaces behind it; a longer one than `max_tokens`
    in parts, at spaces if possible.
    """
    starts = [0, *(start for start, _ in sentence_spans(text))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        while end - start > 1:
            # 64 characters a token are more than max_tokens, by any count.
            beginning = text[start : min(end, start + 64 * max_tokens)]
            tokens = count(beginning)
            if tokens <= max_tokens:
                break
            cut = start + max(1, len(beginning) * max_tokens // tokens)
            space = text.rfind(" ", start + (cut - start) // 2, cut)
            if space >= 0:
                cut = space + 1
            yield start, cut
            start = cut
        if start < end:
            yield start, end


# A language is decided on by the beginning of a text.
LOOKED_AT_CHARACTERS = 1000


def language_of_text(text: str) -> str:
    """Return the language of a document by its beginning: by its stop words, else by the extra
    `languages`, else "unknown".

    A text of ASCII letters whose language is unknown, as a table of names, counts as English.
    """
    beginning = text[:LOOKED_AT_CHARACTERS]
    found = language_by_stop_words(words(beginning))
    if found == UNKNOWN and can_detect():
        found = language_of(beginning)
    if found == UNKNOWN and beginning.isascii():
        return ENGLISH
    return found
