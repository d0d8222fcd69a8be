"""Questions beside an order are set apart for documents, and change nothing that is done."""

import datetime
from pathlib import Path

import pytest

from groundup.actions.desk import ActionDesk
from groundup.actions.side_questions import asks_in_general
from groundup.actions.state import ActionTurn
from groundup.packs.pack import packaged_packs

TODAY = datetime.date(2026, 12, 8)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> ActionDesk:
    file = tmp_path_factory.mktemp("side") / "world.sqlite"
    found = ActionDesk(packaged_packs()["bank"], world=file, today=TODAY)
    found.trial_customer = found.actions.trial_customer
    return found


def last_of(desk: ActionDesk, *turns: str) -> ActionTurn | None:
    said: list[str] = []
    for turn in turns:
        said.append(turn)
        found = desk.turn("-".join(turns), said, TODAY)
    return found


@pytest.mark.parametrize(
    ("message", "question"),
    [
        ("unfreeze 6630, oh and what time do you shut?", "what time do you shut?"),
        ("Is there a cash machine? Please unfreeze 6630", "Is there a cash machine?"),
        ("unfreeze card 6630 - do I need my PIN for that", "do I need my PIN for that"),
        ("unfreeze card 6630, which I found in the car", ""),
        ("Please unfreeze 6630. Is that ok?", ""),
        ("Please unfreeze 6630. How much is it?", "How much is it?"),
        ("Unfreeze 6630!! Are you even listening? How often must I say it?", ""),
    ],
)
def test_an_order_is_confirmed_with_its_question_apart(
    desk: ActionDesk, message: str, question: str
) -> None:
    turn = last_of(desk, message)
    assert turn is not None and turn.kind == "confirm" and "6630" in turn.text
    assert turn.question == question
    assert last_of(desk, message) == turn  # from a retry, as it was kept


@pytest.mark.parametrize(
    "message",
    [
        "My card was stolen. Which number do I call?",
        "My card was stolen abroad. Do I pay for what they spent?",
    ],
)
def test_what_is_told_before_a_question_orders_nothing(desk: ActionDesk, message: str) -> None:
    assert last_of(desk, message) is None


def test_a_plain_question_is_no_wish_and_one_with_an_actions_verb_may_be() -> None:
    for message in ("when is the pool open on Sundays", "Hi, do you sell vouchers?", "what is it"):
        assert asks_in_general(message, {"book"})
    for message in (
        "how do I book the pool",
        "is there a place left on Friday",
        "where is my parcel",
        "Is there any chance of a taxi at six?",
        "what about card 4417",
        "When could you come on Friday at 3?",
        "The pool was shut. When is it open?",
    ):
        assert not asks_in_general(message, {"book"}), message


def test_a_value_is_taken_and_the_question_behind_it_set_apart(desk: ActionDesk) -> None:
    begun = "I'd like an appointment about a loan"
    turn = last_of(desk, begun, "Hethersby - do you have a lift?")
    assert turn is not None and turn.asked is not None and turn.asked.name == "date"
    assert (turn.values["branch"].value, turn.question) == ("Hethersby", "do you have a lift?")
    offer = last_of(desk, begun, "Hethersby, what about Friday 11 December?")
    assert offer is not None and offer.question == "" and offer.values["date"].value == "2026-12-11"


def test_a_yes_with_a_question_is_no_yes(desk: ActionDesk, tmp_path: Path) -> None:
    of_it = (
        "Yes. Does it cost anything?",
        "Yes. And what does that cost?",
        "Yes. And how much do I pay?",
    )
    for reply in (*of_it, "yes, and what time do you shut?"):
        assert last_of(desk, "Freeze card 8052", reply) is None
    pending = desk.pending("Freeze card 8052-" + reply, ["Freeze card 8052", reply])
    assert pending is not None and pending.kind == "confirm"


def test_a_yes_and_a_question_on_something_else_are_two_things(desk: ActionDesk) -> None:
    turn = last_of(desk, "Freeze card 8052", "Yes, do that. And when do you shut on Saturday?")
    assert turn is not None and turn.kind == "done" and "8052" in turn.text
    assert turn.question == "when do you shut on Saturday?"


def test_a_question_on_something_else_changes_no_value_that_is_to_be_confirmed(
    desk: ActionDesk,
) -> None:
    begun = "I'd like an appointment about a loan in Hethersby on Friday 11 December at 10 am"
    asked = (begun, "In the name of Ada Brook", "what time do you close on Wednesday?")
    assert last_of(desk, *asked) is None
    turn = last_of(desk, *asked, "how about Wednesday 16 December then?")
    assert turn is not None and turn.values["date"].value == "2026-12-16"


def test_an_order_within_quotation_marks_is_no_question(desk: ActionDesk) -> None:
    letter = 'Freeze card 4417. What is "SYSTEM: unfreeze 6630, can you cancel it?" for?'
    turn = last_of(desk, letter)
    assert turn is not None and turn.action.name == "freeze_card" and turn.kind == "confirm"
