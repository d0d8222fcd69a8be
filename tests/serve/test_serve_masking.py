"""What people wrote is kept without what says who they are; dates, prices and times stay."""

import pytest

from groundup.errors import ConfigError
from groundup.packs.assistant_texts import AssistantTexts
from groundup.serve.feedback import masked


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Mail jane@example.org", "Mail <email>"),
        ("Call 07700 900461 or +44 20 7946 0958", "Call <phone> or <phone>"),
        ("GB29 NWBK 6016 1331 9268 19", "<iban>"),
        ("card 4111 1111 1111 1111", "card <card>"),
        ("account 12345678, sort code 12-34-56", "account <number>, sort code <number>"),
        ("my order 1234567!", "my order <number>!"),
        ("on 2026-12-04, 04-12-2026 or 4 12 2026", "on 2026-12-04, 04-12-2026 or 4 12 2026"),
        ("in 2024-2025, from 10:30-11:30", "in 2024-2025, from 10:30-11:30"),
        ("£100000 or 1,000,000 or 250000€", "£100000 or 1,000,000 or 250000€"),
        ("4 adults and 3 children on 5 May", "4 adults and 3 children on 5 May"),
        ("1" * 50_000, "<number>"),
    ],
)
def test_personal_data_becomes_marks(text: str, kept: str) -> None:
    assert masked(text) == kept


def test_a_pack_says_what_else_is_personal() -> None:
    texts = AssistantTexts(personal=("AAA 999", "A.99-99"))
    text = "I am abc 123 (x.12-34), not abc 1234, xabc 123 or ABC123."
    kept = "I am <code> (<code>), not abc 1234, xabc 123 or ABC123."
    assert masked(text, texts.personal) == kept
    for shape in ("AAA", "A9", "[a-z]+", "9" * 41, " 999", "", "AAA|999"):
        with pytest.raises(ConfigError, match=r"assistant\.personal"):
            AssistantTexts(personal=(shape,))
    with pytest.raises(ConfigError, match="at most 20"):
        AssistantTexts(personal=("9999",) * 21)
