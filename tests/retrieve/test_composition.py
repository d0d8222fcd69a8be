"""Composition: one sentence that answers, at most one that qualifies it, rows of tables in words."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.retrieve.answer import Answer, AskConfig, Note, ask, read
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.cite import ANSWERS, DIFFERS, QUALIFIES, Quote
from groundup.retrieve.composition import compose, missing_words, nearest_quote
from groundup.retrieve.document_dates import stated_date
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import focus_words, question_parts
from groundup.retrieve.refusals import NOT_FOUND
from groundup.retrieve.saved import save_answer, verify_answer
from groundup.retrieve.table_rows import Table, answer_in_words, says_row

from .conftest import Update

PRICES = """# Prices

| Treatment | Price | Guarantee |
|---|---|---|
| Filling | £95 | 1 year |
| Crown* | £690 | 5 years |
| Whitening | £280 | none |

\\* Without the work of the laboratory.

## Check-ups

A check-up costs £48. It is free for children under 18, but not on Saturdays.

We only see dogs on Mondays.
"""
TICKETS = "# Tickets\n\nA ticket costs 9 euros. A ticket for children costs 4 euros.\n"
BRING = "# First visit\n\nBring with you to your first visit:\n\n- your passport\n- a list of your medicines\n\nCome early.\n"
Shown = Callable[..., Answer]


@pytest.fixture
def answered(docs: Path, update: Update, tmp_path: Path) -> Iterator[Shown]:
    """answered(question, name=text, ...) -> the answer from these documents."""
    opened: list[Index] = []

    def answer(question: str, documents: dict[str, str], least: float | None = None) -> Answer:
        for name, text in documents.items():
            (docs / name).write_text(text)
        update()
        opened.append(Index(tmp_path / "index"))
        *_, last = ask(opened[-1], question, config=AskConfig(min_evidence=least))
        assert isinstance(last, Answer)
        for quote in last.quotes:
            source = last.sources[quote.source - 1]
            text = opened[-1].document_text(source.document_id)
            assert text[quote.start : quote.end] == quote.text
        return last

    yield answer
    for each in opened:
        each.close()


def texts(answer: Answer) -> list[str]:
    return [part_text(part) for part in answer.parts]


def test_one_sentence_answers_and_one_beside_it_qualifies(answered: Shown) -> None:
    answer = answered("How much is a check-up?", {"prices.md": PRICES})
    assert [(each.text, each.role) for each in answer.quotes] == [
        ("A check-up costs £48.", ANSWERS),
        ("It is free for children under 18, but not on Saturdays.", QUALIFIES),
    ]


def test_of_sentences_that_fit_as_well_the_kind_that_is_asked_for_is_shown(
    answered: Shown,
) -> None:
    passage = Passage(1, "We send a card. It costs £15.", "", "a", "a", "a", "", 0, 29, "en", 1)
    shown = {
        values: compose("How much is a card?", [passage], [values])[0].text
        for values in ((1.0, 0.9), (1.0, 0.5))
    }
    assert list(shown.values()) == ["We send a card. It costs £15.", "We send a card."]


def test_a_condition_of_another_subject_is_not_shown(answered: Shown) -> None:
    text = "# Dogs\n\nA walk costs £9 an hour. Cats only eat fish.\n\nA bath costs £4.\n"
    assert texts(answered("What does a walk cost?", {"dogs.md": text})) == [
        '"A walk costs £9 an hour." [1]'
    ]


def test_a_row_answers_in_words_with_its_footnote_and_its_table(answered: Shown) -> None:
    answer = answered("How much is a crown?", {"prices.md": PRICES})
    row, note = answer.quotes
    assert row.text == "| Crown* | £690 | 5 years |"
    assert part_text(row) == "Crown: £690 (Price), 5 years (Guarantee) [1]"
    assert note.role == QUALIFIES and "laboratory" in note.text
    assert row.table is not None and row.table.row == 1 and row.table.rows[1][1] == "£690"
    [filling] = answered("How much is a filling?", {"prices.md": PRICES}).quotes
    assert filling.in_words.startswith("Filling: £95 (Price)")


ROWS = (("Filling", "£95", "1 year"), ("Crown", "£690", "5 years"))
TREATMENTS = Table(("Treatment", "Price", "Guarantee"), ROWS, 1)
NIGHTS = Table(
    ("Room", "Sunday to Thursday", "Friday and Saturday", "Sleeps"),
    (("Double", "£98", "£124", "2"), ("Family", "£138", "£168", "4")),
    0,
)


@pytest.mark.parametrize(
    ("table", "question", "said"),
    [
        (TREATMENTS, "What is the price of a crown?", "Crown: £690 (Price)"),
        (TREATMENTS, "Which guarantee has a crown?", "Crown: 5 years (Guarantee)"),
        (TREATMENTS, "How long does a crown last?", "Crown: 5 years (Guarantee), £690 (Price)"),
        (TREATMENTS, "A crown?", "Crown: £690 (Price), 5 years (Guarantee)"),
        (
            NIGHTS,
            "price of a double on a friday",
            "Double: £124 (Friday and Saturday), £98 (Sunday to Thursday)",
        ),
        (Table(("Zone", "Price"), (("3", "£4"),), 0), "zone 3?", "Zone 3: £4 (Price)"),
        (Table((), (("Crown", "£690"),), 0), "price?", "Crown: £690"),
        (Table(("A", "Price"), (("Crown", ""),), 0), "price?", "Crown"),
    ],
)
def test_the_column_that_is_asked_for_comes_first(table: Table, question: str, said: str) -> None:
    assert answer_in_words(table, question, "en") == said
    head = f"| {' | '.join(table.columns)} |" if table.columns else ""
    assert says_row(said, head, f"| {' | '.join(table.rows[table.row])} |")


@pytest.mark.parametrize(
    "said",
    [
        "Crown: £95 (Price)",
        "Crown: £690 (Guarantee)",
        "Filling: £690 (Price)",
        "Crown: £690 (Price), £1",
    ],
)
def test_words_that_no_row_says_are_found(said: str) -> None:
    assert not says_row(said, "| Treatment | Price | Guarantee |", "| Crown | £690 | 5 years |")


SHOP = """# Shop

You can pay by cash, card or bank transfer. We don't take cheques or American Express.
"""


def test_a_sentence_beside_that_says_no_of_what_is_asked_is_shown_too(answered: Shown) -> None:
    said = ['"You can pay by cash, card or bank transfer." [1]']
    beside = '"We don\'t take cheques or American Express." [1]'
    whether = texts(answered("Can I pay by bank transfer or a cheque?", {"shop.md": SHOP}))
    assert whether == [*said, beside]
    assert texts(answered("Can I pay by bank transfer?", {"shop.md": SHOP})) == said


POOL = """# Pool

Please bring:

- a towel
- a padlock for the locker
- swimwear that fits tightly

## Not allowed

* glass bottles
* dogs, except guide dogs
* cameras
"""


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("What should I bring?", "Please bring:\n- a towel\n- a padlock for the locker\n- swim"),
        ("What is not allowed?", "* glass bottles\n* dogs, except guide dogs\n* cameras"),
        ("Are dogs allowed?", "Not allowed … dogs, except guide dogs"),
        ("What kind of padlock should I bring?", "Please bring: … a padlock for the locker"),
    ],
)
def test_all_of_a_list_is_shown_where_all_of_it_is_asked(
    answered: Shown, question: str, shown: str
) -> None:
    first, *_ = texts(answered(question, {"pool.md": POOL}))
    assert first.startswith(f'"{shown}')
    assert first.count("\n") == shown.count("\n")


def test_a_list_is_shown_below_its_head(answered: Shown) -> None:
    answer = answered("What do I bring to my first visit?", {"bring.md": BRING})
    assert answer.quotes[0].text.startswith(
        "Bring with you to your first visit:\n\n- your passport"
    )
    assert answer.quotes[0].text.endswith("- a list of your medicines") and len(answer.quotes) == 1
    answer = answered("Do you need a list of my medicines?", {"bring.md": BRING})
    assert answer.quotes[0].head is not None
    assert texts(answer)[0] == (
        '"Bring with you to your first visit: … a list of your medicines" [1]'
    )


def test_both_parts_of_a_question_are_answered_or_the_missing_one_is_named(
    answered: Shown,
) -> None:
    documents = {"prices.md": PRICES, "tickets.md": TICKETS}
    both = answered("What does a check-up cost and how much is a ticket?", documents)
    answers = [each.text for each in both.quotes if each.role == ANSWERS]
    assert answers == ["A check-up costs £48.", "A ticket costs 9 euros."]
    row = answered("What is the price of a filling and which guarantee has a filling?", documents)
    assert texts(row) == ["Filling: £95 (Price), 1 year (Guarantee) [1]"]
    one = answered("What does a check-up cost and who is the president of Peru?", documents)
    assert texts(one)[-1] == "Not found in your documents: who is the president of Peru."
    none = answered("Who is the king of Peru and who composed the Ring?", documents)
    assert none.text == NOT_FOUND


def test_what_both_parts_of_a_question_find_is_a_source_once(
    docs: Path, update: Update, tmp_path: Path
) -> None:
    """Each part gives a passage a score of its own; a model's prompt numbers it by its place."""
    (docs / "prices.md").write_text(PRICES)
    (docs / "tickets.md").write_text(TICKETS)
    update()
    with Index(tmp_path / "index") as index:
        reading = read(index, "How much is a crown, and what does a check-up cost?", AskConfig())
    assert len(reading.about) > 1
    assert [each for each in reading.about if each not in reading.sources] == []


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Do you mend shoes and bags?", 1),
        ("My bin was missed and how soon do you come?", 1),
        ("How much is it and how long does it take?", 2),
        ("Can I bring my dog? What does he cost?", 2),
        ("Who, and why, and where, and when is it?", 1),
        ("Where are you & when do you open?", 2),
        ("My son is 9, when are the meetings and what do they cost?", 2),
        ("What do I pay as well as how long will it take?", 2),
        ("", 1),
    ],
)
def test_only_two_questions_are_two_parts(question: str, parts: int) -> None:
    assert len(question_parts(question)) == parts


@pytest.mark.parametrize(
    ("question", "second"),
    [
        ("When are you open and where can I park?", "where can I park?"),
        ("How much is a crown and how long does it last?", "crown\nhow long does it last?"),
        ("Is it open on Mondays and if so until when?", "open mondays\nuntil when?"),
    ],
)
def test_a_second_question_has_the_subject_of_the_first_only_where_it_lacks_one(
    question: str, second: str
) -> None:
    assert [each.question for each in question_parts(question)][1] == second


@pytest.mark.parametrize(
    ("turn", "words"),
    [("children?", ["children"]), ("ok and the porcelain one", ["porcelain"]), ("how much?", [])],
)
def test_a_bare_turn_turns_on_its_words(turn: str, words: list[str]) -> None:
    assert focus_words(f"How much is a crown?\n{turn}") == words


def test_a_follow_up_keeps_its_subject_and_turns_on_its_word(answered: Shown) -> None:
    question = "How much is a ticket?\nAnd for children?"
    assert focus_words(question) == ["children"]
    answer = answered(question, {"tickets.md": TICKETS})
    assert answer.quotes[0].text == "A ticket for children costs 4 euros."


def test_documents_that_differ_are_shown_with_names_and_dates(answered: Shown) -> None:
    documents = {
        "fees-2025.md": "# Fees\n\nUpdated 3 May 2025.\n\nA new key costs £25 for each member.\n",
        "fees.md": "# Fees\n\nUpdated 2026-01-04.\n\nA new key costs £30 for each member.\n",
    }
    answer = answered("What does a new key cost for a member?", documents)
    assert [(each.text, each.role, each.dated) for each in answer.quotes] == [
        ("A new key costs £30 for each member.", ANSWERS, "2026-01-04"),
        ("A new key costs £25 for each member.", DIFFERS, "2025-05-03"),
    ]
    later, earlier = (each.source for each in answer.quotes)
    assert answer.notes == (
        Note(
            f"Your documents differ; the later one stands first: [{later}] is fees.md of "
            f"2026-01-04, [{earlier}] is fees-2025.md of 2025-05-03."
        ),
    )
    assert [each["dated"] for each in answer.to_plain()["quotes"]] == ["2026-01-04", "2025-05-03"]


ROW = "# Prices 2025\n\n| Treatment | Price |\n|---|---|\n| Filling | £95 |\n| Crown | £690 |\n"


@pytest.mark.parametrize(
    ("news", "texts"),
    [
        (
            "# News of May 2026\n\nFrom 1 June 2026 a crown costs £720.\n",
            ["From 1 June 2026 a crown costs £720.", "| Crown | £690 |"],
        ),
        (
            "# Prices\n\n| | Until 31 July | From 1 August |\n|---|---|---|\n| Crown | £690 | £720 |\n",
            ["| Crown | £690 |", "| Crown | £690 | £720 |"],
        ),
        (
            "# News of May 2024\n\nA crown costs £650.\n",
            ["| Crown | £690 |", "A crown costs £650."],
        ),
        ("# News of May 2026\n\nA bridge beside a crown costs £720.\n", ["| Crown | £690 |"]),
        ("# News of May 2026\n\nFrom 1 June 2026 a crown costs £690.\n", ["| Crown | £690 |"]),
        ("# News of May 2026\n\nFrom 1 June 2026 a crown takes 9 days.\n", ["| Crown | £690 |"]),
    ],
)
def test_an_announcement_of_another_value_differs_from_a_row(
    answered: Shown, news: str, texts: list[str]
) -> None:
    answer = answered("What is the price of a crown?", {"prices.md": ROW, "news.md": news})
    said = [each.text for each in answer.quotes]
    assert said == texts or (len(texts) == 1 and texts[0] in said and not answer.notes)
    assert bool(answer.notes) == (len(texts) == 2)


def test_a_price_that_the_row_has_in_another_column_does_not_differ(answered: Shown) -> None:
    documents = {
        "hire.md": "# Hire\n\n| Bike | Half day | Day |\n|---|---|---|\n| Tandem | £30 | £45 |\n",
        "news.md": "# News of May 2024\n\nA tandem costs £45.\n",
    }
    assert answered("How much is the tandem?", documents).notes == ()


@pytest.mark.parametrize(
    ("news", "differs"),
    [
        ("From 5 October 2026 our Sunday rides begin at 9 am outside the shop.", False),
        ("From 5 October 2026 our Sunday opening is at 9 am.", True),
    ],
)
def test_a_row_named_by_a_weekday_differs_only_from_what_its_heading_is_about(
    answered: Shown, news: str, differs: bool
) -> None:
    documents = {
        "hours.md": "# Opening hours\n\n| Day | Shop |\n|---|---|\n| Sunday | 10 am to 2 pm |\n",
        "rides.md": f"# Rides\n\n{news}\n",
    }
    answer = answered("And on Sunday?", documents)
    assert any(each.role == DIFFERS for each in answer.quotes) == differs


def test_a_document_that_is_yet_to_come_does_not_stand_first(answered: Shown) -> None:
    documents = {
        "a.md": "# Fees\n\nUpdated 3 May 2025.\n\nA new key costs £25 for each member.\n",
        "b.md": "# Fees\n\nValid from 1 May 2098.\n\nA new key costs £30 for each member.\n",
    }
    answer = answered("What does a new key cost for a member?", documents)
    [note] = answer.notes
    assert note.text.endswith("b.md of 2098-05-01, which is yet to come.") or (
        "b.md of 2098-05-01, which is yet to come, " in note.text
    )
    assert "later one" not in note.text


@pytest.mark.parametrize(
    "other",
    [
        "A new key costs £25 for each member.",
        "A new card costs £30 for each guest.",
        "A new key takes 30 days for each member.",
    ],
)
def test_documents_that_agree_or_speak_of_something_else_do_not_differ(
    answered: Shown, other: str
) -> None:
    documents = {"a.md": "A new key costs £25 for each member.", "b.md": other}
    assert answered("What does a new key cost for a member?", documents).notes == ()


@pytest.mark.parametrize(
    ("name", "beginning", "found"),
    [
        ("a.md", "# Prices 2026", "2026"),
        ("a.md", "Valid from 1st March, 2026", "2026-03-01"),
        ("a.md", "Effective March 3, 2026", "2026-03-03"),
        ("a.md", "Stand: 3. Mai 2026", "2026-05-03"),
        ("a.md", "Version 2026-13-40", ""),
        ("prices_2026-03.md", "", "2026-03"),
        ("1999/a.md", "We opened in May 1999.", "1999"),
        ("a.md", "The concert is on 3 May 2026.", ""),
    ],
)
def test_the_date_that_a_document_states(name: str, beginning: str, found: str) -> None:
    assert stated_date(name, beginning) == found


def test_a_refusal_names_the_nearest_sentence_and_the_missing_words(
    answered: Shown, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = answered("How much is a ticket for penguins?", {"tickets.md": TICKETS}, least=1.0)
    assert answer.text == NOT_FOUND and not answer.quotes and answer.cited == []
    assert answer.nearest is not None and "ticket" in answer.nearest.text
    assert answer.missing == ("penguins",)
    place = str(docs.parent / "index")
    question = "How much is a ticket for penguins?"
    assert run(["ask", place, question, "--min-evidence", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(NOT_FOUND) and "penguins" in shown
    assert "Nearest: tickets.md (Tickets):" in shown and "A ticket costs 9 euros." in shown
    assert run(["ask", place, question, "--min-evidence", "1", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["missing"] == ["penguins"] and plain["answer"] == NOT_FOUND
    number = plain["nearest"]["source"]
    assert [each["number"] for each in plain["sources"]] == [number]


def test_a_refusal_draws_the_table_of_the_nearest_row(
    answered: Shown, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered("x", {"prices.md": PRICES})
    question = "How much is a filling for penguins?"
    assert run(["ask", str(docs.parent / "index"), question, "--min-evidence", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  > Filling    £95    1 year" in lines and "|" not in "".join(lines)


def test_the_terminal_draws_the_table_with_its_row_marked(
    answered: Shown, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered("x", {"prices.md": PRICES})
    assert run(["ask", str(docs.parent / "index"), "How much is a filling?"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Filling: £95 (Price), 1 year (Guarantee) [1]"
    assert lines[2:5] == [
        "    Treatment  Price  Guarantee",
        "  > Filling    £95    1 year",
        "    Crown      £690   5 years",
    ]


def test_verify_finds_a_row_in_words_that_was_changed(
    answered: Shown, docs: Path, tmp_path: Path
) -> None:
    answer = answered("How much is a filling?", {"prices.md": PRICES})
    file = tmp_path / "answer.json"
    with Index(docs.parent / "index") as index:
        save_answer(answer, index, file)
    assert [each.state for each in verify_answer(file)] == ["as cited"]
    file.write_text(file.read_text().replace("£95 (Price)", "£59 (Price)"))
    [checked] = verify_answer(file)
    assert checked.state == "not as cited" and "in words" in checked.detail


def test_nothing_is_composed_of_nothing() -> None:
    assert compose("?", [], []) == [] and nearest_quote([], []) is None
    assert missing_words("What is it?", []) == ()
    empty = Passage(1, "", "", "a", "a", "a", "", 0, 0, "en", 1)
    assert compose("?", [empty], [()]) == []
    assert part_text(Quote("a\nb", 1, 0, 3)) == '"a b" [1]'
    assert part_text(Quote("a:\n\n- b\n  c\n- d", 1, 0, 9)) == '"a:\n- b c\n- d" [1]'


HORSES = """# Parking

There is no parking on Mill Lane. Use the gravel car park behind the barn, it costs nothing.

# Delivery

We deliver to Pellbridge and Stanmere. To Fenwick it costs £30. Further away we can't deliver.
"""


def test_where_there_is_none_is_followed_by_where_there_is(answered: Shown) -> None:
    assert texts(answered("Where can I find parking?", {"visit.md": HORSES})) == [
        '"There is no parking on Mill Lane." [1]',
        '"Use the gravel car park behind the barn, it costs nothing." [1]',
    ]


def test_what_holds_for_the_rest_is_said_of_another_thing(answered: Shown) -> None:
    said = ['"We deliver to Pellbridge and Stanmere." [1]']
    rest = '"Further away we can\'t deliver." [1]'
    assert texts(answered("Do you deliver to Bristol?", {"visit.md": HORSES}, 0.01)) == [
        *said,
        rest,
    ]
    assert texts(answered("Do you deliver to Stanmere?", {"visit.md": HORSES})) == said


def test_a_clause_is_the_head_of_its_parts(answered: Shown) -> None:
    terms = "# Terms\n\n4.1 You may cancel.\n\n4.2 Later we charge\n- (a) half the price before noon\n- (b) the whole price\n"
    assert texts(answered("What do you charge later?", {"terms.md": terms})) == [
        '"4.2 Later we charge\n- (a) half the price before noon\n- (b) the whole price" [1]'
    ]
    assert texts(answered("Is it half the price before noon?", {"terms.md": terms})) == [
        '"4.2 Later we charge … (a) half the price before noon" [1]'
    ]


def test_free_in_one_document_differs_from_a_price_in_another(answered: Shown) -> None:
    documents = {
        "wear.md": "# Wear\n\nBody protectors can be hired for £3.\n",
        "news.md": "# 16 November 2026: News\n\nBody protectors can be hired free now.\n",
    }
    roles = [each.role for each in answered("Can body protectors be hired?", documents).quotes]
    assert sorted(roles) == [ANSWERS, DIFFERS]


def test_a_refusal_names_the_contact_of_the_documents(answered: Shown) -> None:
    contact = "# Contact us\n\nVAT 0912 3344. 12 Mill Lane. 01632 960 418, yard@harrow.example.\n"
    other = "# Emergency\n\nThe vet has 07700 900 233.\n"
    said = answered("Who won the chess match?", {"contact.md": contact, "vet.md": other}).text
    assert said == f"{NOT_FOUND} They name as contact: 01632 960 418, yard@harrow.example."


def test_a_refusal_names_no_number_that_may_be_anyones(answered: Shown) -> None:
    other = {"vet.md": "# Emergency\n\nThe vet has 07700 900 233.\n"}
    assert answered("Who won the chess match?", other).text == NOT_FOUND


def test_lines_of_opening_hours_are_quoted(answered: Shown) -> None:
    hours = (
        "# Opening hours\n\nMonday – Friday 7.00 – 17.30\nSaturday 7.30 – 12.30\nSunday closed\n"
    )
    shown = texts(answered("What are the opening hours on a Saturday?", {"hours.md": hours}))
    assert shown == ['"Saturday 7.30 – 12.30" [1]']
