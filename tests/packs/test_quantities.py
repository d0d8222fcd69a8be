"""The numbers and names of texts: one form for each way of writing them."""

import pytest

from groundup.packs.known import names, near_name, quantities


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs £1,500.00.", [("£", "1500")]),
        ("£ 12.50, or 12.5 pounds", [("£", "12.5"), ("£", "12.5")]),
        ("34.9% EAR, 35 per cent and 36 percent", [("%", "34.9"), ("%", "35"), ("%", "36")]),
        ("9.30 am, 9:30am and 09:30", [("time", "09:30")] * 3),
        (
            "from noon to midnight, 12 am, 12 p.m.",
            [("time", "00:00"), ("time", "12:00"), ("time", "12:00"), ("time", "00:00")],
        ),
        (
            "03069 990 100 or +44 1632 960 210, (555-0123)",
            [("phone", "03069990100"), ("phone", "441632960210"), ("phone", "5550123")],
        ),
        ("BM1 4QT, class 7B", [("code", "BM1"), ("code", "4QT"), ("code", "7B")]),
        ("2. Second step of 3\n10) the last", [("", "3")]),
        (
            "twenty-five of one hundred and twenty, two thousand five hundred",
            [("", "25"), ("", "120"), ("", "2500")],
        ),
        ("five ten-pound notes, a dozen, half", [("", "5"), ("", "10"), ("", "12"), ("", "0.5")]),
        ("one of them, the first", []),
        (
            "5 million, 1.2.3, 2026/27, 30th",
            [("", "5000000"), ("", "1.2.3"), ("", "2026"), ("", "27"), ("", "30")],
        ),
        ("8–10 items, 7,8", [("", "8"), ("", "10"), ("", "7"), ("", "8")]),
    ],
)
def test_each_way_of_writing_a_number_has_one_form(text: str, found: list[tuple[str, str]]) -> None:
    assert sorted(each[:2] for each in quantities(text)) == sorted(found)


def test_names_are_words_with_a_capital_and_those_that_begin_a_sentence_are_marked() -> None:
    text = "# Opening hours\n- Ask Ada.\nBob's “Sunny Side” opens | Closed"
    expected = [
        ("Opening", True),
        ("Ask", True),
        ("Ada", False),
        ("Bob's", True),
        ("Sunny", True),
        ("Side", False),
    ]
    assert list(names(text)) == [*expected, ("Closed", True)]


def test_a_misspelt_name_is_near_and_a_word_of_the_same_stem_is_not() -> None:
    assert near_name("Brackenmeer", ["Brackenmere", "bank"]) == "Brackenmere"
    assert (
        near_name("Banker", ["Bank"])
        == near_name("Please", ["Brackenmere"])
        == near_name("Ade", ["Ada"])
        == ""
    )
