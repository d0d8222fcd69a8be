"""A served build whose assistant acts: the same in every API, and nothing twice."""

import asyncio
import contextlib
import json
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from acting_build import make_acting_build
from lazy_module import LazyModule

from groundup.actions.conversations import talk_of
from groundup.actions.effects import MAX_CALLS
from groundup.cli.main import run
from groundup.serve.indexes import ServedIndexes

ollama = LazyModule("ollama")
openai = LazyModule("openai")

BOOKING = (
    "I'd like to book a check-up on 5 March 2031 at 11:00",
    "Ada Brook",
    "yes",
)
CONFIRMATION = (
    "A check-up on Wednesday 5 March 2031 at 11:00 in the name of Ada Brook: shall I book it?"
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_acting_build(tmp_path_factory.mktemp("acting") / "clinic")


@pytest.fixture(scope="module")
def clinic(serve: Callable[..., Any], build: Path) -> Any:
    return serve(str(build))


@pytest.fixture
def appointments(build: Path) -> Callable[[], list[tuple[Any, ...]]]:
    """The appointments that were booked, and removed behind each test."""
    database = sqlite3.connect(build / "world.sqlite")

    def booked() -> list[tuple[Any, ...]]:
        found = "SELECT kind, date, time, name FROM appointment WHERE reference != 'KB2M7Q'"
        return database.execute(found).fetchall()

    with contextlib.closing(database):
        yield booked
        with database:
            database.execute("DELETE FROM appointment WHERE reference != 'KB2M7Q'")


def talk(clinic: Any, *turns: str, conversation: str = "one") -> list[dict[str, Any]]:
    """The last lines of the streams of a conversation on the page."""
    history: list[dict[str, str]] = []
    found = []
    for turn in turns:
        body = {"assistant": "clinic", "question": turn, "history": history}
        answer = clinic.post("/groundup/ask", {**body, "conversation": conversation})
        assert answer.status_code == 200, answer.text
        found.append(json.loads(answer.text.splitlines()[-1]))
        history += [{"role": "user", "content": turn}]
        history += [{"role": "assistant", "content": found[-1]["answer"]}]
    return found


def test_an_appointment_is_booked_once_and_undone(
    clinic: Any, appointments: Callable[[], list[tuple[Any, ...]]]
) -> None:
    asked, confirm, done = talk(clinic, *BOOKING)
    assert asked["kind"] == "action" and asked["answer"].endswith("In whose name?")
    action = asked["action"]
    assert (action["name"], action["state"]) == ("book_appointment", "ask")
    assert action["asked"]["slot"] == "name"
    date = action["values"]["date"]
    said = BOOKING[0][date["start"] : date["end"]]
    assert date["value"] == "2031-03-05" and "5 March" in said
    assert confirm["answer"] == CONFIRMATION and confirm["action"]["state"] == "confirm"
    reference = done["action"]["reference"]
    assert done["answer"].endswith(f"Your reference is {reference}.")
    assert appointments() == [("check-up", "2031-03-05", "11:00", "Ada Brook")]

    assert talk(clinic, *BOOKING)[-1]["answer"] == done["answer"], "sent again: a second tab"
    assert len(appointments()) == 1
    *_, again, undone = talk(clinic, *BOOKING, "undo", "yes")
    assert undone["action"]["state"] == "undone", again
    assert appointments() == []


def test_a_question_in_the_middle_is_answered_and_what_waits_is_asked_again(
    clinic: Any, appointments: Callable[[], list[tuple[Any, ...]]]
) -> None:
    turns = (BOOKING[0], "How much is a porcelain crown?", *BOOKING[1:])
    _, answered, confirm, _ = talk(clinic, *turns, conversation="question")
    assert answered["kind"] == "answer" and "£690" in answered["answer"]
    assert answered["answer"].endswith("In whose name?") and answered["cited"] == [1]
    assert (answered["action"]["state"], answered["action"]["asked"]["type"]) == ("ask", "name")
    assert confirm["answer"] == CONFIRMATION and len(appointments()) == 1


def test_a_rule_that_refuses_shows_the_sentence_of_its_document(clinic: Any) -> None:
    [refused] = talk(clinic, "Book me a check-up on Sunday 2 March 2031", conversation="rule")
    said, quoted = refused["answer"].split("\n")
    possible = "Possible: Saturday 1 March 2031, Monday 3 March 2031 or Tuesday 4 March 2031."
    assert said == f"We are closed on Sundays. Which other day? {possible}"
    assert "open from Monday to Saturday." in quoted and quoted.endswith("[1]")
    assert refused["action"]["state"] == "refused" and refused["action"]["asked"]["type"] == "date"


def test_danger_comes_first_and_talk_says_what_can_be_done(clinic: Any) -> None:
    danger = talk(clinic, BOOKING[0], "he is not breathing", conversation="danger")[-1]
    assert danger["kind"] == "emergency" and "whose name" not in danger["answer"]
    [able] = talk(clinic, "what can you do?", conversation="ability")
    assert "Book an appointment; Cancel an appointment" in able["answer"]
    [entry] = clinic.get("/groundup/assistants").json()["assistants"]
    assert [each["title"] for each in entry["actions"]] == [
        "Book an appointment",
        "Cancel an appointment",
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("given", [{"metadata": {"conversation_id": "a"}}, {"user": "ada"}])
def test_openais_api_does_it_too(
    clinic: Any,
    appointments: Callable[[], list[tuple[Any, ...]]],
    given: dict[str, Any],
    stream: bool,
) -> None:
    turns = BOOKING if stream else ("Good morning", *BOOKING)
    said: list[Any] = []
    with openai.OpenAI(base_url=f"{clinic.address}/v1", api_key="x", max_retries=0) as client:
        for turn in turns:
            said.append({"role": "user", "content": turn})
            made = client.chat.completions.create(
                model="clinic", messages=said, stream=stream, **given
            )
            said.append({"role": "assistant", "content": text_of(made)})
    assert said[-3]["content"] == CONFIRMATION and len(appointments()) == 1


def text_of(made: Any) -> str:
    if hasattr(made, "choices"):
        return str(made.choices[0].message.content)
    return "".join(each.choices[0].delta.content or "" for each in made if each.choices)


def test_an_api_without_ids_does_it_too(
    clinic: Any, appointments: Callable[[], list[tuple[Any, ...]]]
) -> None:
    with ollama.Client(clinic.address) as client:
        said: list[Any] = []
        for turn in BOOKING:
            said.append({"role": "user", "content": turn})
            said.append(dict(client.chat("clinic", said).message))
    assert len(appointments()) == 1


def test_an_id_that_is_no_text_is_refused(clinic: Any) -> None:
    body = {"model": "clinic", "messages": [{"role": "user", "content": "hi"}]}
    answer = clinic.post("/v1/chat/completions", {**body, "metadata": {"conversation_id": 5}})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "metadata.conversation_id"


def test_who_is_signed_in_comes_from_the_header_that_was_named(
    serve: Callable[..., Any], build: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(build, tmp_path / "clinic"))
    file = own / "actions" / "actions.toml"
    rule = """[[actions.cancel_appointment.rules]]
refuse_if = "SELECT :customer IS NOT 'ada'"
say = "Only Ada may cancel."

[[actions.cancel_appointment.rules]]
"""
    head = "[[actions.cancel_appointment.rules]]\n"
    file.write_text(file.read_text().replace(head, rule))
    server = serve(str(own), "--customer-header", "X-Customer")
    body = {"assistant": "clinic", "question": "Cancel an appointment", "conversation": "c"}
    for customer, said in (("ada", "What is its reference?"), ("eve", "Only Ada may cancel.")):
        given = server.post("/groundup/ask", body, headers={"X-Customer": customer})
        assert json.loads(given.text.splitlines()[-1])["answer"] == said
    for customer, forgotten in (("eve", True), ("eve", False), ("bob", False), ("ada", True)):
        headers = {"X-Customer": customer}
        given = server.post("/groundup/forget", {"conversation": "c"}, headers=headers)
        assert given.json() == {"forgotten": forgotten}, customer
    for wrong in ([("X-Customer", "eve"), ("X-Customer", "ada")], [("X-Customer", "a" * 300)]):
        assert server.post("/groundup/ask", body, headers=wrong).status_code == 400
    server.kill()


def test_a_header_that_can_be_none_is_refused(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(build), "--customer-header", "X: y"]) == 2
    assert "is no name of a header" in capsys.readouterr().err


def test_a_world_that_another_program_damaged_changes_nothing(
    serve: Callable[..., Any], build: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(build, tmp_path / "clinic"))
    server = serve(str(own))
    (own / "world.sqlite").write_bytes(b"no database" * 1000)
    body = {"assistant": "clinic", "question": "Cancel an appointment", "conversation": "d"}
    given = server.post("/groundup/ask", body)
    assert given.status_code == 503 and "nothing was changed" in given.text
    assert "world.sqlite" not in given.text
    server.kill()


def test_a_conversation_that_is_deleted_is_forgotten(
    clinic: Any, build: Path, appointments: Callable[[], list[tuple[Any, ...]]]
) -> None:
    assert clinic.get("/groundup/assistants").json()["assistants"][0]["deletable"]
    talk(clinic, *BOOKING[:2], conversation="gone")
    forgotten = [clinic.post("/groundup/forget", {"conversation": "gone"}).json() for _ in range(2)]
    assert forgotten == [{"forgotten": True}, {"forgotten": False}]
    with contextlib.closing(sqlite3.connect(build / "world.sqlite")) as database:
        found = "SELECT count(*) FROM conversations WHERE conversation = ?"
        owned = talk_of("gone", None, json.dumps(["", ""]), ()).owned_id
        assert database.execute(found, (owned,)).fetchone() == (0,)
    talk(clinic, "yes", conversation="gone")
    assert appointments() == []


def test_conversations_that_wait_for_an_address_stop_no_search(build: Path) -> None:
    indexes = ServedIndexes({"clinic": build / "index"})
    waiting, answered = threading.Semaphore(0), threading.Event()

    def wait_for_an_address() -> bool:
        waiting.release()
        return answered.wait(60)

    def search() -> Any:
        return indexes.searched("clinic", lambda index, vectors: index.passage_count)

    async def use() -> list[int]:
        slow = [
            asyncio.ensure_future(indexes.converse("clinic", wait_for_an_address))
            for _ in range(MAX_CALLS)
        ]
        for _ in slow:
            assert await asyncio.to_thread(waiting.acquire, timeout=60)
        found = await asyncio.wait_for(indexes.use("clinic", lambda index: index.passage_count), 30)
        again = await asyncio.wait_for(indexes.converse("clinic", search), 30)
        assert not any(each.done() for each in slow)
        answered.set()
        assert all(await asyncio.gather(*slow))
        return [found, again]

    first, second = asyncio.run(use())
    assert first == second > 0


def test_a_tool_of_an_mcp_server_is_called_once_by_a_served_assistant(
    tmp_path: Path, serve: Callable[..., Any]
) -> None:
    build, received = make_acting_build(tmp_path / "clinic"), tmp_path / "received.jsonl"
    file = build / "actions" / "actions.toml"
    head, mark, rest = file.read_text().partition("[actions.book_appointment.effect]\n")
    undo = "[actions.book_appointment.undo]"
    tool = 'mcp = {server = "desk", tool = "book", arguments = {day = "date", at = "time", holder = "name"}}\n'
    file.write_text(head + mark + tool + undo + rest.partition(undo)[2])
    script = Path(__file__).parents[2] / "actions" / "booking_mcp.py"
    command = f"'{sys.executable}' '{script}' '{received}' twice"
    server = serve(str(build), "--allow-tool", f"desk:book={command}")
    *_, done = talk(server, *BOOKING)
    assert done["action"]["state"] == "done", done
    assert talk(server, *BOOKING)[-1]["action"] == done["action"]
    [call] = [json.loads(line) for line in received.read_text().splitlines()]
    assert call[0] == {"day": "2031-03-05", "at": "11:00", "holder": "Ada Brook"}


TRIAL = "clinic: nobody is signed in, and who asks is its trial customer P-100"


@pytest.mark.parametrize(
    ("options", "tried"),
    [((), True), (("--customer-header", "X-Customer"), False), (("--no-trial",), False),
     (("--api-key", "0123456789abcdef", "--public-key", "clinic", "--cors", "https://a.example"), False)],
)  # fmt: skip
def test_a_trial_customer_is_said_at_the_start_and_is_none_of_people(
    tmp_path: Path, serve: Callable[..., Any], options: tuple[str, ...], tried: bool
) -> None:
    build = make_acting_build(tmp_path / "clinic")
    file = build / "actions" / "actions.toml"
    file.write_text(f'trial_customer = "P-100"\n{file.read_text()}')
    server = serve(str(build), *options)
    server.process.send_signal(signal.SIGTERM)
    server.ended()
    assert (TRIAL in server.said) == tried, server.said
