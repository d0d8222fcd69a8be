"""Decoding of bytes: byte order marks, UTF-8 with invalid bytes counted, UTF-16 and UTF-32 with a mark, binary files refused.

An invalid byte never affects the rest of the file: Python's "surrogateescape" maps each one to a code point (U+DC80 to U+DCFF) that no valid UTF-8
decodes to; these are then replaced by U+FFFD or dropped.
"""

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO, Literal

from groundup.data.source_report import SourceReport
from groundup.errors import DataError

EncodingErrors = Literal["replace", "drop"]

PIECE_BYTES = 2**20
# The longest line of a .jsonl or .csv; a longer one counts as bad. 16 Mi characters are some 3,000 pages.
MAX_LINE_CHARACTERS = 2**24
# Thresholds of binary files. A text in a one-byte encoding of Western Europe has some 5 % bytes that are not UTF-8, one in Cyrillic 80 %;
# images, archives and programs have 30 to 60 %, and NUL bytes, which are rare in texts.
SAMPLE_CHARACTERS = 2**16
STRAY_NULS, MAX_NUL_SHARE = 4, 0.001
MAX_UNREADABLE_SHARE = 0.1

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_INVALID = re.compile("[\udc80-\udcff]")
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\udc80-\udcff]")


class NotTextError(DataError):
    """A file that does not look like text."""


def text_pieces(stream: IO[bytes], name: str, errors: EncodingErrors, report: SourceReport) -> Iterator[str]:
    """Yield the text of a stream in pieces of about 1 MiB, newlines unchanged. Counts bytes and invalid bytes in `report`.

    Raises NotTextError before the first piece when the stream looks binary.
    """
    first = stream.read(PIECE_BYTES)
    mark, encoding = next(((m, e) for m, e in _MARKS if first.startswith(m)), (b"", "utf-8"))
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == "utf-8" else "replace")
    faults_before = report.invalid_bytes
    piece, checked = first[len(mark) :], False
    report.read_bytes += len(mark)
    while True:
        text = decoder.decode(piece, final=not piece)
        report.read_bytes += len(piece)
        if not checked:
            _refuse_binary(text[:SAMPLE_CHARACTERS], name)
            checked = True
        text, faults = _repair(text, encoding, errors)
        report.invalid_bytes += faults
        if text:
            yield text
        if not piece:
            break
        piece = stream.read(PIECE_BYTES)
    if report.invalid_bytes > faults_before:
        report.invalid_files.note(f"{name} ({report.invalid_bytes - faults_before} bytes)")


def _repair(text: str, encoding: str, errors: EncodingErrors) -> tuple[str, int]:
    """Return the text with invalid bytes replaced or dropped, and their number. In UTF-16 and UTF-32 a U+FFFD of the file counts, too."""
    if encoding != "utf-8":
        return (text.replace("\ufffd", "") if errors == "drop" else text), text.count("\ufffd")
    return _INVALID.subn("\ufffd" if errors == "replace" else "", text)


def _refuse_binary(sample: str, name: str) -> None:
    nuls, unreadable = sample.count("\0"), len(_UNREADABLE.findall(sample))
    if nuls > STRAY_NULS + MAX_NUL_SHARE * len(sample) or unreadable > MAX_UNREADABLE_SHARE * len(sample):
        share = f"{100 * unreadable / len(sample):.0f} % of its first {len(sample)} characters are control characters or not UTF-8"
        fix = "If it is text in another encoding, convert it to UTF-8 first (for example: iconv -f CP1251 -t UTF-8)."
        raise NotTextError(f"{name} looks binary: {share}, {nuls} of them NUL.", fix=fix)


def numbered_lines(pieces: Iterator[str]) -> Iterator[tuple[int, str | None]]:
    """Yield (number from 1, line with its newline as "\\n") for each line; None for one over MAX_LINE_CHARACTERS.

    Lines end at "\\n", "\\r\\n" and "\\r" only: other Unicode separators may occur inside JSON strings.
    """
    translate = io.IncrementalNewlineDecoder(None, translate=True)
    number, left, too_long = 1, "", False
    for piece in pieces:
        *lines, rest = (left + translate.decode(piece)).split("\n")
        for line in lines:
            yield number, None if too_long or len(line) > MAX_LINE_CHARACTERS else line + "\n"
            number, too_long = number + 1, False
        too_long = too_long or len(rest) > MAX_LINE_CHARACTERS
        left = "" if too_long else rest
    left += translate.decode("", final=True).replace("\n", "")
    if left or too_long:
        yield number, None if too_long else left
