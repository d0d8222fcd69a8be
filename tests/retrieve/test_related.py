"""Sections that are named beside an answer and a refusal."""

from dataclasses import replace

import pytest

from groundup.packs.assistant_texts import AssistantTexts
from groundup.retrieve.answer import Answer, QuestionReading
from groundup.retrieve.cite import quote_of, statements
from groundup.retrieve.handover import handover
from groundup.retrieve.operating_points import ASKED, OperatingPoint
from groundup.retrieve.passages import Passage
from groundup.retrieve.related import related_sources
from groundup.retrieve.sentences import TextSpan


def section(number: int, title: str) -> Passage:
    text = f"Call 01632 96000{number} about {title}."
    return Passage(number, text, title, "a.md", "a.md", "a.md", "", 0, len(text), "en", 1)


SOURCES = (section(1, "Prices"), section(2, "Hours"), section(3, "Hours"), section(4, "Parking"))


def reading(values: tuple[float, ...], *, found: bool) -> QuestionReading:
    quotes = (quote_of(SOURCES[0], 1, statements(SOURCES[0])[0]),) if found else ()
    point = OperatingPoint(ASKED, 0.2)
    read = QuestionReading("how much?", max(values), SOURCES, SOURCES[:1], quotes, ())
    return replace(read, values=values, point=point)


def answer(values: tuple[float, ...], *, found: bool = True) -> Answer:
    return reading(values, found=found).answer()


@pytest.mark.parametrize(
    ("values", "found", "related"),
    [
        ((0.9, 0.5, 0.6, 0.7), True, [4, 3]),  # not what is cited, one of each section
        ((0.9, 0.3, 0.3, 0.3), True, []),
        ((0.1, 0.05, 0.04, 0.08), False, [1, 4]),
        ((0.05, 0.01, 0.04, 0.01), False, []),
    ],
)
def test_sections_with_evidence_are_related(
    values: tuple[float, ...], found: bool, related: list[int]
) -> None:
    assert related_sources(answer(values, found=found)) == related


def test_none_is_related_that_asks_something_of_its_reader_or_where_all_is_answered() -> None:
    asks: tuple[tuple[TextSpan, ...], ...] = ((), (), (), ((0, 5),))
    asking = replace(answer((0.9, 0.5, 0.6, 0.7)), requests=asks)
    assert related_sources(asking) == [3]
    free = replace(answer((0.9, 0.5, 0.6, 0.7)), point=OperatingPoint(ASKED, 0.0))
    assert related_sources(free) == []


def test_a_refusal_with_a_quoted_contact_keeps_the_related_sections() -> None:
    refused = reading((0.1, 0.05, 0.04, 0.08), found=False)
    contact = quote_of(SOURCES[1], 1, statements(SOURCES[1])[0])
    known = replace(refused, sources=SOURCES[1:2], quotes=(contact,), requests=((),))

    def search(question: str, passages: int | None = None) -> QuestionReading:
        return known

    replied = handover("refusal", refused, [], AssistantTexts(), search)
    reply = replied.reply(replied.documents.answer())
    assert not reply.found and reply.cited == [1]
    titles = [reply.sources[number - 1].title for number in reply.related]
    assert titles == ["Prices", "Parking"]
    person = handover("person", refused, [], AssistantTexts(), search)
    assert person.reply(person.documents.answer()).related == []
