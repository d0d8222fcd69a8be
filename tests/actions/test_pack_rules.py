"""Each rule of the packaged packs' actions at its border: refused on one side, not on the other."""

import sqlite3
import tomllib
from functools import cache
from typing import Any

import pytest

from groundup.packs.pack import packaged_packs

TODAY, NOW = "2026-12-01", "12:00"
SOON = {"day": "2026-12-01", "departs": "13:30"}
FLIGHT = {"day": "2026-12-11", "departs": "12:30"}
PAID = {"kind": "card payment", "state": "paid", "reason": "wrong amount", "last_day": TODAY}
HELD, CASH = {**PAID, "state": "held"}, {**PAID, "kind": "cash withdrawal"}
LIMIT = {"account": "Everyday Account", "which": "cash machine", "limit": 300.0, "most": 300}
YOUNG = {**LIMIT, "account": "Young Account", "most": 100}
TAP = {**LIMIT, "which": "contactless", "most": 100}
VISIT = {"subject": "a loan", "branch": "Hethersby", "date": "2026-12-09", "time": "15:45"}
VISIT |= {"opens": "09:30", "closes": "16:30"}
NAME = {"passenger": "Jonah Pellow", "right_name": "Johan Pelow"}
DOG = {"help": "a place for an assistance dog", "fare_group": "mainland", "dogs": 1}
DOG |= {"is_promised": 1}
SEAT = {"fare_group": "mainland", "seat": "18D", "baby": 0, "has_dog": 0}
LATE = {"day": "2026-11-17", "minutes_late": 180, "cause": "a technical fault"}
ITEM = {"item": "golf bag", "fare_group": "island", "day": "2026-12-02", "departs": "12:00"}

# pack, action, values that no rule of the action refuses, and for each rule (by the beginning of its
# sentence of the document) changes with which it is the first that refuses.
BORDERS: tuple[tuple[str, str, dict[str, Any], dict[str, dict[str, Any]]], ...] = (
    (
        "airline",
        "change_date",
        {**FLIGHT, "fare": "Plus", "date": "2026-12-24", "last_day": "2026-12-24"},
        {
            "Change the flight in My Trip": SOON,
            "There are no flights": {"date": "2026-12-25", "last_day": "2027-01-01"},
            "The new flight must leave": {"last_day": "2026-12-23"},
        },
    ),
    ("airline", "change_date", {**SOON, "fare": "Flex", "date": "2026-12-02", "last_day": "9"}, {}),
    (
        "airline",
        "cancel_booking",
        {**SOON, "sold_by": "us"},
        {
            "We cannot refund": {"departs": "11:59"},
            "If you booked through a travel agent": {"sold_by": "agent"},
            "After that a seat not used": {"sold_by": "groups desk"},
        },
    ),
    (
        "airline",
        "add_baggage",
        {"day": TODAY, "departs": "14:00", "people": 1, "hold_bags": 1, "number": 3},
        {"A bag of up to 20 kg": {"departs": "13:59"}, "You can take at most": {"number": 4}},
    ),
    (
        "airline",
        "rebook",
        {
            "moves_free": 1,
            "state": "weather notice",
            "date": "2026-12-14",
            "last_day": "2026-12-14",
        },
        {
            "When we change the time": {"moves_free": 0},
            "Anybody booked on a flight": {"date": "2026-12-15"},
            "There are no flights": {"date": "2026-12-25", "last_day": "2026-12-26"},
        },
    ),
    (
        "airline",
        "request_assistance",
        DOG,
        {"There is room for 2": {"dogs": 2}, "So tell the Assistance Desk": {"is_promised": 0}},
    ),
    (
        "airline",
        "request_assistance",
        {**DOG, "help": "a wheelchair", "dogs": 2, "is_promised": 0},
        {},
    ),
    ("airline", "request_assistance", {**DOG, "dogs": 0}, {"There is room": {"dogs": 2}}),
    ("airline", "correct_name", NAME, {"Up to 3 letters": {"right_name": "Noah Pelo"}}),
    ("airline", "correct_name", {**NAME, "right_name": "jonah pellow"}, {}),
    (
        "airline",
        "choose_seat",
        SEAT,
        {
            "On Island Link flights": {"fare_group": "island"},
            "The larger aircraft has 68 seats": {"seat": "19A"},
            "Passengers there must be": {"seat": "1A", "baby": 1},
            "Pets in the cabin": {"seat": "1A", "has_dog": 1},
        },
    ),
    ("airline", "choose_seat", {**SEAT, "seat": "1A"}, {"The larger aircraft": {"seat": "13B"}}),
    (
        "airline",
        "add_sports_item",
        ITEM,
        {
            "Electric bicycles": {"item": "electric bicycle", "fare_group": "mainland"},
            "Bicycles and surfboards": {"item": "surfboard"},
            "Add the item in My Trip": {"departs": "11:59"},
        },
    ),
    (
        "airline",
        "claim_compensation",
        LATE,
        {
            "Claims under the law": {"day": "2020-11-30"},
            "You may claim £220": {"minutes_late": 179},
            "There is no compensation": {"cause": "fog"},
        },
    ),
    (
        "bank",
        "freeze_card",
        {"state": "active", "customer": "C1002"},
        {
            "We ask you 3 questions": {"customer": "C9"},
            "cancel the card": {"state": "cancelled"},
            "A frozen card": {"state": "frozen"},
        },
    ),
    (
        "bank",
        "unfreeze_card",
        {"state": "frozen"},
        {"cancel the card": {"state": "cancelled"}, "The balance": {"state": "active"}},
    ),
    ("bank", "report_lost_card", {"state": "frozen"}, {"cancel the card": {"state": "cancelled"}}),
    (
        "bank",
        "order_replacement",
        {"is_ordered": 0, "address_check": 0, "reason": "damaged"},
        {
            "send a new card": {"is_ordered": 1},
            "In the first days": {"address_check": 1},
            "If one of our own machines": {"reason": "kept by a machine of Brackenmere Bank"},
            "After a marriage": {"reason": "a change of name"},
            "Report it in the app": {"reason": "lost or stolen"},
        },
    ),
    (
        "bank",
        "dispute_payment",
        PAID,
        {
            "If you don't recognise": {"reason": "payment not recognised"},
            "Cash withdrawals": CASH,
            "We cannot remove it": HELD,
            "We reply within": {"state": "disputed"},
            "The deadline is 120 days": {"last_day": "2026-11-30"},
            "We cannot dispute": {"reason": "cheaper elsewhere"},
            "Nor can we decide": {"reason": "quality of a service"},
        },
    ),
    ("bank", "change_limit", LIMIT, {"You can lower": {"limit": 300.01}}),
    (
        "bank",
        "change_limit",
        {**YOUNG, "limit": 100.0},
        {"The limits of a Young": {"limit": 110.0}},
    ),
    (
        "bank",
        "change_limit",
        {**TAP, "limit": 100.0},
        {"The limit is £100": {"limit": 110.0}, "In the app you can": {"limit": 55.0}},
    ),
    (
        "bank",
        "change_limit",
        {**LIMIT, "which": "card spending", "most": 5000, "limit": 5000.0},
        {"To pay once": {"limit": 5001.0}},
    ),
    ("bank", "change_address", {"role": "holder"}, {"They can't borrow": {"role": "helper"}}),
    (
        "bank",
        "book_appointment",
        VISIT,
        {
            "For everything else": {"subject": "something else"},
            "All branches are closed": {"date": "2026-12-13"},
            "An appointment lasts": {"date": "2026-12-23"},
            "Our branch at 41": {"branch": "Tarrowby", "date": "2027-03-02", "today": "2027-02-20"},
        },
    ),
    ("bank", "book_appointment", VISIT, {"An appointment lasts": {"time": "15:46"}}),
    ("bank", "book_appointment", VISIT, {"An appointment lasts": {"time": "09:29"}}),
    ("bank", "book_appointment", {**VISIT, "date": "2026-12-22"}, {}),
    ("bank", "cancel_direct_debit", {"due": "2026-12-02"}, {"To cancel": {"due": "2026-12-01"}}),
    # due on a Monday: the working day before is Friday
    (
        "bank",
        "cancel_direct_debit",
        {"due": "2026-12-07", "today": "2026-12-04"},
        {"To cancel": {"today": "2026-12-05"}},
    ),
)


@cache
def world(pack: str) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.create_function("today", 0, lambda: TODAY)
    database.executescript((packaged_packs()[pack] / "world.sql").read_text())
    return database


@cache
def rules(pack: str, action: str) -> list[dict[str, Any]]:
    actions = tomllib.loads((packaged_packs()[pack] / "actions.toml").read_text())["actions"]
    return actions[action].get("rules", [])


def refusing(pack: str, action: str, values: dict[str, Any]) -> list[str]:
    """Return the quotes of the rules that refuse."""
    known = {"today": TODAY, "now": NOW, "customer": None, **values}
    found = []
    for rule in rules(pack, action):
        if world(pack).execute(rule["refuse_if"], known).fetchone()[0]:
            found.append(rule["quote"])
    return found


@pytest.mark.parametrize(("pack", "action", "values", "changes"), BORDERS)
def test_a_rule_refuses_on_one_side_of_its_border_only(
    pack: str, action: str, values: dict[str, Any], changes: dict[str, dict[str, Any]]
) -> None:
    assert refusing(pack, action, values) == []
    for quote, change in changes.items():
        found, *_ = refusing(pack, action, {**values, **change})
        assert found.startswith(quote)


def test_each_rule_of_airline_and_bank_has_its_border_tested() -> None:
    tested = {(pack, action, q) for pack, action, _, changes in BORDERS for q in changes}
    signed_in = "We ask you 3 questions"  # the same rule in each action
    for pack in ("airline", "bank"):
        actions = tomllib.loads((packaged_packs()[pack] / "actions.toml").read_text())["actions"]
        for name, action in actions.items():
            for rule in action.get("rules", []):
                quotes = [q for p, a, q in tested if (p, a) == (pack, name)]
                known = [*quotes, signed_in]
                assert any(rule["quote"].startswith(q) for q in known), (name, rule["quote"])


@pytest.mark.parametrize("day", [f"2027-02-{day:02d}" for day in range(1, 8)])
def test_every_booking_has_its_flight_whatever_day_the_airline_s_world_is_made(day: str) -> None:
    database = sqlite3.connect(":memory:")
    database.create_function("today", 0, lambda: day)
    database.executescript((packaged_packs()["airline"] / "world.sql").read_text())
    lost = "SELECT booking FROM bookings WHERE booking NOT IN (SELECT booking FROM journeys)"
    assert database.execute(lost).fetchall() == []
    states = dict(database.execute("SELECT state, count(*) FROM journeys GROUP BY state"))
    assert states["cancelled"] == 1 and states["moved"] == 2 and states["weather notice"] == 1
