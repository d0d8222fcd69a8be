"""What is begun where no action is sure: by the values of a message, as a guess."""

from pathlib import Path

import numpy as np
import pytest
from cafe_talk import TODAY, Talker

from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import UNKNOWN_THING, MessageEncoder
from groundup.actions.intent_words import in_small_letters, ordered_thing
from groundup.actions.message_form import ORDERS, is_denied, message_form
from groundup.actions.read_words import read_names
from groundup.packs.pack import packaged_packs


class Weighing(ActionChooser):
    """Has given odds; sure of what it is told."""

    given: dict[str, float] = {}
    sure: str | None = None

    def choose(self, message: str, *_: object, **__: object) -> str | None:
        return self.sure

    def odds(self, message: str) -> dict[str, float]:
        return self.given


@pytest.fixture
def guest(cafe: Path) -> Talker:
    desk = ActionDesk(cafe, today=TODAY)
    desk.chooser = Weighing(desk.actions.actions)
    return Talker(desk)


def weigh(guest: Talker, sure: str | None = None, **odds: float) -> None:
    assert isinstance(guest.desk.chooser, Weighing)
    guest.desk.chooser.given, guest.desk.chooser.sure = odds, sure


def test_a_code_counts_for_the_action_that_needs_it(guest: Talker) -> None:
    weigh(guest, cancel_booking=-2.4, book_table=-2.0)
    turn = guest.hear("the kids have chickenpox, so no lunch for us. KQM274")
    assert (turn.kind, turn.action.name) == ("confirm", "cancel_booking")
    weigh(guest, sure="book_table", book_table=1.7, cancel_booking=-0.4)
    other = Talker(guest.desk, "other")
    assert other.hear("there will be none of us on Friday, KQM274").action.name == "cancel_booking"


def test_a_question_without_a_code_is_left_to_documents(guest: Talker) -> None:
    weigh(guest, book_table=0.3)
    assert guest.say("when do you have tables for two?") is None
    weigh(guest, cancel_booking=-1.0)
    assert Talker(guest.desk, "other").say("how late may KQM274 be called off?") is not None


def test_a_guess_is_said_as_one_and_a_no_ends_it(guest: Talker) -> None:
    weigh(guest, book_table=-0.8)
    turn = guest.hear("a few of us fancy lunch on Friday 4 December at noon")
    assert turn.text.startswith(
        "If I understand you right: Book a table: Friday 4 December 2026, 12:00. For how many"
    )
    weigh(guest)
    assert guest.hear("no").kind == "cancelled"
    weigh(guest, book_table=-0.2)
    other = Talker(guest.desk, "other")
    other.hear("a few of us fancy lunch tomorrow")
    weigh(guest)
    assert other.say("the weather is lovely") is None
    assert other.desk.pending("other", other.said) is None, "a guess is asked once"
    weigh(guest, book_table=0.2)
    assert Talker(guest.desk, "third").hear("a few of us fancy lunch").text == (
        "For how many people?"
    )


def test_what_can_not_be_a_guess_is_offered(guest: Talker) -> None:
    weigh(guest, book_table=-0.4)
    turn = guest.hear("lunch, ten people, on Friday 4 December")
    assert turn.text == 'I can do this for you: "Book a table". Shall I?', "a rule refuses it"


def test_two_guesses_that_are_near_are_asked_about(guest: Talker) -> None:
    weigh(guest, book_table=-0.3, send_feedback=-0.4)
    assert guest.hear("a few of us fancy lunch tomorrow").text.startswith("Do you mean ")
    other = Talker(guest.desk, "other")
    assert other.say("a few of us like your lunches") is None, "praise has no values"


def test_of_two_guesses_that_one_begins_which_may_hand_over(tmp_path: Path) -> None:
    desk = ActionDesk(packaged_packs()["airline"], world=tmp_path / "world.sqlite", today=TODAY)
    desk.chooser = Weighing(desk.actions.actions)
    guest = Talker(desk)
    weigh(guest, rebook=-0.2, change_date=-0.3)
    turn = guest.hear("the wedding is on Saturday, and the message came for CVXPJD")
    assert turn.action.name == "change_date"


def test_all_that_an_action_needs_counts_as_a_code(guest: Talker) -> None:
    weigh(guest, book_table=-2.5)
    turn = guest.hear("Anything on Friday 4 December at 7 pm for two? My name is Ada Brook")
    assert (turn.kind, turn.action.name) == ("confirm", "book_table")


def test_of_two_actions_a_value_of_one_alone_tells_which(guest: Talker) -> None:
    weigh(guest, book_table=-0.3, send_feedback=-0.4)
    guest.hear("a few of us fancy lunch tomorrow")
    assert guest.hear("on Friday 4 December").text.startswith("Book a table: Friday")


def test_of_two_values_the_one_in_the_part_that_asks_is_meant(guest: Talker) -> None:
    weigh(guest, sure="book_table", book_table=3.0)
    turn = guest.hear("We were nine people at 8 pm yesterday. Please book a table for two at 7 pm")
    values = {name: each.value for name, each in turn.values.items()}
    assert (values["guests"], values["at"]) == (2, "19:00")


def test_a_text_is_no_bare_no(guest: Talker) -> None:
    weigh(guest, sure="send_feedback")
    guest.hear("I want to leave feedback")
    weigh(guest)
    assert guest.hear("no").text == "I expected a few words. What shall I pass on?"


def test_what_is_only_told_is_begun_with_its_title(guest: Talker) -> None:
    weigh(guest, sure="book_table", book_table=3.0)
    turn = guest.hear("my wife has always loved your food")
    assert turn.text == "If I understand you right: Book a table. For how many people?"
    weigh(guest)
    assert guest.hear("that's all, thanks").kind == "cancelled"


def test_a_thing_of_which_no_text_speaks_is_marked(cafe: Path) -> None:
    def embed(texts: object) -> np.ndarray:
        return np.ones((len(list(texts)), 384), dtype=np.float32) / 384**0.5  # type: ignore[call-overload]

    actions = ActionDesk(cafe, today=TODAY).actions.actions
    chooser = ActionChooser(actions, MessageEncoder(embed, embed))

    def marks(said: str) -> set[float]:
        return {part["cancel_booking"][UNKNOWN_THING] for part in chooser.features(said)}

    assert marks("please cancel my netflix account") == {1.0}
    assert marks("please cancel my reservation") == marks("cancel it") == {0.0}
    assert ordered_thing("cancel my flight to Rome", ORDERS) == {"ownbook"}


def test_shouting_hides_no_order_and_no_code() -> None:
    ordinary = frozenset(["freez", "cancel"])
    assert in_small_letters("Enough! FREEZE 4417, NOW!", ordinary) == "Enough! freeze 4417, now!"
    said = "WHAT A JOKE. CANCEL HQWKTR. BRAMLEY"
    assert in_small_letters(said, ordinary) == "what A joke. cancel HQWKTR. bramley"
    assert [each.values for each in read_names("I WANT MY MONEY. Booking KDWXRM")] == []


def test_forms_of_roundabout_wishes() -> None:
    assert message_form("can amira start badminton pls") == "wish"
    assert message_form("can somebody look for it?") == "request"
    assert message_form("can you tell me when you close please") == "question"
    assert not is_denied("I don't want anyone using it")
    assert is_denied("I don't want to cancel it")


@pytest.mark.parametrize(
    "message",
    [
        "price for a table on the terrace please",
        "We fancy a table in the garden. What does that cost?",
        "Could you put a table in the garden, and how much would it be?",
    ],
)
def test_what_asks_for_a_fact_is_left_to_documents_and_then_offered(
    guest: Talker, message: str
) -> None:
    weigh(guest, sure="book_table", book_table=1.8)
    assert guest.say(message) is None
    offered = guest.desk.turn(guest.name, guest.said, TODAY, is_unsure=True)
    assert offered is not None
    assert offered.text == 'I can do this for you: "Book a table". Shall I?'
    assert guest.hear("yes").asked is not None


def test_an_order_beside_a_question_is_begun(guest: Talker) -> None:
    for number, (message, odds) in enumerate(
        [
            ("Could you put a table in the garden, and how much would it be?", 4.6),  # its meaning
            ("A table for two tomorrow please, and how much is the set lunch?", 1.8),  # its values
            ("could you fit a table into the garden", 1.8),  # asks for no fact
        ]
    ):
        weigh(guest, sure="book_table", book_table=odds)
        other = Talker(guest.desk, f"talk{number}")
        assert other.hear(message).action.name == "book_table", message
