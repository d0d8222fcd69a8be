"""The bookings of two small firms (a dental clinic, a chimney sweep), written apart from the code of
actions. The sweep's documents and questions are in benchmarks/held_out/sweep.
"""

import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import groundup.actions.world
from groundup.actions.amounts import with_amounts
from groundup.actions.desk import ActionDesk

HERE = Path(__file__).parent
FIRMS = {"clinic": HERE.parent / "retrieve" / "small_firm", "sweep": HERE / "sweep"}
BOOKINGS = [
    pytest.param(folder, script, id=f"{name} {script['kind']}")
    for name, folder in FIRMS.items()
    for script in map(json.loads, (folder / "bookings.jsonl").read_text().splitlines())
]


@pytest.mark.parametrize(("firm", "script"), BOOKINGS)
def test_a_booking_ends_as_it_should(
    firm: Path, script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groundup.actions.world, "SYNCHRONOUS", "OFF")
    day = datetime.date.fromisoformat(script["today"])
    desk = ActionDesk(firm, world=tmp_path / "world.sqlite", today=day)
    turns, replies = script["turns"], []
    for said in range(1, len(turns) + 1):
        turn = desk.turn(script["id"], turns[:said], today=day)
        replies.append(turn.text if turn else "")
    text = with_amounts("\n".join(replies)).lower()
    assert all(with_amounts(each).lower() in text for each in script["must"])
    assert not any(each.lower() in text for each in script["must_not"])
    with sqlite3.connect(tmp_path / "world.sqlite") as world:
        for query in script["world"]:
            assert [list(row) for row in world.execute(query["sql"])] == query["rows"]
