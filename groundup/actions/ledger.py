"""The audit: a line for each thing that was done, tried or begun, by its idempotency key.

Rows and drafts are written together with their line, in one transaction; a database index lets one
line of a key be "done". A request or function outside has a line "pending", committed before the
call, and a second one after it. Where the process ended in between, only the first is there: then
it is unknown what happened, and nothing is done by itself.
"""

import datetime
import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from groundup.actions.definition import REFERENCE, SlotValue
from groundup.actions.effects import EffectFault, change_rows, draft_mail
from groundup.actions.state import EffectOutcome, Performance

# Without those that are read for another: I, O, 0, 1. The second one is a digit, so that a reference
# is no word.
LETTERS, DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"
REFERENCE_FORM = (LETTERS, DIGITS, *(LETTERS + DIGITS,) * 4)


@dataclass(frozen=True)
class Party:
    """Whose action it is, and when."""

    conversation: str
    customer: str | None
    at: datetime.datetime
    """UTC."""


def last_line(
    database: sqlite3.Connection, key: str
) -> tuple[EffectOutcome, datetime.datetime] | None:
    """Return how the action of a key stands, and since when; None: it was never begun. The result
    of one that was begun only is "pending".
    """
    sql = "SELECT result, reference, reason, at FROM audit WHERE key = ? ORDER BY id DESC LIMIT 1"
    row = database.execute(sql, (key,)).fetchone()
    if row is None:
        return None
    return EffectOutcome(*row[:3]), datetime.datetime.fromisoformat(row[3])


def done_reference(database: sqlite3.Connection, key: str) -> tuple[str, datetime.datetime] | None:
    """Return the reference of what was done with a key, and when; None: nothing was."""
    sql = "SELECT reference, at FROM audit WHERE key = ? AND result = 'done'"
    row = database.execute(sql, (key,)).fetchone()
    return row and (row[0], datetime.datetime.fromisoformat(row[1]))


def write_line(
    database: sqlite3.Connection, what: Performance, party: Party, outcome: EffectOutcome
) -> None:
    """Add a line to the audit."""
    values = json.dumps(what.values, ensure_ascii=False)
    database.execute(
        'INSERT INTO audit (key, conversation, customer, action, "values", effect, result, reason,'
        " reference, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(what.key, party.conversation, party.customer, what.action.name, values, what.kind),
            *(outcome.result, outcome.reason, outcome.reference, party.at.isoformat()),
        ),
    )


def perform(
    database: sqlite3.Connection, what: Performance, said: Mapping[str, str], party: Party
) -> EffectOutcome:
    """Write rows and drafts with their line, within an open transaction; where one statement fails,
    nothing of it but the line that says so.
    """
    reference = reference_of(database, what)
    outcome = EffectOutcome("done", reference)
    database.execute("SAVEPOINT effect")
    try:
        _change(database, what, {**said, REFERENCE: reference}, reference, party)
        write_line(database, what, party, outcome)
    except EffectFault as error:
        database.execute("ROLLBACK TO effect")
        outcome = EffectOutcome("failed", reference, str(error))
        write_line(database, what, party, outcome)
    database.execute("RELEASE effect")
    return outcome


def _change(
    database: sqlite3.Connection,
    what: Performance,
    said: Mapping[str, str],
    reference: str,
    party: Party,
) -> None:
    change = what.action.undo if what.undo else what.action.effect
    if change is None:
        return
    values: dict[str, SlotValue | None] = {**what.values, REFERENCE: reference}
    change_rows(database, change.sql, change.rows, values)
    if not what.undo and what.action.effect is not None:
        draft_mail(database, what.action.effect, what.key, said, party.at.isoformat())


def reference_of(database: sqlite3.Connection, what: Performance) -> str:
    """Return the reference of what is done: that of an earlier line of its key or of what is
    undone, else one that no other key has.
    """
    if what.undo:
        return str(what.values[REFERENCE])
    sql = "SELECT reference FROM audit WHERE key = ?"
    row = database.execute(sql, (what.key,)).fetchone()
    if row is not None:
        return str(row[0])
    for attempt in range(1000):
        reference = _reference(f"{what.key}{attempt or ''}")
        taken = "SELECT 1 FROM audit WHERE reference = ? LIMIT 1"
        if database.execute(taken, (reference,)).fetchone() is None:
            return reference
    raise AssertionError("a thousand references are taken")


def _reference(key: str) -> str:
    """Six letters and digits of a key's SHA-256.

    >>> _reference("a")
    'L5YB27'
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest())
    found = ""
    for form in REFERENCE_FORM:
        number, place = divmod(number, len(form))
        found += form[place]
    return found
