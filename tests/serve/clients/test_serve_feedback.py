"""What readers say of replies is kept only where the operator asks for it, without personal data, and within limits."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from test_serve_assistant import QUESTION, TEXT, asked, make_build, turn

from groundup.packs.feedback import read_feedback

UNKNOWN = "What is the capital of France?"
ADDRESS = "/groundup/feedback"


class Served:
    """A server that keeps feedback, and the file."""

    def __init__(self, server: Any, file: Path) -> None:
        self.server, self.file = server, file

    def reply_to(self, question: str, **fields: Any) -> str:
        return str(asked(self.server, question, **fields)[-1]["reply"])

    def rate(self, reply: str, rating: str = "down", **fields: Any) -> Any:
        return self.server.post(ADDRESS, {"reply": reply, "rating": rating, **fields})

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_build(tmp_path_factory.mktemp("rated") / "clinic")


@pytest.fixture(scope="module")
def keeping(
    serve: Callable[..., Any], build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Served:
    file = tmp_path_factory.mktemp("kept") / "feedback.jsonl"
    return Served(serve(str(build), "--feedback", str(file)), file)


@pytest.fixture
def served(keeping: Served) -> Served:
    """With nothing kept yet."""
    keeping.file.write_text("")
    return keeping


def test_nothing_is_kept_unless_asked_for(serve: Callable[..., Any], build: Path) -> None:
    server = serve(str(build))
    assert asked(server, QUESTION)[-1]["reply"] == ""
    assert server.get("/groundup/assistants").json()["assistants"][0]["notice"] == ""
    answer = server.post(ADDRESS, {"reply": "x", "rating": "up"})
    assert answer.status_code == 404 and "--feedback FILE" in answer.text


def test_ratings_and_unanswered_questions_of_every_api(served: Served) -> None:
    [entry] = served.server.get("/groundup/assistants").json()["assistants"]
    assert "are kept" in entry["notice"] and "masked" in entry["notice"]
    reply = served.reply_to("and a night guard?", history=turn(QUESTION))
    assert served.rate(reply, text=" Mail jane@example.org, account 12345678 ").json() == {
        "kept": True
    }
    first = served.lines()[0]
    assert first["question"] == f"{QUESTION}\nand a night guard?" and "£240" in first["answer"]
    assert first["text"] == "Mail <email>, account <number>" and first["reply"] == reply
    assert {each["document"] for each in first["sources"]} == {"prices.md"}
    assert [first[name] for name in ("index", "kind", "rating")] == ["clinic", "answer", "down"]

    phone = f"{UNKNOWN} Call 07700 900461"
    for path, body in (
        ("/v1/chat/completions", {"messages": turn(phone)}),
        ("/api/chat", {"messages": turn(phone), "stream": False}),
    ):
        assert served.server.post(path, {"model": "clinic", **body}).status_code == 200
    own, theirs = served.lines()[1:]
    assert own["question"] == theirs["question"] == f"{UNKNOWN} Call <phone>"
    assert (own["kind"], own["rating"]) == ("refusal", None) and "01632 960530" in own["answer"]


def test_danger_and_handovers_are_never_kept(served: Served) -> None:
    for message in (
        "I want to kill myself",
        "My father has collapsed and does not breathe",
        "I want a human",
    ):
        assert served.reply_to(message) == ""
        served.reply_to("and then?", history=turn(message))
        assert message not in served.file.read_text()


def test_a_bad_body_is_refused_with_the_field(served: Served) -> None:
    reply = served.reply_to(QUESTION)
    for body, param in (
        ({}, "reply"),
        ({"reply": reply}, "rating"),
        ({"reply": reply, "rating": "good"}, "rating"),
        ({"reply": reply, "rating": "up", "text": ["a"]}, "text"),
        ({"reply": reply, "rating": "up", "text": "a" * 2001}, "text"),
        ({"reply": 5, "rating": "up"}, "reply"),
        ({"reply": "a" * 65, "rating": "up"}, "reply"),
    ):
        answer = served.server.post(ADDRESS, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    answer = served.rate("0123456789abcdef")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "reply")
    assert served.lines() == []


def test_a_reply_is_rated_a_few_times_and_the_last_one_counts(served: Served) -> None:
    reply = served.reply_to(QUESTION)
    found = [served.rate(reply, way) for way in ("down", "up", "down", "up", "up", "down")]
    assert [each.status_code for each in found] == [200] * 5 + [429]
    [event] = read_feedback(served.file).events
    assert (event.rating, event.answer) == ("up", TEXT)


def test_a_file_that_can_not_be_written_stops_no_answer(served: Served) -> None:
    served.file.unlink()
    served.file.mkdir()
    *_, last = asked(served.server, UNKNOWN)
    assert last["kind"] == "refusal"
    answer = served.rate(last["reply"])
    assert answer.status_code == 503 and str(served.file) not in answer.text
    assert "could not be kept" in served.server.said
    served.file.rmdir()


def test_ratings_at_once_are_whole_lines_within_the_limits(
    serve: Callable[..., Any], build: Path, tmp_path: Path
) -> None:
    file = tmp_path / "feedback.jsonl"
    first = "from groundup.serve import feedback; feedback.MINUTE_S = 3600.0"
    served = Served(serve(str(build), "--feedback", str(file), first=first), file)
    replies = [served.reply_to(QUESTION) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(served.rate, replies * 4))
    kept = [answer for answer in found if answer.status_code == 200]
    assert len(kept) == 60 and {each.status_code for each in found} == {200, 429}
    assert all("minute" in each.text for each in found if each.status_code == 429)
    assert len(served.lines()) == 60 and read_feedback(served.file).damaged == 0


def test_conversations_are_kept_where_told_and_deleted_by_their_number(
    serve: Callable[..., Any], build: Path, tmp_path: Path
) -> None:
    folder, recipe = tmp_path / "kept", build / "recipe.toml"
    texts = recipe.read_text()
    recipe.write_text(f'{texts}personal = ["AAA-999"]\n')
    options = ("--transcripts", str(folder), "--transcript-days", "14")
    server = serve(str(build), *options)
    recipe.write_text(texts)
    [entry] = server.get("/groundup/assistants").json()["assistants"]
    assert "for 14 days" in entry["notice"] and entry["deletable"]
    number = "0b9c8d3e-1111-4222-8333-444455556666"
    for question in (QUESTION, "I am ABC-123, where is my crown?", "I want to kill myself"):
        asked(server, question, conversation=number)
    asked(server, QUESTION)
    asked(server, QUESTION, conversation="another")
    mine, other = sorted(folder.iterdir(), key=lambda file: -file.stat().st_size)
    assert number not in mine.name and number not in mine.read_text()
    lines = [json.loads(line) for line in mine.read_text().splitlines()]
    assert (lines[0]["kind"], lines[0]["answer"]) == ("answer", TEXT)
    assert lines[1]["question"].endswith("I am <code>, where is my crown?")
    assert (lines[2]["kind"], lines[2]["question"]) == ("self_harm", "(not kept)")
    assert number not in server.said

    forget = "/groundup/forget"
    assert server.post(forget, {"conversation": number}).json() == {"forgotten": True}
    assert server.post(forget, {"conversation": number}).json() == {"forgotten": False}
    assert list(folder.iterdir()) == [other]
    for body in ({}, {"conversation": ""}, {"conversation": 5}, {"conversation": "a" * 257}):
        answer = server.post(forget, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "conversation")
