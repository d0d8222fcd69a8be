"""A schema's objects have no further properties, on every route by which a schema comes."""

import json
from typing import Any

import pytest

TURNS = [{"role": "user", "content": "To be"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "in": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    },
    "required": ["in"],
}
NAMED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
RESPONSE = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
MOST = {"max_tokens": 40, "temperature": 1, "seed": 4}
OLLAMA = {
    "format": SCHEMA,
    "stream": False,
    "options": {"num_predict": 40, "temperature": 1, "seed": 4},
}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": TURNS, "response_format": NAMED, **MOST}),
    ("/v1/chat/completions", {"messages": TURNS, "guided_json": SCHEMA, **MOST}),
    ("/v1/chat/completions", {"messages": TURNS, "json_schema": SCHEMA, **MOST}),
    ("/v1/completions", {"prompt": "To be", "structured_outputs": {"json": SCHEMA}, **MOST}),
    (
        "/chat/completions",
        {"messages": TURNS, "response_format": NAMED, "disable_search": True, **MOST},
    ),
    (
        "/v1/responses",
        {"input": "To be", "text": RESPONSE, "max_output_tokens": 40, "temperature": 1},
    ),
    ("/api/chat", {"messages": TURNS, **OLLAMA}),
    ("/api/generate", {"prompt": "To be", **OLLAMA}),
]


def text_of(answer: dict[str, Any]) -> str:
    if "choices" in answer:
        [choice] = answer["choices"]
        return choice["text"] if "text" in choice else choice["message"]["content"]
    if "output" in answer:
        return answer["output"][-1]["content"][0]["text"]
    return answer["message"]["content"] if "message" in answer else answer["response"]


@pytest.mark.parametrize(
    ("path", "asked"), ROUTES, ids=[f"{path} {list(asked)[1]}" for path, asked in ROUTES]
)
def test_an_answer_has_the_listed_properties_and_no_other(
    server: Any, path: str, asked: dict[str, Any]
) -> None:
    answer = server.post(path, {"model": "tiny", **asked})
    assert answer.status_code == 200, answer.text
    assert json.loads(text_of(answer.json())) in ({"in": {"a": "x"}}, {"in": {"a": "y"}})


def test_further_properties_come_where_the_schema_allows_them(server: Any) -> None:
    asked = {
        "messages": TURNS,
        "guided_json": {**SCHEMA, "additionalProperties": True},
        **MOST,
        "n": 8,
    }
    answer = server.post("/v1/chat/completions", {"model": "tiny", **asked}).json()
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert all(text.startswith('{"in": {"a": "') for text in texts)
    assert any(len(text) > len('{"in": {"a": "x"}}') for text in texts)
