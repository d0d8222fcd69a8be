"""Many at once, clients that vanish, and a server that stops: what concurrency must not change."""

import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_models import save_language

from groundup.cli.main import run

FOREVER = {
    "model": "long",
    "messages": [{"role": "user", "content": "To be"}],
    "options": {"num_predict": -1, "temperature": 0},
}


def ask(server: Any, number: int) -> str:
    """One of several kinds of requests, streamed or not; the text."""
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"To be {number}, or not " * (1 + number % 3)}],
        "stream": bool(number % 2),
        "options": {
            "seed": number,
            "num_predict": 10 + number % 7,
            "temperature": 0.0 if number % 5 == 0 else 1.0,
        },
    }
    answer = server.post("/api/chat", body)
    return "".join(
        json.loads(line)["message"]["content"] for line in answer.text.strip("\n").split("\n")
    )


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    save_language(folder / "long", context_tokens=100_000)
    save_language(folder / "breaks")
    return folder


@pytest.fixture(scope="module")
def long_server(serve: Callable[..., Any], long_folder: Path) -> Any:
    """A server whose model writes for minutes, and half a second once it is told to stop."""
    first = "import groundup.cli.serve as serve; serve.LAST_WORDS_S = 0.5"
    return serve(str(long_folder / "long"), str(long_folder / "breaks"), first=first)


def in_hand(server: Any) -> int:
    text = server.get("/metrics").text
    return next(
        int(float(line.split()[1]))
        for line in text.splitlines()
        if line.startswith("groundup_answers_in_hand ")
    )


def wait_for(holds: Callable[[], bool], limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_32_concurrent_answers_are_what_each_is_alone(server: Any) -> None:
    alone = [ask(server, number) for number in range(32)]
    with ThreadPoolExecutor(32) as threads:
        together = list(threads.map(lambda number: ask(server, number), range(32)))
    assert together == alone
    assert len(set(alone)) > 25
    assert in_hand(server) == 0


def test_gets_answer_while_generations_run(long_server: Any) -> None:
    with httpx.stream(
        "POST", f"{long_server.address}/api/chat", json=FOREVER, timeout=60
    ) as stream:
        lines = stream.iter_lines()  # let go, it would close the connection
        next(lines)
        for path in (
            "/",
            "/api/tags",
            "/api/ps",
            "/api/version",
            "/v1/models",
            "/healthz",
            "/metrics",
        ):
            assert long_server.get(path).status_code == 200
        assert in_hand(long_server) == 1
    wait_for(lambda: in_hand(long_server) == 0)


def test_thousands_of_messages_are_refused_or_cut_while_another_stream_goes_on(
    long_server: Any,
) -> None:
    def turns(count: int) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[n % 2], "content": "a"} for n in range(count)]

    asked = {"model": "breaks", "stream": False, "keep_alive": 0, "options": {"num_predict": 2}}
    with httpx.stream(
        "POST", f"{long_server.address}/api/chat", json=FOREVER, timeout=60
    ) as stream:
        lines, is_asked = list[str](), threading.Event()
        arriving = itertools.takewhile(lambda line: not is_asked.is_set(), stream.iter_lines())
        reading = threading.Thread(target=lambda: lines.extend(arriving))
        reading.start()
        many = {"model": "breaks", "messages": turns(20_000)}
        for path in ("/api/chat", "/v1/chat/completions"):
            refused = long_server.post(path, many)
            assert refused.status_code == 400 and "at most 4,096" in refused.text
        before = len(lines)
        cut = long_server.post("/api/chat", {**asked, "messages": turns(4095)})
        assert cut.status_code == 200 and cut.json()["prompt_eval_count"] < 256
        assert len(lines) > before
        is_asked.set()
        reading.join()
    wait_for(lambda: in_hand(long_server) == 0)


def test_a_text_beyond_what_is_embedded_is_cut_or_refused_and_another_stream_goes_on(
    long_server: Any,
) -> None:
    asked = {"model": "long", "input": "To be, or not to be. " * 10_000}
    with httpx.stream(
        "POST", f"{long_server.address}/api/chat", json=FOREVER, timeout=60
    ) as stream:
        next(stream.iter_lines())
        answer = long_server.post("/api/embed", asked)
        assert (answer.status_code, answer.json()["prompt_eval_count"]) == (200, 2048)
        refused = long_server.post("/api/embed", {**asked, "truncate": False})
        assert refused.status_code == 400 and "context length of 2048" in refused.json()["error"]
    wait_for(lambda: in_hand(long_server) == 0)


def test_a_client_that_vanishes_frees_its_place(long_server: Any) -> None:
    with httpx.stream(
        "POST", f"{long_server.address}/api/chat", json=FOREVER, timeout=60
    ) as stream:
        next(stream.iter_lines())
    wait_for(lambda: in_hand(long_server) == 0)
    body = json.dumps({**FOREVER, "stream": False}).encode()
    host, port = long_server.address.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /api/chat HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            wait_for(lambda: in_hand(long_server) == 1)
        wait_for(lambda: in_hand(long_server) == 0)


def test_a_model_that_breaks_later_is_a_sentence_without_a_path(
    long_server: Any, long_folder: Path
) -> None:
    weights = long_folder / "breaks" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    answer = long_server.post("/api/chat", {**FOREVER, "model": "breaks", "stream": False})
    assert answer.status_code == 500
    assert "could not be loaded" in answer.json()["error"]
    assert str(long_folder) not in answer.text
    assert long_server.get("/healthz").status_code == 200


def test_sigterm_ends_streams_in_words_and_exits_0(long_server: Any) -> None:
    lines: list[str] = []

    def read() -> None:
        with httpx.stream(
            "POST", f"{long_server.address}/api/chat", json=FOREVER, timeout=60
        ) as stream:
            lines.extend(stream.iter_lines())

    def read_openai() -> str:
        with httpx.stream(
            "POST",
            f"{long_server.address}/v1/chat/completions",
            json={**FOREVER, "stream": True, "temperature": 0},
            timeout=60,
        ) as stream:
            return "".join(stream.iter_text())

    thread = threading.Thread(target=read)
    thread.start()
    with ThreadPoolExecutor(1) as other:
        sse = other.submit(read_openai)
        wait_for(lambda: in_hand(long_server) == 2)
        long_server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert sse.result().endswith("data: [DONE]\n\n")
        assert long_server.ended() == 0
        assert json.loads(lines[-1]) == {"error": "the server is stopping"}
        assert "the server is stopping" in sse.result()


def test_a_port_in_use_names_its_holder(
    server: Any, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = server.address.rpartition(":")[2]
    assert run(["serve", str(models / "tiny"), "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"Port {port}" in said and f"process {server.process.pid}" in said and "--port" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-model"], "no-such-model"),
        (["FOLDER/tiny", "--host", "0.0.0.0"], "--api-key"),
        (["FOLDER/tiny", "--keep-alive", "soon"], "--keep-alive"),
        (["FOLDER/tiny", "--cors", "example.org"], "not an origin"),
        (["--models", "FOLDER/tiny/config.json"], "not a folder"),
        (["FOLDER/tiny", "x=FOLDER/other", "x=FOLDER/ender"], "NAME=PATH"),
        (["../x=FOLDER/tiny"], "name"),
        (["--models", "FOLDER/tiny"], "no model to serve"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(["serve", *(each.replace("FOLDER", str(models)) for each in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_a_half_written_model_is_refused_before_anything_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert run(["serve", str(tmp_path)]) == 2
    assert "is incomplete" in capsys.readouterr().err


def test_a_server_with_a_key_logs_no_prompt_and_ends_at_ctrl_c(
    serve: Callable[..., Any], models: Path
) -> None:
    keyed = serve(str(models / "tiny"), GROUNDUP_API_KEY="secret")
    assert keyed.get("/api/tags").status_code == 401
    assert keyed.get("/v1/models").json()["error"]["type"] == "authentication_error"
    mine = {"headers": {"Authorization": "Bearer secret"}}
    assert keyed.get("/v1/models", **mine).status_code == 200
    asked = {"model": "tiny", "prompt": "hidden2", "stream": False, "options": {"num_predict": 2}}
    assert keyed.post("/api/generate?token=hidden1", asked, **mine).status_code == 200
    keyed.get("/no/such%0A/page", **mine)
    keyed.process.send_signal(signal.SIGINT)
    assert keyed.ended() == 130
    said = keyed.said
    assert "POST /api/generate 200" in said
    assert r"/no/such\n/page" in said
    assert "hidden" not in said and "secret" not in said


@pytest.mark.slow
def test_company_changes_no_answer_of_packed_weights_where_that_was_asked_for(
    serve: Callable[..., Any], models: Path
) -> None:
    packed = serve(str(models / "tiny"), "--precision", "int8", "--reproducible")
    assert "reproducible" in packed.post("/api/show", {"model": "tiny"}).json()["promise"]
    alone = [ask(packed, number) for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda number: ask(packed, number), range(12))) == alone


@pytest.mark.slow
def test_the_compiled_step_answers_several_clients_at_once(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("numba")
    save_language(tmp_path / "even", multiple=16)  # as the kernels of int8 want it
    packed = serve(str(tmp_path / "even"), "--precision", "int8", "--speculate")

    def count(number: int) -> int:
        asked = {
            "prompt": f"To be {number}",
            "stream": False,
            "options": {"num_predict": 20, "temperature": 0},
        }
        return int(packed.post("/api/generate", {"model": "even", **asked}).json()["eval_count"])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(count, range(24))) == [20] * 24
    assert packed.post("/api/show", {"model": "even"}).json()["decodes_with"] == "compiled step"
