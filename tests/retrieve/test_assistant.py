"""An assistant's replies to a small firm's patients: which way a message goes, and that nothing is said without a source."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

import groundup
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.packs.assistant_texts import AssistantTexts, FixedTexts, fixed_texts
from groundup.packs.check import check_pack
from groundup.packs.pack import new_pack, packaged_packs, read_head
from groundup.recipes.named_stages import pack_values
from groundup.retrieve.answer import AskConfig, QuestionReading
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.assistant import (
    LEAST_IN_DANGER,
    read_conversation,
    reply,
    searching,
    texts_of_build,
)
from groundup.retrieve.assistant_reply import AssistantReply
from groundup.retrieve.handover import conversation_summary
from groundup.retrieve.index import Index
from groundup.retrieve.scope import urgent, wants_person
from groundup.tokenizer.chat import Message

ENGLISH = fixed_texts("en")
FIRM = Path(__file__).with_name("small_firm")
TEXTS = AssistantTexts("Pebblegate Dental Practice", greeting="Good day.", can_do="Ask me.")
CONTACT = AssistantTexts("Pebblegate", contact="ring the desk.")
WARRANTY = "How much is a porcelain crown?"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return groundup.index(FIRM / "documents", tmp_path_factory.mktemp("firm") / "index").index


@pytest.fixture(scope="module")
def say(index: Path) -> Callable[..., AssistantReply]:
    """say(turn, ..., texts=...) -> the reply to the last of a user's turns, each replied to."""

    def replied(*turns: str, texts: AssistantTexts = TEXTS) -> AssistantReply:
        messages: list[Message] = []
        with Index(index) as opened:
            for turn in turns:
                messages.append(Message("user", turn))
                *_, last = reply(opened, messages, texts)
                messages.append(Message("assistant", last.text))
        assert isinstance(last, AssistantReply)
        return last

    return replied


def test_documents_answer_as_ask_does(index: Path, say: Callable[..., AssistantReply]) -> None:
    found, asked = say(WARRANTY), groundup.ask(index, WARRANTY)
    assert (found.kind, found.found, found.text) == ("answer", True, asked.text)
    assert found.quotes == asked.quotes and found.sources == asked.sources


def test_small_talk_gets_fixed_words_and_searches_nothing(
    say: Callable[..., AssistantReply],
) -> None:
    assert (say("hi").text, say("hi").kind, say("hi").sources) == ("Good day.", "small_talk", ())
    who = say("are you a robot?").text
    assert "Pebblegate Dental Practice's automatic assistant, a computer program" in who
    assert who.endswith("Ask me.") and say("thanks!").text.startswith("You're welcome")


def test_what_no_document_has_is_refused_with_the_way_to_a_person(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("What is the capital of France?")
    assert found.kind == "refusal" and not found.found
    first, second, quoted = found.text.splitlines()
    assert first == "I can't find an answer to that in Pebblegate Dental Practice's documents."
    assert second == "To speak to a person at Pebblegate Dental Practice:"
    assert "01632 960530" in quoted and quoted.endswith("[1]")
    assert found.sources[0].text.count("01632 960530") == 1, "from the documents, with its source"
    own = say("What is the capital of France?", texts=CONTACT)
    assert own.text.endswith("To speak to a person: ring the desk.") and not own.quotes


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("E-mail: desk@mill.example.", "desk@mill.example"),
        ("E-mail: desk@mill.example.\n\nTelephone: 01632 960 001.", "01632 960 001"),
        ("Our office is upstairs.", None),
    ],
)
def test_a_refusal_searches_once_for_a_telephone_number_or_an_e_mail_address(
    tmp_path: Path, contact: str, shown: str | None
) -> None:
    (tmp_path / "mill.md").write_text(f"# The mill\n\nFlour is ground on Mondays.\n\n{contact}\n")
    asked: list[str] = []
    with Index(groundup.index(tmp_path / "mill.md", tmp_path / "index").index) as opened:
        search = searching(opened, AskConfig())

        def counted(question: str, passages: int | None = None) -> QuestionReading:
            asked.append(question)
            return search(question, passages)

        found = read_conversation([Message("user", "Do you sell bicycles?")], TEXTS, counted)
    assert found.kind == "refusal"
    assert asked == ["Do you sell bicycles?", ENGLISH.contact_question]
    quoted = [each.text for each in found.documents.quotes]
    assert [shown in each for each in quoted] == ([True] if shown else [])


def test_a_person_who_is_asked_for_gets_what_was_asked_so_far(
    say: Callable[..., AssistantReply],
) -> None:
    turns = ("hello", WARRANTY, "What is the capital of France?", "thanks")
    found = say(*turns, "Can I talk to someone?", texts=CONTACT)
    assert found.kind == "person" and not found.found
    assert found.summary == (WARRANTY, "What is the capital of France? (not answered)")
    assert found.text.splitlines()[-2:] == [f"- {each}" for each in found.summary]
    asked = say("Can I talk to someone?", texts=CONTACT)
    assert asked.text == "To speak to a person: ring the desk." and asked.summary == ()


def test_danger_to_life_stands_above_what_the_documents_say(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("A swelling makes it hard to breathe or swallow, do I go to hospital?")
    first, quoted = found.text.splitlines()
    assert (found.kind, first) == (
        "emergency",
        ENGLISH.emergency,
    ) and "Go to hospital at once" in quoted


def test_below_the_text_of_an_emergency_stands_no_unsure_quotation(index: Path) -> None:
    with Index(index) as opened:
        search = searching(opened, AskConfig())
        asked = [Message("user", "A swelling makes it hard to breathe, do I go to hospital?")]
        for evidence, shown in ((LEAST_IN_DANGER, 1), (LEAST_IN_DANGER - 0.01, 0)):
            given = read_conversation(
                asked,
                TEXTS,
                lambda question, passages=None, evidence=evidence: replace(
                    search(question, passages), evidence=evidence
                ),
            )
            assert given.kind == "emergency" and len(given.documents.quotes) == shown


@pytest.mark.parametrize("message", ["I want to die", "A crown costs £690, I want to kill myself"])
def test_self_harm_gets_its_fixed_text_alone(
    say: Callable[..., AssistantReply], message: str
) -> None:
    found = say(message)
    assert (found.kind, found.text, found.sources) == ("self_harm", ENGLISH.self_harm, ())


def test_thanks_in_between_do_not_end_the_subject(say: Callable[..., AssistantReply]) -> None:
    found = say(WARRANTY, "thanks", "can i talk to someone?", "and a denture?")
    assert found.question == f"{WARRANTY}\nand a denture?"


def test_thanks_below_a_question_do_not_stand_for_it(
    index: Path, say: Callable[..., AssistantReply]
) -> None:
    said = f"Hello,\n\n{WARRANTY}\n\nThanks"
    found = say(said)
    assert found.kind == "answer" and found.quotes[0].text == say(WARRANTY).quotes[0].text
    assert say(said, "Can I talk to someone?").summary == (" ".join(said.split()),)
    assert groundup.ask(index, said).quotes == found.quotes


def test_every_sentence_is_fixed_or_quoted(index: Path) -> None:
    with Index(index) as opened:
        for line in (FIRM / "questions.jsonl").read_text().splitlines():
            *_, last = reply(opened, [Message("user", json.loads(line)["question"])], TEXTS)
            assert isinstance(last, AssistantReply)
            assert last.text == "\n".join(
                [*last.opening, *map(part_text, last.parts), *last.closing]
            )
            for quote in last.quotes:
                source = last.sources[quote.source - 1]
                assert source.text[quote.start - source.start : quote.end - source.start].strip()
            assert not last.sentences and (last.quotes or last.opening)


def test_a_conversation_without_a_user_is_refused(index: Path) -> None:
    with Index(index) as opened, pytest.raises(ConfigError, match="No message of a user"):
        search = searching(opened, AskConfig())
        read_conversation([Message("assistant", "Hello")], TEXTS, search)


def test_a_summary_is_short() -> None:
    said = [Message("user", f"Question {number} " + "word " * 80) for number in range(20)]
    found = conversation_summary(said, TEXTS)
    assert len(found) == 10 and found[-1].startswith("Question 19 ")
    assert all(len(each) <= 204 and each.endswith("...") for each in found)
    assert conversation_summary([Message("user", "予" * 300)], TEXTS) == ("予" * 200 + " ...",)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("my husband has collapsed and isn't breathing", "emergency"),
        ("it won’t stop bleeding", "emergency"),
        ("I think I'm having a heart attack", "emergency"),
        ("ich bekomme keine Luft", "emergency"),
        ("my daughter self-harms", "self_harm"),
        ("i don't want to be here anymore", "self_harm"),
        ("My dad died of a heart attack, who closes his account?", None),
        ("we are drowning in paperwork", None),
        ("do you have emergency appointments?", None),
        ("What does a crown cost?", None),
        ("how do I end my life insurance?", None),
        ("I want to end my life", "self_harm"),
        ("I hurt myself on your stairs, can I claim?", None),
        ("I hurt myself when I'm sad", "self_harm"),
        ("who wrote the self-harm policy of the school?", None),
        ("there's a fire alarm test on Monday?", None),
        ("there's a fire in the kitchen", "emergency"),
        ("your app is unresponsive", None),
        ("she is unresponsive", "emergency"),
    ],
)
def test_danger_is_recognised(message: str, kind: str | None) -> None:
    assert urgent(message) == kind


@pytest.mark.parametrize(
    "message",
    [
        "can I talk to someone",
        "I'd like to speak to a real person please",
        "put me through to an agent",
        "human",
        "I want a human being!",
        "is there anyone I can speak to?",
        "Can I speak with somebody at the bank?",
        "je voudrais parler à quelqu'un",
        "Kann ich mit einem Mitarbeiter sprechen?",
    ],
)
def test_a_wish_for_a_person_is_recognised(message: str) -> None:
    assert wants_person(message)


@pytest.mark.parametrize(
    "message",
    [
        "Can I talk to someone about a loan?",
        "Could I just talk to someone before anybody touches my teeth?",
        "how many people work for you",
        "Do I need a manager's signature?",
        "Can my mum bring my son?",
        "a person under 18, may they open an account?",
        "Do I need an adviser?",
        "do you need staff",
        "can I refer a colleague?",
        "can I give another person?",
    ],
)
def test_a_question_is_no_wish_for_a_person(message: str) -> None:
    assert not wants_person(message)


@pytest.mark.parametrize("name", sorted(packaged_packs()))
def test_each_pack_has_texts(name: str) -> None:
    """That its facts bear them out is of tests/packs."""
    texts = read_head(packaged_packs()[name]).assistant
    assert texts.greeting and "program" in texts.greeting and texts.contact and texts.can_do
    assert len(texts.questions) == 3 and texts.colour
    assert (texts.in_danger, texts.in_self_harm) == (ENGLISH.emergency, ENGLISH.self_harm)


FRISCH = """# Öffnungszeiten

Der Laden öffnet am Samstag um 9 Uhr.

# Kontakt

Sie erreichen uns unter der Telefonnummer 030 1234567.
"""
GERMAN_TEXTS = AssistantTexts("Radhaus", "de")
IN_GERMAN = [
    ("Guten Tag", "Guten Tag. Ich bin der automatische Assistent von Radhaus, ein Computerprogramm und kein Mensch. Ich beantworte Fragen aus den "
     "Unterlagen und zeige, wo es steht."),
    ("Danke!", "Gern geschehen. Kann ich sonst noch etwas für Sie tun?"),
    ("Tschüss", "Auf Wiedersehen."),
    ("Mein Mann bekommt keine Luft", "Wenn jemand in Gefahr sein könnte, rufen Sie sofort den Notruf: 112."),
    ("Ich will mich umbringen", "Es tut mir leid, dass es Ihnen so schlecht geht."),
    ("Verkauft ihr Segelboote nach Australien?", "Dazu finde ich in den Unterlagen von Radhaus keine Antwort.\n"
     "So erreichen Sie einen Menschen bei Radhaus:\n\"Sie erreichen uns unter der Telefonnummer 030 1234567.\""),
]  # fmt: skip


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("radhaus")
    (folder / "docs").mkdir()
    (folder / "docs" / "laden.md").write_text(FRISCH)
    return groundup.index(folder / "docs", folder / "index").index


@pytest.mark.parametrize(("message", "beginning"), IN_GERMAN)
def test_a_german_pack_is_answered_in_german(german: Path, message: str, beginning: str) -> None:
    with Index(german) as opened:
        *_, last = reply(opened, [Message("user", message)], GERMAN_TEXTS)
    assert isinstance(last, AssistantReply) and last.text.startswith(beginning), last.text


@pytest.mark.parametrize("language", ["de", "fr", "es", "de-AT", "it"])
def test_fixed_texts_of_each_language_are_whole(language: str) -> None:
    texts = AssistantTexts("Atelier", language)
    english = AssistantTexts("Atelier")
    for field in fields(FixedTexts):
        said = getattr(texts.fixed, field.name)
        if isinstance(said, str):
            told = texts.say(said, titles="A; B", contact="C")
            assert told and "{" not in told
            names = set(re.findall(r"{\w+}", said)) - {"{firm}", "{of}"}
            assert names == set(re.findall(r"{\w+}", getattr(english.fixed, field.name))) - {
                "{firm}",
                "{of}",
            }
            assert (said == getattr(ENGLISH, field.name)) == (language == "it"), field.name
    assert "112" in texts.in_danger and "112" in texts.in_self_harm
    assert len(texts.in_danger) < 600 and len(texts.in_self_harm) < 600


def test_a_pack_of_another_language_has_the_texts_of_its_language(tmp_path: Path) -> None:
    new_pack("mine", tmp_path / "mine")
    file = tmp_path / "mine" / "pack.toml"
    text = file.read_text()
    assert 'language = "en"' in text
    file.write_text(text.replace('language = "en"', 'language = "de"'))
    values = pack_values(tmp_path / "mine")
    assert values["assistant"]["language"] == "de" and values["assistant"]["emergency"] == ""


def test_texts_are_held_against_the_facts(tmp_path: Path) -> None:
    new_pack("mine", tmp_path / "mine")
    file = tmp_path / "mine" / "pack.toml"
    file.write_text(file.read_text().replace("01632 960 145", "01632 960 999"))
    found = [str(each) for each in check_pack(tmp_path / "mine").objections]
    assert any(each.startswith("pack.toml: assistant.contact: ") for each in found), found


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"colour": "red"}, "assistant.colour"),
        ({"questions": ["a"] * 6}, "assistant.questions"),
        ({"questions": ["a" * 91]}, "assistant.questions"),
        ({"greeting": "a" * 601}, "assistant.greeting"),
    ],
)
def test_texts_that_do_not_fit_are_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        AssistantTexts(**values)  # type: ignore[arg-type]


def test_texts_of_a_build_are_those_of_its_recipe(tmp_path: Path) -> None:
    assert texts_of_build(tmp_path) == AssistantTexts()
    (tmp_path / "recipe.toml").write_text('[assistant]\norganisation = "Spokewell"\n')
    assert texts_of_build(tmp_path).organisation == "Spokewell"
    (tmp_path / "recipe.toml").write_text("[assistant]\ngreetings = 1\n")
    with pytest.raises(FormatError, match="greetings"):
        texts_of_build(tmp_path)


def test_what_has_no_index_is_no_assistant(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no index"):
        groundup.open_assistant(tmp_path)


EXAMPLES = {
    "airline": ["8 kg", "within 10 working days", "£14"],
    "bank": ["Replacement card: free", "£300 a day", "9:30 am to 4:30 pm"],
    "restaurant": ["car park is behind the house", "within 3 miles", "welcome in the bar"],
    "school": ["by 8:30 am", "18 December 2026", "£10"],
    "writing": ["45 minutes", "400 to 700 words", "10 am to 3 pm"],
}


@pytest.mark.network
@pytest.mark.parametrize("name", sorted(packaged_packs()))
def test_the_example_questions_of_each_pack_are_answered(name: str, tmp_path: Path) -> None:
    folder = packaged_packs()[name]
    made = groundup.index(folder / "documents", tmp_path / "index", vectors="all-minilm-l6-v2-ask")
    questions = check_pack(folder).pack.head.assistant.questions
    for question, words in zip(questions, EXAMPLES[name], strict=True):
        assert words in groundup.ask(made.index, question).text, question


BRANCHES = """# Our studios

## Mill Lane studio

The painting room at Mill Lane is on the ground floor. The wheels are upstairs; there is no lift.

## Old Dairy studio

It has a lift to the gallery. Parking is free in the yard.
"""


def test_a_question_after_one_on_a_branch_is_answered_of_that_branch(tmp_path: Path) -> None:
    (tmp_path / "studios.md").write_text(BRANCHES)
    made = groundup.index(tmp_path / "studios.md", tmp_path / "index", vectors="none").index

    def quoted(*turns: str) -> str:
        with Index(made) as opened:
            *_, last = reply(opened, [Message("user", turn) for turn in turns], TEXTS)
        assert isinstance(last, AssistantReply)
        assert last.question.endswith(turns[-1])
        return last.quotes[0].text

    assert "no lift" in quoted("tell me about the Mill Lane studio", "is there a lift?")
    assert "a lift to the gallery" in quoted("tell me about the Old Dairy", "is there a lift?")
    at_other = quoted("tell me about Mill Lane", "is there a lift at the Old Dairy?")
    assert "a lift to the gallery" in at_other
    assert "Parking is free" in quoted("tell me about the Mill Lane studio", "is there parking?")
