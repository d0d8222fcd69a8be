"""Values that are chosen from rows of the world, and those that stand beside certain words."""

from datetime import date
from pathlib import Path

import pytest
from cafe_talk import Talker, rows

from groundup.actions.action_file import parse_actions
from groundup.actions.definition import Slot
from groundup.actions.desk import ActionDesk
from groundup.actions.message_form import message_form
from groundup.actions.rows import listed, meant_row
from groundup.actions.soundness import faults
from groundup.actions.values import read_values
from groundup.errors import ConfigError

TODAY = date(2026, 12, 1)
ACTIONS = """
[actions.cancel_trip]
title = "Cancel a trip"
examples = ["Cancel my trip", "Please cancel my trip to Oslo", "I want to cancel a trip", "cancel trip AB12", "Drop my trip, please"]
not_examples = ["What does a trip cost?", "How late may I cancel?", "Where do trips begin?"]
confirm = "Trip {trip}: shall I cancel it?"
done = "Trip {trip} is cancelled."
[actions.cancel_trip.slots.member]
type = "code"
pattern = "M[0-9]{3}"
example = "M001"
ask = "Your number?"
[actions.cancel_trip.slots.trip]
type = "code"
pattern = "[A-Z]{2}[0-9]{2}"
example = "AB12"
ask = "Which trip?"
rows = "SELECT id, start || ' to ' || goal, day FROM trips WHERE member = :member ORDER BY id"
[actions.cancel_trip.effect]
sql = "DELETE FROM trips WHERE id = :trip AND member = :member"
"""
WORLD = """
CREATE TABLE trips (id TEXT, member TEXT, start TEXT, goal TEXT, day TEXT);
INSERT INTO trips VALUES ('AB12', 'M001', 'Bern', 'Oslo', '4 May'), ('CD34', 'M001', 'Oslo', 'Bern', '9 May'),
    ('EF56', 'M001', 'Bern', 'Rome', '4 May'), ('GH78', 'M002', 'Rome', 'Oslo', '4 May');
"""
LEFT = "SELECT id FROM trips ORDER BY id"
ROWS = (("AB12", "Bern to Oslo", "4 May"), ("CD34", "Oslo to Bern", "9 May"))


@pytest.fixture
def firm(tmp_path: Path) -> Path:
    (tmp_path / "actions.toml").write_text(ACTIONS.replace("{member}", ""), "utf-8")
    (tmp_path / "world.sql").write_text(WORLD, "utf-8")
    return tmp_path


@pytest.fixture
def desk(firm: Path) -> ActionDesk:
    text = (firm / "actions.toml").read_text("utf-8")
    text = text.replace('confirm = "Trip {trip}', 'confirm = "{member}, trip {trip}')
    (firm / "actions.toml").write_text(text, "utf-8")
    return ActionDesk(firm, today=TODAY)


def test_the_question_lists_the_rows_and_a_reply_may_describe_one(desk: ActionDesk) -> None:
    talker = Talker(desk)
    asked = talker.hear("I want to cancel a trip", "M001")
    shown = "AB12 (Bern to Oslo, 4 May), CD34 (Oslo to Bern, 9 May), EF56 (Bern to Rome, 4 May)"
    assert asked.text == f"Which trip? {shown}."
    assert talker.hear("I don't know the number, the one from Oslo to Bern").text == (
        "M001, trip CD34: shall I cancel it?"
    )
    talker.hear("yes")
    assert list(rows(desk, LEFT)) == [("AB12",), ("EF56",), ("GH78",)]


def test_the_only_row_is_taken_unasked_and_a_word_that_all_rows_have_chooses_none(
    desk: ActionDesk,
) -> None:
    assert Talker(desk).hear("Cancel my trip", "M002").kind == "confirm"
    other = Talker(desk, "other")
    assert other.hear("I want to cancel a trip", "M001").kind == "ask"
    assert other.say("in May") is None


def test_what_the_first_message_described_is_not_asked_again(desk: ActionDesk) -> None:
    talker = Talker(desk)
    confirmed = talker.hear("Please cancel my trip from Oslo to Bern", "M001")
    assert confirmed.text == "M001, trip CD34: shall I cancel it?"


def test_of_several_codes_in_a_reply_the_first_is_done_and_the_next_shown(
    desk: ActionDesk,
) -> None:
    talker = Talker(desk)
    shown = talker.hear("I want to cancel a trip", "M001", "AB12 and EF56", "yes")
    assert shown.kind == "confirm" and "EF56: shall I cancel it?" in shown.text
    assert talker.hear("yes").kind == "done"
    assert list(rows(desk, LEFT)) == [("CD34",), ("GH78",)]


def test_a_row_is_meant_by_its_words_its_neighbours_and_with_a_slip() -> None:
    assert listed(ROWS) == "AB12 (Bern to Oslo, 4 May), CD34 (Oslo to Bern, 9 May)"
    assert meant_row(ROWS, "from Bern to Oslo") == "AB12"
    assert meant_row(ROWS, "the one on the 9th, 9 May") == "CD34"
    assert meant_row(ROWS, "my most recent one") == "AB12"
    assert meant_row(ROWS, "I don't know") is None
    assert meant_row(ROWS, "it was $9") is None
    methods = [("g1", "gift card, the original one"), ("c1", "credit card ending in 7334")]
    assert meant_row(methods, "back to the orignal payment") == "g1"
    assert meant_row(methods, "on 7334, please") == "c1"
    assert meant_row(methods, "7334", least=2) is None


def test_a_time_counts_where_it_stands_beside_the_words_of_its_slot() -> None:
    after = Slot(
        "after", "time", optional=True, behind=("after", "not before"), followed_by=("or later",)
    )
    before = Slot("before", "time", optional=True, behind=("before", "until"))
    for message, expected in (
        ("after 8 am and before 9 pm", {"after": "08:00", "before": "21:00"}),
        ("not before 11am", {"after": "11:00"}),
        ("11am EST or later", {"after": "11:00"}),
        ("at 10 am", {}),
    ):
        read = read_values((after, before), message, TODAY)
        assert {name: each.value for name, each in read.items()} == expected


def test_cities_and_names_are_told_apart_by_the_words_before_them() -> None:
    cities = {"BOS": ("Boston",), "MIA": ("Miami",)}
    origin = Slot("origin", "choice", ask="From?", options=cities, behind=("from",))
    goal = Slot("goal", "choice", ask="To?", options=cities, behind=("to",))
    read = read_values((origin, goal), "a flight to Miami from Boston", TODAY)
    assert (read["origin"].value, read["goal"].value) == ("BOS", "MIA")
    assert read_values((origin, goal), "Boston", TODAY, goal)["goal"].value == "BOS"
    day, back = (
        Slot("day", "date", ask="When?"),
        Slot("back", "date", optional=True, behind=("back",)),
    )
    read = read_values((day, back), "on 3 May, back 9 May", TODAY)
    assert (read["day"].value, read["back"].value) == ("2027-05-03", "2027-05-09")
    name = Slot("name", "name", ask="Who?", behind=("becomes",))
    assert read_values((name,), "Ann Lee becomes Ann Hay", TODAY)["name"].value == "Ann Hay"


def test_no_bags_are_zero_and_what_is_a_condition_is_no_value() -> None:
    bags = Slot("bags", "number", ask="How many?", least=0)
    assert read_values((bags,), "No bags.", TODAY, bags)["bags"].value == 0
    cabin = Slot("cabin", "choice", ask="Which?", options={"basic": (), "economy": (), "club": ()})
    said = "Economy, if it is basic now"
    assert read_values((cabin,), said, TODAY, cabin)["cabin"].value == "economy"
    assert read_values((cabin,), "club, economy or not", TODAY, cabin)["cabin"].value == "club"
    assert message_form("If it can't be changed, then cancel it.") == "request"
    assert message_form("If I cancel, do I get my money back?") == "question"


def test_rows_over_what_nothing_gives_are_refused(firm: Path) -> None:
    text = (firm / "actions.toml").read_text("utf-8").replace("= :member ORDER", "= :who ORDER")
    (firm / "actions.toml").write_text(text, "utf-8")
    found = parse_actions(firm)
    assert found is not None
    assert any("slots.trip.rows uses :who" in str(fault) for fault in faults(found))
    with pytest.raises(ConfigError, match="rows is given for a slot of type date|rows"):
        Slot("day", "date", ask="When?", rows="SELECT 1")


def test_a_rule_that_asks_for_one_of_one_row_takes_it(firm: Path) -> None:
    text = (firm / "actions.toml").read_text("utf-8")
    text = text.replace('ask = "Which trip?"', 'ask = "Which trip?"\noptional = true')
    text = text.replace('"Trip {trip}', '"{member}[, trip {trip}]', 1).replace(
        '"Trip {trip} is', '"Trip [{trip}] is'
    )
    rule = (
        'refuse_if = "SELECT :trip IS NULL"\nsay = "Which one?"\nends = false\nask_again = ["trip"]'
    )
    (firm / "actions.toml").write_text(f"{text}\n[[actions.cancel_trip.rules]]\n{rule}\n", "utf-8")
    talker = Talker(ActionDesk(firm, today=TODAY))
    assert talker.hear("Cancel my trip", "M002").text == "M002, trip GH78: shall I cancel it?"
    other = Talker(ActionDesk(firm, today=TODAY), "other")
    assert other.hear("Cancel my trip", "M001").text.startswith("Which one? AB12 (Bern to Oslo")


def test_a_reply_that_names_no_row_is_about_what_was_done_last(firm: Path) -> None:
    more = """
[actions.add_bag]
title = "Add a bag"
examples = ["Add a bag to my trip", "One more bag please", "I'd like to bring a bag", "Put a bag on it", "please add a bag"]
not_examples = ["What does a bag cost?", "How heavy may a bag be?", "My bag is lost."]
confirm = "{member}, trip {trip}: shall I add a bag?"
done = "Trip {trip} has a bag more."
"""
    text = (firm / "actions.toml").read_text("utf-8")
    text = text.replace('"Trip {trip}:', '"{member}, trip {trip}:').replace(
        "DELETE FROM trips", "UPDATE trips SET day = '' "
    )
    slots = text[text.index("[actions.cancel_trip.slots.member]") :].replace(
        "cancel_trip", "add_bag"
    )
    (firm / "actions.toml").write_text(text + more + slots, "utf-8")
    talker = Talker(ActionDesk(firm, today=TODAY))
    talker.hear("Please cancel my trip from Oslo to Bern", "M001", "yes")
    asked = talker.hear("Please add a bag", "M001")
    assert asked.text.startswith("Which trip?")
    assert talker.hear("I don't know the number").text == "M001, trip CD34: shall I add a bag?"
