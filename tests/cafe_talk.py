"""A user who talks to an ActionDesk, for tests of actions."""

import datetime
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from groundup.actions.desk import ActionDesk
from groundup.actions.state import ActionTurn

TODAY = datetime.date(2026, 12, 1)
WISH = "I'd like to book a table for two people on 2026-12-04 at 19:00"


class Talker:
    """A user of a desk, who keeps what was said."""

    def __init__(self, desk: ActionDesk, name: str = "talk", customer: str | None = None) -> None:
        self.desk = desk
        self.name = name
        self.customer = customer
        self.said: list[str] = []

    def say(self, *messages: str) -> ActionTurn | None:
        """Say one message after another; return the last reply."""
        for message in messages:
            self.said.append(message)
            turn = self.desk.turn(self.name, self.said, TODAY, self.customer)
        return turn

    def hear(self, *messages: str) -> ActionTurn:
        """`say`, where an action is to answer."""
        turn = self.say(*messages)
        assert turn is not None
        return turn


def rows(desk: ActionDesk, sql: str) -> list[Sequence[object]]:
    """Return rows of a desk's world."""
    with closing(sqlite3.connect(desk.world.file)) as database:
        return database.execute(sql).fetchall()


def outside(cafe: Path, effect: str) -> None:
    """Let the booking be made by another system."""
    file = cafe / "actions.toml"
    text = file.read_text()
    old = 'sql = "INSERT INTO bookings VALUES (:reference, :day, :at, :guests, :holder, :note)"'
    assert old in text
    file.write_text(text.replace(old, effect))
