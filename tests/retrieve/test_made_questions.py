"""Questions made from documents: what is asked, that each answer stands there and is found again, and what becomes of them."""

import json
import re
from pathlib import Path

import pytest

import groundup
from groundup.cli.main import run
from groundup.errors import ConfigError, DataError
from groundup.finetune.reader_tuning import asked_in, mark
from groundup.packs.check import check_pack
from groundup.packs.pack import document_questions
from groundup.packs.repeats import Text, repeats
from groundup.progress import Silent
from groundup.recipes.named_stages import pack_values
from groundup.report.pages.questions_page import render_questions_page
from groundup.retrieve import made_questions
from groundup.retrieve.cite import statements
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import questions_in
from groundup.retrieve.question_drafts import drafts
from groundup.retrieve.questions_config import FEW, QuestionsConfig

FIRM = """# Ticket office

To cancel a booking, ring us by noon. You can pay by card or in cash, but not by cheque.

A group ticket costs £40. It is not sold online.

If you lose your ticket, tell the driver. The museum shop is closed because the roof leaks.

## Can I bring a dog?

Yes, on a lead. It travels free.

## Prices

| Ticket | Price | Valid |
|---|---|---|
| Day ticket | £6 | 24 hours |
| Week ticket | £21 | 7 days |

## Settings

To restart the printer, run:

```
printctl restart
```
"""
GUIDE = "# Parking\n\nThe car park is a field behind the station. You must display a permit.\n\nA permit costs £3.\n"


@pytest.fixture
def firm(tmp_path: Path) -> Path:
    folder = tmp_path / "firm"
    folder.mkdir()
    (folder / "office.md").write_text(FIRM)
    (folder / "parking.md").write_text(GUIDE)
    return folder


@pytest.fixture
def asked(firm: Path, tmp_path: Path) -> dict[str, made_questions.MadeQuestion]:
    made = groundup.make_questions(firm, tmp_path / "pairs.jsonl", by="words")
    return {each.question: each for each in made.questions}


def test_each_kind_asks_for_its_sentence(asked: dict[str, made_questions.MadeQuestion]) -> None:
    found = {question: (each.kind, each.answer) for question, each in asked.items()}
    assert found["How do I cancel a booking?"] == ("how", "To cancel a booking, ring us by noon.")
    assert found["Can I pay by card or in cash?"][0] == "permission"
    assert found["How much does a group ticket cost?"] == ("price", "A group ticket costs £40.")
    assert found["What should I do if I lose my ticket?"][0] == "condition"
    assert found["Why is the museum shop closed?"][0] == "why"
    assert found["Can I bring a dog?"] == ("heading", "Yes, on a lead. It travels free.")
    assert found["What is the car park?"][0] == "definition"
    assert found["Do I have to display a permit?"][0] == "permission"
    assert "printctl restart" in found["How do I restart the printer?"][1]
    (cell,) = (each for each in asked.values() if each.kind == "cell" and "day" in each.question)
    assert cell.value in cell.answer and cell.answer.startswith("Day ticket: £6 (Price)")
    assert not any(re.search(r"\bit\b", question) for question in asked), "says what it is about"


def test_each_answer_is_a_span_of_its_document(
    asked: dict[str, made_questions.MadeQuestion], firm: Path
) -> None:
    for each in asked.values():
        span = (firm / each.document).read_text()[each.start : each.end]
        assert each.kind == "cell" or " ".join(span.split()) == " ".join(each.answer.split())
        assert each.value in span and " ".join(span.split()) in " ".join(each.context.split())
        assert 1 <= each.rank <= FEW


def test_a_question_whose_sentence_is_not_found_again_is_left_out(
    firm: Path, tmp_path: Path
) -> None:
    """Twelve rooms have the same rule: to which of them the question is about is not said."""
    rooms = [f"# Room {n}\n\nYou must lock the door, and room {n} is blue.\n" for n in range(12)]
    for number, text in enumerate(rooms):
        (firm / f"room{number}.md").write_text(text)
    made = groundup.make_questions(firm, tmp_path / "p.jsonl", by="words")
    locks = [each for each in made.questions if "lock the door" in each.question]
    assert len(locks) <= 1 and made.repeats >= 11
    texts = [Text(str(place), each.question) for place, each in enumerate(made.questions)]
    assert not list(repeats(texts))
    few = groundup.make_questions(firm, tmp_path / "q.jsonl", QuestionsConfig(few=1), by="words")
    assert all(each.rank == 1 for each in few.questions) and few.not_found >= made.not_found


def test_ctrl_c_keeps_what_there_is(
    firm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index, pairs = tmp_path / "index", tmp_path / "pairs.jsonl"
    groundup.index(firm, index, vectors="none")
    whole, count = made_questions.checked, 0

    def interrupted(*words: object) -> object:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return whole(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(made_questions, "checked", interrupted)
    assert run(["data", "make-questions", str(index), "--out", str(pairs)]) == 130
    assert len(pairs.read_text().splitlines()) == 3 and "Stopped." in capsys.readouterr().err


def test_the_verb_writes_pairs_a_page_and_json(
    firm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, page = tmp_path / "pairs.jsonl", tmp_path / "pairs.html"
    words = ["data", "make-questions", str(firm), "--out", str(pairs), "--by", "words"]
    assert run([*words, "--html", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    lines = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert told["questions"] == lines and told["count"] == len(lines)
    assert sum(each["share"] for each in told["kinds"]) == pytest.approx(1)
    assert run([*words, "--kinds", "cell,price", "--count", "2"]) == 0
    assert {json.loads(line)["kind"] for line in pairs.read_text().splitlines()} == {
        "cell",
        "price",
    }
    assert {each.name for each in tmp_path.iterdir()} == {"firm", "pairs.jsonl", "pairs.html"}


def test_a_text_of_a_document_never_becomes_markup_of_the_page() -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    pair = {"question": hostile, "answer": hostile, "document": hostile, "context": hostile}
    page = render_questions_page({"questions": [pair], "kinds": [], "count": 1})
    assert "<img" not in page and page.count("</script>") == 2
    assert "default-src 'none'" in page and "script-src 'sha256-" in page


def test_bad_input_is_one_sentence(firm: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    with pytest.raises(ConfigError, match="no kind of question 'cel'"):
        QuestionsConfig(kinds=("cel",))
    (tmp_path / "empty.md").write_text("# Nothing\n\nBlue.\n")
    with pytest.raises(DataError, match="none has a sentence that a rule can ask about"):
        groundup.make_questions(tmp_path / "empty.md", out, by="words")
    assert not out.exists()


def test_a_pack_of_which_no_question_can_be_made_is_built_without_a_fine_tuned_model(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty.md").write_text("# Nothing\n\nBlue.\n")
    pack = tmp_path / "mine"
    assert (
        run(["pack", "new", "mine", "--from", str(tmp_path / "empty.md"), "--out", str(pack)]) == 0
    )
    assert not check_pack(pack).objections and not (pack / "instructions.jsonl").exists()
    tables = pack_values(pack)
    assert tables["index"]["questions"] == "" and not {"chat", "answers"} & set(tables)
    (pack / "instructions.jsonl").write_text("")
    with pytest.raises(DataError, match="has no line that can be read: write one, or delete"):
        pack_values(pack)


def test_nothing_is_promised_on_made_questions(
    asked: dict[str, made_questions.MadeQuestion], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="was made from a document"):
        questions_in((tmp_path / "pairs.jsonl").read_text(), "pairs.jsonl")


def test_german_documents_give_the_questions_of_their_headings_alone(tmp_path: Path) -> None:
    text = "# Hausordnung\n\n## Darf ich rauchen?\n\nNein, im ganzen Haus ist das Rauchen nicht erlaubt.\n"
    (tmp_path / "haus.md").write_text(
        text + "\nDie Miete kostet £40 im Monat und ist am ersten fällig.\n"
    )
    groundup.index(tmp_path / "haus.md", tmp_path / "index", vectors="none")
    with Index(tmp_path / "index") as index:
        made = made_questions.make_questions(index, QuestionsConfig(), None, progress=Silent())
        assert [each.kind for each in made.questions] == ["heading"]
        assert all(list(drafts(passage)) for passage in index.all_passages()[:1])


def test_a_pack_begins_with_ones_own_documents_and_lacks_what_only_their_owner_knows(
    firm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (firm / "old").mkdir()
    (firm / "old" / "parking_rules.txt").write_text("You must pay at the gate.\n")
    (firm / "old" / "Re 3.txt").write_text(
        "Gift vouchers\n\nThe last boat leaves one hour before.\n"
    )
    pack = tmp_path / "pack"
    assert run(["pack", "new", "mine", "--from", str(firm), "--out", str(pack), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    checked = check_pack(pack)
    assert not checked.objections and len(checked.notes) == 4
    assert checked.pack.documents["old-parking_rules.md"].startswith("# Parking rules\n\nYou must")
    assert checked.pack.documents["old-Re-3.md"].startswith("# Gift vouchers\n\nThe last boat")
    asked = [each["instruction"] for each in checked.pack.parts["instructions"]]
    assert not [each for each in asked if "How long do the" in each]
    assert checked.counts == {"documents": 4, "instructions": told["instructions"]}
    tables = pack_values(pack)
    assert {"index", "chat"} < set(tables) and not {"intents", "answers"} & set(tables)
    assert tables["index"]["known_answers"] == ""
    assert document_questions(checked.pack.parts["instructions"]) == [], "nothing is chosen on them"
    assert run(["pack", "new", "mine", "--from", str(firm), "--out", str(pack)]) == 2
    (pack / "facts.toml").write_text('[office]\nprice = "£40"\n')
    assert "£6" in " ".join(map(str, check_pack(pack).objections)), (
        "with a fact all are held to them"
    )


def test_the_reader_is_tuned_on_made_questions(
    asked: dict[str, made_questions.MadeQuestion], firm: Path, tmp_path: Path
) -> None:
    found = asked_in(tmp_path / "pairs.jsonl")
    assert {each.question for each in found} == set(asked)
    with Index(groundup.index(firm, tmp_path / "index", vectors="none").index) as index:
        passages = index.all_passages()
    for each in found:
        marked = mark(passages, each)
        assert marked is not None
        ((number, places),) = marked.answers.items()
        sentence = statements(passages[number])[min(places)]
        assert sentence.text.split()[0].strip("|-") in each.answer or each.answer in sentence.text
