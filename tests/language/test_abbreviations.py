"""Abbreviations of text messages are written out before a question is searched for."""

from pathlib import Path

import pytest

import groundup
from groundup.language.abbreviations import written_out

SHOP = (
    "# Our address\n\nOur shop is at 27 Rope Walk, Westerholme.\n\n# Parking\n\nParking is free.\n"
)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("where r u", "where are you"),
        ("Whats ur number pls?", "what's your number please?"),
        ("gonna b4 2moro", "going to before tomorrow"),
        ("Plan R and block U", "Plan R and block U"),
        ("mail r@example.org, 5-yr plan", "mail r@example.org, 5-yr plan"),
    ],
)
def test_what_a_text_message_shortens_is_written_out(sent: str, meant: str) -> None:
    assert written_out(sent, "en") == meant


def test_another_language_is_left_as_it_is() -> None:
    assert written_out("im Laden um 4 hrs", "de") == "im Laden um 4 hrs"


@pytest.mark.parametrize("question", ["where r u", "wheres ur shop"])
def test_a_question_in_text_message_words_finds_its_answer(question: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/us.md").write_text(SHOP)
    groundup.index(tmp_path / "docs", tmp_path / "index", vectors=None)
    found = groundup.ask(tmp_path / "index", question)
    assert found.question == question
    assert "27 Rope Walk" in found.text
