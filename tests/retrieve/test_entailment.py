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
    "passage,sentence",
    [
        (BANK, "The bank never asks for a full PIN."),
        (BANK, "Use abroad costs 2.75%."),
        (BANK, "Transfers arrive within 2 hours."),
        (TABLE, "The guarantee of a crown is 5 years."),
        (TABLE, "The price of a filling is £85."),
    ],
)
def test_what_one_sentence_says_is_shown(passage, sentence):
    assert unsaid(sentence, passage) == []


@pytest.mark.parametrize(
    "passage,sentence,reason",
    [
        (BANK, "The bank asks for a full PIN.", "negation"),
        (
            BANK,
            "The bank asks for a password or a one-time code.",
            "negation",
        ),
        (
            BANK,
            "Cash withdrawal costs 2.75% and use abroad costs 3%.",
            "beside the same words",
        ),
        (BANK, "Transfers of mortgages arrive within 2 hours.", "its words"),
        (BANK, "Transfers arrive free within 2 hours.", "its words"),
        (BANK, "The counter answers day and night.", "its words"),
        (BANK, "Cards.", "its words"),
        (BANK, "They are a fraud team.", "pronoun"),
        (BANK, "I am the bank.", "who speaks"),
        (BANK, "You may pay in cash when the counter is open.", "only"),
        (BANK, "Transfers arrive in 2 hours.", "within"),
        (TABLE, "A filling guaranteed of 1 year and 5 years is £690.", "one"),
        (TABLE, "A crown costs £85 and has 5 years.", ""),
    ],
)
def test_what_no_sentence_says_is_not(passage, sentence, reason):
    found = unsaid(sentence, passage)
    assert found and reason in " ".join(found)
