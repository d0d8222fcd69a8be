"""The choice among sentences: bands of numbers, calendar dates, heads of rows, exceptions."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from groundup.language import weekdays
from groundup.language.calendar_dates import asked_days, bank_holidays, easter, worded_dates
from groundup.language.number_words import with_digits
from groundup.retrieve.answer import Answer, AskConfig, ask, part_text
from groundup.retrieve.choice import named_row, row_of_band, row_of_capacity
from groundup.retrieve.index import Index
from groundup.retrieve.number_ranges import (
    HOLDS,
    MISSES,
    asked_numbers,
    fit_of_date,
    fit_of_number,
    ranges_in,
)
from groundup.retrieve.table_rows import Table

from .conftest import Update

TODAY = date(2026, 11, 29)
LOANS = """# Loans

| Amount | Rate |
|---|---|
| £1,000 to £2,999 | 14.9% |
| £3,000 to £7,499 | 9.9% |
| £7,500 to £25,000 | 6.4% |
"""
ENTRY = """# Entry

| Who | Entry |
|---|---|
| Under 5s | free |
| 5 to 15 | £4 |
| 16 and over | £9 |
"""
HOURS = """# Opening hours

We are open Monday to Thursday 8 to 6, Friday 8 to 4.

We are closed 24 December to 2 January.

On bank holidays we open from 10 to 2.
"""
PARTIES = (
    "# Parties\n\nThe minimum spend is £600 for parties. There is no minimum spend for wakes.\n"
)
Shown = Callable[[str, str], list[str]]


@pytest.fixture
def shown(
    docs: Path, update: Update, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shown]:
    """shown(question, document) -> the lines of the answer, on a 29 November 2026."""
    monkeypatch.setattr(weekdays, "today", lambda: TODAY)
    opened: list[Index] = []

    def answer(question: str, document: str) -> list[str]:
        (docs / "a.md").write_text(document)
        update()
        opened.append(Index(tmp_path / "index"))
        *_, last = ask(opened[-1], question, config=AskConfig(min_evidence=0.05))
        assert isinstance(last, Answer)
        return [part_text(part) for part in last.parts]

    yield answer
    for each in opened:
        each.close()


@pytest.mark.parametrize(
    ("question", "text", "fit"),
    [
        ("six thousand pounds", "£3,000 to £7,499", HOLDS),
        ("I've £350k", "£200,001 to £400,000", HOLDS),
        ("I've 11 thousand", "£10,000 or more", HOLDS),
        ("a house of £2.5m", "£1m to £5m", HOLDS),
        ("a house of £500,000", "£1m or more", MISSES),
        ("my son is 9", "| 10 and over | £4 |", MISSES),
        ("my 4 year old", "| Under 5s |", HOLDS),
        ("ten months old", "| 6 to 17 months |", HOLDS),
        ("my daughter is five", "| Under 5s |", MISSES),
        ("a case of 24 kilos", "up to 23 kg", MISSES),
        ("we are 1.1 m tall", "over 1.20 metres", MISSES),
        ("twelve items", "from 12 items", HOLDS),
        ("there are six of us", "parties of 13 guests or more", MISSES),
        ("cancel 8 days before", "between 21 and 7 days", HOLDS),
        ("at 9.30 on 3 May", "| 5 to 15 |", 0),
        ("which one is it?", "| 1 to 2 |", 0),
        ("two kilos", "open 9 am to 5 pm, 3 to 5 May", 0),
        ("£40", "10 to 50 kg", 0),
    ],
)
def test_a_number_is_held_against_ranges_of_its_dimension(
    question: str, text: str, fit: int
) -> None:
    assert fit_of_number(question, text) == fit


def test_number_words_are_numbers() -> None:
    assert with_digits("a hundred and five, twenty-one, half of one") == "105, 21, half of one"
    assert with_digits("two million, the fifth, fifty thousandth").startswith("2000000, the fifth")


@pytest.mark.parametrize(
    ("question", "text", "fit"),
    [
        ("open on 25 December?", "Closed 24 December to 2 January.", HOLDS),
        ("open on 1 January?", "Closed 24 December to 2 January.", HOLDS),
        ("open on the 3rd?", "Closed on 3 December.", HOLDS),
        ("open on the 4th?", "Closed on 3 December.", 0),
        ("open on Boxing Day?", "Shut on 24 and 25 December; on the 26th from 3 pm.", HOLDS),
        ("open tomorrow?", "Shut from Monday 30 November to Saturday 5 December 2026.", HOLDS),
        ("open tomorrow?", "Shut on 30 November 2025.", MISSES),
        ("open on Easter Monday?", "On bank holidays we open late.", HOLDS),
        ("open next bank holiday Monday?", "Shut on 28 December.", HOLDS),
        ("open on 3 May 2027?", "On bank holidays we open late.", HOLDS),
        ("a party in August?", "Not in August.", HOLDS),
        ("may I come in May?", "You may come on 4 June.", MISSES),
        ("open on 31 June?", "Closed in June.", 0),
        ("open on Friday?", "Closed in June.", 0),
        ("paid on 2 May", "From 1 May it costs £4.", 0),
        ("open on 1 March?", "Closed 29 February to 3 January.", HOLDS),
        ("open on 24/12?", "Closed 24 December to 2 January.", HOLDS),
        ("open on 2026-12-24?", "Closed 24/12 to 2/1.", HOLDS),
        ("open on 1 January?", "Closed 24.12.\u20132.1.", HOLDS),
        ("open on 3/12?", "Shut on 12 March.", MISSES),
        ("open on 24/12?", "Open 24/7, half price for 1/2 an hour, rooms 2.12 and 3.12.", 0),
        ("open on 1 January 2027?", "Closed 30 December 2026 to 3 January.", HOLDS),
        ("open on Boxing Day 2027?", "Closed on 26 December 2026.", MISSES),
    ],
)
def test_days_are_held_against_dates_ranges_and_feasts(question: str, text: str, fit: int) -> None:
    assert fit_of_date(question, text, TODAY) == fit


def test_a_day_is_the_next_one_from_today() -> None:
    [day] = asked_days("are you open on 3 May?", TODAY)
    assert day.first == date(2027, 5, 3)
    [leap] = asked_days("29 February", TODAY)
    assert leap.first == date(2028, 2, 29)
    [friday] = asked_days("next Friday", date(2026, 12, 4))
    assert friday.first == date(2026, 12, 11)
    [friday] = asked_days("this Friday", date(2026, 12, 4))
    assert friday.first == date(2026, 12, 4)
    [feast] = asked_days("Easter Monday 2029", TODAY)
    assert (feast.first, feast.words) == (date(2029, 4, 2), "Easter Monday")


@pytest.mark.parametrize(
    ("text", "worded"),
    [
        ("24/12?", "24 December?"),
        ("are you open on 24/12/26?", "are you open on 24 December 2026?"),
        ("Monday 5/1 to Friday 9/1", "Monday 5 January to Friday 9 January"),
        ("on 24.12.", "on 24 December"),
        ("Heiligabend, 24.12., zu", "Heiligabend, 24 December, zu"),
        ("Ends on 24/12/2026. Next", "Ends on 24 December 2026. Next"),
        ("12/25/2026", "25 December 2026"),
        ("24/12-2/1", "24 December to 2 January"),
    ],
)
def test_a_date_in_figures_is_put_into_words(text: str, worded: str) -> None:
    assert worded_dates(text) == worded


@pytest.mark.parametrize(
    "text",
    [
        "open 24/7",
        "on 24/7/365 cover, 2024/25",
        "up to 1/2 of it, 3/4 cup",
        "It weighs 24.12. Then",
        "from 9.30 to 5.30, at 9.10.",
        "last bus on Fridays 10.05 pm, 0.5–1.4 m, ages 6/7-13/14",
        "version 2.1.10, £24.12, 01632/960",
        "on 31/2 and 31/2/2026",
    ],
)
def test_what_is_no_date_stays_in_figures(text: str) -> None:
    assert worded_dates(text) == text


def test_a_date_in_figures_has_the_month_name_of_its_language() -> None:
    assert worded_dates("offen am 1.3.?", "de") == "offen am 1 März?"
    assert worded_dates("ouvert le 3/12 ?", "fr") == "ouvert le 3 décembre ?"


@pytest.mark.parametrize(
    "piece",
    ["1/1 ", "on 1/1/", "1.1.", "2026-01-01-", "1, ", "1 ", "May ", "1 May ", "the 1st, ", "1"],
)
def test_what_repeats_is_read_in_time_linear_in_it(piece: str) -> None:
    text, started = piece * (10_000 // len(piece)), time.process_time()
    asked_days(text, TODAY), asked_numbers(text), ranges_in(text)
    assert time.process_time() - started < 2, "it took six seconds where it was quadratic"


def test_easter_and_bank_holidays_are_those_of_the_calendar() -> None:
    known = {2022: (4, 17), 2024: (3, 31), 2025: (4, 20), 2026: (4, 5), 2038: (4, 25)}
    assert {year: easter(year) for year in known} == {y: date(y, *day) for y, day in known.items()}
    # https://www.gov.uk/bank-holidays
    assert sorted(f"{each:%m-%d}" for each in bank_holidays(2026)) == (
        ["01-01", "04-03", "04-06", "05-04", "05-25", "08-31", "12-25", "12-28"]
    )
    assert {date(2022, 1, 3), date(2022, 12, 26), date(2022, 12, 27)} <= bank_holidays(2022)


@pytest.mark.parametrize(
    ("question", "document", "first"),
    [
        ("Which rate for a loan amount of six thousand pounds?", LOANS, "£3,000 to £7,499: 9.9%"),
        ("entry for my son, he is nine", ENTRY, "5 to 15: £4"),
        ("entry for my 4 year old", ENTRY, "Under 5s: free"),
        ("Are you open on Christmas Day?", HOURS, '"We are closed 24 December'),
        ("are you open on 28 December?", HOURS, '"We are closed 24 December'),
        ("is it open on 4 May 2027?", HOURS, '"We are open Monday'),
    ],
)
def test_the_row_or_sentence_whose_range_holds_the_value_is_shown(
    shown: Shown, question: str, document: str, first: str
) -> None:
    assert shown(question, document)[0].startswith(first)


def test_the_day_that_is_meant_is_said(shown: Shown) -> None:
    assert shown("Are you open tomorrow?", HOURS)[-1] == "Tomorrow is Monday, 30 November 2026."
    assert shown("Are you open next Friday?", HOURS)[-1] == "Next Friday is 4 December 2026."
    assert shown("Open next bank holiday?", HOURS)[-1] == (
        "Next bank holiday is Friday, 25 December 2026, a bank holiday in England and Wales."
    )
    assert len(shown("Are you open on Mondays?", HOURS)) == 1


@pytest.mark.parametrize("asked", ["24/12", "24.12.", "2026-12-24", "24/12/2026"])
def test_a_date_in_figures_is_answered_as_in_words(shown: Shown, asked: str) -> None:
    lines = shown(f"Are you open on {asked}?", HOURS)
    assert lines == shown("Are you open on 24 December?", HOURS)
    assert lines[0].startswith('"We are closed 24 December')
    assert lines[-1] == "24 December 2026 is a Thursday."


def test_a_date_with_two_readings_is_said_to_be_read_as_british(shown: Shown) -> None:
    lines = shown("Are you open on 3/12?", "# Hours\n\nWe are closed on 3 December.\n")
    assert lines[1] == "3/12 is read as 3 December, the day before the month."
    others = shown("Are you open on 24/12 or 3.12.?", "# Hours\n\nWe are closed on 3 December.\n")
    assert not any("is read as" in each for each in others)


def test_an_exception_that_the_question_names_is_shown(shown: Shown) -> None:
    lines = shown("What is the minimum spend for a wake?", PARTIES)
    assert '"There is no minimum spend for wakes." [1]' in lines[:2]
    assert shown("What is the minimum spend for parties?", PARTIES)[0].startswith('"The minimum')


def test_a_row_that_is_of_what_is_asked_stands_before_one_that_has_it() -> None:
    names = ["Filling", "Crown of steel", "Porcelain crown"]
    assert named_row("how much is a crown?", "Implant with crown", names, "en") == 2
    for question in ("an implant with a crown?", "how much is a filling?"):
        assert named_row(question, "Implant with crown", names, "en") is None


def test_a_band_is_chosen_only_where_one_row_holds_the_value() -> None:
    rows = (("2 to 7 days", "10"), ("Over 7 days", "0"), ("Over 8 days", "0"))
    assert row_of_band("3 days late", Table(("Late", "Marks"), rows, 1), TODAY) == 0
    assert row_of_band("9 days late", Table(("Late", "Marks"), rows, 0), TODAY) is None
    assert row_of_band("9 days late", Table(("Late", "Marks"), rows, 1), TODAY) is None


@pytest.mark.parametrize(
    ("question", "quoted", "chosen"),
    [
        ("a cake for twelve people", 3, 1),
        ("I need one for 20 guests", 0, 2),
        ("for 8 people", 0, None),  # is the quoted one
        ("for 60 people", 0, None),  # none has room enough
        ("how much is the 8 inch one?", 1, None),
    ],
)
def test_the_row_with_room_enough_is_chosen(question: str, quoted: int, chosen: int | None) -> None:
    rows = (("6 inch", "8"), ("8 inch", "up to 14"), ("10 inch", "24"), ("Two tiers", "40"))
    assert row_of_capacity(question, Table(("Size", "Serves"), rows, quoted)) == chosen
    assert row_of_capacity(question, Table(("Size", "Weeks"), rows, quoted)) is None
