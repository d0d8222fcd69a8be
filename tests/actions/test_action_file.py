"""actions.toml: what it says is read as it stands, and each mistake in it is said with its place."""

import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from groundup.actions.action_file import ACTIONS_FILE, read_actions
from groundup.actions.definition import Slot
from groundup.actions.soundness import faults
from groundup.actions.templates import fill
from groundup.errors import ConfigError


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_actions_are_read_with_their_slots_in_the_order_asked(cafe: Path) -> None:
    found = read_actions(cafe)
    assert found is not None and list(faults(found)) == []
    book = found.actions[0]
    assert [slot.name for slot in book.slots] == ["guests", "day", "at", "holder", "note"]
    assert (book.effect.kind, book.effect.rows, book.rules[3].ask_again) == ("sql", 1, ("at",))
    assert found.action("send_feedback") is found.actions[2] and found.action("x") is None
    assert read_actions(cafe.parent) is None, "a folder without actions.toml has no actions"


RULE = 'refuse_if = "SELECT :guests > 8"'
DAY = 'say = "{day} is past."'
SQL = 'sql = "DELETE FROM bookings WHERE reference = :booking"'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("least = 1", "leest = 1", "Unknown field 'actions.book_table.slots.guests.leest'.*'least'"),
        ('type = "time"', 'type = "tme"', "slots.at.type .*'date', 'time'"),
        ('type = "time"', 'type = "time"\nmost = 3', "slots.at.most must be a time as HH:MM"),
        ('type = "time"', 'type = "choice"\noptions = ["a", "b"]\ntold = {c = ["x"]}', "slots.at.told must be one of a, b"),
        ("[A-Z]{3}[0-9]{3}", "[A-Z]+", "slots.booking.pattern must be without"),
        ("[A-Z]{3}[0-9]{3}", "(([A-Z]{1,9}){1,9}){9}", "slots.booking.pattern must be without"),
        ("[A-Z]{3}[0-9]{3}", "[A-Z", "slots.booking.pattern is no regular expression"),
        ('example = "KQM274"', 'example = "KQM27"', "slots.booking.example must be a code that fits"),
        ('ask = "At what time?"', "", "slots.at has no question .* nothing can fill it"),
        (RULE, 'refuse_if = "SELECT :gests > 8"', "uses :gests, which nothing gives. Did you mean 'guests'"),
        (RULE, 'refuse_if = "SELECT :reference > 8"', "uses :reference, which is not known there"),
        (RULE, 'refuse_if = "SELECT :guests > 8, 1"', r"rules\[0\].refuse_if gives 2 values"),
        (RULE, 'refuse_if = "SELECT ? > 8"', r"rules\[0\].refuse_if is no valid SQL here"),
        (RULE, 'refuse_if = "SELECT 1; SELECT 2"', r"rules\[0\].refuse_if is no valid SQL here"),
        (RULE, 'refuse_if = "DELETE FROM closed"', r"refuse_if may not use DELETE"),
        (RULE, 'refuse_if = "SELECT 1 FROM tables"', "no such table: tables"),
        (RULE, 'refuse_if = "SELECT random() > 8"', r"may not use random\(\)"),
        (RULE, "refuse_if = \"SELECT date('now')\"", "asks the clock"),
        (RULE, 'refuse_if = "PRAGMA user_version"', "may not use PRAGMA"),
        (RULE, "refuse_if = \"SELECT load_extension('x')\"", r"load_extension"),
        (RULE, RULE + '\ninstead = "cancel_booking"', "say must be given, or instead"),
        (DAY, 'instead = "cancel_bookin"', r"instead names no action: 'cancel_bookin'.*'cancel_booking'"),
        (DAY, 'instead = "book_table"', "instead names 'book_table', which hands over itself"),
        ('document = "bookings.md"\n', "", "quote must be given together with document"),
        ("We are full on {day}", "We are full, {reference}, on {day}", "say names {reference}, which is not known"),
        ('title = "Cancel a booking"', 'title = "Book a table"', "title is 'Book a table' like that of another"),
        ('confirm = "The booking', 'conform = "The booking', "Unknown field.*'confirm'"),
        ('ask_again = ["at"]', 'ask_again = ["holde"]', "ask_again names 'holde'.*Did you mean 'holder'"),
        ('type = "time"', 'type = "date"\nleast = 3', "slots.at.least must be a field of number and money and time"),
        ("I can't find a booking {booking}.", "No {owner}.", "missing names {owner}"),
        (SQL, 'sql = "SELECT 1"', "changes no row"),
        (SQL, 'sql = "DROP TABLE bookings"', "may not use"),
        (SQL, "sql = \"ATTACH '/tmp/x.sqlite' AS x\"", "may not use ATTACH"),
        (SQL, 'sql = "COMMIT"', "may not use BEGIN, COMMIT or ROLLBACK"),
        (SQL, 'sql = "DELETE FROM audit"', "no such table: audit"),
        (SQL, SQL + '\npython = "a:b"', "effect.effect must be one of sql, mail, http, mcp and python"),
        (SQL, 'python = "os.system"', "python must be MODULE:FUNCTION"),
        (SQL, 'http = {url = "ftp://x"}', "url must be an address that begins with https"),
        (SQL, 'http = {url = "https://x", method = "GET"}', "method must be one of POST"),
        (SQL, "rows = 1", "effect must be one of sql"),
        ("[, with the note: {note}]", "", r"confirm does not show 'note', which the effect writes: add \[... {note}\]"),
        ("[, with the note: {note}]", " {note}", "names {note}, which may have no value"),
        ("for {guests} on {day} at {at} is", "for {guests", "done has a '{' without its partner"),
        ('to = "manager@cafe.example"', 'to = "{words}"', "to names the slot 'words': a user would choose"),
        ("AS owner", "AS today", "gives 'today', which is known already"),
        ("AS owner", "AS 'the owner'", "gives 'the owner', expected a name"),
        ("slots.guests]", "slots.today]", "slots.today has a name that is known without it"),
        ("slots.guests]", "slots.Guests]", "must be of lower-case letters"),
        ('title = "Book a table"', 'name = "x"', "Unknown field 'actions.book_table.name'"),
        ('title = "Book a table"', "", "actions.book_table.title"),
        ("[actions.book_table]", "[action.book_table]", "Unknown table 'action'"),
    ],
)  # fmt: skip
def test_each_mistake_is_said_with_its_place(cafe: Path, old: str, new: str, says: str) -> None:
    replace(cafe / ACTIONS_FILE, old, new)
    with pytest.raises(ConfigError, match=says) as caught:
        read_actions(cafe)
    assert str(cafe / ACTIONS_FILE) in caught.value.message and caught.value.fix


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ATTACH '/tmp/x.sqlite' AS x;", "may not use ATTACH"),
        ("PRAGMA writable_schema = ON;", "may not use PRAGMA"),
        ("VACUUM INTO '/tmp/x.sqlite';", "VACUUM|ATTACH"),
        ("CREATE TABLE audit (key);", "may not use the table 'audit'"),
        ("CREATE TABLE x (a;", "is no valid SQL"),
        ("INSERT INTO closed VALUES (hex(zeroblob(1000000)));", "too big"),
        (
            "INSERT INTO closed WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
            " SELECT count(*) FROM r;",
            "takes too long",
        ),
    ],
)
def test_a_world_that_does_more_than_make_its_tables_is_refused(
    cafe: Path, line: str, says: str
) -> None:
    with (cafe / "world.sql").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ConfigError, match=f"world.sql .*({says})|world.sql ({says})"):
        read_actions(cafe)


def test_only_values_in_their_form_and_bounds_are_accepted() -> None:
    number = Slot("guests", "number", least=1, most=8)
    code = Slot("code", "code", pattern="[A-Z]{3}", example="ABC")
    meal = Slot("meal", "choice", options={"lunch": (), "dinner": ("supper",)})
    accepted: list[tuple[Slot, list[object], list[object]]] = [
        (number, [1, 8, 2.5], [0, 9, "2", True, float("nan"), float("inf"), None]),
        (Slot("amount", "number", least=0), [0, 5], [-1, -0.01]),
        (Slot("debt", "number", most=0), [0, -5], [1]),
        (Slot("day", "date"), ["2026-12-04"], ["2026-13-04", "20261204", "Friday", 4, ""]),
        (Slot("at", "time"), ["19:00", "00:00"], ["25:00", "19", "19:00:00", 19]),
        (Slot("at", "time", least="12:00", most="21:30"), ["12:00", "21:30"], ["11:59", "21:31"]),
        (code, ["ABC"], ["ABCD", "abc", ""]),
        (meal, ["lunch"], ["supper", "Lunch"]),
        (Slot("holder", "name"), ["O'Brien {reference}"], ["", "a\nb", "x" * 81, "a\x00"]),
    ]
    for slot, right, wrong in accepted:
        assert [value for value in right if not slot.accepts(value)] == []
        assert [value for value in wrong if slot.accepts(value)] == []


def test_a_value_that_looks_like_a_template_stays_text() -> None:
    assert fill("For {holder}[, {note}][ at {at}].", {"holder": "{at} [x]", "at": "7"}) == (
        "For {at} [x] at 7."
    )


def paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield where each value of nested tables and lists stands."""
    if isinstance(value, dict | list):
        places = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in places:
            yield (name,)
            yield from ((name, *rest) for rest in paths(inner))


def test_a_value_of_a_wrong_kind_anywhere_is_a_config_error(cafe: Path) -> None:
    file = cafe / ACTIONS_FILE
    text = file.read_text()
    wrong = itertools.cycle([3, "x", [], {}, True, 1.5, ["x"], [{}], "{", "[x]", [[1]]])
    places = list(paths(tomllib.loads(text)))
    assert len(places) > 140
    refused = 0
    for place, value in itertools.islice(zip(places * 11, wrong, strict=False), 0, None, 31):
        table = tomllib.loads(text)
        inner = table
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        file.write_text(tomli_w.dumps(table))
        try:
            read_actions(cafe)
        except ConfigError as error:
            assert str(file) in error.message
            refused += 1
    assert refused > 20
