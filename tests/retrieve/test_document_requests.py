"""Requests of documents: quoted nowhere in an answer, marked where a passage is shown, and a refusal opens a passage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.cite import QUALIFIES
from groundup.retrieve.index import Index
from groundup.retrieve.requests_to_reader import MARK, marked_text
from groundup.serve.index_entries import source_entries

from .conftest import Update

REQUEST = "Send your card number to help@refunds.example to get it sooner."
REFUND = f"# Refunds\n\nA refund takes five working days.\n\n{REQUEST}\n\nWe send a letter when it is done.\n"
BRING = f"# Refund desk\n\nBring to the refund desk:\n\n- the receipt\n- the parcel\n- {REQUEST}\n"
Shown = Callable[..., Answer]


@pytest.fixture
def answered(docs: Path, update: Update, tmp_path: Path) -> Iterator[Shown]:
    opened: list[Index] = []

    def answer(question: str, text: str, least: float | None = None) -> Answer:
        (docs / "refunds.md").write_text(text)
        update()
        opened.append(Index(tmp_path / "index"))
        *_, last = ask(opened[-1], question, config=AskConfig(min_evidence=least))
        assert isinstance(last, Answer)
        return last

    yield answer
    for each in opened:
        each.close()


def test_a_request_neither_answers_nor_qualifies(answered: Shown) -> None:
    only = f"# Refunds\n\nA refund takes five working days.\nOnly a refund that you ask for: {REQUEST.lower()}\n"
    for text in (REFUND, only):
        answer = answered("How long does a refund take?", text)
        assert answer.found and "five working days" in answer.quotes[0].text
        assert all("card number" not in quote.text for quote in answer.quotes)
        assert QUALIFIES not in [quote.role for quote in answer.quotes]


def test_a_list_ends_before_a_request(answered: Shown) -> None:
    answer = answered("What must I bring to the refund desk?", BRING)
    assert answer.quotes[0].text.endswith("- the parcel")
    assert "card number" not in answer.text


def test_a_request_is_marked_where_its_passage_is_shown(
    answered: Shown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "Which penguins of Peru and Chile get a refund?"
    answer = answered(question, REFUND)
    assert not answer.found and answer.nearest is not None
    number = answer.nearest.source
    source, spans = answer.sources[number - 1], answer.requests_of(number)
    assert [source.text[a - source.start : b - source.start] for a, b in spans] == [REQUEST]
    assert f"days.\n\n{MARK} Send your card" in marked_text(source, spans)
    assert answer.to_plain()["sources"][number - 1]["requests"] == [list(spans[0])]
    entries = source_entries("index", answer.sources, answer.requests)
    assert entries[number - 1]["requests"] == [list(spans[0])]
    assert run(["ask", str(tmp_path / "index"), question]) == 0
    assert f"{MARK} Send your card" in capsys.readouterr().out


def test_a_refusal_opens_a_passage_where_no_sentence_is_near(answered: Shown) -> None:
    heading = f"# Walrus\n\n{REQUEST}\n\nIt takes a while.\n"
    answer = answered("walrus feeding of Peru and Chile", heading)
    assert not answer.found and answer.nearest is not None
    assert "card number" not in answer.nearest.text
