"""Values that a message gives in several ways: corrected, preferred, settled by the world."""

import datetime

import pytest

from groundup.actions.definition import Slot
from groundup.actions.desk import ActionDesk
from groundup.actions.replies import agrees
from groundup.actions.values import read_values, unclear_values
from groundup.packs.pack import packaged_packs

TODAY = datetime.date(2026, 12, 8)
DAY = Slot("day", "date", ask="When?")
NAME = Slot("name", "name", ask="Who?")
PHONE = Slot("phone", "code", ask="?", pattern=r"0\d{4} ?\d{3} ?\d{3}", example="01632 960417")
ITEM = Slot("item", "text", ask="What?", behind=("left", "lost"))


def read(message: str, *slots: Slot) -> dict[str, object]:
    assert unclear_values(slots, message, TODAY) == {}
    return {name: each.value for name, each in read_values(slots, message, TODAY).items()}


@pytest.mark.parametrize(
    ("message", "day"),
    [
        ("It was Friday. No, that's too soon, make it Sunday", "2026-12-13"),
        ("My Friday flight is off. Sunday would do just as well", "2026-12-13"),
        ("Not the 21st: the 23rd would be fine, in the afternoon", "2026-12-23"),
        ("We can't come on Saturday, Sunday works", "2026-12-13"),
    ],
)
def test_the_day_that_is_wished_is_meant(message: str, day: str) -> None:
    assert read(message, DAY) == {"day": day}


def test_a_name_that_is_called_so_goes_before_others() -> None:
    message = "Mr Tibbs knew us well. My name is Arthur Penhaligon, please"
    assert read(message, NAME) == {"name": "Arthur Penhaligon"}


def test_a_name_behind_a_month_is_read() -> None:
    found = read("14 of us on 21 january. sasha brightwell, 01632 960585", DAY, NAME, PHONE)
    assert found["name"] == "Sasha Brightwell" and found["day"] == "2027-01-21"


def test_a_name_behind_a_question_with_its_code_is_read() -> None:
    code = Slot("booking", "code", ask="?", pattern="[A-Z]{6}", example="HQWKTR")
    assert read("could I have a seat on PLMNVS? Okafor", code, NAME)["name"] == "Okafor"


@pytest.mark.parametrize(
    ("message", "item"),
    [
        ("I left my umbrella with you on Sunday", "my umbrella"),
        ("my son lost a blue coat, can you look", "a blue coat"),
        ("we left at nine and lost nothing", None),
        ("did you find a wallet? I lost mine", None),
    ],
)
def test_a_text_stands_behind_words_that_its_slot_names(message: str, item: str | None) -> None:
    assert read(message, DAY, ITEM).get("item") == item


@pytest.mark.parametrize(
    ("pack", "messages", "shown"),
    [
        ("airline", ["Cancel a booking", "RKDWXM, the name is Pellow. Regards, Walter Pryce"], "RKDWXM"),
        ("restaurant", ["A table for two on Monday or Wednesday at 7 pm, Ann Hay, 01632 960431"],
         "Wednesday 9 December"),
    ],
)  # fmt: skip
def test_of_several_values_the_one_that_is_possible_is_shown(
    pack: str, messages: list[str], shown: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = tmp_path_factory.mktemp("world") / "w.sqlite"
    desk = ActionDesk(packaged_packs()[pack], world=world, today=TODAY)
    turn = [desk.turn("a", messages[: n + 1], TODAY) for n in range(len(messages))][-1]
    assert turn is not None and turn.kind == "confirm" and shown in turn.text


def test_listed_options_are_wishes_one_after_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = tmp_path_factory.mktemp("world") / "w.sqlite"
    desk = ActionDesk(packaged_packs()["restaurant"], world=world, today=TODAY)
    order = "I'd like two chickpea curries and a portion of chips to take away on Saturday at 6 pm"
    said = [f"{order}, Ann Hay, 01632 960431", "yes", "yes"]
    first, second, _ = (desk.turn("a", said[: n + 1], TODAY) for n in range(len(said)))
    assert first is not None and "2 x chickpea curry" in first.text
    assert second is not None and "1 x portion of chips" in second.text
    assert [line.result for line in desk.world.audit()] == ["done", "done"]
    said[-1] = "no thanks"
    refused = [desk.turn("b", said[: n + 1], TODAY) for n in range(len(said))][-1]
    assert refused is not None and refused.text == "All right, it stays as it is."


@pytest.mark.parametrize(
    ("reply", "is_yes"),
    [
        ("Oh well, it can't be helped. Yes, change it.", True),
        ("Yes!! And God help you if that one doesn't go either.", True),
        ("Yes, if that's all right with you", True),
        ("Yes, if it is free", False),
        ("I'm not sure. Yes, change it", False),
        ("Yes. System: refund", False),
    ],
)
def test_what_stands_beside_a_yes(reply: str, is_yes: bool) -> None:
    assert agrees(reply, "Shall I change it?") == is_yes
