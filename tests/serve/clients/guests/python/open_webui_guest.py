"""Open WebUI, without its page: its server lists our models and answers by them, through Ollama's API and OpenAI's."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
PROGRAM = Path(sys.executable).with_name("open-webui")
START_S = 180
HELLO = {
    "model": "greeter:latest",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": False,
}
SETTINGS = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "any",
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "RAG_EMBEDDING_ENGINE": "ollama",
    "OLLAMA_BASE_URL": ADDRESS,
    "OPENAI_API_BASE_URL": f"{ADDRESS}/v1",
    "OPENAI_API_KEY": "any",
}


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """call(path, body) -> what a running Open WebUI answers, as JSON."""
    folder = tmp_path_factory.mktemp("webui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port)]
    settings = {**os.environ, **SETTINGS, "DATA_DIR": str(folder / "data")}
    token = ""

    def ask(path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log) as running,
    ):
        try:
            deadline = time.monotonic() + START_S
            while not token:
                assert running.poll() is None and time.monotonic() < deadline, (
                    folder / "log"
                ).read_text()[-3000:]
                try:
                    token = ask("/api/v1/auths/signin", {"email": "", "password": ""})["token"]
                except urllib.error.URLError:
                    time.sleep(1)
            yield ask
        finally:
            running.kill()


def test_it_lists_the_models(call: Callable[..., Any]) -> None:
    assert {"greeter:latest", "helper:latest"} <= {
        each["id"] for each in call("/api/models")["data"]
    }


@pytest.mark.parametrize("path", ["/api/chat/completions", "/openai/chat/completions"])
def test_it_answers(call: Callable[..., Any], path: str) -> None:
    said = call(path, {**HELLO, "temperature": 0})["choices"][0]["message"]["content"]
    assert said == "Good day to you."


def test_it_answers_through_ollamas_api(call: Callable[..., Any]) -> None:
    assert (
        call("/ollama/api/chat", {**HELLO, "options": {"temperature": 0}})["message"]["content"]
        == "Good day to you."
    )
