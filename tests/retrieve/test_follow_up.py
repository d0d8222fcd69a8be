"""Follow-up questions are read with the turn that they refer to; questions that say enough are not."""

import pytest

from groundup.retrieve.follow_up import MAX_CHARACTERS_BEFORE, own_words, question_in_context

WARRANTY = "How long is the warranty of the PX-20?"


@pytest.mark.parametrize(
    ("turns", "question"),
    [
        ([], ""),
        ([WARRANTY], WARRANTY),
        ([WARRANTY, "And how much is it?"], f"{WARRANTY}\nAnd how much is it?"),
        ([WARRANTY, "Why?", "And how much is it?"], f"{WARRANTY}\nWhy?\nAnd how much is it?"),
        ([WARRANTY, "And the filter?"], f"{WARRANTY}\nAnd the filter?"),
        ([WARRANTY, "When does the hostel close?"], "When does the hostel close?"),
        ([WARRANTY, "When does the hostel close?", "Why?"], "When does the hostel close?\nWhy?"),
        (
            ["Wie lange ist die Garantie auf die Pumpe?", "Und wie viel?"],
            "Wie lange ist die Garantie auf die Pumpe?\nUnd wie viel?",
        ),
        (["", "Why?"], "Why?"),
        ([WARRANTY, "And for children?"], f"{WARRANTY}\nAnd for children?"),
        (
            [WARRANTY, "What about the big ceramic filter?"],
            f"{WARRANTY}\nWhat about the big ceramic filter?",
        ),
        ([WARRANTY, "And how do I clean the filter?"], "And how do I clean the filter?"),
        ([WARRANTY, "One\nWhy?"], f"{WARRANTY}\nOne Why?"),
        ([WARRANTY, ""], f"{WARRANTY}\n"),
    ],
)
def test_a_turn_that_says_too_little_is_read_with_the_one_before(
    turns: list[str], question: str
) -> None:
    assert question_in_context(turns) == question


@pytest.mark.parametrize(
    "turn",
    [
        "how much is a crown",
        "where are you",
        "do you do mortgages?",
        "is there aircon?",
        "What's the deposit?",
        "Wo seid ihr?",
        "Was kostet eine Krone?",
        "Combien coûte une couronne ?",
        "thanks!",
        "good morning",
    ],
)
def test_a_short_turn_that_refers_to_nothing_stands_by_itself(turn: str) -> None:
    assert question_in_context(["What time do you shut on a Friday?", turn]) == turn


@pytest.mark.parametrize(
    "turn",
    [
        "how much for children?",
        "how long does it take?",
        "when exactly?",
        "is that free?",
        "how do I get there?",
        "Und für Kinder?",
        "Et pour les enfants ?",
    ],
)
def test_a_short_turn_without_a_verb_or_with_a_word_that_refers_is_read_with_the_one_before(
    turn: str,
) -> None:
    assert question_in_context([WARRANTY, turn]) == f"{WARRANTY}\n{turn}"


def test_words_of_grammar_and_words_that_ask_are_none_of_its_own() -> None:
    assert (
        own_words("And how much is it?")
        == own_words("Und wie viel?")
        == own_words("How old?")
        == []
    )
    assert own_words("When does the hostel close?") == ["hostel", "close"]


def test_a_long_turn_before_leaves_room_for_the_last_one() -> None:
    found = question_in_context(["word " * 10_000, "And why?"])
    assert found.endswith("And why?") and len(found) < MAX_CHARACTERS_BEFORE + 20
