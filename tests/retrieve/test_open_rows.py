"""A question on a table that names none of its rows is answered by all of them, one that several
have the words of by these.
"""

from itertools import product

import pytest

from groundup.cli.ask import show_part
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.composition import both_said, compose
from groundup.retrieve.passages import Passage
from groundup.retrieve.table_rows import says_rows

TEXT = (
    "| Branch | Saturday | Lift |\n| --- | --- | --- |\n| Brookend | 9 am to 1 pm | yes |\n"
    "| Hawkley | closed | no |\n| Old Mill | 9 am to noon | no |\n"
)
BRANCHES = Passage(1, TEXT, "Branches", "a", "a", "a", "", 0, len(TEXT), "en", 1)
ALL = [
    "Brookend: 9 am to 1 pm (Saturday)",
    "Hawkley: closed (Saturday)",
    "Old Mill: 9 am to noon (Saturday)",
]


def shown(question: str, *values: float, passage: Passage = BRANCHES) -> list[str]:
    quote = compose(question, [passage], [values])[0]
    assert quote.head is not None and passage.text[quote.start : quote.end] == quote.text
    assert says_rows(quote.in_words, quote.head.text, quote.text)
    return [line.removesuffix(";") for line in quote.in_words.split("\n")]


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("when does the branch close on Saturday?", (1.0, 0.5, 0.2)),
        ("whats the time you close on Saturday?", (1.0, 0.5, 0.2)),
        ("when can we go for a walk on Saturday?", (1.0, 0.95, 0.2)),
    ],
)
def test_all_rows_answer_where_none_is_named(question: str, values: tuple[float, ...]) -> None:
    assert shown(question, *values) == ALL


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("when does the Brookend branch close on Saturday?", (1.0, 0.95, 0.2)),
        ("when can we go for a walk on Saturday?", (1.0, 0.7, 0.2)),
        ("when do the 2 branches close on Saturday?", (1.0, 0.7, 0.2)),
    ],
)
def test_one_row_answers_that_is_named_or_that_the_reader_means(
    question: str, values: tuple[float, ...]
) -> None:
    assert shown(question, *values) == ALL[:1]


def test_a_long_table_stays_with_its_best_row() -> None:
    text = TEXT + "".join(f"| Place {letter} | closed | no |\n" for letter in "abcdefghij")
    passage = Passage(1, text, "Branches", "a", "a", "a", "", 0, len(text), "en", 1)
    assert shown("when does the branch close on Saturday?", *[1.0] * 13, passage=passage) == ALL[:1]


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = [f"{day}: {at} am (Opens), {at + 3} pm (Closes)" for at, day in enumerate(DAYS, start=3)]


def week() -> Passage:
    rows = [f"| {day} | {at} am | {at + 3} pm |\n" for at, day in enumerate(DAYS, start=3)]
    text = f"| Day | Opens | Closes |\n| --- | --- | --- |\n{''.join(rows)}"
    return Passage(1, text, "Opening hours", "a", "a", "a", "", 0, len(text), "en", 1)


@pytest.mark.parametrize(
    ("question", "next_one", "days"),
    [
        ("when are you open?", 0.0, HOURS),
        ("opening hours?", 0.0, HOURS),
        ("when is the counter staffed?", 0.5, HOURS),
        ("are you open at the weekend?", 0.0, HOURS[5:]),
        ("are you open on Tuesday and Friday?", 0.0, [HOURS[1], HOURS[4]]),
        ("are you open Monday to Friday?", 0.0, HOURS[:5]),
        ("are you open on Mondays?", 1.0, HOURS[:1]),
        ("which day are you open longest?", 0.5, HOURS[:1]),
        ("when can i come on a mon", 0.5, HOURS[:1]),
        ("when is the counter staffed?", 0.3, HOURS[:1]),
    ],
)
def test_of_a_week_all_days_are_told_where_none_is_asked_for(
    question: str, next_one: float, days: list[str]
) -> None:
    values = (1.0, *[next_one] * 6)
    assert shown(question, *values, passage=week()) == days


def test_a_week_is_a_list_in_an_answers_text_and_a_table_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quote = compose("when are you open?", [week()], [[1.0] * 7])[0]
    assert part_text(quote).splitlines() == [
        *(f"- {each}" for each in HOURS[:-1]),
        f"- {HOURS[-1]} [{quote.source}]",
    ]
    show_part(quote)
    head, *lines, _, source = capsys.readouterr().out.splitlines()
    assert head.split() == ["Day", "Opens", "Closes"] and source == f"[{quote.source}]"
    assert [line.split()[0] for line in lines] == list(DAYS)


def test_several_days_mean_the_rows_that_have_the_other_words_too() -> None:
    rows = "".join(
        f"| {days} {who} | £{place} |\n"
        for place, (days, who) in enumerate(product(("Weekday", "Weekend"), ("adult", "child")))
    )
    text = f"| Ticket | Price |\n| --- | --- |\n{rows}"
    passage = Passage(1, text, "Tickets", "a", "a", "a", "", 0, len(text), "en", 1)
    both = ["Weekend adult: £2 (Price)", "Weekend child: £3 (Price)"]
    values = (0.1, 0.1, 0.9, 1.0)
    assert shown("what is it at the weekend?", *values, passage=passage) == both
    assert shown("what is a child at the weekend?", *values, passage=passage) == both[1:]


def test_more_words_leave_fewer_rows_open() -> None:
    """Seven rows that several words fit are not read out, which a question without words is."""
    seven = cleaning(
        *(f"{each} dress" for each in ("Day", "Red", "Blue", "Silk", "Wool", "Long", "Old"))
    )
    asked = "how much to clean her white dress?"
    assert shown(asked, 1.0, *[0.95] * 6, passage=seven) == ["Day dress: £10 (Price)"]
    assert len(shown("what is the price?", 1.0, *[0.5] * 6, passage=seven)) == 7


def cleaning(*names: str) -> Passage:
    rows = "".join(f"| {name} | £{place} |\n" for place, name in enumerate(names, start=10))
    text = f"| Item | Price |\n| --- | --- |\n{rows}"
    return Passage(1, text, "Cleaning", "a", "a", "a", "", 0, len(text), "en", 1)


DRESSES = ("Day dress", "Overcoat", "Evening dress", "Jacket", "Tie", "Wedding dress", "Skirt")


@pytest.mark.parametrize("question", ["how much to clean a dress?", "what are dresses?"])
def test_the_rows_that_a_question_has_the_words_of_answer(question: str) -> None:
    values = (1.0, 0.1, 0.7, 0.1, 0.1, 0.5, 0.1)
    assert shown(question, *values, passage=cleaning(*DRESSES)) == [
        "Day dress: £10 (Price)",
        "Evening dress: £12 (Price)",
        "Wedding dress: £15 (Price)",
    ]


@pytest.mark.parametrize(
    ("question", "values", "names"),
    [
        ("how much is a wedding dress?", (0.9, 0.1, 0.7, 0.1, 0.1, 1.0, 0.1), DRESSES),
        ("how much to clean a dress?", (0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 0.1), DRESSES),
        ("how much to clean her white dress?", (0.8, 0.1, 0.8, 0.1, 0.1, 1.0, 0.1), DRESSES),
        ("how much to clean a dress?", (0.9, 0.9, 0.9, 0.9, 0.9, 1.0), (*DRESSES[:5], "Dress")),
    ],
)
def test_one_row_answers_that_has_more_words_or_no_others_or_that_the_reader_means(
    question: str, values: tuple[float, ...], names: tuple[str, ...]
) -> None:
    assert shown(question, *values, passage=cleaning(*names)) == [f"{names[5]}: £15 (Price)"]


def test_a_row_in_a_band_that_is_asked_for_stands_alone() -> None:
    text = "| Age | Entry |\n| --- | --- |\n| Under 5 | free |\n| 5 to 15 | £4 |\n"
    passage = Passage(1, text, "Entry", "a", "a", "a", "", 0, len(text), "en", 1)
    assert shown("how much at that age, he is nine?", 1.0, 1.0, passage=passage) == [
        "5 to 15: £4 (Entry)"
    ]


def test_of_two_parts_on_one_table_the_one_with_all_rows_stays() -> None:
    one = compose("does Brookend have a lift?", [BRANCHES], [[1.0, 0.2, 0.2]])[0]
    every = compose("when does the branch close on Saturday?", [BRANCHES], [[1.0, 0.5, 0.2]])[0]
    assert both_said(one, every) == both_said(every, one) == every


def test_words_for_several_rows_say_each_of_them() -> None:
    rows = "| Brookend | 9 am |\n| Hawkley | closed |"
    assert says_rows("Brookend: 9 am;\nHawkley: closed", "", rows)
    assert not says_rows("Brookend: 9 am;\nHawkley: 9 am", "", rows)
    assert not says_rows("Brookend: 9 am", "", rows)
    assert not says_rows("Hawkley: closed;\nBrookend: 9 am", "", rows)
    three = f"{rows}\n| Old Mill | noon |"
    assert says_rows("Brookend: 9 am;\nOld Mill: noon", "", three)
    assert not says_rows("Brookend: 9 am;\nHawkley: closed", "", three)
