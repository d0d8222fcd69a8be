"""Exact match, F1 and refusals of answers: the rules by examples."""

import pytest

from groundup.retrieve.known_questions import contains, declines, exact_match, word_f1


def test_case_articles_and_punctuation_do_not_count_and_numbers_are_whole() -> None:
    assert exact_match("The 5 working days.", "5 working days") and not exact_match(
        "15 working days", "5 working days"
    )
    assert (
        exact_match("£1,500", "£1500")
        and not exact_match("1.5", "15")
        and exact_match("4 p.m.", "4 pm")
    )
    assert contains("It is ready in 5 working days, as a rule.", "5 working days")
    assert not contains("It is ready in 15 working days.", "5 working days") and not contains(
        "", "5"
    )


def test_f1_is_of_words_and_each_counts_once() -> None:
    assert word_f1("5 5 5", "5 days") == pytest.approx(2 * 1 / 5)
    assert word_f1("no", "5 days") == word_f1("", "5 days") == 0.0


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("", True),
        ("The documents don't say whether you deliver.", True),
        ("I couldn't find anything about instalments.", True),
        ("I can't find that.", True),
        ("I don’t know.", True),
        ("Delivery isn't mentioned.", True),
        ("That is not mentioned in our price list.", True),
        ("There is no information on this.", True),
        ("No, the deposit is taken by card only.", False),
        ("You can't pay by cheque.", False),
        ("You can find it in Canal Walk.", False),
        ("It costs nothing.", False),
    ],
)
def test_sentences_that_say_there_is_no_answer_are_known(answer: str, refuses: bool) -> None:
    assert declines(answer) == refuses
