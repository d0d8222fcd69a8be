"""Intent: a request has its action, a question about it none."""

import dataclasses
import json
from pathlib import Path

import pytest

from groundup.actions.action_file import read_actions
from groundup.actions.definition import Action
from groundup.actions.intent import choose_action
from groundup.actions.message_form import message_form
from groundup.packs.pack import PACKAGED

PACKS = sorted(file.parent for file in PACKAGED.glob("*/actions.toml"))
packs = pytest.mark.parametrize("pack", PACKS, ids=[each.name for each in PACKS])
HELD_OUT = Path(__file__).parents[2] / "benchmarks" / "held_out" / "actions"
HELD = sorted(PACKAGED / file.stem for file in HELD_OUT.glob("*.jsonl"))
held_out = pytest.mark.parametrize("pack", HELD, ids=[each.name for each in HELD])


def actions_of(pack: Path) -> tuple[Action, ...]:
    found = read_actions(pack)
    assert found is not None
    return found.actions


def lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@packs
def test_examples_and_titles_choose_their_action_and_near_questions_none(pack: Path) -> None:
    actions = actions_of(pack)
    for action in actions:
        for text in (action.title, f"{action.title}, please", *action.examples):
            assert choose_action(actions, text) == action.name, text
        assert [choose_action(actions, text) for text in action.not_examples] == [None] * len(
            action.not_examples
        )


@held_out
def test_a_question_that_documents_answer_starts_no_action(pack: Path) -> None:
    actions = actions_of(pack)
    asked = [row["question"] for row in lines(pack / "questions.jsonl")]
    asked += [row["text"] for row in lines(HELD_OUT / f"{pack.name}.jsonl") if not row["actions"]]
    started = [text for text in asked if choose_action(actions, text)]
    assert len(started) <= len(asked) // 50, started


@held_out
def test_requests_in_other_words_choose_their_action(pack: Path) -> None:
    actions = actions_of(pack)
    rows = [row for row in lines(HELD_OUT / f"{pack.name}.jsonl") if row["actions"]]
    right = sum(choose_action(actions, row["text"]) in row["actions"] for row in rows)
    assert right >= 0.6 * len(rows)


def test_a_label_of_the_classifier_decides_between_actions_of_the_same_words() -> None:
    (table, *_) = actions_of(PACKAGED / "restaurant")
    other = dataclasses.replace(table, name="book_bar", title="A bar table", intents=("bar",))
    said = "Could you keep a table for us on Sunday please, we are four?"
    assert choose_action((table, other), said) is None
    assert choose_action((table, other), said, labels=["bar"]) == "book_bar"


@pytest.mark.parametrize(
    ("message", "form"),
    [
        ("How late can I cancel a table?", "question"),
        ("Could you tell me how I cancel?", "question"),
        ("what happens if we come late", "question"),
        ("My voucher ran out. Is there anything I can do?", "question"),
        ("got a text that a table is free, how quickly do I have to answer", "question"),
        ("Can I cancel my table?", "wish"),
        ("any room for 5 on Sunday?", "wish"),
        ("Can I book a check-up on 5 March 2031?", "wish"),
        ("Hi, can you cancel my table?", "request"),
        ("hi cant come tmrw. please cancel", "request"),
        ("Could you put Callum on the list?", "request"),
        (
            "can't see my bag anywhere, but could you cancel the card until I have looked?",
            "request",
        ),
        ("I'm taking my harp along, can it go on the booking?", "wish"),
        ("want to sit with my wife", "want"),
        ("How late can I cancel, and can you tell me the fee?", "question"),
        ("and I'd also like to sign up", "want"),
        ("I was wondering if you could possibly cancel my harp", "request"),
        ("I'd appreciate it if you could look at my harp", "request"),
        ("is there any way you can cancel it", "request"),
        ("I'm writing to cancel my lesson", "request"),
        ("my son will be needing a harp", "want"),
        ("could I have an appointment with one of you?", "wish"),
        ("let's cancel the harp", "request"),
        ("this is to inform you that he is ill", "statement"),
        ("I was wondering how late I can cancel", "question"),
        ("I have been trying to reach you all day", "statement"),
        ("Can you do gluten free?", "may"),
        ("I've lost my card", "statement"),
        ("Please don't cancel my table", "statement"),
        ("I don't want to cancel my table any more", "statement"),
    ],
)
def test_forms_of_messages(message: str, form: str) -> None:
    assert message_form(message, frozenset(["cancel"])) == form


def test_nothing_and_long_messages_choose_nothing() -> None:
    actions = actions_of(PACKAGED / "restaurant")
    assert choose_action(actions, "") is None and choose_action((), "book a table") is None
    assert choose_action(actions, "?! " * 5000) is None


@pytest.mark.parametrize(
    "message",
    [
        "need an appointment pls",
        "need an apointment pls",
        "I need an appointment please",
        "i'd like to book an apointment",
    ],
)
def test_a_need_without_i_a_please_and_a_slip_of_the_pen_are_a_wish(message: str) -> None:
    clinic = actions_of(Path(__file__).parents[1] / "retrieve" / "small_firm")
    assert choose_action(clinic, message) == "book_appointment"


def test_a_wish_in_the_words_of_the_title_needs_no_example() -> None:
    skeleton = actions_of(PACKAGED / "skeleton")
    assert choose_action(skeleton, "I'd like to hire a bicycle") == "hire_bicycle"
    assert choose_action(skeleton, "Can you tell me how I hire a bicycle?") is None
