"""Evaluation of an index's answers: outcomes, promised and found error, baselines, citations."""

import json
from pathlib import Path

import pytest

import groundup
from groundup.engine.engine import Engine
from groundup.progress import Silent
from groundup.retrieve.answer import AskConfig
from groundup.retrieve.answer_evaluation import (
    ASK,
    ASK_PROMISED,
    FIRST_PASSAGE,
    WITH_PASSAGES,
    evaluate_answers,
)
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import questions_in

ROWS = [
    {
        "question": "When does the hostel close?",
        "answers": ["11 pm", "23:00"],
        "document": "hostel.txt",
        "kind": "times",
    },
    {"question": "How often is the filter cleaned?", "answer": "6 months", "document": "boiler.md"},
    {"question": "What does breakfast cost?", "answer": "12 euros", "document": "hostel.txt"},
    {"question": "Who is the president of Peru?", "answer": None, "document": None},
    {"question": "What does breakfast for penguins cost?", "answer": None},
]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return file


def test_each_answer_is_right_partly_wrong_or_refused(index: Index, asked: Path) -> None:
    found = groundup.run_questions(index.folder, asked)
    ask, first = found.answerers
    assert (ask.name, first.name) == (ASK, FIRST_PASSAGE)
    outcomes = [each.outcome.name for each in ask.answers]
    assert outcomes == ["right", "right", "partly", "refused", "wrong"]
    plain = found.to_plain()
    figures = plain["answerers"][0]
    assert figures["outcomes"] == {"right": 2, "partly": 1, "wrong": 0, "refused": 0}
    assert (figures["error"]["hits"], figures["error"]["n"]) == (2, 4), (
        "partly by its document, wrong"
    )
    assert figures["unanswerable_refused"]["hits"] == 1 and figures["promise"] is None
    assert figures["citation_recall"]["value"] == 1.0
    assert plain["quotations"]["in_their_source"] == plain["quotations"]["of"] > 0
    assert plain["kinds"] == {"times": {"right": 1, "partly": 0, "wrong": 0, "refused": 0}}
    item = plain["items"][0]["given"][ASK]
    assert "23:00" in item["sentences"][0] and item["cited"] == ["hostel.txt"]
    assert all(len(each.sentences) <= 1 for each in first.answers)


def test_the_promised_operating_point_stands_beside_the_default(
    index: Index, asked: Path, tmp_path: Path
) -> None:
    lines = [{**ROWS[0], "question": f"When does the hostel close? {'!' * n}"} for n in range(99)]
    known = tmp_path / "known.jsonl"
    known.write_text("\n".join(map(json.dumps, [ROWS[0], *lines])))
    groundup.calibrate_index(index.folder, known)
    found = groundup.run_questions(index.folder, asked)
    ask, promised, _ = found.answerers
    assert promised.name == ASK_PROMISED and promised.promise is not None
    for one, other in zip(ask.answers, promised.answers, strict=True):
        assert other.outcome == one.outcome or other.outcome.name == "refused"
        is_covered = one.evidence is not None and one.evidence >= promised.promise.least
        assert bool(other.sentences) == (is_covered and bool(one.sentences))
    assert found.calibrated == 1


def test_the_same_model_answers_without_checks(index: Index, asked: Path, engine: Engine) -> None:
    questions = questions_in(asked.read_text(), "asked")[:1]
    found = evaluate_answers(
        index,
        questions,
        AskConfig(),
        rank_by=None,
        vectors=None,
        model=("tiny", engine),
        progress=Silent(),
    )
    *_, chain = found.answerers
    assert chain.name == WITH_PASSAGES.format("tiny")
    assert chain.answers[0].cited == () and chain.answers[0].outcome.name != "right"
