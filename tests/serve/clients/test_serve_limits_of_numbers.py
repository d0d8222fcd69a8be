"""Numbers of sampling at and beyond their bounds: refused by their public name on every API, and no other client's answer notices."""

import json
from typing import Any

import httpx
import pytest

TURNS = [{"role": "user", "content": "To be"}]
CHAT = {"model": "tiny", "messages": TURNS, "max_tokens": 8, "seed": 1}
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
BEYOND = [
    ("frequency_penalty", -1e308),
    ("frequency_penalty", 1e308),
    ("presence_penalty", -1e308),
    ("presence_penalty", 101),
    ("repetition_penalty", 1e-308),
    ("repetition_penalty", 1e308),
    ("temperature", 1e308),
    ("temperature", -1),
    ("min_p", 1.5),
    ("top_p", 2),
    ("top_k", -2),
]
PATHS = [
    ("/v1/chat/completions", {"messages": TURNS}),
    ("/v1/completions", {"prompt": "To be"}),
    ("/chat/completions", {"messages": TURNS}),
]


@pytest.mark.parametrize(("name", "value"), BEYOND, ids=str)
def test_a_number_beyond_its_bounds_is_refused_with_its_name_on_every_api(
    server: Any, name: str, value: float
) -> None:
    for path, body in PATHS:
        refused = server.post(path, {"model": "tiny", "max_tokens": 2, **body, name: value})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, name), (
            path,
            refused.text,
        )
    if name not in ("top_k", "top_p"):  # Ollama gives every value of these a meaning
        theirs = {"repetition_penalty": "repeat_penalty"}.get(name, name)
        for path, asked in (
            ("/api/chat", {"messages": TURNS}),
            ("/api/generate", {"prompt": "To be"}),
        ):
            refused = server.post(path, {"model": "tiny", **asked, "options": {theirs: value}})
            assert refused.status_code == 400 and refused.json()["error"].startswith(
                f"options.{theirs}: expected"
            )
        made = server.post(
            "/api/create", {"model": "extreme", "from": "tiny", "parameters": {theirs: value}}
        )
        assert made.status_code == 400 and theirs in made.json()["error"]


@pytest.mark.parametrize("least", [True, False], ids=["least", "most"])
def test_numbers_at_their_bounds_are_answered_with_and_without_a_schema(
    server: Any, least: bool
) -> None:
    bounds = {"frequency_penalty": 100, "presence_penalty": 100}
    bounds = {name: -value if least else value for name, value in bounds.items()}
    bounds |= {"repetition_penalty": 0.01 if least else 100, "top_p": 0 if least else 1}
    for temperature in (0, 1e-30, 1, 100):
        for form in ({}, {"response_format": FORMAT}):
            asked = {**CHAT, **bounds, **form, "temperature": temperature, "max_tokens": 40}
            answer = server.post("/v1/chat/completions", asked)
            assert answer.status_code == 200, answer.text
            if form:
                assert json.loads(answer.json()["choices"][0]["message"]["content"])["a"] in (
                    "x",
                    "y",
                )


def test_one_clients_impossible_penalty_does_not_end_another_clients_stream(server: Any) -> None:
    asked = {**CHAT, "max_tokens": 120, "temperature": 1}
    expected = server.post("/v1/chat/completions", asked).json()["choices"][0]["message"]["content"]
    text = ""
    with httpx.stream(
        "POST", f"{server.address}/v1/chat/completions", json={**asked, "stream": True}, timeout=60
    ) as stream:
        lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line)
        for number, line in enumerate(lines):
            if line == "[DONE]":
                break
            chunk = json.loads(line)
            assert "error" not in chunk, chunk
            text += chunk["choices"][0]["delta"].get("content", "")
            if number == 3:
                for impossible in ({"frequency_penalty": -1e308}, {"presence_penalty": 1e308}):
                    refused = server.post(
                        "/v1/chat/completions", {**CHAT, "temperature": 1, **impossible}
                    )
                    assert (refused.status_code, refused.json()["error"]["param"]) == (
                        400,
                        next(iter(impossible)),
                    )
    assert text == expected


def test_a_bias_bans_tokens_and_makes_others_certain(server: Any) -> None:
    def said(**more: Any) -> str:
        answer = server.post(
            "/v1/chat/completions", {**CHAT, "temperature": 0, "max_tokens": 4, **more}
        )
        return answer.json()["choices"][0]["message"]["content"]

    def continued(**more: Any) -> list[str]:
        asked = {
            "model": "tiny",
            "prompt": "To be",
            "max_tokens": 4,
            "temperature": 0,
            "logprobs": 1,
            **more,
        }
        return server.post("/v1/completions", asked).json()["choices"][0]["logprobs"]["tokens"]

    assert said(logit_bias={}) == said() == said(logit_bias=None)
    assert said(logit_bias={"65": 100}) != said()  # the id of one byte
    [only] = {*continued(logit_bias={"65": 100})}
    assert only not in continued(logit_bias={"65": -100})
    assert only not in continued(logit_bias={"65": -100}, temperature=1, seed=3)


@pytest.mark.parametrize(
    "bias",
    [[], "x", 5, {"x": 1}, {"-1": 1}, {"5": "1"}, {"5": True}, {"5": 101}, {"5": -1e308}, {"99999999": 1}, {"1" * 5000: 1},
     {str(n): 1 for n in range(2000)}],
    ids=lambda bias: str(bias)[:20],
)  # fmt: skip
def test_a_bias_that_can_not_be_is_refused_with_its_name(server: Any, bias: Any) -> None:
    for path, body in PATHS:
        refused = server.post(path, {"model": "tiny", **body, "logit_bias": bias})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "logit_bias"), path
