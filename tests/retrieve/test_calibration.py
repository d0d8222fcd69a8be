"""Calibration: what an index's answers need is chosen on questions that its documents answer, and counts unless another value is asked for."""

from pathlib import Path

import pytest

from groundup.errors import FormatError
from groundup.progress import Silent
from groundup.retrieve.answer import NOT_FOUND, AskConfig, read
from groundup.retrieve.calibration import (
    EVIDENCE_FILE,
    MIN_QUESTIONS,
    OF_SMALL,
    calibrate,
    few_note,
    least_evidence,
)
from groundup.retrieve.evidence import MIN_BY_WORDS, WORDS
from groundup.retrieve.index import Index

# Of the words with a meaning the documents have one in three.
ASKED = "gate for penguins flying"


def test_questions_in_other_words_than_the_documents_are_answered_after_it(index: Index) -> None:
    before = read(index, ASKED, AskConfig())
    assert 0 < before.evidence < MIN_BY_WORDS and not before.quotes
    assert calibrate(index, [ASKED] * MIN_QUESTIONS, 5, None, progress=Silent()) == {
        WORDS: before.evidence
    }
    assert read(index, ASKED, AskConfig()).quotes[0].text == "Flights to Oslo leave from gate 12."
    assert not read(index, ASKED, AskConfig(min_evidence=MIN_BY_WORDS)).quotes, (
        "what is asked for goes before"
    )
    assert read(index, "Who is the president of Peru?", AskConfig()).answer().text == NOT_FOUND


def test_one_in_ten_may_be_refused(index: Index) -> None:
    questions = ["warranty in months"] * 18 + [ASKED] * 2
    least = calibrate(index, questions, 5, None, progress=Silent())
    assert (
        least[WORDS]
        == read(index, questions[0], AskConfig()).evidence
        > read(index, ASKED, AskConfig()).evidence
    )


def test_with_too_few_questions_it_is_that_of_the_packaged_packs_and_this_is_said(
    index: Index,
) -> None:
    assert calibrate(index, [ASKED] * (MIN_QUESTIONS - 1), 5, None, progress=Silent()) == {
        WORDS: OF_SMALL[WORDS]
    }
    assert least_evidence(index.folder, WORDS, MIN_BY_WORDS) == OF_SMALL[WORDS] < MIN_BY_WORDS
    assert "19 instructions" in few_note(MIN_QUESTIONS - 1) and few_note(MIN_QUESTIONS) == ""
    documented = Path(__file__).parents[2].joinpath("docs", "packs.md").read_text()
    assert all(str(value) in documented for value in OF_SMALL.values())


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"least": {"words": 2.0}}', '{"least": {"words": "x"}}']
)
def test_a_damaged_file_is_one_sentence(index: Index, content: str) -> None:
    Path(index.folder, EVIDENCE_FILE).write_text(content)
    with pytest.raises(FormatError, match=EVIDENCE_FILE):
        read(index, ASKED, AskConfig())
