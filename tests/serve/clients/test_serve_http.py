"""The wire: bodies however they come, HEAD, unknown routes, too much at once, all in the shape of the dialect."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

ASKED = {
    "model": "tiny",
    "prompt": "To be",
    "stream": False,
    "options": {"seed": 1, "num_predict": 6},
}


def test_a_body_is_read_whatever_it_is_called_and_however_it_comes(server: Any) -> None:
    raw = json.dumps(ASKED).encode()
    url = f"{server.address}/api/generate"

    def chunks() -> Iterator[bytes]:
        yield raw[:10]
        yield raw[10:]

    said = {
        httpx.post(url, content=raw, headers={"Content-Type": kind}, timeout=60).json()["response"]
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json", "")
    }
    said.add(httpx.post(url, content=chunks(), timeout=60).json()["response"])
    said.add(httpx.post(url, content=b"\xef\xbb\xbf" + raw, timeout=60).json()["response"])
    assert len(said) == 1


def test_streaming_is_ollamas_default_and_not_openais(server: Any) -> None:
    turns = [{"role": "user", "content": "To be"}]
    streamed = server.post(
        "/api/chat", {"model": "tiny", "messages": turns, "options": {"num_predict": 3}}
    )
    assert streamed.headers["content-type"].startswith("application/x-ndjson")
    assert b"\n\n" not in streamed.content and streamed.content.endswith(b"}\n")
    whole = server.post(
        "/v1/chat/completions", {"model": "tiny", "messages": turns, "max_tokens": 3}
    )
    assert whole.headers["content-type"] == "application/json"
    sse = server.post(
        "/v1/chat/completions",
        {"model": "tiny", "messages": turns, "max_tokens": 3, "stream": True},
    )
    assert sse.headers["content-type"].startswith("text/event-stream")
    assert sse.content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/messages", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/api/tags", "/api/tags"),
        ("/api/generate/", "/api/generate"),
        ("/models", "/v1/models"),
    ],
)
def test_a_path_that_is_not_there_names_the_one_that_is(server: Any, path: str, meant: str) -> None:
    answer = server.post(path, {})
    assert answer.status_code == 404
    assert f"has {meant}." in answer.text
    assert "has" not in server.get("/favicon.ico").text


def test_there_is_nothing_to_embed_in_no_text(server: Any) -> None:
    for nothing in ([], "", ["a", ""]):
        refused = server.post("/v1/embeddings", {"model": "tiny", "input": nothing})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")


def test_greeting_version_and_head(server: Any) -> None:
    assert "running" in server.get("/").text
    assert int(server.get("/api/version").json()["version"].split(".")[1]) >= 7
    for path in ("/", "/api/version", "/api/tags", "/v1/models", "/healthz"):
        answer = httpx.head(server.address + path)
        assert (answer.status_code, answer.content) == (200, b""), path


@pytest.mark.parametrize(
    "text", ["", "\0", "\ufeffx", "\x1b[31m", "a\u0085b\u2028c", "<|im_end|>", "x" * 5000]
)
def test_hard_texts_are_answered(server: Any, text: str) -> None:
    turns = [{"role": "user", "content": text}]
    answer = server.post(
        "/api/chat", {"model": "tiny", "messages": turns, "options": {"num_predict": 3}}
    )
    assert answer.status_code == 200
    assert all(json.loads(line) for line in answer.content.splitlines())


def test_half_a_character_is_answered_or_refused_and_echoed_harmlessly(server: Any) -> None:
    raw = b'{"model": "tiny", "prompt": "\\ud800x", "stream": false, "options": {"num_predict": 2}}'
    assert httpx.post(f"{server.address}/api/generate", content=raw, timeout=60).status_code in (
        200,
        400,
    )
    missing = httpx.post(f"{server.address}/api/show", content=b'{"model": "\\ud800"}', timeout=60)
    assert missing.status_code == 404 and missing.json()["error"].startswith(
        'model "\ud800" not found'
    )


def test_refusals_of_the_guard_have_the_dialects_shape(server: Any) -> None:
    big = b"[" + b"0," * (3 * 2**20) + b"0]"
    assert isinstance(
        httpx.post(f"{server.address}/api/chat", content=big, timeout=60).json()["error"], str
    )
    refused = httpx.post(f"{server.address}/v1/completions", content=big, timeout=60)
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "invalid_request_error")
    foreign = httpx.get(
        f"{server.address}/v1/models", headers={"Origin": "https://evil.example"}, timeout=60
    )
    assert (foreign.status_code, foreign.json()["error"]["type"]) == (403, "permission_error")


def test_figures_count_requests_and_tokens_and_hold_no_text(server: Any) -> None:
    server.post("/api/generate", {**ASKED, "prompt": "a-secret-word"})
    text = server.get("/metrics").text
    assert 'groundup_requests_total{route="/api/generate",status="200"}' in text
    assert 'groundup_tokens_total{kind="answer"}' in text
    assert "groundup_models_loaded" in text
    assert "secret" not in text
    server.get("/some/path/of/mine")
    assert "/some/path" not in server.get("/metrics").text
