"""`groundup pack improve`: what readers asked in vain is grouped, and answers become held-out questions or sentences of documents, never both."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run
from groundup.errors import DataError
from groundup.packs.check import check_pack
from groundup.packs.corrections import read_improved
from groundup.packs.feedback import CitedDocument, FeedbackEvent, FeedbackFile
from groundup.packs.pack import new_pack

HOTEL = ("May I keep the bicycle overnight at my hotel?", "Keep a bicycle overnight at the hotel?")
SCOOTER = "Do you repair scooters?"
CHAIN = "What do you charge for a new chain?"
LATE = "Until when is a bicycle taken without an appointment?"
SENTENCE = "A new chain is fitted while you wait."
Row = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack `mine` and feedback.jsonl, on a machine without an encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    new_pack("mine", tmp_path / "mine")
    file, said = FeedbackFile(tmp_path / "feedback.jsonl"), []
    said += [(HOTEL[0], None, "")] * 2 + [(HOTEL[1], None, ""), (HOTEL[0].upper(), None, "")]
    said += [(SCOOTER, None, ""), (SCOOTER, None, ""), (LATE, None, ""), ("Is it warm?", "up", "")]
    for number, (question, rating, text) in enumerate(said):
        file.append(event(number, "refusal", question, rating, text))
    for number in (90, 91, 92):
        file.append(event(number, "answer", CHAIN, "down", "Of another part"))
    file.append(event(99, "answer", "When do you close?", "up", ""))
    return tmp_path


def event(number: int, kind: str, question: str, rating: str | None, text: str) -> FeedbackEvent:
    sources = (CitedDocument("repairs.md", "Repairs"),) if kind == "answer" else ()
    time = f"2020-01-01T00:00:{number % 60:02d}Z"
    return FeedbackEvent(time, str(number), "mine", kind, question, "A", sources, rating, text)


def improve(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert run(["pack", "improve", "mine", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(["pack", "improve", "mine", *options]) == 2
    return capsys.readouterr().err


def correct(capsys: pytest.CaptureFixture[str], *rows: Row, fails: bool = False) -> Any:
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    act = refused if fails else improve
    return act(capsys, "--corrections", "c.jsonl")


def test_the_biggest_group_first_each_with_what_to_write(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (home / "feedback.jsonl").open("a") as file:
        file.write("broken\n")
    found = improve(capsys)
    assert [found[name] for name in ("replies", "unanswered", "disliked", "liked")] == [12, 7, 3, 2]
    assert (found["damaged"], found["by"]) == (1, "words")
    hotel, chain, scooter, late = found["groups"]
    assert (hotel["asked"], hotel["question"], hotel["also"]) == (4, HOTEL[0], [HOTEL[1]])
    assert (chain["disliked"], chain["comments"], chain["cited"]) == (
        3,
        ["Of another part"],
        ["repairs.md"],
    )
    assert (scooter["asked"], scooter["title"]) == (2, "Repair scooters")
    assert scooter["document"] == "repair-scooters.md" and "write one" in scooter["proposal"]
    assert (late["document"], late["asked"]) == ("repairs.md", 1)

    assert run(["pack", "improve", "mine"]) == 0
    said = capsys.readouterr().out
    assert "4 times: 4 not answered, 0 disliked" in said and f"also: {HOTEL[1]}" in said
    assert 'write one, such as "Repair scooters"' in said and "reader: Of another part" in said
    assert run(["pack", "improve", "mine", "--html", "page.html", "--index", "mine"]) == 0
    page = (home / "page.html").read_text()
    assert HOTEL[1] in page and "Content-Security-Policy" in page


def test_a_filled_in_file_is_written_and_remembered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = improve(capsys, "--out", "c.jsonl")["groups"]
    assert [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()] == rows
    hotel, chain, scooter, late = rows
    hotel |= {"use": "question", "answer": None, "document": None}
    chain |= {"use": "document", "answer": SENTENCE, "document": "repairs.md", "heading": ""}
    scooter |= {"use": "document", "answer": "We repair scooters on Tuesday."}
    late |= {"use": "question", "answer": "4 pm"}
    done = correct(capsys, *rows)
    assert done["questions"] == [HOTEL[0], LATE] and done["objections"] == []
    assert done["documents"] == {"repairs.md": 1, "repair-scooters.md": 1}
    documents, questions = home / "mine" / "documents", home / "mine" / "questions.jsonl"
    assert (documents / "repairs.md").read_text().endswith(f"\n\n{SENTENCE}\n")
    assert (documents / "repair-scooters.md").read_text() == (
        "# Repair scooters\n\nWe repair scooters on Tuesday.\n"
    )
    added = [json.loads(line) for line in questions.read_text().splitlines()][-2:]
    assert added == [
        {"question": HOTEL[0], "answer": None, "document": None},
        {"question": LATE, "answer": "4 pm", "document": "repairs.md"},
    ]
    again = improve(capsys)
    assert (again["groups"], again["done"]) == ([], 10)


def test_what_measures_never_teaches_and_the_other_way(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = {"question": CHAIN, "answer": SENTENCE, "document": "repairs.md"}
    scooter = {"question": SCOOTER, "answer": None, "document": None}
    before = {file: file.read_text() for file in (home / "mine").rglob("*") if file.is_file()}
    said = correct(capsys, {**scooter, "use": "question"}, {**chain, "use": "maybe"}, fails=True)
    assert "c.jsonl:2" in said and "'maybe'" in said
    twice = [{**scooter, "use": "question"}, {**chain, "question": "Are scooters repaired?"}]
    twice[1]["use"] = "document"
    said = correct(capsys, *twice, fails=True)
    assert "asks what" in said and "nothing was written" in said
    assert before == {f: f.read_text() for f in (home / "mine").rglob("*") if f.is_file()}

    correct(capsys, {**chain, "use": "document"}, {**scooter, "use": "question"})
    span = {"question": "Is it done at once?", "answer": "while you wait", "use": "question"}
    assert correct(capsys, {**span, "document": "repairs.md"})["questions"]  # it said so before
    span = {"question": "Do I get it at once?", "answer": "fitted while you wait"}
    said = correct(capsys, {**span, "document": "repairs.md", "use": "question"}, fails=True)
    assert "because of feedback" in said
    asks = {**chain, "answer": None, "question": "What do you charge for a chain?"}
    assert "it would be no test" in correct(capsys, {**asks, "use": "question"}, fails=True)
    writes = {**chain, "question": "Are scooters repaired?", "answer": "We do repair scooters."}
    assert "must not be written" in correct(capsys, {**writes, "use": "document"}, fails=True)


def test_a_held_out_question_stays_out_of_instructions_when_it_left_the_questions(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = home / "mine"
    questions, instructions = pack / "questions.jsonl", pack / "instructions.jsonl"
    before = questions.read_text()
    correct(capsys, {"question": SCOOTER, "answer": None, "use": "question"})
    assert check_pack(pack).objections == ()
    questions.write_text(before)
    row = {"instruction": SCOOTER, "input": "", "output": "No.", "document": None}
    instructions.write_text(f"{instructions.read_text()}{json.dumps(row)}\n")
    [objection] = check_pack(pack).objections
    assert objection.place == "instructions.jsonl:13" and "held out (improved.jsonl)" in str(
        objection
    )
    (pack / "improved.jsonl").write_text("[]\n")
    with pytest.raises(DataError, match=r"improved.jsonl:1: can't be read"):
        read_improved(pack)


def test_a_sentence_goes_to_the_end_of_its_section(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heading = "Hiring a bicycle > If you change your plans"
    row = {"question": CHAIN, "answer": SENTENCE, "document": "hire.md", "use": "document"}
    correct(capsys, {**row, "heading": "Hiring a bicycle"})
    correct(capsys, {**row, "heading": heading, "answer": "Bring it earlier if you like."})
    text = (home / "mine" / "documents" / "hire.md").read_text()
    first, second = text.split("\n## If you change your plans\n")
    assert first.endswith(f"\n\n{SENTENCE}\n") and second.endswith(
        "\n\nBring it earlier if you like.\n"
    )
    assert "says that already" in correct(capsys, row, fails=True)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"answer": "x"}, "no correction to use"),
        ({"use": "question", "answer": "purple", "document": "repairs.md"}, "does not contain"),
        ({"use": "question", "answer": "4 pm", "document": "nope.md"}, "there is no documents/"),
        ({"use": "question", "answer": ""}, 'has no "answer"'),
        ({"use": "question", "answer": "a" * 201, "document": "repairs.md"}, "201 characters"),
        ({"use": "document", "answer": "", "document": "repairs.md"}, 'has no "answer"'),
        ({"use": "document", "answer": "# A", "document": "repairs.md"}, "no paragraph"),
        ({"use": "document", "answer": "A.", "document": "../a.md", "title": "A"}, "no name"),
        ({"use": "document", "answer": "A.", "document": "a.md"}, 'no "title"'),
        ({"use": "document", "answer": "A.", "document": "hire.md", "heading": "Z"}, "no heading"),
        ({"use": "document", "answer": 5, "document": "hire.md"}, '"answer" is no text'),
        ({"use": "document", "answer": "A.", "also": "b"}, '"also" is no list'),
    ],
)
def test_a_bad_correction_is_refused_with_its_line(
    home: Path, capsys: pytest.CaptureFixture[str], row: Row, says: str
) -> None:
    said = correct(capsys, {"question": CHAIN, **row}, fails=True)
    assert says in said and "c.jsonl" in said
    assert not (home / "mine" / "improved.jsonl").exists()


def test_answers_that_are_typed(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the hotel: next; the chain: no such choice, no such span, then a sentence; scooters: held out
    typed = ["", "z", "q", "purple", "repairs.md", "d", SENTENCE, "repairs.md", "q", "", "x"]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    assert run(["pack", "improve", "mine", "--ask"]) == 0
    said = capsys.readouterr().err
    assert "'z' is none of" in said and "does not contain 'purple'" in said and "2 written" in said
    assert [each.use for each in read_improved(home / "mine")] == ["document", "question"]
    assert SENTENCE in (home / "mine" / "documents" / "repairs.md").read_text()


def test_what_can_not_be_improved(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no file" in refused(capsys, "--feedback", "nope.jsonl")
    assert "There are: mine." in refused(capsys, "--index", "other")
    assert "can't be combined" in refused(capsys, "--ask", "--html", "page.html")
    (home / "c.jsonl").write_text(
        json.dumps({"question": CHAIN, "use": "question", "answer": None})
    )
    assert run(["pack", "improve", "bank", "--corrections", "c.jsonl"]) == 2
    assert "comes with groundup" in capsys.readouterr().err
    (home / "feedback.jsonl").write_text("")
    assert improve(capsys)["groups"] == []
