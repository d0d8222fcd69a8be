"""The assistant of a build that acts, in Python and in the terminal, and what its operator sees."""

import asyncio
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import groundup
from groundup.actions.definition import Rule
from groundup.cli.main import run
from groundup.packs.feedback import FeedbackFile, read_feedback
from groundup.packs.pack import packaged_packs
from groundup.retrieve.answer import QuestionReading
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.assistant_actions import rule_reading
from groundup.retrieve.assistant_reply import AssistantReply
from groundup.retrieve.passages import Passage
from groundup.runs import BuildResults, provenance
from groundup.serve.feedback import FeedbackRecorder
from groundup.tokenizer.chat import Message

FIRM = Path(__file__).with_name("small_firm")
BOOKING = ("Book a check-up on 5 March 2031 at 11:00", "Ada Brook", "yes")


@pytest.fixture(scope="module")
def firm_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return groundup.index(FIRM / "documents", tmp_path_factory.mktemp("firm") / "index").index


@pytest.fixture
def build(tmp_path: Path, firm_index: Path) -> Path:
    """A clinic's build, as far as an assistant needs it."""
    folder = tmp_path / "clinic"
    shutil.copytree(firm_index, folder / "index")
    (folder / "actions").mkdir()
    for name in ("actions.toml", "world.sql"):
        shutil.copy(FIRM / name, folder / "actions" / name)
    kinds = {"index": "index", "actions": "actions"}
    BuildResults(**asdict(provenance()), recipe="clinic", kinds=kinds).write(folder)
    return folder


@pytest.fixture
def say(build: Path) -> Callable[..., AssistantReply]:
    """say(turn, ..., id=...) -> the reply to the last of a user's turns, each replied to."""

    def replied(*turns: str, id: str = "one") -> AssistantReply:
        messages: list[Message] = []
        with groundup.open_assistant(build) as assistant:
            for turn in turns:
                messages.append(Message("user", turn))
                found = assistant.reply(messages, id)
                messages.append(Message("assistant", found.text))
        return found

    return replied


def test_booked_in_python_and_listed_and_undone_by_the_operator(
    build: Path, say: Callable[..., AssistantReply], capsys: pytest.CaptureFixture[str]
) -> None:
    done = say(*BOOKING)
    assert done.kind == "action" and done.action is not None and done.action.kind == "done"
    reference = done.action.reference
    assert run(["actions", str(build)]) == 0
    listed = capsys.readouterr().out
    assert f"book_appointment  {reference}" in listed and "name Ada Brook" in listed
    assert run(["actions", str(build), "--undo", str(reference).lower()]) == 0
    assert capsys.readouterr().out == f"Your appointment {reference} is cancelled.\n"
    assert run(["actions", str(build), "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["actions"]
    assert (entry["state"], entry["values"]["time"]) == ("undone", "11:00")
    for wrong in (str(reference), "AAAAAA"):
        assert run(["actions", str(build), "--undo", wrong]) == 2
        assert wrong in capsys.readouterr().err


def test_a_yes_or_no_where_none_was_asked_for_is_not_looked_up(
    say: Callable[..., AssistantReply],
) -> None:
    for said in ("yes that is fine thank you", "Yes, go ahead.", "No", "4417"):
        reply = say("Do you sell bicycles?", said, id=said)
        assert (reply.kind, reply.found) == ("small_talk", False)
        assert reply.text.startswith("Nothing is waiting for an answer here")
    assert say("Hello", "ok thanks", id="thanks").text.startswith("You're welcome")


def test_what_is_said_beside_a_yes_is_not_looked_up(say: Callable[..., AssistantReply]) -> None:
    booking = BOOKING[:-1]
    unclear = say(*booking, "Yes, unless my insurance could pay for a crown", id="unless")
    assert (unclear.kind, unclear.sources) == ("action", ())
    assert "yes or no" in unclear.text
    done = say(*booking, "Yes please, that would be a weight off my mind", id="relief")
    assert done.action is not None and done.action.kind == "done"


def test_a_question_beside_an_action_that_found_no_answer_is_kept_alone(
    say: Callable[..., AssistantReply], tmp_path: Path
) -> None:
    order = "Book a check-up on 5 March 2031 at 11:00, Ada Brook"
    recorder = FeedbackRecorder(FeedbackFile(tmp_path / "feedback.jsonl"))
    replies = [
        say(f"{order}. Do you sell bicycles, mail ada@example.org?"),
        say(f"{order}. And how much is a porcelain crown?", id="answered"),
    ]
    numbers = [asyncio.run(recorder.keep("clinic", each)) for each in replies]
    assert [each.kind for each in replies] == ["action", "action"] and replies[1].quotes
    asyncio.run(recorder.rate(numbers[0], "up", ""))
    kept, rated = read_feedback(recorder.file.path).events
    assert kept.is_unanswered and kept.question == "Do you sell bicycles, mail <email>?"
    assert rated.reply == numbers[0] and rated.question.startswith(order)


def test_a_letter_keeps_its_lines_for_the_desk(say: Callable[..., AssistantReply]) -> None:
    letter = "Please book a check-up on 5 March 2031 at 11:00.\n\nKind regards\nAda Brook\nBrook and Hay Ltd"
    asked = say(letter)
    assert asked.action is not None and asked.action.kind == "confirm"
    assert "Ada Brook" in asked.text and "Ltd" not in asked.text


def test_an_option_that_was_asked_for_is_no_wish_for_a_person(build: Path) -> None:
    for name in ("actions.toml", "world.sql"):
        shutil.copy(packaged_packs()["writing"] / name, build / "actions" / name)
    messages = []
    with groundup.open_assistant(build) as assistant:
        for said in ("work out a price for me", "4200", "a journal paper", "Staff."):
            messages.append(Message("user", said))
            found = assistant.reply(messages, "one")
            messages.append(Message("assistant", found.text))
        assert found.kind == "action" and found.text == "Standard or express?", found.text
        messages.append(Message("user", "I want to talk to the staff"))
        assert assistant.reply(messages, "one").kind == "person"


def test_without_a_build_or_actions_it_says_so(
    build: Path, firm_index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["actions", str(firm_index)]) == 2
    assert "is no build" in capsys.readouterr().err
    shutil.rmtree(build / "actions")
    assert run(["actions", str(build)]) == 2
    assert "has no actions" in capsys.readouterr().err


def test_what_was_said_for_an_action_is_no_context_of_a_question(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("How much is a porcelain crown?", *BOOKING, "and a denture?")
    assert found.kind == "answer"
    assert found.question == "How much is a porcelain crown?\nand a denture?"


@pytest.mark.parametrize("message", ["thanks", "Can I talk to someone?"])
def test_talk_in_the_middle_keeps_the_question_that_waits(
    say: Callable[..., AssistantReply], message: str
) -> None:
    found = say(BOOKING[0], message)
    assert found.kind in ("small_talk", "person") and found.text.endswith("In whose name?")
    assert found.action is not None and found.action.asked is not None


def test_it_is_what_is_being_booked(
    say: Callable[..., AssistantReply],
) -> None:
    first = ("I'd like to book a check-up", "how long does it take")
    found = say(*first)
    assert found.kind == "action" and found.text.endswith("On which day?")
    assert found.question == "Book an appointment: check-up\nhow long does it take"
    assert "check-up" in found.quotes[0].text
    then = say(*first, "does it have a lid?", id="two")
    assert not then.quotes and then.text.startswith("I can't find an answer to that")
    assert then.text.endswith("On which day?") and then.unanswered == "does it have a lid?"


def test_a_question_without_an_answer_is_no_reply_that_was_not_understood(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("I'd like to book a check-up", "do you sell submarines")
    assert found.text.startswith("I can't find an answer") and "expected" not in found.text
    assert found.text.endswith("On which day?") and found.unanswered == "do you sell submarines"


def test_what_is_no_answer_and_no_question_is_asked_for_again(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("Book a check-up at 11:00 in the name of Ada Brook", "purple elephants")
    assert found.kind == "action" and "can't find an answer" not in found.text
    assert found.text.endswith("On which day?")


def test_a_question_behind_an_order_is_answered_above_its_confirmation(
    say: Callable[..., AssistantReply],
) -> None:
    order = "Book a check-up on 5 March 2031 at 11:00 for Ada Brook"
    found = say(f"{order}, oh and do you have a car park?")
    assert found.kind == "action" and found.action is not None and found.action.kind == "confirm"
    assert found.question == "do you have a car park?" and found.found
    assert found.quotes and any("car park" in quote.text for quote in found.quotes)
    assert found.text.endswith("in the name of Ada Brook: shall I book it?")
    unknown = say(f"{order}, oh and do you sell submarines?", id="two")
    assert unknown.text.startswith("I can't find an answer to that") and not unknown.sources
    assert unknown.action is not None and unknown.action.kind == "confirm"


def test_a_question_behind_a_value_is_answered_and_the_next_one_asked(
    say: Callable[..., AssistantReply],
) -> None:
    found = say("I need an appointment", "a check-up on 5 March 2031 - is there a car park?")
    assert found.kind == "action" and any("car park" in quote.text for quote in found.quotes)
    assert found.text.endswith("At what time?")


def test_a_question_behind_what_a_rule_refuses_is_answered_below_its_sentence(
    say: Callable[..., AssistantReply],
) -> None:
    order = "Book a check-up on Sunday 2 March 2031 at 11:00 for Ada Brook"
    found = say(f"{order}. And do you have a car park?")
    rule, answer = found.quotes[0], found.quotes[-1]
    assert rule.text.endswith("open from Monday to Saturday.")
    assert found.sources[rule.source - 1].document.endswith("opening-hours.md")
    assert found.sources[answer.source - 1].document.endswith("how-to-find-us.md")


def test_in_the_terminal(
    build: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # the second time it is another conversation, and the time is taken
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(BOOKING).encode())))
        assert run(["chat", str(build)]) == 0
        said = capsys.readouterr().out
    assert "That time is taken. At what other time?" in said


@pytest.mark.parametrize(
    ("effect", "option"),
    [('http = {url = "https://desk.example/cancel"}', "--allow-address"),
     ('mcp = {server = "desk", tool = "cancel"}', "--allow-tool 'desk:cancel=COMMAND', or =URL.")],
)  # fmt: skip
def test_an_effect_that_was_not_allowed_is_refused_at_the_start(
    build: Path, capsys: pytest.CaptureFixture[str], effect: str, option: str
) -> None:
    file = build / "actions" / "actions.toml"
    outside = f"[actions.cancel_appointment.effect]\n{effect}\n"
    head, _, rest = file.read_text().partition("[actions.cancel_appointment.effect]")
    file.write_text(
        head
        + outside
        + "[actions.cancel_appointment.undo]"
        + rest.partition("[actions.cancel_appointment.undo]")[2]
    )
    assert run(["chat", str(build)]) == 2
    told = capsys.readouterr().err
    assert "cancel_appointment" in told and option in told


def test_a_person_gets_what_was_wished_for_line_by_line_and_no_bare_values(
    say: Callable[..., AssistantReply],
) -> None:
    found = say(*BOOKING, "Do you see children?", "I want to speak to a person")
    assert found.kind == "person"
    assert found.summary[0] == BOOKING[0] and not {"Ada Brook", "yes"} & set(found.summary)
    assert f"\n- {BOOKING[0]}\n- Do you see children?" in found.text


def test_a_rule_said_in_the_documents_words_is_said_once(
    build: Path, say: Callable[..., AssistantReply]
) -> None:
    file = build / "actions" / "actions.toml"
    quote = "Pebblegate Dental Practice is open from Monday to Saturday."
    text = file.read_text()
    file.write_text(text.replace("We are closed on Sundays. Which other", f"{quote} Which other"))
    refused = say("Book a check-up on Sunday 9 March 2031 at 11:00, Ada Brook")
    possible = "Possible: Saturday 8 March 2031, Monday 10 March 2031 or Tuesday 11 March 2031."
    assert refused.text == f'"{quote}" [1]\nWhich other day? {possible}'


def test_a_row_that_a_rule_is_taken_from_is_shown_in_words(build: Path) -> None:
    text = "| Class | When |\n| --- | --- |\n| Taster | Saturdays |\n"
    source = Passage(1, text, "Classes", "classes.md", "a", "a", "", 0, len(text), "en", 1)

    def search(question: str, passages: int) -> QuestionReading:
        return QuestionReading(question, 1.0, (source,), (), (), (), requests=((),))

    rule = Rule(
        "SELECT 1", "Saturdays only.", document="classes.md", quote="| Taster | Saturdays |"
    )
    found = rule_reading("on Monday", rule, search)
    assert [part_text(each) for each in found.quotes] == ["Taster: Saturdays (When) [1]"]
