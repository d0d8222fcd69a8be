"""world.sqlite: the tables of a pack's world.sql, and beside them what was done (`audit`), mail
drafts (`outbox`) and where conversations stand (`conversations`).

All in one file, so that an effect, its audit line and the state after it are one transaction
(sqlite.org/atomiccommit.html). Lookups and rules run on a connection of their own that can only
read. A writer holds the file alone from before it reads (BEGIN IMMEDIATE): what a rule saw still
holds when the effect is written.
"""

import contextlib
import datetime
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from groundup.actions.definition import ActionSet, SlotValue
from groundup.actions.soundness import faults_beside
from groundup.actions.statements import (
    ERRORS,
    READING,
    Authority,
    WorldTables,
    limit,
    make_tables,
    sql_fault,
)
from groundup.errors import DiskError, FormatError
from groundup.files import disk_errors, make_folder, sync_file, sync_folder
from groundup.locks import temporary_folder
from groundup.operating_system import place_new

WORLD_FILE = "world.sqlite"
# "grua", and the version of our tables.
APPLICATION_ID, VERSION = 0x67727561, 1
BUSY_TIMEOUT_S = 30.0
# What is committed is on the disk before anyone is told (sqlite.org/pragma.html#pragma_synchronous).
SYNCHRONOUS = "FULL"
OUR_TABLES = f"""
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, conversation TEXT NOT NULL,
    customer TEXT, action TEXT NOT NULL, "values" TEXT NOT NULL, effect TEXT NOT NULL,
    result TEXT NOT NULL, reason TEXT NOT NULL, reference TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX audit_of_key ON audit (key);
CREATE INDEX audit_of_reference ON audit (reference);
CREATE UNIQUE INDEX done_once ON audit (key) WHERE result = 'done';
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, recipient TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE conversations (
    key TEXT PRIMARY KEY, conversation TEXT NOT NULL, state TEXT NOT NULL, reply TEXT,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversations_by_time ON conversations (at);
CREATE INDEX conversations_of_id ON conversations (conversation);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
Values = Mapping[str, SlotValue | None]
# That a message may have one of (`Slot.among`).
MAX_NAMES = 1000
# That a person may choose from (`Slot.rows`).
MAX_ROWS = 50


@dataclass(frozen=True)
class AuditLine:
    """What was done, tried or begun."""

    key: str
    """The idempotency key."""
    conversation: str
    customer: str | None
    action: str
    values: dict[str, SlotValue | None]
    effect: str
    """sql, mail, http, python, none (an action that only reads) or undo."""
    result: str
    """done; failed: nothing was changed; pending: begun, its end is another line; unknown: begun,
    and how it ended can't be told.
    """
    reason: str
    reference: str
    at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class OutboxMail:
    """A mail draft."""

    recipient: str
    subject: str
    body: str
    at: str


class WorldReader:
    """Runs lookups and rules on a connection that can only read. Raises FormatError for a statement
    that fails: a rule that can't be checked lets nothing pass.
    """

    def __init__(self, database: sqlite3.Connection, file: Path, parameters: "Parameters") -> None:
        self._database = database
        self._file = file
        self._parameters = parameters
        self._authority = Authority(READING)
        self._instructions = limit(database)
        database.set_authorizer(self._authority)

    def parameters(self, sql: str) -> tuple[str, ...]:
        """Return the names of a query's parameters."""
        return self._parameters[sql]

    def names(self, sql: str, values: Values) -> tuple[str, ...]:
        """Return the first column of a query, at most MAX_NAMES rows of it."""
        rows, _ = self._rows(sql, values, MAX_NAMES)
        return tuple(str(row[0]) for row in rows if row[0])

    def first_row(self, sql: str, values: Values) -> dict[str, SlotValue | None] | None:
        """Return the first row of a query by its columns; None: there is none."""
        rows, names = self._rows(sql, values, 1)
        return dict(zip(names, rows[0], strict=True)) if rows else None

    def rows(self, sql: str, values: Values) -> tuple[tuple[str, ...], ...]:
        """Return the rows of a query as texts, at most MAX_ROWS of them; NULL is ""."""
        rows, _ = self._rows(sql, values, MAX_ROWS)
        return tuple(tuple("" if each is None else str(each) for each in row) for row in rows)

    def is_true(self, sql: str, values: Values) -> bool:
        """Return whether the one value of a query is true: no row, NULL and 0 are not."""
        row = self.first_row(sql, values)
        return row is not None and next(iter(row.values())) not in (None, 0, "")

    def _rows(
        self, sql: str, values: Values, most: int
    ) -> tuple[list[tuple[SlotValue | None, ...]], list[str]]:
        """Return the first rows of a query, and the names of its columns."""
        self._instructions.start()
        self._authority.refused = ""
        try:
            cursor = self._database.execute(sql, dict(values))
            rows = cursor.fetchmany(most)
            names = [each[0] for each in cursor.description or ()]
            cursor.close()
        except ERRORS as error:
            raise FormatError(self._file, sql, sql_fault(error, self._authority)) from error
        return rows, names


Parameters = dict[str, tuple[str, ...]]
"""Those of each query of the actions."""


class World:
    """The file of a world, made where there is none; used by any number of threads and processes.

    Raises ConfigError where world.sql can't be run, FormatError for a file that is no world or whose
    tables do not fit the actions, DiskError.
    """

    def __init__(self, file: Path, actions: ActionSet, today: datetime.date | None = None) -> None:
        self.file = file
        if not file.exists():
            _make(file, actions, today or datetime.date.today())
        self._require_world(actions)

    def _require_world(self, actions: ActionSet) -> None:
        with self.connection(read_only=True) as database:
            mark, version = (
                database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            if (mark, version) != (APPLICATION_ID, VERSION):
                fix = "Move it away: the next start makes a new one."
                raise FormatError(self.file, "SQLite", "is no world of this version", fix=fix)
            for fault in faults_beside(actions, WorldTables(database)):
                fix = "Move the file away, so that world.sql makes it anew, or change its tables."
                raise FormatError(self.file, "tables", f"do not fit: {fault}", fix=fix)
            tables = WorldTables(database)
            self._parameters = {sql: tables.query(sql).parameters for sql in actions.queries}

    @contextlib.contextmanager
    def connection(self, *, read_only: bool) -> Iterator[sqlite3.Connection]:
        """Yield an open connection of this thread; closed afterwards.

        Raises FormatError, DiskError, also for what SQLite says of the file meanwhile.
        """
        with _reading(self.file):
            database = self._opened(read_only=read_only)
            try:
                database.execute("PRAGMA trusted_schema = OFF")
                database.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
                yield database
            finally:
                database.close()

    def _opened(self, *, read_only: bool) -> sqlite3.Connection:
        database = self._open("ro" if read_only else "rw")
        try:
            database.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            database.close()
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            # A process was killed while it wrote: what it began is taken back by who may write.
            with self.connection(read_only=False):
                database = self._open("ro")
        return database

    def _open(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.file.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction that holds the file alone; it is committed at the end,
        and undone by an exception.

        Raises FormatError where another program keeps the file locked, DiskError.
        """
        with self.connection(read_only=False) as database:
            limit(database)
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    @contextlib.contextmanager
    def reader(self) -> Iterator[WorldReader]:
        """Yield what lookups and rules run on."""
        with self.connection(read_only=True) as database:
            yield self.reader_of(database)

    def reader_of(self, database: sqlite3.Connection) -> WorldReader:
        """Return what lookups and rules run on, on an open connection, which can only read from
        then on.
        """
        return WorldReader(database, self.file, self._parameters)

    def audit(self) -> list[AuditLine]:
        """Return all audit lines, the oldest first."""
        names = [each.name for each in fields(AuditLine)]
        columns = ", ".join(f'"{name}"' for name in names)
        with self.connection(read_only=True) as database:
            rows = database.execute(f"SELECT {columns} FROM audit ORDER BY id").fetchall()
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        return [AuditLine(**{**line, "values": json.loads(line["values"])}) for line in lines]

    def outbox(self) -> list[OutboxMail]:
        """Return all mail drafts, the oldest first."""
        names = "recipient, subject, body, at"
        with self.connection(read_only=True) as database:
            rows = database.execute(f"SELECT {names} FROM outbox ORDER BY id").fetchall()
        return [OutboxMail(*row) for row in rows]


def _make(file: Path, actions: ActionSet, today: datetime.date) -> None:
    """Make the file under a temporary name; where two processes do, that of the first one stays."""
    make_folder(file.parent)
    with temporary_folder(file.parent) as folder, disk_errors(file):
        temporary = folder / file.name
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            limit(database)
            make_tables(database, actions.world_sql, today.isoformat())
            database.set_progress_handler(None, 0)
            database.executescript(OUR_TABLES)
        temporary.chmod(0o600)  # people's names and wishes
        sync_file(temporary)
        with contextlib.suppress(FileExistsError):
            place_new(temporary, file)
        sync_folder(file.parent)


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn SQLite's errors of the file into a FormatError or DiskError."""
    with disk_errors(file):
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_FULL"):
                fix = "Free some space and say it again: nothing was done."
                raise DiskError(f"No space left to write {file}.", fix=fix) from error
            fix = "Restore it from a backup, or move it away: the next start makes a new one."
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                fix = "Another program has locked the file: try again when it is done."
            elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                fix = "Let this user write the file and its folder."
            raise FormatError(file, "SQLite", f"can't be used ({error})", fix=fix) from error
