"""A small firm, a dental clinic of twelve documents (`small_firm/`), and its patients' questions:
what a person reads.
"""

from pathlib import Path

import pytest

import groundup
from groundup.retrieve.answer import Answer
from groundup.retrieve.answer_evaluation import Answerer

FIRM = Path(__file__).with_name("small_firm")
QUESTIONS = FIRM / "questions.jsonl"


def outcomes(answerer: Answerer) -> list[str]:
    return [each.outcome.name for each in answerer.answers]


@pytest.fixture(scope="module")
def by_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return groundup.index(FIRM / "documents", tmp_path_factory.mktemp("words") / "index").index


@pytest.fixture(scope="module")
def with_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reader") / "index"
    return groundup.index(FIRM / "documents", place, vectors="all-minilm-l6-v2-ask").index


def test_by_words_a_row_is_told_in_words(by_words: Path) -> None:
    answer = groundup.ask(by_words, "How much is a porcelain crown?")
    assert (
        isinstance(answer, Answer) and answer.quotes[0].in_words == "Porcelain crown: £690 (Price)"
    )
    assert len(answer.quotes) <= 2 and answer.quotes[0].table is not None


def test_what_is_not_there_is_refused_with_the_nearest_passage(by_words: Path) -> None:
    answer = groundup.ask(by_words, "Which brand of electric toothbrush do you sell at the desk?")
    assert not answer.found and answer.nearest is not None and "toothbrush" in answer.missing


@pytest.mark.network
@pytest.mark.parametrize(
    "question,words",
    [
        ("what time do you shut on a friday?", "Friday: 8 am to 4 pm"),
        ("where are you", "27 Rope Walk"),
        ("what's your phone number", "01632 960530"),
        ("family plan per month", "£39"),
        ("will you send the bill to my insurance for me?", "We do not bill insurers"),
        ("i'm moving to another town, can my x-rays go to the dentist there", "new dentist"),
    ],
)
def test_patients_words_find_the_answer(with_reader: Path, question: str, words: str) -> None:
    answer = groundup.ask(with_reader, question)
    assert answer.found and words in (answer.quotes[0].in_words or answer.quotes[0].text)


@pytest.mark.network
def test_the_reader_answers_more_of_it_than_the_first_passage_by_words(with_reader: Path) -> None:
    found = groundup.run_questions(with_reader, QUESTIONS)
    ask, baseline = found.answerers
    right, by_baseline = (outcomes(each).count("right") for each in (ask, baseline))
    assert right >= max(12, by_baseline), (right, by_baseline)
    assert outcomes(ask)[-10:].count("refused") >= 5 > outcomes(baseline)[-10:].count("refused")
