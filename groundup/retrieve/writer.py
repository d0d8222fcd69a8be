"""IndexWriter: what is written into an index's file: transactions, files, documents with their
passages and terms.

The terms of a passage are kept without its text ("contentless" in FTS5's words), so to take them
out they are made again, by the same function from the same text; where that function has changed
since (`terms.analysis`), all are made again first.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundup.errors import DiskError, FormatError
from groundup.files import disk_errors, no_room
from groundup.language.terms import analysis, terms_of_each
from groundup.retrieve.database import (
    WORDS,
    begin_change,
    connect,
    create,
    end_change,
    hash_of,
    reading,
    require_index,
    require_undamaged,
)
from groundup.retrieve.passages import PassageSpan

COMMIT_EVERY_S = 2.0
# Passages are written together: one statement a document would cost more than its terms.
WRITTEN_PASSAGES = 500
# SQLite's names of errors of a disk: no space, no permission.
NO_ROOM = (
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_TRUNCATE",
)
NOT_ALLOWED = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR_SHMOPEN")


@dataclass(frozen=True)
class KnownFile:
    """A file of the index."""

    id: int
    source_id: int
    state: str
    """Its size and times when it was read; "": not to be relied on."""
    sha256: str
    fault: str
    """Why it, or a part of it, could not be read."""

    def is_same(self, state: str, sha256: str) -> bool:
        """Whether a file of this state, or else of this hash, is unchanged; "": unknown."""
        return bool(state and state == self.state) or bool(sha256 and sha256 == self.sha256)


@contextmanager
def writing(file: Path) -> Iterator["IndexWriter"]:
    """Open an index's file to write, made if missing.

    Raises DiskError for no space or permission, FormatError for a foreign or damaged file.
    """
    require_undamaged(file.parent)
    try:
        with reading(file):
            with disk_errors(file):
                file.touch()
            database = connect(file, read_only=False)
            try:
                if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                    create(database)
                require_index(database, file)
                database.execute("PRAGMA synchronous = NORMAL")
                yield IndexWriter(database, file.parent)
                database.execute("PRAGMA wal_checkpoint (TRUNCATE)")
            finally:
                database.close()
    except FormatError as error:
        name = getattr(error.__cause__, "sqlite_errorname", "")
        if name in NO_ROOM:
            raise no_room(file) from error
        if name in NOT_ALLOWED:
            fix = "Choose another folder, or change its permissions."
            raise DiskError(f"{file} can't be written: {error.__cause__}.", fix=fix) from error
        raise
    end_change(file.parent)


@dataclass(frozen=True)
class NewDocument:
    """A document to be added to an index."""

    name: str
    address: str
    stem: str
    """Its file's name without the suffix, which counts as a title."""
    language: str
    text: str
    passages: Sequence[PassageSpan]


class _Added(NamedTuple):
    """Documents that are not written yet."""

    documents: list[tuple[Any, ...]]
    passages: list[tuple[Any, ...]]
    words: list[tuple[str, list[tuple[int, str, str]]]]
    """The language of each document, and (id, text, title) of its passages."""


class IndexWriter:
    """The writer of an index; one at a time."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._committed_s = time.monotonic()
        self._next = dict.fromkeys(("document", "passage"), 1)
        self._added = _Added([], [], [])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or on an error what was committed before it."""
        self._begin()
        try:
            yield
            self._commit()
        except BaseException:
            with suppress(sqlite3.Error):  # on some errors SQLite itself has rolled back
                self._database.execute("ROLLBACK")
            raise

    def _begin(self) -> None:
        begin_change(self._folder)
        self._database.execute("BEGIN IMMEDIATE")
        self._added = _Added([], [], [])
        for table in self._next:
            query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
            row = self._database.execute(query, (table,)).fetchone()
            if row and isinstance(row[0], int):  # else SQLite refuses an id that is taken
                self._next[table] = max(self._next[table], row[0] + 1)
        self._committed_s = time.monotonic()

    def commit_now_and_then(self) -> None:
        """Commit inside a transaction, so that little is lost and readers see what there is."""
        if time.monotonic() - self._committed_s > COMMIT_EVERY_S:
            self._commit()
            self._begin()

    def _commit(self) -> None:
        self._write_added()
        self._database.execute("COMMIT")

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Undo what is done inside when it raises, and nothing else of the transaction."""
        self._write_added()
        self._database.execute("SAVEPOINT part")
        try:
            yield
            self._write_added()
        except BaseException:
            self._added = _Added([], [], [])
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK TO part")
            raise
        finally:
            with suppress(sqlite3.Error):
                self._database.execute("RELEASE part")

    def setting(self, name: str) -> Any:
        """Return a JSON value that is kept with the index, or None."""
        row = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row and json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value with the index."""
        self._database.execute(
            "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, json.dumps(value))
        )

    def sources(self) -> list[tuple[str, bool]]:
        """Return (spec, follow_links) of each source."""
        rows = self._database.execute("SELECT spec, follow_links FROM source ORDER BY id")
        return [(spec, bool(follow)) for spec, follow in rows]

    def source_id(self, spec: str, follow_links: bool) -> int:
        """Return the id of a source, which is added if it is new."""
        query = """INSERT INTO source (spec, follow_links) VALUES (?, ?)
            ON CONFLICT (spec) DO UPDATE SET follow_links = excluded.follow_links"""
        self._database.execute(query, (spec, follow_links))
        found = self._database.execute("SELECT id FROM source WHERE spec = ?", (spec,)).fetchone()
        if found is None or not isinstance(found[0], int):
            raise sqlite3.DatabaseError("its list of sources is damaged")
        return found[0]

    def files(self) -> dict[str, KnownFile]:
        """Return the files of the index by their place."""
        rows = self._database.execute("SELECT place, id, source_id, state, sha256, fault FROM file")
        return {place: KnownFile(*values) for place, *values in rows}

    def add_file(self, source_id: int, place: str, state: str, sha256: str, fault: str = "") -> int:
        """Add a file without documents; return its id."""
        query = "INSERT INTO file (source_id, place, state, sha256, fault) VALUES (?, ?, ?, ?, ?)"
        return int(
            self._database.execute(query, (source_id, place, state, sha256, fault)).lastrowid or 0
        )

    def change_file(self, id: int, *, state: str, fault: str) -> None:
        """Set what is known of a file."""
        self._database.execute(
            "UPDATE file SET state = ?, fault = ? WHERE id = ?", (state, fault, id)
        )

    def add_document(self, file_id: int, made: NewDocument) -> None:
        document, first = self._next["document"], self._next["passage"]
        values = (document, file_id, made.name, made.address, made.stem, made.language)
        self._added.documents.append(values)
        rows = [
            (id, document, each.start, each.title, made.text[each.start : each.end])
            for id, each in enumerate(made.passages, first)
        ]
        self._added.passages.extend(rows)
        words = [(id, body, f"{title} {made.stem}") for id, _, _, title, body in rows]
        self._added.words.append((made.language, words))
        self._next = {"document": document + 1, "passage": first + len(rows)}
        if len(self._added.passages) >= WRITTEN_PASSAGES:
            self._write_added()

    def _write_added(self) -> None:
        """Write the documents that were added since the last time."""
        added, self._added = self._added, _Added([], [], [])
        columns = "id, file_id, name, address, stem, language"
        query = f"INSERT INTO document ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
        self._database.executemany(query, added.documents)
        query = "INSERT INTO passage (id, document_id, start, title, text) VALUES (?, ?, ?, ?, ?)"
        self._database.executemany(query, added.passages)
        query = "INSERT INTO passage_hash (id, hash) VALUES (?, ?)"
        self._database.executemany(query, list(self._hashes(added)))
        by_language: dict[str, list[tuple[int, str, str]]] = {}
        for language, rows in added.words:
            by_language.setdefault(language, []).extend(rows)
        for language, rows in by_language.items():
            self._change_words(rows, language, 1)

    def _hashes(self, added: _Added) -> Iterator[tuple[int, bytes]]:
        """Yield (id, hash) of the passages that were added; the hash is of their values of SHOWN."""
        documents = {values[0]: values for values in added.documents}
        files: dict[int, tuple[str, str]] = {}
        for id, document, start, title, text in added.passages:
            _, file_id, name, address, _, language = documents[document]
            if file_id not in files:
                query = "SELECT place, sha256 FROM file WHERE id = ?"
                files[file_id] = self._database.execute(query, (file_id,)).fetchone()
            where = (name, address, *files[file_id], start, language, document)
            yield id, hash_of((id, text, title, *where))

    def remove_file(self, id: int) -> None:
        """Take a file and its documents out."""
        for document, language, rows in self._documents("WHERE file_id = ?", (id,)):
            self._change_words(rows, language, -1)
            passages = "SELECT id FROM passage WHERE document_id = ?"
            query = f"DELETE FROM passage_hash WHERE id IN ({passages})"
            self._database.execute(query, (document,))
            self._database.execute("DELETE FROM passage WHERE document_id = ?", (document,))
        self._database.execute("DELETE FROM document WHERE file_id = ?", (id,))
        self._database.execute("DELETE FROM file WHERE id = ?", (id,))

    def _documents(
        self, where: str, values: Sequence[Any] = ()
    ) -> Iterator[tuple[int, str, list[tuple[int, str, str]]]]:
        """Yield the id and language of each document, and (id, text, title) of its passages."""
        query = f"SELECT id, language, stem FROM document {where}"
        for document, language, stem in self._database.execute(query, values).fetchall():
            found = self._database.execute(
                "SELECT id, text, title FROM passage WHERE document_id = ?", (document,)
            )
            yield document, language, [(id, text, f"{title} {stem}") for id, text, title in found]

    def _change_words(self, rows: Sequence[tuple[int, str, str]], language: str, sign: int) -> None:
        """Add (1) or take out (-1) the terms of passages: (id, text, title)."""
        bodies = terms_of_each([text for _, text, _ in rows], language)
        titles = terms_of_each([title for *_, title in rows], language)
        values = [
            (row[0], " ".join(body), " ".join(title))
            for row, body, title in zip(rows, bodies, titles, strict=True)
        ]
        query = "INSERT INTO words (rowid, text, title) VALUES (?, ?, ?)"
        if sign < 0:
            query = "INSERT INTO words (words, rowid, text, title) VALUES ('delete', ?, ?, ?)"
        self._database.executemany(query, values)
        query = """INSERT INTO language (code, passages, terms) VALUES (?, ?, ?)
            ON CONFLICT (code) DO UPDATE
            SET passages = passages + excluded.passages, terms = terms + excluded.terms"""
        changes = (language, sign * len(rows), sign * sum(map(len, bodies)))
        self._database.execute(query, changes)

    def words_are_current(self) -> bool:
        """Whether the terms of the index are those that this version makes; in an empty index they
        are.
        """
        return self.setting("analysis") in (None, analysis())

    def make_words(self) -> None:
        """Make the terms of all passages again."""
        self._database.execute("DROP TABLE words")
        self._database.execute(WORDS)
        self._database.execute("DELETE FROM language")
        for _, language, rows in self._documents(""):
            self._change_words(rows, language, 1)
