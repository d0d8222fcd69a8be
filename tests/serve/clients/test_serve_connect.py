"""`groundup connect` against a real server, and against what is none."""

import json
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundup.cli.connect import PLACEHOLDER, PROGRAMS
from groundup.cli.main import run


def connected(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(["connect", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_lines_name_the_server_and_its_first_chat_model(
    server: Any, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    found = connected(capsys, name, "--url", server.address)
    assert (found["model"], found["url"]) == ("ender", server.address)
    assert any(server.address in line for line in found["lines"])
    assert name == "open-webui" or any("ender" in line for line in found["lines"])
    assert "other, tiny" in found["note"] and "sorter" not in found["note"]
    assert run(["connect", name, "--url", f"{server.address}/v1/"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if not line.startswith("#")] == found["lines"]


def test_what_continue_gets_is_yaml(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    [model] = yaml.safe_load(
        "\n".join(connected(capsys, "continue", "--url", server.address)["lines"])
    )["models"]
    assert model == {
        "name": "ender",
        "provider": "ollama",
        "model": "ender",
        "apiBase": server.address,
    }


def test_a_server_with_a_key_and_one_without_chat_models_are_said(
    guarded: Any, serve: Any, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = connected(capsys, "llm", "--url", guarded.address)
    assert found["model"] == "" and "wants its key" in found["note"]
    only = serve(str(models / "sorter"))
    assert "has no chat model" in connected(capsys, "llm", "--url", only.address)["note"]


ANSWERS = {b"<html>": "something else", b"[]": "something else", b'{"data": [5]}': "something else"}
ANSWERS[b"[" * 100_000] = "something else"
ANSWERS |= {json.dumps({"data": [{"id": "a\nrm -r ."}, {"id": "it's"}]}).encode(): ""}


@pytest.fixture
def stranger() -> Iterator[HTTPServer]:
    """A server that is none of ours, and answers with `answer`."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.answer)  # type: ignore[attr-defined]

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_another_server_answers_is_no_traceback_and_no_line_of_a_shell(
    stranger: Any, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    stranger.answer = answer
    found = connected(capsys, "aider", "--url", f"http://127.0.0.1:{stranger.server_port}")
    assert ANSWERS[answer] in found["note"]
    model = PLACEHOLDER if ANSWERS[answer] else "it's"
    assert shlex.split(found["lines"][-1])[-1] == f"ollama_chat/{model}"


def test_without_a_server_there_is_a_placeholder_and_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = connected(capsys, "llm", "--url", "http://127.0.0.1:9")
    assert found["model"] == "" and PLACEHOLDER in found["lines"][-1]
    assert "can't be reached" in found["note"] and "groundup serve" in found["note"]


@pytest.mark.parametrize(
    "words",
    [
        ["emacs"],
        ["llm", "--url", "ftp://x"],
        ["llm", "--url", "http://"],
        ["llm", "--url", "http://a:b"],
    ],
)
def test_what_can_not_be_connected_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(["connect", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    assert ", ".join(PROGRAMS) in said.err or "--url" in said.err
