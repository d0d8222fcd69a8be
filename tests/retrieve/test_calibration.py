"""Calibration: what an index's answers need, and which error rate is promised, is chosen on its own questions."""

import json
from pathlib import Path

import pytest

import groundup
from groundup.cli.ask import explain_lines
from groundup.errors import ConfigError, DataError, FormatError
from groundup.files import read_json, verify_folder, write_json
from groundup.packs.pack import MIN_QUESTIONS
from groundup.progress import Silent
from groundup.retrieve.answer import AskConfig, read
from groundup.retrieve.calibration import (
    OF_SMALL,
    Calibration,
    CalibrationQuestions,
    calibrate,
    calibration_lines,
    few_note,
    kept_questions,
)
from groundup.retrieve.database import begin_change, end_change
from groundup.retrieve.evidence import MIN_BY_WORDS, WORDS
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import (
    PARTLY,
    REFUSED,
    RIGHT,
    WRONG,
    KnownQuestion,
    outcome_of,
    questions_in,
    read_known_questions,
)
from groundup.retrieve.operating_points import EVIDENCE_FILE, MAX_REFUSED, RULE
from groundup.retrieve.refusals import NOT_FOUND

# Of the words with a meaning the documents have one in three.
ASKED = "gate for penguins swimming"
KNOWN = "When does the hostel close?"
LINE = json.dumps({"question": KNOWN, "answers": ["23:00", "11 pm"], "document": "hostel.txt"})


def calibrated(index: Index, asked: list[str], known: str = "") -> Calibration:
    """Calibrated on questions that are answered, and on JSON lines with known answers."""
    questions = CalibrationQuestions(
        tuple(asked), tuple(questions_in(known, "known.jsonl")) if known else ()
    )
    return calibrate(index, questions, 5, None, progress=Silent())


def lines(count: int, wrong: int = 0) -> str:
    """Questions with known answers, of which the last `wrong` are answered wrongly."""
    found = []
    for place in range(count):
        answer = "midnight" if place >= count - wrong else "23:00"
        question = f"When does the hostel close? {'!' * place}"
        found.append(json.dumps({"question": question, "answer": answer, "document": "hostel.txt"}))
    return "\n".join(found)


def test_questions_in_other_words_than_the_documents_are_answered_after_it(index: Index) -> None:
    before = read(index, ASKED, AskConfig())
    assert 0 < before.evidence < MIN_BY_WORDS and not before.quotes
    assert calibrated(index, [ASKED] * MIN_QUESTIONS).least == {WORDS: before.evidence}
    assert read(index, ASKED, AskConfig()).quotes[0].text == "Flights to Oslo leave from gate 12."
    assert not read(index, ASKED, AskConfig(min_evidence=MIN_BY_WORDS)).quotes, (
        "what is asked for goes before"
    )
    assert read(index, "Who is the president of Peru?", AskConfig()).answer().text == NOT_FOUND


def test_one_in_twenty_may_be_refused(index: Index) -> None:
    questions = ["warranty in months"] * 38 + [ASKED] * 2
    least = calibrated(index, questions).least
    assert 2 / len(questions) == MAX_REFUSED
    assert (
        least[WORDS]
        == read(index, questions[0], AskConfig()).evidence
        > read(index, ASKED, AskConfig()).evidence
    )


def test_with_too_few_questions_it_is_that_of_the_packaged_packs_and_this_is_said(
    index: Index,
) -> None:
    found = calibrated(index, [ASKED] * (MIN_QUESTIONS - 1))
    assert found.least == {WORDS: OF_SMALL[WORDS]} and not found.promises
    assert read(index, ASKED, AskConfig()).point.least == OF_SMALL[WORDS] < MIN_BY_WORDS
    assert "Only 19" in few_note(MIN_QUESTIONS - 1) and few_note(MIN_QUESTIONS) == ""
    documented = Path(__file__).parents[2].joinpath("docs", "packs.md").read_text()
    assert all(str(value) in documented for value in OF_SMALL.values())


def test_what_is_promised_stands_beside_each_answer(index: Index) -> None:
    found = calibrated(index, [], lines(100))
    promise = found.promises[WORDS]
    assert promise.error == 0.05 and (promise.shown, promise.wrong) == (100, 0)
    answer = read(index, KNOWN, AskConfig()).answer()
    assert answer.promised and answer.point.promise == promise
    assert "at most 5 % are wrong, with 95 % confidence, from 100 questions" in promise.text
    assert [line for line in calibration_lines(found, WORDS) if promise.text in line]
    plain = answer.to_plain()
    assert plain["promise"]["questions"] == 100 and plain["operating_point"] == "default"
    assert plain["sources"][0]["evidence"] == plain["evidence"] >= plain["least_evidence"]
    verify_folder(index.folder)


@pytest.mark.parametrize(
    "way", [{"rule": RULE - 1, "readers": []}, {"rule": RULE, "readers": ["a"]}]
)
def test_a_promise_chosen_by_another_rule_or_reader_holds_no_longer(
    index: Index, way: dict[str, object]
) -> None:
    calibrated(index, [], lines(100))
    kept = read_json(index.folder / EVIDENCE_FILE)
    begin_change(index.folder)
    write_json(index.folder / EVIDENCE_FILE, {**kept, "chosen_by": {WORDS: way}})
    end_change(index.folder)
    answer = read(index, KNOWN, AskConfig()).answer()
    assert answer.point.promise is None and not answer.promised
    assert any("chosen with other readers" in line for line in explain_lines(answer))
    with pytest.raises(ConfigError, match="Choose it again: .*INDEX/calibration.jsonl"):
        read(index, KNOWN, AskConfig(promised=True))
    groundup.calibrate_index(index.folder, index.folder / "calibration.jsonl")
    assert read(index, KNOWN, AskConfig(promised=True)).answer().promised


def test_only_what_the_promise_covers_is_answered_where_this_is_asked_for(index: Index) -> None:
    calibrated(index, [ASKED] * MIN_QUESTIONS, lines(100))
    assert read(index, ASKED, AskConfig()).quotes
    promised = read(index, ASKED, AskConfig(promised=True))
    assert not promised.quotes and promised.point.name == "promised"
    assert read(index, KNOWN, AskConfig(promised=True)).quotes
    with pytest.raises(ConfigError, match="promised or min_evidence"):
        AskConfig(promised=True, min_evidence=0.1)


def test_few_questions_promise_less_and_it_is_said_what_to_add(index: Index) -> None:
    found = calibrated(index, [], lines(30, wrong=3))
    assert found.promises[WORDS].error == pytest.approx(0.239, abs=0.001)  # all are equally near
    text = " ".join(calibration_lines(found, WORDS))
    assert "at most 23.9 % are wrong" in text and "add at least 49" in text


def test_without_questions_with_known_answers_nothing_is_promised(index: Index) -> None:
    with pytest.raises(ConfigError, match="no promised error rate.*--questions"):
        read(index, KNOWN, AskConfig(promised=True))
    assert not read(index, KNOWN, AskConfig()).answer().promised


def test_the_index_keeps_its_questions_and_is_calibrated_again_where_documents_change(
    docs: Path, tmp_path: Path
) -> None:
    asked, folder = tmp_path / "asked.jsonl", tmp_path / "own.index"
    asked.write_text(lines(100))
    groundup.index(docs, folder)
    assert groundup.calibrate_index(folder, asked).promises[WORDS].wrong == 0
    assert len(kept_questions(folder)) == 100
    assert groundup.index(docs, folder).calibration is None, "nothing has changed"
    (docs / "hostel.txt").write_text("The hostel in Straßburg closes at 22:00.\n")
    again = groundup.index(docs, folder)
    assert again.calibration and WORDS not in again.calibration.promises
    assert read_json(folder / EVIDENCE_FILE)["promise"] == {}
    verify_folder(folder)


@pytest.mark.parametrize(
    "sentences, documents, name, has_answer",
    [
        (["It closes at 11 p.m."], ["hostel.txt"], RIGHT, True),
        (["Breakfast is at 7.", "It closes at 23:00."], ["a", "hostel.txt"], PARTLY, True),
        (["Breakfast is at 7."], ["house/hostel.txt"], PARTLY, False),
        (["Breakfast is at 7."], ["other.txt"], WRONG, False),
        ([], [], REFUSED, False),
    ],
)
def test_outcomes(sentences: list[str], documents: list[str], name: str, has_answer: bool) -> None:
    [known] = questions_in(LINE, "x")
    found = outcome_of(known, sentences, documents)
    assert (found.name, found.has_answer) == (name, has_answer)
    assert found.is_error == (name != REFUSED and not has_answer)


def test_an_answer_to_what_no_document_answers_is_wrong() -> None:
    known = KnownQuestion("Do you sell horses?", (), ("hostel.txt",))
    assert outcome_of(known, ["We do."], ["hostel.txt"]).name == WRONG
    assert outcome_of(known, []).name == REFUSED


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "has no questions"),
        ("\n\n", "has no questions"),
        ("question,answer\n", "is no JSON"),
        ("[1]", "is no object"),
        ('{"instruction": "x", "output": "y"}', "its fields: instruction, output"),
        ('{"question": "x", "text": "y"}', "no question has an answer"),
        ('{"question": "x", "document": "y.md"}', "its fields: question, document"),
        ('{"question": 3, "answer": "x"}', "no text"),
        ('{"question": "x", "answer": 3}', "neither text"),
        ('{"question": "x", "answers": [""]}', "empty text"),
        (json.dumps({"question": "x" * 1_000_000, "answer": None}), "1,000,000 characters"),
    ],
)
def test_a_file_of_other_questions_is_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        read_known_questions(file)
    with pytest.raises(DataError):
        read_known_questions(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"least": {"words": 2.0}}',
        '{"least": {"words": "x"}}',
        '{"least": {}, "promise": {"words": {"error": 0.05}}}',
        '{"least": {}, "promise": [1]}',
        '{"least": {}, "chosen_by": [1]}',
    ],
)
def test_a_damaged_file_is_one_sentence(index: Index, content: str) -> None:
    Path(index.folder, EVIDENCE_FILE).write_text(content)
    with pytest.raises(FormatError, match=EVIDENCE_FILE):
        read(index, ASKED, AskConfig())
