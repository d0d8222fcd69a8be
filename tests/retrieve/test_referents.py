"""A quotation is shown with what it refers to, and of two sections that which is spoken of."""

from collections.abc import Sequence

import pytest

from groundup.retrieve.answer_text import part_text
from groundup.retrieve.cite import statements
from groundup.retrieve.composition import compose
from groundup.retrieve.passages import Passage

DAIRY = """## The Old Dairy

It has a lift and a kiln for large pots. It is gas-fired.

It is best to come by bus. A wheel is free on Fridays. It can be raised.

The kiln cools until noon. No pots until then.

We pay for damage up to £40. Anything above that amount is yours. Beyond that we help.

In January we close at noon. Bookings that limits allow are taken on those days.

## Do you post?

Yes, for £8 a parcel.

## What we don't fire

- polymer clay
- Pots with lead glazes.

## Hester Lowe

Gilder. Here since 2011.

## Bring

- an apron
- Please cut your nails.
"""


def passage(text: str, title: str, id: int = 1) -> Passage:
    return Passage(id, text, title, "a", "a", "a", "", 0, len(text), "en", 1)


def shown(question: str, passages: Sequence[Passage], best: str, *others: str) -> list[str]:
    """What is shown where the sentence with `best` fits best and those with `others` nearly so."""

    def value(text: str) -> float:
        if best in text:
            return 1.0
        return 0.6 * any(each in text for each in others)

    values = [[value(said.text) for said in statements(each)] for each in passages]
    return [
        part_text(each).rpartition(" [")[0].strip('"')
        for each in compose(question, passages, values)
    ]


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("a lift", "The Old Dairy … It has a lift and a kiln for large pots."),
        ("gas-fired", "The Old Dairy … It has a lift and a kiln for large pots. It is gas-fired."),
        ("by bus", "It is best to come by bus."),
        ("raised", "A wheel is free on Fridays. It can be raised."),
        ("until then", "The kiln cools until noon. No pots until then."),
        ("is yours", "We pay for damage up to £40. Anything above that amount is yours."),
        ("we help", "Anything above that amount is yours. Beyond that we help."),
        (
            "are taken",
            "In January we close at noon. Bookings that limits allow are taken on those days.",
        ),
        ("up to £40", "We pay for damage up to £40."),
        ("£8", "Do you post? … Yes, for £8 a parcel."),
        ("polymer", "What we don't fire … polymer clay"),
        ("lead", "What we don't fire … Pots with lead glazes."),
        ("Gilder", "Hester Lowe … Gilder."),
        ("apron", "Bring … an apron"),
        ("nails", "Please cut your nails."),
    ],
)
def test_a_sentence_is_shown_with_what_it_refers_to(said: str, whole: str) -> None:
    assert shown("a question", [passage(DAIRY, "The Old Dairy")], said)[0] == whole


MILL = passage(
    "## Mill Lane studio\n\nThe wheels are upstairs; there is no lift.\n", "Us > Mill Lane studio"
)
FARM = passage("## The Farm studio\n\nThere is a lift to the gallery.\n", "Us > The Farm studio", 2)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("is there a lift at Mill Lane?", "The wheels are upstairs; there is no lift."),
        ("is there a lift at the farm?", "There is a lift to the gallery."),
        ("is there a lift?", "There is a lift to the gallery."),
        ("is there a lift in the farm or in mill lane?", "There is a lift to the gallery."),
    ],
)
def test_the_section_that_is_named_answers(question: str, answer: str) -> None:
    assert shown(question, [MILL, FARM], "gallery", "upstairs")[0] == answer


YARD = passage("Parking is free in the yard. Please don't park in front of the shop.\n", "Us")


def test_where_a_thing_can_be_done_is_not_answered_by_where_it_is_forbidden() -> None:
    both = ["Parking is free in the yard.", "Please don't park in front of the shop."]
    assert shown("is there anywhere to park?", [YARD], "don't park", "free") == both
    assert shown("may I park at the shop?", [YARD], "don't park", "free") == both[1:]


MEMBERS = passage(
    "| Membership | Hours | Monthly |\n| --- | --- | --- |\n| Full | all | £94 |\n"
    "| Reduced (students) | all | £62 |\n",
    "Members",
)


def test_a_follow_up_that_changes_a_word_is_answered_by_its_row_of_the_same_table() -> None:
    asked = "what does full membership cost?\nand for students"
    (quote,) = compose(asked, [MEMBERS], [[1.0, 0.3]])
    assert quote.in_words.startswith("Reduced (students): £62 (Monthly)")


FIRING = passage(
    "| Firing | When | Under 1 kg | 1 to 3 kg | Places |\n| --- | --- | --- | --- | --- |\n"
    "| Stoneware | Fridays | £5 | £9 | 8 |\n| Biscuit | Mondays | £3 | £6 | 8 |\n",
    "Firing",
)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("what is stoneware?\nand if it weighs 2 kilos", "Stoneware: £9 (1 to 3 kg)"),
        ("when does the stoneware firing take place?", "Stoneware: Fridays (When)"),
        ("how many places has the stoneware firing?", "Stoneware: 8 (Places)"),
    ],
)
def test_a_column_is_named_by_a_band_and_by_the_word_that_asks(question: str, said: str) -> None:
    (quote,) = compose(question, [FIRING], [[1.0, 0.2]])
    assert quote.in_words == said
