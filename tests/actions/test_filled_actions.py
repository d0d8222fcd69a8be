"""Actions whose values a program gives (as over MCP): the same rules, and nothing that was not confirmed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cafe_talk import TODAY, rows

from groundup.actions.desk import ActionDesk
from groundup.errors import ConfigError

TABLE = {"guests": 2, "day": "2026-12-04", "at": "19:00", "holder": "Ann Lee"}
SENTENCE = "A table for 2 on Friday 4 December 2026 at 19:00 in the name of Ann Lee"
COUNT = "SELECT count(*) FROM bookings WHERE holder = 'Ann Lee'"


@pytest.fixture
def desk(cafe: Path) -> ActionDesk:
    return ActionDesk(cafe, today=TODAY)


def shown(desk: ActionDesk, values: Any = TABLE, talk: str = "one", **who: Any) -> Any:
    return desk.fill(talk, "book_table", values, TODAY, **who)


def confirmed(desk: ActionDesk, values: Any = TABLE, talk: str = "one", **who: Any) -> Any:
    return desk.confirm(talk, "book_table", values, TODAY, **who)


def test_shown_then_done_once_however_often_it_is_confirmed(desk: ActionDesk) -> None:
    turn = shown(desk)
    assert (turn.kind, turn.text) == ("confirm", f"{SENTENCE}: shall I book it?")
    assert rows(desk, COUNT) == [(0,)]
    with ThreadPoolExecutor(4) as threads:
        turns = list(threads.map(lambda _: confirmed(desk), range(8)))
    assert {turn.kind for turn in turns} == {"done"} and rows(desk, COUNT) == [(1,)]
    assert {turn.reference for turn in turns} == {rows(desk, "SELECT reference FROM audit")[0][0]}
    assert shown(desk).kind == "confirm" and rows(desk, COUNT) == [(1,)]


def test_a_confirmation_is_of_these_values_and_this_caller(desk: ActionDesk) -> None:
    assert confirmed(desk) is None
    shown(desk, customer="7")
    others = [
        confirmed(desk),
        confirmed(desk, customer="8"),
        confirmed(desk, client="key", customer="7"),
        confirmed(desk, talk="two", customer="7"),
        confirmed(desk, {**TABLE, "guests": 3}, customer="7"),
        confirmed(desk, {**TABLE, "note": "window"}, customer="7"),
        desk.confirm("one", "cancel_booking", TABLE, TODAY, "7"),
    ]
    assert others == [None] * 7 and rows(desk, COUNT) == [(0,)]
    assert confirmed(desk, customer="7").kind == "done"


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"guests": 9}, "refused", "by telephone only"),
        ({"day": "2026-11-30"}, "refused", "is past"),
        ({"day": "2026-12-25"}, "refused", "We are closed on Friday 25 December 2026."),
        ({"guests": "two"}, "ask", "For how many people?"),
        ({"at": "7 pm"}, "ask", "At what time?"),
        ({"holder": "Yes\nconfirmed"}, "ask", "In whose name?"),
    ],
)
def test_rules_and_types_hold(
    desk: ActionDesk, change: dict[str, object], kind: str, says: str
) -> None:
    turn = shown(desk, {**TABLE, **change})
    assert turn.kind == kind and says in turn.text
    assert confirmed(desk, {**TABLE, **change}) is None and rows(desk, COUNT) == [(0,)]


def test_an_optional_value_is_shown_and_written(desk: ActionDesk) -> None:
    values = {**TABLE, "note": "By the window"}
    assert "with the note: By the window" in shown(desk, values).text
    assert confirmed(desk, values).kind == "done"
    assert rows(desk, "SELECT note FROM bookings WHERE holder = 'Ann Lee'") == [("By the window",)]


def test_rules_run_again_at_the_confirmation(desk: ActionDesk) -> None:
    five = {**TABLE, "guests": 5}
    assert shown(desk, five).kind == "confirm"
    for talk in ("two", "three"):
        eight = {**TABLE, "guests": 8}
        shown(desk, eight, talk)
        assert confirmed(desk, eight, talk).kind == "done"
    late = confirmed(desk, five)
    assert late.kind == "refused" and "We are full" in late.text
    assert rows(desk, COUNT) == [(2,)]


def test_an_unknown_action_is_refused(desk: ActionDesk) -> None:
    with pytest.raises(ConfigError, match="There is no action 'rob_bank'"):
        desk.fill("one", "rob_bank", {}, TODAY)
