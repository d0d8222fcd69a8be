"""The bookings of a small firm of its own, written apart from its actions' code and documents."""

import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import groundup.actions.world
from groundup.actions.desk import ActionDesk

CLINIC = Path(__file__).parents[1] / "retrieve" / "small_firm"
BOOKINGS = [json.loads(line) for line in (CLINIC / "bookings.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("script", BOOKINGS, ids=lambda script: script["kind"])
def test_a_booking_at_the_clinic_ends_as_it_should(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groundup.actions.world, "SYNCHRONOUS", "OFF")
    day = datetime.date.fromisoformat(script["today"])
    desk = ActionDesk(CLINIC, world=tmp_path / "world.sqlite", today=day)
    turns, replies = script["turns"], []
    for said in range(1, len(turns) + 1):
        turn = desk.turn(script["id"], turns[:said], today=day)
        replies.append(turn.text if turn else "")
    text = "\n".join(replies).lower()
    assert all(each.lower() in text for each in script["must"])
    assert not any(each.lower() in text for each in script["must_not"])
    with sqlite3.connect(tmp_path / "world.sqlite") as world:
        for query in script["world"]:
            assert [list(row) for row in world.execute(query["sql"])] == query["rows"]
