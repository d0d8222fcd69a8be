"""The database of an index: its tables, and how its file is opened, checked and read. (`index.py`
reads it, `writer.py` writes it.)

A foreign file is checked before it is used: SQLite's own checks, the mark of an index, its version.
Reading needs no lock: a reader sees the state of the last commit (write-ahead log). What is quoted
has a hash of its own, in another table than its text.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundup.errors import FormatError

# "grup", and the version of the tables below and of the vectors.
APPLICATION_ID, VERSION = 0x67727570, 4
BUSY_TIMEOUT_S = 30.0
# SQLite's names of errors of a reader that can't make the files of the log.
NO_LOG = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR_SHM")

TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE source (
    id INTEGER PRIMARY KEY, spec TEXT NOT NULL UNIQUE, follow_links INTEGER NOT NULL
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, place TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL, sha256 TEXT NOT NULL, fault TEXT NOT NULL
);
CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file_id INTEGER NOT NULL, name TEXT NOT NULL,
    address TEXT NOT NULL, stem TEXT NOT NULL, language TEXT NOT NULL
);
CREATE INDEX document_of_file ON document (file_id);
CREATE TABLE passage (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document_id INTEGER NOT NULL, start INTEGER NOT NULL,
    title TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX passage_of_document ON passage (document_id);
CREATE TABLE passage_hash (id INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE language (
    code TEXT PRIMARY KEY, passages INTEGER NOT NULL, terms INTEGER NOT NULL
) WITHOUT ROWID;
"""
# Terms with spaces between are its words; "+" and "#" are of C++ and C#.
WORDS = """CREATE VIRTUAL TABLE words
    USING fts5 (text, title, content='', tokenize="ascii tokenchars '+#'")"""
# What is shown of a passage: all that its hash is of.
SHOWN = """passage.id, passage.text, passage.title, document.name, document.address,
    file.place, file.sha256, passage.start, document.language, document.id"""
SHOWN_FROM = """FROM passage JOIN document ON document.id = passage.document_id
    JOIN file ON file.id = document.file_id"""
VOCABULARY = "CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row)"


def connect(file: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the file.

    A reader shares the writer's log; where it can't (no permission, no room) and the log is empty,
    it does without.
    """
    mode = "rw"
    if read_only:
        mode = "ro"
    database = _open(file, mode)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        log = file.with_name(f"{file.name}-wal")
        has_log = log.exists() and log.stat().st_size > 0
        database.close()
        if not read_only or has_log or not error.sqlite_errorname.startswith(NO_LOG):
            raise
        database = _open(file, "ro&immutable=1")
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cache_size = -65536")  # 64 MB
    return database


def _open(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=256,
    )


def create(database: sqlite3.Connection) -> None:
    """Make the tables of an empty file."""
    database.execute("PRAGMA journal_mode = WAL")
    marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
    database.executescript(f"BEGIN IMMEDIATE; {TABLES} {WORDS}; {VOCABULARY}; {marks} COMMIT;")


def hash_of(shown: Sequence[Any]) -> bytes:
    """Return the hash of a passage, given its values of SHOWN: 16 bytes of a SHA-256."""
    return hashlib.sha256(ascii(tuple(shown)).encode()).digest()[:16]


def require_index(database: sqlite3.Connection, file: Path) -> None:
    """Raise FormatError unless the file is an index of this version."""
    mark, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    if mark != APPLICATION_ID:
        raise FormatError(file, "application_id", "is not that of an index of groundup")
    if version != VERSION:
        raise FormatError(
            file,
            "user_version",
            f"is {version}, this version of groundup reads {VERSION}",
            fix="Make the index again with this version: groundup index DOCS --out NEW.",
        )


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn SQLite's errors about a damaged or foreign file into a FormatError; its message may have
    bytes of the file that are no UTF-8.
    """
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        raise FormatError(
            file, "SQLite", f"can't be read ({error})", fix=_fix(file, error)
        ) from error


def _fix(file: Path, error: Exception) -> str:
    """Return what helps: a file that can't be opened may have a log that only a writer of the
    folder can use.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "Another program has locked the file: try again when it is done."
    if name.startswith(("SQLITE_IOERR", "SQLITE_FULL")):
        return (
            "Free some space on its disk, or have the disk checked, and run the same command again."
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return f"Run once, where {file.parent} can be written: groundup index --out {file.parent}"
    return f"Delete {file.parent} and make it again: groundup index DOCS --out {file.parent}"
