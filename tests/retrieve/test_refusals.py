"""Refusals: small talk and questions about another firm are answered with a sentence, whatever documents hold."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import groundup
from groundup.cli.main import run
from groundup.errors import ConfigError, DataError
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.calibration import answer_at_any_evidence
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import read_known_questions
from groundup.retrieve.refusals import (
    BOT,
    GOODBYE,
    GREETING,
    NOT_FOUND,
    OTHER,
    REPLIES,
    THANKS,
    listed_firms,
    other_firm,
    small_talk,
)

from .conftest import Update

ROOT = Path(__file__).parents[2]
QUESTIONS = [
    *sorted((ROOT / "benchmarks").glob("reader*_firms/*/questions.jsonl")),
    *(
        file
        for file in sorted((ROOT / "benchmarks/held_out").glob("**/*.jsonl"))
        # opened once, or not yet; nothing is chosen on them
        if not {"fourth", "fifth", "sixth", "seventh", "eighth", "ninth"} & {*file.parts}
    ),
    *sorted((ROOT / "groundup/packs").glob("*/questions.jsonl")),
]


def questions_of(file: Path) -> Iterator[tuple[str, str]]:
    """(kind, question) of a file."""
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        if file.name != "injections.jsonl":
            yield row.get("kind", "answerable"), row.get("question") or row["text"]


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        ("hiya", GREETING),
        ("Good morning, anyone there?", GREETING),
        ("How's your day going?", GREETING),
        ("Wie geht es Ihnen?", GREETING),
        ("Ça va ?", GREETING),
        ("Thanks so much, that's all I needed!", THANKS),
        ("no thanks", GOODBYE),
        ("No, that's all thank you", GOODBYE),
        ("Vielen Dank!", THANKS),
        ("¡Hola, buenos días!", GREETING),
        ("Muchas gracias, muy amable", THANKS),
        ("¿Eres una persona o un robot?", BOT),
        ("ok bye then", GOODBYE),
        ("Au revoir", GOODBYE),
        ("are you a real person or a computer", BOT),
        ("Bist du ein Roboter?", BOT),
        ("who made you?", BOT),
        ("tell me a joke about bankers", OTHER),
        ("Kannst du mir einen Witz erzählen?", OTHER),
        ("lovely weather today, isn't it", OTHER),
        ("I'm so nervous, it's my first time flying", OTHER),
        ("shit", OTHER),
        ("👍", OTHER),
        ("How much is a crown?\nthanks", THANKS),
    ],
)
def test_small_talk_is_known_by_its_kind(turn: str, kind: str) -> None:
    assert small_talk(turn) == kind and kind in REPLIES


@pytest.mark.parametrize(
    "question",
    [
        "Hi, what does a crown cost?",
        "Hallo, was kostet eine Krone?",
        "Bonjour, combien coûte une couronne ?",
        "Hola, ¿cuánto cuesta una corona?",
        "are you open",
        "how are you regulated",
        "what do you do when a parcel is lost",
        "do you bake the bread yourselves",
        "I'm nervous about the drill, can I have sedation?",
        "I'm so hungry, is the kitchen open",
        "fine",
        "test",
        "rubbish",
        "yes",
        "",
        "hi " * 40,
    ],
)
def test_what_has_a_subject_is_no_small_talk(question: str) -> None:
    assert small_talk(question) is None


def test_small_talk_finds_no_question_of_the_development_sets() -> None:
    asked = [each for file in QUESTIONS for each in questions_of(file)]
    wrong = [q for kind, q in asked if kind != "small_talk" and small_talk(q)]
    missed = [q for kind, q in asked if kind == "small_talk" and not small_talk(q)]
    talk = sum(kind == "small_talk" for kind, _ in asked)
    assert len(asked) > 1000 and talk > 60
    assert wrong == [] and len(missed) <= 0.1 * talk


def answered(index: Index, question: str, config: AskConfig | None = None) -> Answer:
    *_, answer = ask(index, question, config=config)
    assert isinstance(answer, Answer)
    return answer


def test_small_talk_is_answered_without_a_quotation(index: Index) -> None:
    answer = answered(index, "Good morning!")
    assert not answer.found and answer.text == REPLIES[GREETING]
    assert answer.quotes == () and answer.nearest is None and answer.sources == ()
    assert answer.to_plain()["refusal"] == {"kind": GREETING, "text": REPLIES[GREETING]}
    assert answered(index, "hi, how long does the warranty last").found


def test_a_name_that_no_document_has_refuses(index: Index) -> None:
    answer = answered(index, "How do I cancel the warranty of my Netflix account?")
    assert answer.text == "Netflix does not appear in these documents."
    assert not answer.found and answer.quotes == () and answer.nearest is not None
    least = AskConfig(min_evidence=0.0)
    assert answered(index, "What is the warranty of ryanair?", least).found
    assert answer_at_any_evidence(index, "Does Ryanair last 24 months?", 5, None).evidence == 0


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("does ryanair let me change a name", "Ryanair"),
        ("What does Grammarly Premium cost?", "Grammarly"),
        ("Does Quillmere Bank pay more on savings?", "Quillmere Bank"),
        ("Is Hollyfield open tomorrow", "Hollyfield"),
        ("What's Zebedee's opening hours", "Zebedee"),
        ("what time is check-out at the Larch Inn?", "Larch Inn"),
        ("What does Lovelece charge?", None),  # spelled nearly as Lovelace, who is in a document
        ("How much is a bed in the hostel? I live in Ashdale.", None),
        ("Does Ella need her own towel?", None),
        ("Do I have to come in October?", None),
        ("Is VAT included?", None),
        ("How long does it take to come over to you from Vodafone?", None),
        ("Do you match the prices of Tesco?", None),
        ("DOES THE HOSTEL OPEN IN MERRIFOLD", None),
        ("Wann öffnet Quillmere Bank?", None),
        ("What does Straßburg charge?", None),
        ("How do I cancel my stay with Dr Patel?", None),
        ("My Visa card was declined", None),
    ],
)
def test_the_name_of_another_firm_stands_in_its_place(
    index: Index, question: str, name: str | None
) -> None:
    assert other_firm(index, question) == name


def test_other_firms_refuse_no_answerable_question_of_two_firms(
    docs: Path, update: Update, tmp_path: Path
) -> None:
    for firm in (ROOT / "benchmarks/reader_firms/hotel", ROOT / "benchmarks/reader_firms/energy"):
        update(firm / "documents")
        with Index(tmp_path / "index") as index:
            asked = list(questions_of(firm / "questions.jsonl"))
            found = {kind: [] for kind, _ in asked}
            for kind, question in asked:
                if other_firm(index, question):
                    found[kind].append(question)
        assert found["answerable"] == [] and found["other_firm"]


def test_listed_firms_are_folded_and_stand_once() -> None:
    assert len(set(listed_firms())) == len(listed_firms()) > 100
    assert all(name == name.lower() and len(name) > 2 for name in listed_firms())


def test_an_empty_question_is_one_sentence(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for question in ("", "  \n"):
        with pytest.raises(ConfigError, match="The question is empty"):
            groundup.ask(index.folder, question)
    assert run(["ask", str(tmp_path / "index"), " "]) == 2
    assert capsys.readouterr().err.startswith("error: The question is empty.")


def test_a_folder_of_questions_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, and a file of questions is expected"):
        read_known_questions(tmp_path)


def test_the_terminal_says_what_is_said(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(tmp_path / "index"), "are you a robot"]) == 0
    assert capsys.readouterr().out == f"{REPLIES[BOT]}\n"
    assert NOT_FOUND == "Not found in your documents."
    assert groundup.ask(str(tmp_path / "index"), "thanks!").text == REPLIES[THANKS]
