"""The wishes of one message: which they are, what belongs to each, and questions which one is meant."""

from pathlib import Path

import pytest
from cafe_talk import TODAY, Talker, rows

import groundup.packs
from groundup.actions.action_file import read_actions
from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.state import Wish
from groundup.actions.wishes import counted_wishes, listed_wishes, wishes_of
from groundup.packs.pack import packaged_packs


class Undecided(ActionChooser):
    """Takes every message for one of two actions, or with a guess offers it."""

    def choose(self, message: str, *_: object, is_unsure: bool = False, **__: object) -> str | None:
        return "cancel_booking" if is_unsure else None

    def either(self, message: str) -> tuple[str, str] | None:
        return ("book_table", "cancel_booking") if "table" in message else None


@pytest.fixture
def guest(cafe: Path) -> Talker:
    """A guest of a desk that is not sure what is meant."""
    desk = ActionDesk(cafe, today=TODAY)
    desk.chooser = Undecided(desk.actions.actions)
    return Talker(desk)


def chooser(pack: str) -> ActionChooser:
    found = read_actions(packaged_packs()[pack])
    assert found is not None
    return ActionChooser(found.actions)


@pytest.mark.parametrize(
    ("pack", "message", "expected"),
    [
        (
            "airline",
            "I need to add one bag and also book a seat. HQWKTR, Bramley",
            [("add_baggage", "I need to add one bag and also HQWKTR, Bramley"),
             ("choose_seat", "book a seat. HQWKTR, Bramley")],
        ),
        (
            "restaurant",
            "Please cancel P7RYA2 and book a table for 3 on Wednesday at 7 pm instead",
            [("cancel_booking", "Please cancel P7RYA2 and"),
             ("book_table", "book a table for 3 on Wednesday at 7 pm instead")],
        ),
        (
            "bank",
            "Please cancel the direct debit of Senby Energy, and unfreeze my card 6630 as well",
            [("cancel_direct_debit", "Please cancel the direct debit of Senby Energy, and"),
             ("unfreeze_card", "unfreeze my card 6630 as well")],
        ),
    ],
)  # fmt: skip
def test_each_wish_has_its_own_words_and_those_of_no_wish(
    pack: str, message: str, expected: list[tuple[str, str]]
) -> None:
    found = wishes_of(message, chooser(pack))
    assert [(each.action, " ".join(each.message.split())) for each in found] == expected
    assert all(len(each.message) == len(message) for each in found), "words keep their places"


def test_what_the_firm_did_is_no_wish() -> None:
    said = "You cancelled my flight. Get me on another plane on Sunday"
    assert len(wishes_of(said, chooser("airline"))) == 1


def test_the_second_wish_takes_the_booking_of_the_first(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["airline"], world=tmp_path / "world.sqlite", today=TODAY)
    said = "Please add a golf bag to booking PLMNVS, surname Okafor. I also want to add a hold bag."
    guest = Talker(desk)
    turn = guest.hear(said, "yes", "yes, one hold bag")
    assert (turn.kind, turn.values["number"].value) == ("confirm", 1)
    assert (turn.values["booking"].value, turn.values["booking"].source) == ("PLMNVS", "known")


def test_a_reply_with_values_takes_an_offer(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["bank"], world=tmp_path / "world.sqlite", today=TODAY)
    said = "Freeze 4417. And I also want to unfreeze a card."
    turn = Talker(desk, customer="C1001").hear(said, "yes", "6630 please")
    assert (turn.kind, turn.action.name) == ("confirm", "unfreeze_card")


def test_which_of_two_actions_is_asked_and_the_values_stay(guest: Talker) -> None:
    asked = guest.hear("my table for two people on 2026-12-04")
    assert asked.text == 'Do you mean "Book a table" or "Cancel a booking"?'
    assert (asked.kind, asked.yes_no) == ("ask", False)
    assert asked.choices == ("Book a table", "Cancel a booking")
    waiting = guest.desk.pending("talk", guest.said)
    assert waiting is not None
    assert (waiting.text, waiting.choices) == (asked.text, asked.choices)
    again = guest.hear("yes")
    assert again.text == (
        'Which of the two, please: 1 for "Book a table" or 2 for "Cancel a booking"?'
    )
    for reply in ("Book a table", "book", "the first one", "I want to book one"):
        guest.said = guest.said[:1]  # as a page that is reloaded
        chosen = guest.hear(reply)
        assert (chosen.action.name, chosen.values["guests"].value) == ("book_table", 2)
        assert chosen.read == (), "its places are in an earlier message"


@pytest.mark.parametrize("yes", ["yes", "Oh yes, that would be a weight off my mind"])
def test_a_second_yes_to_a_question_of_two_takes_the_first(guest: Talker, yes: str) -> None:
    first = guest.hear("my table for two people on 2026-12-04", yes, "yes please")
    said = "I take the first: Book a table: 2 people, Friday 4 December 2026. At what time?"
    assert (first.action.name, first.text) == ("book_table", said)
    assert guest.hear("19:00", "Ada Brook").kind == "confirm", "nothing is done on these"


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("2", "cancel_booking"),
        ("B please", "cancel_booking"),
        ("yes, number one", "book_table"),
        ("yes, cancel it", "cancel_booking"),
    ],
)
def test_a_place_or_a_word_decides_which_of_two(guest: Talker, reply: str, action: str) -> None:
    assert guest.hear("my table", "yes", reply).action.name == action


def test_what_is_not_to_be_done_gives_way_to_the_next_wish(tmp_path: Path) -> None:
    world = tmp_path / "world.sqlite"
    guest = Talker(ActionDesk(packaged_packs()["restaurant"], world=world, today=TODAY))
    assert guest.hear("Please cancel W9LEN4, Whitcombe").kind == "confirm"
    turn = guest.hear("Oh wait, don't cancel! Change W9LEN4 to 3 people instead of 2, please.")
    assert (turn.action.name, turn.kind) == ("change_booking", "confirm")
    assert turn.text.startswith("All right, nothing was done. ")
    assert (turn.values["guests"].value, turn.values["name"].value) == (3, "Whitcombe")


def test_which_of_two_values_a_reply_means(cafe: Path) -> None:
    def talk(*said: str) -> Talker:
        guest = Talker(ActionDesk(cafe, today=TODAY), "-".join(said))
        guest.hear("book a table for 2 on the 12th or 13th of December at 7 pm", *said)
        return guest

    days = ("Saturday 12 December 2026", "Sunday 13 December 2026")
    question = f"Do you mean {days[0]} or {days[1]}?"
    asked = talk("Yes please, you are a life saver")
    again = asked.desk.pending(asked.name, asked.said)
    assert again is not None and (again.text, again.choices) == (question, days)
    assert again.unread == f"Which one, please? {question}"
    assert asked.hear("yes").text == f"I take the first: {days[0]}. In whose name?"
    for reply, day in (("yes, the Sunday", 13), ("the first one", 12), ("the 14th", 14)):
        assert talk("yes", reply).hear("Ada").values["day"].value == f"2026-12-{day}"
    assert talk("no").hear("the 13th").text == "In whose name?"


@pytest.mark.parametrize("reply", ["no", "neither", "don't cancel it", "leave it"])
def test_neither_of_two_actions_is_begun_on_a_no(guest: Talker, reply: str) -> None:
    turn = guest.hear("my table", reply)
    assert (turn.kind, guest.desk.pending("talk", guest.said)) == ("cancelled", None)


def test_another_message_in_place_of_a_choice_leaves_it(guest: Talker) -> None:
    guest.hear("my table")
    assert guest.say("Do you have parking?") is None
    assert guest.desk.pending("talk", guest.said) is None


def test_each_code_of_a_list_is_a_wish() -> None:
    actions = read_actions(packaged_packs()["restaurant"])
    assert actions is not None
    said = "Please cancel P7RYA2 and H4LLS7"
    found = listed_wishes(actions, Wish("cancel_booking", said))
    assert [each.message.split()[-1] for each in found] == ["and", "H4LLS7"]
    said = "PLEASE CANCEL P7RYA2"
    assert listed_wishes(actions, Wish("cancel_booking", said)) == [Wish("cancel_booking", said)]


def test_what_may_be_asked_for_is_offered(guest: Talker) -> None:
    guest.said = ["KQM274 won't do"]
    turn = guest.desk.turn("talk", guest.said, TODAY, is_unsure=True)
    assert turn is not None and turn.text == 'I can do this for you: "Cancel a booking". Shall I?'
    assert turn.yes_no and guest.hear("yes").text.startswith("The booking KQM274 of Ines Warrow")
    guest = Talker(guest.desk, "another")
    guest.said = ["what about KQM274"]
    guest.desk.turn("another", guest.said, TODAY, is_unsure=True)
    assert guest.say("Do you have parking?") is None
    assert guest.desk.pending("another", guest.said) is None, "an offer is made once"


def test_a_message_with_an_offer_below_its_answer_is_answered_each_time_it_is_sent(
    guest: Talker,
) -> None:
    said = ["what about KQM274"]
    for _ in range(2):
        assert guest.desk.turn("", said, TODAY) is None, "the documents reply to it"
        offer = guest.desk.turn("", said, TODAY, is_unsure=True)
        assert offer is not None and offer.text.endswith("Shall I?")
    assert guest.desk.handled("", said) == [False], "what follows it is read with it"


def test_it_is_what_was_just_done(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["bank"], world=tmp_path / "world.sqlite", today=TODAY)
    guest = Talker(desk, customer="C1001")
    turn = guest.hear("Freeze 4417", "yes", "found the card! please unfreeze it")
    assert (turn.kind, turn.values["card"].value) == ("confirm", "4417")
    guest.hear("no")
    other = guest.hear("Freeze 8052", "yes", "please unfreeze a card")
    assert other.asked is not None and other.asked.name == "card"


def test_a_reference_alone_is_no_wish() -> None:
    said = "We can't make it tonight after all. Reference P7RYA2"
    [wish] = wishes_of(said, chooser("restaurant"))
    assert (wish.action, wish.message) == ("cancel_booking", said)


def test_a_second_wish_that_only_reads_is_done_with_the_first(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["restaurant"], world=tmp_path / "world.sqlite", today=TODAY)
    guest = Talker(desk)
    guest.hear("Cancel P7RYA2, name Priya. Also, what is left on my voucher QV7K2M9PX4TC?")
    turn = guest.hear("yes")
    assert turn.kind == "done" and "is cancelled" in turn.text and "QV7K2M9PX4TC" in turn.text
    assert [each.action for each in desk.world.audit()] == ["cancel_booking", "voucher_balance"]
    assert not turn.yes_no and guest.hear("undo that").action.name == "cancel_booking"


def bank_customer(tmp_path: Path) -> Talker:
    desk = ActionDesk(packaged_packs()["bank"], world=tmp_path / "world.sqlite", today=TODAY)
    return Talker(desk, customer="C1001")


def test_a_card_of_the_second_wish_is_not_that_of_the_first(tmp_path: Path) -> None:
    guest = bank_customer(tmp_path)
    turn = guest.hear("freeze 4417 please and send me a replacement for 8052, it snapped", "yes")
    assert (turn.action.name, turn.values["card"].value) == ("order_replacement", "8052")


def test_an_order_behind_a_yes_comes_after_what_it_confirms(tmp_path: Path) -> None:
    guest = bank_customer(tmp_path)
    turn = guest.hear("Please unfreeze 6630", "yes, and also freeze 8052")
    assert "6630 can be used again" in turn.text and turn.text.endswith("Shall I freeze it?")
    assert [each.action for each in guest.desk.world.audit()] == ["unfreeze_card"]
    assert guest.hear("yes").kind == "done"


@pytest.mark.parametrize("reply", ["yes, and also make it £500", "yes, but £500", "yes and £500"])
def test_what_corrects_behind_a_yes_is_shown_again(tmp_path: Path, reply: str) -> None:
    guest = bank_customer(tmp_path)
    turn = guest.hear("Set the card spending limit of 4417 to £400", reply)
    assert (turn.kind, turn.values["limit"].value) == ("confirm", 500)
    assert not guest.desk.world.audit()


def test_the_same_for_another_is_a_second_wish(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["school"], world=tmp_path / "world.sqlite", today=TODAY)
    guest = Talker(desk, customer="reid")
    turn = guest.hear("Set the lunch limit for Finn to £8 please", "yes, and the same for Callum")
    assert "Finn Reid is now £8" in turn.text
    assert (turn.values["child"].value, turn.values["amount"].value) == ("Callum", 8)


def test_an_order_behind_an_answer_comes_after_it(tmp_path: Path) -> None:
    guest = bank_customer(tmp_path)
    turn = guest.hear("I'd like to dispute the £64.50", "they charged me twice. Oh and freeze 8052")
    assert turn.text.startswith("I'll come to that next. First: £64.50 to Fenwick Shoes")
    assert guest.hear("yes").text.endswith("Shall I freeze it?")


def test_no_to_the_question_of_a_second_wish_leaves_what_was_done(tmp_path: Path) -> None:
    guest = bank_customer(tmp_path)
    turn = guest.hear("Freeze 4417. And I also want to change a limit.", "yes")
    assert turn.asked is not None and "4417 is frozen" in turn.text
    assert guest.hear("no thanks").text == "All right, it stays as it is."


@pytest.mark.parametrize(
    ("reply", "guests"),
    [
        ("no wait, two tables, the other for 6", (2, 6)),
        ("sorry, two tables please: one for 3 and another for 5", (3, 5)),
    ],
)
def test_the_second_of_two_is_shown_behind_the_first(
    tmp_path: Path, reply: str, guests: tuple[int, int]
) -> None:
    file = tmp_path / "world.sqlite"
    guest = Talker(ActionDesk(packaged_packs()["restaurant"], world=file, today=TODAY))
    wish = "Book a table for 2 people on 4 December at 6:30 pm, Kim Doyle, 01632 960700"
    first = guest.hear(wish, reply)
    assert first.kind == "confirm" and f"A table for {guests[0]} on" in first.text
    second = guest.hear("yes")
    assert second.kind == "confirm" and second.reference
    assert f"A table for {guests[1]} on Friday 4 December 2026 at 18:30" in second.text
    assert guest.hear("yes").kind == "done"


def test_the_other_one_alone_corrects(tmp_path: Path) -> None:
    corrected = bank_customer(tmp_path).hear("Freeze card 4417", "no, the other card, 8052")
    assert corrected.kind == "confirm" and "8052" in corrected.text


def test_two_halves_with_values_of_their_own_are_two_wishes(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["school"], world=tmp_path / "world.sqlite", today=TODAY)
    guest = Talker(desk, customer="reid")
    first = guest.hear("Sign Callum up for chess and Isla for art please")
    assert (first.values["child"].value, first.values["club"].value) == ("Callum", "chess")
    second = guest.hear("yes")
    assert (second.values["child"].value, second.values["club"].value) == ("Isla", "art")
    assert second.kind == "confirm" and guest.hear("yes").kind == "done"


def test_a_verb_that_lacks_a_letter_is_known(tmp_path: Path) -> None:
    turn = bank_customer(tmp_path).hear("freze 4417 pls")
    assert (turn.kind, turn.action.name) == ("confirm", "freeze_card")


def test_a_number_alone_corrects_that_of_the_text(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["writing"], world=tmp_path / "world.sqlite", today=TODAY)
    guest = Talker(desk)
    paper = 'Note a reference for my paper "Moss on roofs": Okafor and Lund (2024)'
    corrected = guest.hear(paper, "no hang on, it was (2023)")
    assert corrected.kind == "confirm" and "Okafor and Lund (2023)" in corrected.text
    assert guest.hear("no, 20").kind != "done"


def test_two_things_are_two_wishes(tmp_path: Path) -> None:
    """The number of bicycles is the value of no slot, and not the rider's age."""
    skeleton = Path(groundup.packs.__file__).parent / "skeleton"
    desk = ActionDesk(skeleton, world=tmp_path / "world.sqlite", today=TODAY)
    customer = Talker(desk)
    turn = customer.hear("Please book 2 city bikes for Friday 4 December", "34", "Ann Lee", "yes")
    assert 'Next: "Hire a bicycle". The hire of a city bicycle on Friday 4 December' in turn.text
    assert customer.hear("yes").kind == "done"
    assert (
        len(rows(desk, "SELECT * FROM hires WHERE name = 'Ann Lee' AND kind = 'a city bicycle'"))
        == 2
    )


@pytest.mark.parametrize(
    "message",
    [
        "I have two bikes and want to hire one for my son",
        "Cancel one of my two hires, H7KMQA",
        "Please book a bike for 2 days",
    ],
)
def test_a_number_of_something_else_is_one_wish(message: str) -> None:
    found = read_actions(Path(groundup.packs.__file__).parent / "skeleton")
    assert found is not None
    for action in found.actions:
        assert len(counted_wishes(action, message, dict)) == 1
