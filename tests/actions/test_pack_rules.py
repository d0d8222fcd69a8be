"""Each rule of the packaged packs' actions at its border: refused on one side, not on the other."""

import datetime
import sqlite3
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from groundup.actions.action_file import read_actions
from groundup.actions.definition import Action, ActionSet
from groundup.actions.desk import ActionDesk
from groundup.actions.statements import WorldTables, make_tables
from groundup.packs.pack import packaged_packs

TODAY, NOW = "2026-12-01", "12:00"
BORDERS = tomllib.loads((Path(__file__).parent / "rule_borders.toml").read_text(encoding="utf-8"))
CASES = [
    (pack, action, case)
    for pack, actions in BORDERS.items()
    for action, cases in actions.items()
    for case in cases
]
# The same rule in each action of a pack: nobody is signed in.
SIGNED_IN = ("We ask you 3 questions", "Each parent has a login of their own")


@cache
def actions_of(pack: str) -> ActionSet:
    found = read_actions(packaged_packs()[pack])
    assert found is not None
    return found


@cache
def world(pack: str) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    make_tables(database, actions_of(pack).world_sql, TODAY)
    return database


@cache
def parameters(pack: str, sql: str) -> tuple[str, ...]:
    return WorldTables(world(pack)).query(sql).parameters


def found_of(pack: str, action: Action, values: dict[str, Any]) -> dict[str, Any]:
    """Return values with what the lookups find for them."""
    known = {"today": TODAY, "now": NOW, "customer": actions_of(pack).trial_customer or None}
    known |= dict.fromkeys(slot.name for slot in action.slots if slot.optional) | values
    for lookup in action.lookups:
        if set(parameters(pack, lookup.sql)) <= known.keys():
            query = world(pack).execute(lookup.sql, known)
            columns = [each[0] for each in query.description]
            known = {**dict(zip(columns, query.fetchone() or (), strict=False)), **known}
    return known


def refusing(pack: str, name: str, values: dict[str, Any]) -> list[str]:
    """Return the quotes of the rules that refuse, of those without one what they say or what goes on instead."""
    action = actions_of(pack).action(name)
    assert action is not None
    known = found_of(pack, action, values)
    return [
        rule.quote or rule.say or rule.instead
        for rule in action.rules
        if set(parameters(pack, rule.refuse_if)) <= known.keys()
        and world(pack).execute(rule.refuse_if, known).fetchone()[0]
    ]


@pytest.mark.parametrize(("pack", "action", "case"), CASES)
def test_a_rule_refuses_on_one_side_of_its_border_only(
    pack: str, action: str, case: dict[str, Any]
) -> None:
    for allowed in ({}, *case.get("allowed", ())):
        assert refusing(pack, action, {**case["values"], **allowed}) == [], allowed
    for beginning, change in case.get("refused", ()):
        found = refusing(pack, action, {**case["values"], **change})
        assert found and found[0].startswith(beginning), (beginning, change, found)


@pytest.mark.parametrize("pack", BORDERS)
def test_each_rule_of_a_pack_has_its_border_tested(pack: str) -> None:
    for action in actions_of(pack).actions:
        cases = BORDERS[pack].get(action.name, [])
        tested = [beginning for case in cases for beginning, _ in case.get("refused", ())]
        for rule in action.rules:
            said = rule.quote or rule.say or rule.instead
            assert said.startswith((*tested, *SIGNED_IN)), (action.name, said)


@pytest.mark.parametrize("day", [f"2027-02-{day:02d}" for day in range(1, 8)])
def test_every_booking_has_its_flight_whatever_day_the_airline_s_world_is_made(day: str) -> None:
    database = sqlite3.connect(":memory:")
    database.create_function("today", 0, lambda: day)
    database.executescript((packaged_packs()["airline"] / "world.sql").read_text())
    lost = "SELECT booking FROM bookings WHERE booking NOT IN (SELECT booking FROM journeys)"
    assert database.execute(lost).fetchall() == []
    states = dict(database.execute("SELECT state, count(*) FROM journeys GROUP BY state"))
    assert states["cancelled"] == 1 and states["moved"] == 2 and states["weather notice"] == 1


@pytest.mark.parametrize(
    ("pack", "message", "for_all"),
    [("bank", "Please freeze my card 4471", False), ("school", "Report an absence", False),
     ("bank", "I'd like to book an appointment", True)],
)  # fmt: skip
def test_what_is_a_customers_own_needs_one_who_is_signed_in_or_the_trial_customer(
    pack: str, message: str, for_all: bool, tmp_path: Path
) -> None:
    day = datetime.date.fromisoformat(TODAY)
    desk = ActionDesk(packaged_packs()[pack], world=tmp_path / "w.sqlite", today=day)
    nobody = desk.turn("nobody", [message], day)
    assert nobody is not None and (nobody.kind != "refused") == for_all, nobody
    assert for_all or (nobody.rule and nobody.rule.quote.startswith(SIGNED_IN))
    signed_in = desk.turn("signed in", [message], day, customer=desk.actions.trial_customer)
    desk.trial_customer = desk.actions.trial_customer
    tried = desk.turn("tried", [message], day)
    assert tried is not None and signed_in is not None
    assert tried.text == signed_in.text and tried.kind != "refused"


@pytest.mark.parametrize("wish", ["Please cancel A9FUL9", "Move my booking A9FUL9 to 18:30"])
def test_who_has_a_reference_alone_changes_no_booking_of_the_restaurant(
    wish: str, tmp_path: Path
) -> None:
    day = datetime.date.fromisoformat(TODAY)
    desk = ActionDesk(packaged_packs()["restaurant"], world=tmp_path / "w.sqlite", today=day)
    for number, name in enumerate(("Hollis", "Lena", "%", "Whit", "yes", "A9FUL9")):
        said = [wish, f"the name is {name}"]
        for heard in (said[:1], said):
            turn = desk.turn(f"stranger-{number}", heard, day)
            assert turn is None or (turn.kind == "ask" and "7" not in turn.text), turn
    said = [wish, "it's WHITCOMBE"]
    desk.turn("guest", said[:1], day)
    turn = desk.turn("guest", said, day)
    assert turn is not None and turn.kind == "confirm"
    assert desk.world.audit() == []
