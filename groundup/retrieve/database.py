"""The database of an index: its tables, and how its file is opened, checked and read. (`index.py`
reads it, `writer.py` writes it.)

A foreign file is checked before it is used: SQLite's own checks, the mark of an index, its version.
Reading needs no lock: a reader sees the state of the last commit (write-ahead log). What is quoted
has a hash of its own, in another table than its text.

Manifests have size and SHA-256 of the files, by which damage is found when an index is opened:

    FOLDER/manifest.json            of index.sqlite, evidence.json, calibration.jsonl and
                                    second_reader.json
    FOLDER/vectors/manifest.json    of the vectors
    FOLDER/reader/manifest.json     of the reader that was tuned on its documents

A writer removes the manifest before its first change and writes it anew when it has ended, so that
none ever lies beside other files than its own: without one, a write is going on or was interrupted.
SQLite itself has no checksums, and most single wrong bytes give other results in silence.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from groundup.errors import FormatError, in_command
from groundup.files import MANIFEST, disk_errors, sync_folder, verify_folder, write_manifest
from groundup.locks import is_locked
from groundup.retrieve.index_folders import INDEX_FILE

# What SQLite makes whenever the index is read; folders with manifests of their own, or of
# documents.
NOT_LISTED = (
    f"{INDEX_FILE}-wal",
    f"{INDEX_FILE}-shm",
    "vectors",
    "reader",
    "documents",
    "metadata",
)


def require_undamaged(folder: Path) -> bool:
    """Check the files of an index (or of its vectors) against their manifest; False: there is none.
    Raises FormatError.
    """
    while (manifest := _manifest(folder)) is not None:
        try:
            verify_folder(folder)
            return True
        except FormatError as error:
            if _manifest(folder) != manifest:  # a writer has begun or ended meanwhile
                continue
            index = folder
            if folder.name == "vectors":
                index = folder.parent
            again = f"groundup index DOCS --out {in_command(index)}"
            fix = f"Delete {folder} and make it again: {again}"
            raise FormatError(error.file, error.place, error.reason, fix=fix) from error
    return False


def _manifest(folder: Path) -> bytes | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return (folder / MANIFEST).read_bytes()
    return None


def without_manifest(folder: Path) -> str:
    """Return a note on an index whose last writer did not end; "" while one is at work."""
    if (folder / MANIFEST).exists() or is_locked(folder):
        return ""
    index = folder
    if folder.name == "vectors":
        index = folder.parent
    return (
        f"The last update of {folder} did not end, so damage of it would not be found. "
        f"Finish it: groundup index --out {in_command(index)}"
    )


def begin_change(folder: Path) -> None:
    """Remove the manifest: what it lists is about to change. Raises DiskError."""
    if (folder / MANIFEST).exists():
        with disk_errors(folder):
            (folder / MANIFEST).unlink()
            sync_folder(folder)


def end_change(folder: Path) -> None:
    """Write the manifest; not while SQLite's log has what the file lacks, as where a reader kept
    the writer from moving it. Raises DiskError.
    """
    log = folder / NOT_LISTED[0]
    if not log.exists() or not log.stat().st_size:
        write_manifest(folder, skip=NOT_LISTED)


# "grup", and the version of the tables below and of the vectors.
APPLICATION_ID, VERSION = 0x67727570, 4
BUSY_TIMEOUT_S = 30.0
# Begins the place of a file that lies in the index's own folder (`carried.py`).
BESIDE = "./"
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
    name, named = getattr(error, "sqlite_errorname", ""), in_command(file.parent)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "Another program has locked the file: try again when it is done."
    if name.startswith(("SQLITE_IOERR", "SQLITE_FULL")):
        return (
            "Free some space on its disk, or have the disk checked, and run the same command again."
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return f"Run once, where {file.parent} can be written: groundup index --out {named}"
    return f"Delete {file.parent} and make it again: groundup index DOCS --out {named}"
