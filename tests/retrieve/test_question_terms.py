"""Everyday words: what customers say finds what documents say."""

from datetime import date
from pathlib import Path

import pytest

from groundup.language import weekdays
from groundup.language.terms import is_within
from groundup.language.weekdays import implied_days, relative_days
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.everyday_words import FOLDER, everyday_words
from groundup.retrieve.evidence import question_words
from groundup.retrieve.index import Index
from groundup.retrieve.question_terms import question_terms
from groundup.retrieve.search import search

from .conftest import Update

SHOP = {
    "hours.md": "We are open Monday to Thursday 8 am to 6 pm.\n\nOn Friday the doors close at 4 pm.",
    "contact.md": "Telephone 01632 960 111 for questions of any kind.",
    "teeth.md": "An extraction takes 20 minutes and costs £95.",
    "examination.md": "A check-up is free for children and costs everybody else £32.",
    "death.md": "After a bereavement our team freezes the account within 2 working days.",
    "loan.md": "Repayment of the loan begins in the second month.",
    "insurance.md": "Insurance covers accommodation for 14 nights.",
    "where.md": "Our address is 27 Harbour Row, Kelsby.",
}


def fill(docs: Path, texts: dict[str, str]) -> None:
    for file in docs.iterdir():
        file.unlink()
    for name, text in texts.items():
        (docs / name).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("when do you shut?", "hours.md"),
        ("who do I ring?", "contact.md"),
        ("pull a bad tooth", "teeth.md"),
        ("how many quid to have a tooth out", "teeth.md"),
        ("price of a checkup", "examination.md"),
        ("price of a check up for my kid", "examination.md"),
        ("my mum died", "death.md"),
        ("when do I pay it back", "loan.md"),
        ("acommodtion", "insurance.md"),
        ("insurence", "insurance.md"),
        ("where are you", "where.md"),
        ("are you open on a wednesday", "hours.md"),
    ],
)
def test_a_customers_words_find_the_documents(
    question: str, document: str, docs: Path, update: Update, index: Index
) -> None:
    fill(docs, SHOP)
    update()
    assert search(index, question)[0].document == document


def test_a_related_word_counts_less_than_the_word_itself(
    docs: Path, update: Update, index: Index
) -> None:
    fill(
        docs, {"a.txt": "The shop will shut.", "b.txt": "The shop will close.", "c.txt": "Nothing."}
    )
    update()
    asked = question_words(index, "shut")
    shares = [asked.share(text, "en") for text in ("They shut.", "They close.", "They sing.")]
    assert shares[0] == 1 > shares[1] > 0 == shares[2]


def test_a_word_that_passages_have_is_no_spelling_mistake(
    docs: Path, update: Update, index: Index
) -> None:
    fill(docs, {"a.txt": "A winter window.", "b.txt": "A window."})
    update()
    assert [each.related for each in question_terms(index, "winter windows")] == [(), ()]
    assert question_terms(index, "windwo")[0].related == ("window",)
    assert question_terms(index, "widow")[0].related == ("window",)  # no passage has "widow"


@pytest.mark.parametrize(
    ("text", "language", "days"),
    [
        ("Monday to Thursday 8 to 6, Friday 8 to 4", "en", "monday tuesday wednesday thursday"),
        ("Mon-Wed: 9 to 5", "en", "monday tuesday wednesday"),
        ("Fridays until Sunday", "en", "friday saturday sunday"),
        ("Saturday to Monday", "en", "monday saturday sunday"),
        ("at weekends", "en", "saturday sunday"),
        ("in May and June", "en", ""),
        ("Montag bis Mittwoch, werktags", "de", "montag dienstag mittwoch donnerstag freitag"),
        ("du lundi au mercredi", "fr", "lundi mardi mercredi"),
    ],
)
def test_a_range_of_days_is_about_each_of_them(text: str, language: str, days: str) -> None:
    assert implied_days(text, language) == days.split()


def test_tomorrow_is_the_weekday_after_the_day_that_is_given() -> None:
    friday = date(2026, 11, 27)
    assert relative_days("open tomorrow?", friday) == {"tomorrow": "saturday"}
    assert relative_days("habt ihr morgen auf", friday)["morgen"] == "samstag"
    assert "morgen" not in relative_days("am Morgen", friday)
    assert relative_days("open the day after tomorrow?", friday)["tomorrow"] == "sunday"


def test_the_row_of_tomorrows_weekday_is_quoted(
    docs: Path, update: Update, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "| Day | Hours |\n|---|---|\n| Monday to Thursday | 8 to 6 |\n| Friday | 8 to 4 |\n"
    fill(docs, {"hours.md": f"# Opening hours\n\n{table}| Sunday | closed |\n"})
    update()
    for today, hours in ((date(2026, 11, 24), "8 to 6"), (date(2026, 11, 26), "8 to 4")):
        monkeypatch.setattr(weekdays, "today", lambda day=today: day)
        *_, answer = ask(index, "what are the hours tomorrow?", config=AskConfig(min_evidence=0.1))
        assert isinstance(answer, Answer) and hours in answer.quotes[0].text, answer.text


@pytest.mark.parametrize(
    ("language", "asked", "found"),
    [("de", "schluss", "geschloss"), ("de", "gratis", "kostenlos"), ("fr", "maman", "parent")],
)
def test_german_and_french_have_groups_of_their_own(language: str, asked: str, found: str) -> None:
    pytest.importorskip("snowballstemmer")
    words = everyday_words(language).of_word
    assert any(
        found in " ".join(others) for term, others in words.items() if asked.startswith(term)
    )


def test_german_compounds_are_found_by_their_parts_and_the_parts_by_them(
    docs: Path, update: Update, index: Index
) -> None:
    pytest.importorskip("snowballstemmer")
    fill(
        docs,
        {
            "a.txt": "Die Kontoführungsgebühr ist vier Euro und wird von uns im Monat erhoben.",
            "b.txt": "Für die Karte ist eine Frist von drei Wochen nicht vorgesehen.",
            "c.txt": "Wir haben am Abend geöffnet und sind auch am Sonntag für Sie da.",
        },
    )
    update()
    assert search(index, "Wie hoch ist die Gebühr?")[0].document == "a.txt"
    assert search(index, "Kartenfrist")[0].document == "b.txt"
    assert search(index, "Wann habt ihr auf?")[0].document == "c.txt"


def test_edits_are_counted_with_swaps_of_neighbours() -> None:
    assert is_within("recieve", "receive", 1) and not is_within("window", "winter", 2)


def test_no_member_of_a_list_stands_there_twice_and_none_is_empty() -> None:
    for file in FOLDER.iterdir():
        for line in file.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                for part in line.split(" > "):
                    members = [each.strip() for each in part.split(",")]
                    assert all(members) and len(set(members)) == len(members), (file.name, line)
