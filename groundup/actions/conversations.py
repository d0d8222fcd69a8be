"""Where conversations stand, in the world's file: a state and a reply for each sequence of a user's
messages.

A conversation is known by its id, who is signed in, the client, and the user's messages, of which a
hash is kept (a chain, one link a message): another client or customer with the same id has another
conversation, and can neither go on with this one nor remove it. So the same messages again, from a retry or another window, find the
reply that was given; a conversation goes on from its longest part that is known.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.actions.definition import ActionSet
from groundup.actions.own_words import quoted_lines, signature_lines
from groundup.actions.replies import unsigned_yes
from groundup.actions.state import ActionState, ActionTurn

KEPT_S = 30 * 24 * 3600
# Of conversations without an id: two people may say the same.
KEPT_WITHOUT_ID_S = 3600
MAX_MESSAGE_CHARACTERS = 8000
# States of all conversations, some 5 kB each on the disk; beyond, the oldest go.
MAX_STATES = 100_000
# That a message removes at most: its transaction stays short.
REMOVED_AT_ONCE = 100


@dataclass(frozen=True)
class Talk:
    """A conversation up to a message of its user."""

    conversation: str
    """Its id; "": none is known."""
    keys: tuple[str, ...]
    """A hash for each number of messages, none first."""
    message: str
    """The last one."""

    @property
    def owned_id(self) -> str:
        """The id as it is kept: a hash with its client and customer; "" without an id."""
        return self.keys[0] if self.conversation else ""

    @property
    def key(self) -> str:
        """The hash of all of it."""
        return self.keys[-1]


def talk_of(
    conversation: str, customer: str | None, client: str, user_turns: Sequence[str]
) -> Talk:
    """Return a conversation by its messages, each in one line, without characters that are not
    seen; quoted lines of the last one in quotation marks, commas in its signature, a yes
    without it.
    """
    turns = [plain_line(each[:MAX_MESSAGE_CHARACTERS]) for each in user_turns]
    keys = [_hash(json.dumps([conversation, customer, client]))]
    for turn in turns:
        keys.append(_hash(json.dumps([keys[-1], turn])))
    last = unsigned_yes("".join(user_turns[-1:])[:MAX_MESSAGE_CHARACTERS])
    return Talk(conversation, tuple(keys), plain_line(signature_lines(quoted_lines(last))))


def plain_line(text: str) -> str:
    """Return a text in one line, without characters that are not seen.

    >>> plain_line("two  lines\n and\u202e")
    'two lines and'
    """
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class KnownTalk:
    """What is known of a conversation."""

    state: ActionState
    """After its longest known part."""
    turns: int
    """The number of messages of that part."""
    replied: bool
    """Whether the last message was given to the desk before."""
    reply: ActionTurn | None
    """What was replied to the last message then."""


def find(database: sqlite3.Connection, talk: Talk, actions: ActionSet, now_s: float) -> KnownTalk:
    """Return what is known of a conversation."""
    rows = _rows(database, talk, now_s)
    for turns in range(len(talk.keys) - 1, -1, -1):
        row = rows.get(talk.keys[turns])
        if row is None:
            continue
        reply = None
        replied = turns == len(talk.keys) - 1
        if replied and row[1] is not None:
            reply = ActionTurn.from_json(row[1], actions)
        return KnownTalk(ActionState.from_json(row[0]), turns, replied, reply)
    return KnownTalk(ActionState(), 0, False, None)


def handled(database: sqlite3.Connection, talk: Talk, now_s: float) -> list[bool]:
    """Return of each message whether an action took it, and not only an offer below an answer."""
    rows = _rows(database, talk, now_s)
    replies = [rows[key][1] if key in rows else None for key in talk.keys[1:]]
    return [each is not None and not json.loads(each).get("is_unsure") for each in replies]


def _rows(
    database: sqlite3.Connection, talk: Talk, now_s: float
) -> dict[str, tuple[str, str | None]]:
    marks = ", ".join("?" * len(talk.keys))
    found = database.execute(
        f"SELECT key, state, reply FROM conversations WHERE at > ? AND key IN ({marks})",
        (now_s - _kept_s(talk.conversation), *talk.keys),
    )
    return {key: (state, reply) for key, state, reply in found}


def _kept_s(conversation: str) -> int:
    return KEPT_S if conversation else KEPT_WITHOUT_ID_S


def store(
    database: sqlite3.Connection,
    talk: Talk,
    state: ActionState,
    reply: ActionTurn | None,
    now_s: float,
) -> None:
    """Keep a state and a reply, and remove old ones, and the oldest beyond MAX_STATES."""
    beyond = "SELECT at FROM conversations ORDER BY at DESC LIMIT 1 OFFSET ?"
    row = database.execute(beyond, (MAX_STATES - 1,)).fetchone()
    before = max(now_s - KEPT_S, row[0] if row else 0.0)
    for more, at in (("", before), (" AND conversation = ''", now_s - KEPT_WITHOUT_ID_S)):
        old = f"SELECT key FROM conversations WHERE at <= ?{more} ORDER BY at LIMIT ?"
        sql = f"DELETE FROM conversations WHERE key IN ({old})"
        database.execute(sql, (at, REMOVED_AT_ONCE))
    database.execute(
        "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?)",
        (talk.key, talk.owned_id, state.to_json(), reply and reply.to_json(), now_s),
    )
