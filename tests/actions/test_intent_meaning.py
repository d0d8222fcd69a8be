"""What is meant, by the vectors of the sentence encoder: real ones."""

from pathlib import Path

import pytest
from cafe_talk import TODAY, Talker

from groundup.actions.action_file import read_actions
from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import MessageEncoder, fitted_weights
from groundup.device import select_compute
from groundup.packs.pack import packaged_packs
from groundup.progress import Silent
from groundup.retrieve.message_encoder import open_message_encoder
from groundup.retrieve.vectors import open_encoder
from groundup.weights.catalog import SENTENCE_ENCODER

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def encoder() -> MessageEncoder:
    return open_message_encoder(open_encoder(SENTENCE_ENCODER, select_compute("cpu"), Silent()))


@pytest.fixture(scope="module")
def choosers(encoder: MessageEncoder) -> dict[str, ActionChooser]:
    found = {}
    for name, folder in packaged_packs().items():
        actions = read_actions(folder)
        assert actions is not None
        found[name] = ActionChooser(actions.actions, encoder)
    return found


@pytest.mark.parametrize(
    ("pack", "message", "action"),
    [
        ("restaurant", "do you have anything free on Saturday evening for 6?", "book_table"),
        ("bank", "could someone at Hethersby see me about a mortgage on Tuesday", "book_appointment"),
        ("bank", "please freeze my card ending 4417", "freeze_card"),
        ("bank", "freeze the debit card that ends in 4417", "freeze_card"),
        ("writing", "keep this outline for me", "save_outline"),
        ("airline", "please cancel my ticket, CVXPJD, the name is Hossain", "cancel_booking"),
        ("airline", "HQWKTR bramley - whats my seat and flight?", "find_booking"),
        ("restaurant", "theres 14 of us for a works do on dec 11th", "group_request"),
        ("writing", "is this title ok: Screens and sleep in night nurses", "check_title"),
        ("airline", "I don't want to cancel my flight any more", None),
        ("airline", "Please don't cancel my ticket CVXPJD", None),
        ("bank", "How long does a dispute take?", None),
        ("airline", "when does check-in open", None),
        ("restaurant", "Can I bring my dog?", None),
    ],
)  # fmt: skip
def test_wishes_in_other_words_and_forms_are_known_and_questions_are_none(
    choosers: dict[str, ActionChooser], pack: str, message: str, action: str | None
) -> None:
    assert choosers[pack].choose(message) == action


def test_examples_choose_their_action_and_near_questions_none(
    choosers: dict[str, ActionChooser],
) -> None:
    wrong = []
    for name, folder in packaged_packs().items():
        actions = read_actions(folder)
        assert actions is not None
        for action in actions.actions:
            texts = [action.title, *action.examples]
            wrong += [t for t in texts if choosers[name].choose(t) != action.name]
            wrong += [t for t in action.not_examples if choosers[name].choose(t) is not None]
    assert wrong == []


def test_less_is_enough_where_documents_hold_no_answer(choosers: dict[str, ActionChooser]) -> None:
    said = "my daughter's poorly so she's staying home"
    assert choosers["school"].choose(said) in (None, "report_absence")
    assert choosers["school"].choose(said, is_unsure=True) == "report_absence"
    assert choosers["school"].choose("when is parents evening?", is_unsure=True) is None
    said = "would there be room for 6 of us on Saturday maybe"
    assert choosers["restaurant"].choose(said) is None
    assert choosers["restaurant"].choose(said, is_unsure=True) == "book_table"


def test_a_message_between_two_actions_is_asked_about(
    encoder: MessageEncoder, tmp_path: Path
) -> None:
    desk = ActionDesk(packaged_packs()["bank"], world=tmp_path / "world.sqlite", today=TODAY)
    desk.hear_by_meaning(encoder)
    guest = Talker(desk)
    asked = guest.hear(
        "hello my granddaughter has set this up so that i can talk and it does the writing now then the card 6630 that"
        " you froze for me after new year well it was in the lining of my good coat the whole time there is a hole in the"
        " pocket you see and i had already told everybody that it was the window cleaner"
    )
    assert asked.text == 'Do you mean "Unfreeze a card" or "Order a replacement card"?'
    turn = guest.hear("unfreeze it")
    assert (turn.action.name, turn.values["card"].value) == ("unfreeze_card", "6630")


def test_the_weights_are_of_the_encoders_vectors(encoder: MessageEncoder) -> None:
    assert fitted_weights().request.shape == encoder.wishes(["hello"])[0].shape


def test_a_choice_is_told_and_where_two_are_near_both_are_named(
    encoder: MessageEncoder, tmp_path: Path
) -> None:
    desk = ActionDesk(packaged_packs()["bank"], world=tmp_path / "world.sqlite", today=TODAY)
    desk.trial_customer = desk.actions.trial_customer
    desk.hear_by_meaning(encoder)
    turn = Talker(desk).hear("Please order a replacement card for 6630", "went thru the wash")
    assert (turn.kind, turn.values["reason"].value) == ("confirm", "damaged")
    school = ActionDesk(packaged_packs()["school"], world=tmp_path / "school", today=TODAY)
    school.trial_customer = school.actions.trial_customer
    school.hear_by_meaning(encoder)
    guest = Talker(school)
    guest.hear("Isla is not coming to school today")
    turn = guest.hear("up all night with her head over a bucket")
    assert turn.text == "Do you mean illness or sickness or diarrhoea?"
    assert guest.hear("sickness").values["reason"].value == "sickness or diarrhoea"
