"""Decoding of bytes: byte order marks, UTF-8 with invalid bytes counted, UTF-16 and UTF-32 with a
mark, Windows-1252, binary files refused.

The charset is that of the byte order mark; else UTF-8, if the first bytes that are not ASCII hold
at least as many valid sequences as invalid bytes; else Windows-1252 (which includes Latin-1), if
`charset-normalizer` finds such a text plausible. Any other charset must be named: the detector
tells Cyrillic, Greek, Polish and Japanese from Windows-1252, but not Croatian, Hungarian, Romanian
or Turkish in their one-byte charsets.

    "cp1251"                       for files that are not UTF-8: text in another charset is hardly
                                   ever valid UTF-8 by chance
    "cp1251,old/*.txt=koi8-r"      FILE=NAME: those files have this charset, whatever their bytes
                                   are

An invalid byte never affects the rest of the file: Python's "surrogateescape" maps each one to a
code point (U+DC80 to U+DCFF) that no valid UTF-8 decodes to; these are then replaced by U+FFFD or
dropped. A larger share of them than MAX_INVALID_SHARE is an error.
"""

import codecs
import fnmatch
import io
import re
from collections.abc import Iterator
from typing import IO, Literal

from groundup.data.clean import is_plain
from groundup.data.reading.source_report import SourceReport, Tally
from groundup.errors import ConfigError, DataError

CharsetErrors = Literal["replace", "drop"]
AUTO, UTF8, WESTERN = "auto", "utf-8", "cp1252"
# Encodings with units of several bytes, which say nothing of UTF-8.
WIDE = ("utf-16", "utf-32")

PIECE_BYTES = 2**20
# The longest line of a .jsonl or .csv; a longer one counts as bad. 16 Mi characters are some 3,000
# pages.
MAX_LINE_CHARACTERS = 2**24
# Thresholds of binary files: images, archives and programs have NUL bytes, which are rare in texts,
# and 30 to 60 % of control characters and bytes that are not UTF-8.
SAMPLE_CHARACTERS = 2**16
STRAY_NULS, MAX_NUL_SHARE = 4, 0.001
MAX_UNREADABLE_SHARE = 0.1
# The share of control characters above which bytes that are not UTF-8 are binary, not text in
# another charset.
MAX_CONTROL_SHARE = 0.01
# Invalid bytes of one file, relative to its characters; a short file may have a few.
MAX_INVALID_SHARE, FEW_INVALID = 0.01, 3

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_INVALID = re.compile("[\udc80-\udcff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Without the control characters that cleaning reads as Windows-1252.
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x81\x8d\x8f\x90\x9d\udc80-\udcff]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_REPLACED = re.compile("\ufffd")


class NotTextError(DataError):
    """A file whose content is not what its name says; it is skipped with this reason where there
    are others.
    """

    reason = "binary"


def check_charset(charset: str) -> str:
    """Return what was asked with Python's names of charsets of texts: "auto", "utf-8" for "UTF8",
    "*.txt=cp1251". Raises ConfigError.
    """
    return ",".join("=".join(filter(None, part)) for part in _parse(charset))


def _parse(charset: str) -> list[tuple[str, str]]:
    """Return (pattern of files or "" for all, charset) of each part of what was asked.

    Raises ConfigError.
    """
    parts = [part.strip().rpartition("=") for part in charset.split(",")]
    return [(file.strip(), _known_charset(name.strip())) for file, _, name in parts]


def _asked_for(name: str, charset: str) -> tuple[str, bool]:
    """Return the charset asked for a file, "" for "auto", and whether it is forced, being that of
    this file by its name.
    """
    asked = _parse(charset)
    forced = next((each for file, each in asked if file and fnmatch.fnmatchcase(name, file)), "")
    found = forced or next((each for file, each in asked if not file), AUTO)
    if found == AUTO:
        found = ""
    return found, bool(forced)


def _known_charset(charset: str) -> str:
    if charset == AUTO:
        return AUTO
    try:
        "a".encode(charset)  # refuses codecs that are not of texts, such as hex
        return codecs.lookup(charset).name
    except (LookupError, ValueError) as error:
        fix = (
            "Use auto, or a name such as utf-8, cp1252, cp1251, shift_jis, gb18030; "
            "for single files FILE=NAME."
        )
        raise ConfigError(f"The charset {charset!r} is unknown.", fix=fix) from error


def text_pieces(
    stream: IO[bytes], name: str, errors: CharsetErrors, report: SourceReport, charset: str = AUTO
) -> Iterator[str]:
    """Yield the text of a stream in pieces of about 1 MiB, newlines unchanged. Counts bytes,
    invalid bytes and charsets in `report`.

    Raises NotTextError before the first piece when the stream looks binary, DataError when its
    charset must be named or too many bytes are invalid.
    """
    piece = stream.read(PIECE_BYTES)
    asked, is_forced = _asked_for(name, charset)
    mark, chosen = next(((m, e) for m, e in _MARKS if piece.startswith(m)), (b"", ""))
    if not chosen and (is_forced or asked.startswith(WIDE)):
        chosen = asked
    piece, invalid, decoder = piece[len(mark) :], _Invalid(name, errors), _decoder(chosen or asked)
    offset = len(mark)  # bytes of the file before this piece
    while True:
        if not chosen and not piece.isascii():
            more = stream.read(SAMPLE_CHARACTERS)  # so that the choice does not hang on a few bytes
            piece += more
            if asked:
                chosen = _of_named(piece, asked, len(more) < SAMPLE_CHARACTERS)
            else:
                chosen = _detect(piece, name, offset)
            if chosen != asked:
                decoder = _decoder(chosen)
        text = decoder.decode(piece, final=not piece)
        if is_ebcdic(chosen or asked):
            text = text.replace("\x85", "\n")
        if offset == len(mark):
            _refuse_binary(text[:SAMPLE_CHARACTERS], name)
        text = invalid.repair(text, chosen or asked or UTF8, offset)
        offset += len(piece)
        report.read_bytes += len(piece)
        if text:
            yield text
        if not piece:
            break
        piece = stream.read(PIECE_BYTES)
    report.read_bytes += len(mark)
    invalid.close(report)
    used = chosen or asked
    is_passed_over = chosen == UTF8 and bool(asked) and not mark and not asked.startswith(UTF8)
    if used not in ("", UTF8) or is_passed_over:
        report.charsets.setdefault(used, Tally()).note(name)


def _of_named(piece: bytes, asked: str, ends: bool) -> str:
    """Return UTF-8 where the first bytes that are not all ASCII are valid, else the charset that
    was asked. `ends`: the file ends with them.
    """
    if asked.startswith(UTF8):
        return asked
    try:
        codecs.getincrementaldecoder(UTF8)().decode(piece, final=ends)
    except UnicodeDecodeError:
        return asked
    return UTF8


def is_ebcdic(charset: str) -> bool:
    """Return whether it is one of IBM's charsets, whose line end becomes U+0085."""
    return charset.startswith("cp") and b"\x15".decode(charset, "replace") == "\x85"


def _decoder(charset: str) -> codecs.IncrementalDecoder:
    if charset in ("", UTF8):
        return codecs.getincrementaldecoder(UTF8)("surrogateescape")
    return codecs.getincrementaldecoder(charset)("replace")


def _detect(piece: bytes, name: str, offset: int) -> str:
    """Return the charset of the first bytes that are not all ASCII, `offset` bytes into a file.

    Raises DataError if it must be named.
    """
    text = _decoder(UTF8).decode(piece)  # a character that is cut at the end is not an invalid one
    invalid = len(_INVALID.findall(text))
    valid = len(_NOT_ASCII.findall(text)) - invalid
    is_binary = len(_CONTROL.findall(text)) > MAX_CONTROL_SHARE * len(text)
    if invalid <= valid or is_binary:
        return UTF8
    import charset_normalizer

    start = _NOT_ASCII.search(text).start()  # type: ignore[union-attr]
    sample = piece[max(0, start - 200) : start + SAMPLE_CHARACTERS]
    if charset_normalizer.from_bytes(sample, cp_isolation=[WESTERN]).best():
        return WESTERN
    if invalid <= max(FEW_INVALID, MAX_INVALID_SHARE * len(text)):
        return UTF8
    best = charset_normalizer.from_bytes(sample).best()
    guess, option = "", "NAME"
    if best:
        guess, option = f"; it may be {best.encoding}", best.encoding
    raise DataError(
        f"{name} is neither UTF-8 nor Windows-1252 "
        f"(byte {offset + start:,} is the first such one){guess}.",
        fix=f"Name its charset (`charset` {option}), or convert the file to UTF-8.",
    )


class _Invalid:
    """The invalid bytes of one file. In charsets but UTF-8, a U+FFFD of the file counts, too."""

    def __init__(self, name: str, errors: CharsetErrors) -> None:
        self.name, self.replacement = name, {"replace": "\ufffd", "drop": ""}[errors]
        self.count = self.characters = self.first_byte = 0

    def repair(self, text: str, charset: str, offset: int) -> str:
        """Return the text, `offset` bytes from the start of the file, with invalid bytes replaced
        or dropped, and count them.
        """
        self.characters += len(text)
        if text.isascii():
            return text
        bad = _REPLACED
        if charset == UTF8:
            if is_plain(text):
                return text
            bad = _INVALID
        found = bad.search(text)
        if not found:
            return text
        if not self.count:
            before = text[: found.start()].encode(charset, "surrogateescape")
            self.first_byte = offset + len(before)
        text, count = bad.subn(self.replacement, text)
        self.count += count
        return text

    def close(self, report: SourceReport) -> None:
        """Count the file in `report`.

        Raises DataError when more than MAX_INVALID_SHARE was invalid.
        """
        if not self.count:
            return
        report.invalid_bytes += self.count
        report.invalid_files.note(f"{self.name} ({self.count} bytes)")
        if self.count > max(FEW_INVALID, MAX_INVALID_SHARE * self.characters):
            share = self.count / self.characters
            raise DataError(
                f"{self.name}: {self.count:,} of its {self.characters:,} characters "
                f"({100 * share:.1f} %) can't be decoded, the first at byte {self.first_byte:,}.",
                fix=f"At most {100 * MAX_INVALID_SHARE:.0f} % may be invalid: name the file's "
                "charset (`charset` NAME), or correct the file.",
            )


def _refuse_binary(sample: str, name: str) -> None:
    if is_plain(sample):
        return
    nuls, unreadable = sample.count("\0"), len(_UNREADABLE.findall(sample))
    many_nuls = nuls > STRAY_NULS + MAX_NUL_SHARE * len(sample)
    if many_nuls or unreadable > MAX_UNREADABLE_SHARE * len(sample):
        share = unreadable / len(sample)
        raise NotTextError(
            f"{name} looks binary: {100 * share:.0f} % of its first {len(sample)} characters are "
            f"control characters or not UTF-8, {nuls} of them NUL.",
            fix="If it is text in another charset, name it: `charset` NAME.",
        )


def numbered_lines(pieces: Iterator[str]) -> Iterator[tuple[int, str | None, int]]:
    """Yield (number from 1, line with its newline as "\\n", characters without it) for each line;
    None for one over MAX_LINE_CHARACTERS.

    Lines end at "\\n", "\\r\\n" and "\\r" only: other Unicode separators may occur inside JSON
    strings.
    """
    translate = io.IncrementalNewlineDecoder(None, translate=True)
    number, left, passed = 1, "", 0  # passed: characters of a line that is too long to be kept
    for piece in pieces:
        *lines, rest = (left + translate.decode(piece)).split("\n")
        for line in lines:
            yield number, *_whole_line(line + "\n", passed + len(line))
            number, passed = number + 1, 0
        left = rest
        if passed + len(rest) > MAX_LINE_CHARACTERS:
            left, passed = "", passed + len(rest)
    left += translate.decode("", final=True).replace("\n", "")
    if left or passed:
        yield number, *_whole_line(left, passed + len(left))


def _whole_line(line: str, characters: int) -> tuple[str | None, int]:
    """Return a line and its characters; None for one that is too long."""
    if characters > MAX_LINE_CHARACTERS:
        return None, characters
    return line, characters
