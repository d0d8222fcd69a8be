"""SQL of a pack, which anyone may have written: what it may do, and what is wrong with it.

A statement is prepared by SQLite itself against the tables of world.sql, so nothing here parses SQL.
An authorizer allows reading, or changing rows of the world's own tables, and nothing else: no
ATTACH, PRAGMA, transactions, extensions, nor functions whose result differs each time
(sqlite.org/c3ref/set_authorizer.html, sqlite.org/security.html). Work and sizes are bounded.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from groundup.errors import ConfigError

WORLD_SQL = "world.sql"
# Of worlds that are made for a check only.
SOME_DAY = "2026-12-01"
# The tables of world.sqlite that are no pack's (`world.py`).
OWN_TABLES = ("audit", "conversations", "outbox")
MAX_VALUE_BYTES = 2**20
MAX_STATEMENT_CHARACTERS = 20_000
# Instructions of SQLite's virtual machine, of one statement: about a tenth of a second.
MAX_INSTRUCTIONS, INSTRUCTIONS_A_CALL = 5_000_000, 10_000
# Two runs of one conversation would differ; `load_extension` runs code.
REFUSED_FUNCTIONS = frozenset(
    {
        *("random", "randomblob", "load_extension", "fts3_tokenizer", "sqlite_offset"),
        *("current_date", "current_time", "current_timestamp"),
    }
)
_NOW = re.compile(r"['\"]now['\"]", re.IGNORECASE)
# What SQLite says of SQL that is wrong, and of more than one statement.
ERRORS = (sqlite3.Error, sqlite3.Warning)

READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
CHANGING = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
MAKING = frozenset(
    {
        *(sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW),
        *(sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_TRANSACTION),
    }
)
_NAMES = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "BEGIN, COMMIT or ROLLBACK",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


@dataclass
class Authority:
    """What the statements of a connection may do, and what was refused last.

    `sqlite3_set_authorizer` calls it for each access while a statement is prepared.
    """

    allowed: frozenset[int]
    refused: str = ""
    used: set[int] = field(default_factory=set)
    """The accesses of all statements so far."""

    def __call__(
        self, access: int, first: str | None, second: str | None, base: str | None, via: str | None
    ) -> int:
        """Return SQLITE_OK or SQLITE_DENY."""
        self.used.add(access)
        if access == sqlite3.SQLITE_FUNCTION:
            if (second or "").lower() in REFUSED_FUNCTIONS:
                return self._deny(f"{second}()")
            return sqlite3.SQLITE_OK
        is_own = (first or "").lower() in OWN_TABLES
        if access in self.allowed and not is_own:
            return sqlite3.SQLITE_OK
        if is_own:
            return self._deny(f"the table '{first}'")
        return self._deny(_NAMES.get(access, f"access {access} of SQLite"))

    def _deny(self, what: str) -> int:
        self.refused = what
        return sqlite3.SQLITE_DENY


class Instructions:
    """Ends a statement after MAX_INSTRUCTIONS; `start` before each."""

    def __init__(self) -> None:
        self.calls = 0

    def start(self) -> None:
        """Begin to count."""
        self.calls = 0

    def __call__(self) -> bool:
        """Count a call of SQLite; true ends the statement."""
        self.calls += 1
        return self.calls * INSTRUCTIONS_A_CALL > MAX_INSTRUCTIONS


def limit(database: sqlite3.Connection) -> Instructions:
    """Bound sizes and work of all statements of a connection."""
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_VALUE_BYTES)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    instructions = Instructions()
    database.set_progress_handler(instructions, INSTRUCTIONS_A_CALL)
    return instructions


class _Parameters(dict[str, Any]):
    """Gives NULL for each parameter that SQLite asks for, and keeps their names."""

    def __missing__(self, name: str) -> None:
        self[name] = None


@dataclass(frozen=True)
class CheckedStatement:
    """What a statement needs and gives."""

    parameters: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Of a query; () for a change."""
    fault: str = ""
    """Why it can't be used; "" where it can."""


class WorldTables:
    """Checks statements against the tables of a database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._instructions = limit(database)

    def query(self, sql: str) -> CheckedStatement:
        """Return what is to be known of a query: it is run once, each parameter NULL."""
        return self._checked(sql, "", Authority(READING))

    def change(self, sql: str) -> CheckedStatement:
        """Return what is to be known of a statement that changes rows; it is prepared only."""
        authority = Authority(READING | CHANGING)
        found = self._checked(sql, "EXPLAIN ", authority)
        if found.fault or authority.used & CHANGING:
            return replace(found, columns=())
        return replace(found, fault="changes no row: expected INSERT, UPDATE or DELETE")

    def _checked(self, sql: str, prefix: str, authority: Authority) -> CheckedStatement:
        if len(sql) > MAX_STATEMENT_CHARACTERS:
            return CheckedStatement(fault=f"is over {MAX_STATEMENT_CHARACTERS} characters")
        if _NOW.search(sql):
            return CheckedStatement(fault="asks the clock ('now'): use :today and :now")
        parameters = _Parameters()
        self._database.set_authorizer(authority)
        self._instructions.start()
        try:
            found = self._database.execute(prefix + sql, parameters)
            columns = [each[0] for each in found.description or ()]
            found.close()
        except ERRORS as error:
            return CheckedStatement(fault=sql_fault(error, authority))
        return CheckedStatement(tuple(parameters), tuple(columns))


@contextlib.contextmanager
def tables_in_memory(world_sql: str) -> Iterator[WorldTables]:
    """Yield the tables of a world.sql, for checks. Raises ConfigError where it can't be run."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        limit(database)
        make_tables(database, world_sql)
        yield WorldTables(database)


def make_tables(database: sqlite3.Connection, world_sql: str, today: str = SOME_DAY) -> None:
    """Run a world.sql, in which the function `today()` gives a date, so that what it begins with
    need not grow old.

    Raises ConfigError where it does more than make and fill tables.
    """
    database.create_function("today", 0, lambda: today, deterministic=True)
    authority = Authority(READING | CHANGING | MAKING)
    database.set_authorizer(authority)
    try:
        database.executescript(world_sql)
        if database.in_transaction:
            database.commit()
    except (*ERRORS, ValueError) as error:  # ValueError: a null character
        fix = "It may create tables, indexes and views, and insert rows."
        raise ConfigError(f"{WORLD_SQL}: {sql_fault(error, authority)}.", fix=fix) from error
    finally:
        database.set_authorizer(None)
        database.create_function("today", 0, None)


def sql_fault(error: Exception, authority: Authority) -> str:
    """Return what is wrong with a statement in words."""
    if authority.refused:
        return f"may not use {authority.refused}"
    if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return "takes too long"
    return f"is no valid SQL here ({error})"
