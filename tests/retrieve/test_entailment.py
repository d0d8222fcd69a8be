"""What a model wrote is shown only where one sentence of a passage says it."""

import pytest

from groundup.retrieve.generation import unsaid
from groundup.retrieve.given_passages import given_passage

BANK = given_passage(
    1,
    "The bank never asks for a full PIN, a password or a one-time code. Use abroad costs 2.75%, "
    "cash withdrawal costs 3%. Our fraud team answers day and night. You may pay in cash only when "
    "the counter is open. Transfers arrive within 2 hours.",
    "bank.md",
    "Cards",
)
TABLE = given_passage(
    2,
    "| Treatment | Price | Guarantee |\n|---|---|---|\n| Crown | £690 | 5 years |\n"
    "| Filling | £85 | 1 year |\n",
    "prices.md",
    "Prices",
)


@pytest.mark.parametrize(
    "passage,question,sentence",
    [
        (BANK, "Will the bank ask for my PIN?", "The bank never asks for a full PIN."),
        (BANK, "What does use abroad cost?", "Use abroad costs 2.75%."),
        (BANK, "How soon do transfers arrive?", "Transfers arrive within 2 hours."),
        (TABLE, "How long is a crown guaranteed?", "The guarantee of a crown is 5 years."),
        (TABLE, "What is the price of a filling?", "The price of a filling is £85."),
    ],
)
def test_what_one_sentence_says_is_shown(passage, question, sentence):
    assert unsaid(sentence, passage, question) == []


@pytest.mark.parametrize(
    "passage,question,sentence,reason",
    [
        (BANK, "Does the bank ask for my PIN?", "The bank asks for a full PIN.", "negation"),
        (
            BANK,
            "Does the bank ask?",
            "The bank asks for a password or a one-time code.",
            "negation",
        ),
        (
            BANK,
            "What do cash and use abroad cost?",
            "Cash withdrawal costs 2.75% and use abroad costs 3%.",
            "beside the same words",
        ),
        (BANK, "Who are you?", "They are a fraud team.", "pronoun"),
        (BANK, "Who are you?", "I am the bank.", "who speaks"),
        (BANK, "May I pay in cash?", "You may pay in cash when the counter is open.", "only"),
        (BANK, "How soon?", "Transfers arrive in 2 hours.", "within"),
        (TABLE, "What is a filling?", "A filling guaranteed of 1 year and 5 years is £690.", "one"),
        (TABLE, "What does a crown cost?", "A crown costs £85 and has 5 years.", ""),
    ],
)
def test_what_no_sentence_says_is_not(passage, question, sentence, reason):
    found = unsaid(sentence, passage, question)
    assert found and reason in " ".join(found)
