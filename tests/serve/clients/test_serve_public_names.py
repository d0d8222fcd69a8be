"""An error's `param` is the client's name of the field, on every path; fields that would do nothing are refused by theirs."""

from typing import Any

import numpy as np
import pytest
from small_models import tokenizer

TURNS = [{"role": "user", "content": "To be"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BAD_SCHEMA = {"type": "no"}
LONG = "to be or not " * 400
CHAT, COMPLETIONS, EMBEDDINGS, SONAR = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/chat/completions",
)
CASES: list[tuple[str, dict[str, Any], str]] = [
    # what is missing or of another type, within unions too
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    (CHAT, {"messages": [{"role": "user", "content": {}}]}, "messages.0.content"),
    (CHAT, {"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages.0.content"),
    (CHAT, {"messages": [{"content": "x"}]}, "messages.0.role"),
    (CHAT, {"messages": None}, "messages"),
    ("/v1/responses", {"input": [{"role": "user", "content": None}]}, "input.0.content"),
    (CHAT, {"messages": TURNS, "tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice"),
    (CHAT, {"messages": TURNS, "tools": [TOOL], "tool_choice": {"type": "x"}}, "tool_choice"),
    (CHAT, {"messages": TURNS, "stop": [5]}, "stop.0"),
    (CHAT, {"messages": TURNS, "stop": {}}, "stop"),
    (CHAT, {"messages": TURNS, "response_format": {"type": "json_schema", "json_schema": {}}},
     "response_format.json_schema.schema"),
    (CHAT, {"messages": TURNS, "structured_outputs": {"other": 1}}, "structured_outputs.other"),
    (COMPLETIONS, {"prompt": {}}, "prompt"),
    (EMBEDDINGS, {"input": {}}, "input"),
    ("/v1/classify", {"input": [5]}, "input.0"),
    # limits
    (CHAT, {"messages": TURNS * 2000, "n": 17}, "n"),
    (CHAT, {"messages": [{"role": "user", "content": "x" * 2**20 + "y"}]}, "messages"),
    (COMPLETIONS, {"prompt": "x" * 2**20 + "y"}, "prompt"),
    (CHAT, {"messages": TURNS, "top_logprobs": 21}, "top_logprobs"),
    (COMPLETIONS, {"prompt": "x", "logprobs": 21}, "logprobs"),
    (CHAT, {"messages": TURNS, "stop": ["x"] * 17}, "stop"),
    (CHAT, {"messages": TURNS, "guided_regex": "a" * 3000}, "guided_regex"),
    (CHAT, {"messages": TURNS, "grammar": "a" * 20_000}, "grammar"),
    (CHAT, {"messages": TURNS, "structured_outputs": {"regex": "a" * 3000}}, "structured_outputs.regex"),
    (CHAT, {"messages": [{"role": "user", "content": LONG}]}, "messages"),
    (COMPLETIONS, {"prompt": LONG}, "prompt"),
    (COMPLETIONS, {"prompt": [10**6]}, "prompt"),
    # what can't be enforced
    (CHAT, {"messages": TURNS, "guided_regex": "("}, "guided_regex"),
    (CHAT, {"messages": TURNS, "structured_outputs": {"json": BAD_SCHEMA}}, "structured_outputs.json"),
    (CHAT, {"messages": TURNS, "response_format": {"type": "json_schema", "json_schema": {"schema": BAD_SCHEMA}}},
     "response_format"),
    (COMPLETIONS, {"prompt": "x", "guided_grammar": "x"}, "guided_grammar"),
    (SONAR, {"messages": TURNS, "guided_regex": "(", "disable_search": True}, "guided_regex"),
    ("/v1/responses", {"input": "x", "text": {"format": {"type": "json_schema", "name": "x", "schema": BAD_SCHEMA}}},
     "text.format"),
    ("/v1/responses", {"input": LONG}, "input"),
    ("/v1/responses", {"input": [{"role": "user", "content": 5}]}, "input.0.content"),
    ("/v1/responses", {"input": "x", "temperature": 1e308}, "temperature"),
    # what a model does not support
    (CHAT, {"model": "sorter", "messages": TURNS}, "model"),
    (EMBEDDINGS, {"model": "sorter", "input": "x"}, "model"),
    ("/v1/classify", {"input": "x"}, "model"),
    (CHAT, {"messages": TURNS, "tools": [TOOL]}, "tools"),
    (EMBEDDINGS, {"input": "x", "dimensions": 10_000}, "dimensions"),
    # what would do nothing
    (CHAT, {"messages": TURNS, "functions": [{"name": "f"}]}, "functions"),
    (CHAT, {"messages": TURNS, "function_call": "auto"}, "function_call"),
    (CHAT, {"messages": TURNS, "function_call": {"name": "f"}}, "function_call"),
    (CHAT, {"messages": TURNS, "modalities": ["text", "audio"]}, "modalities"),
    (CHAT, {"messages": TURNS, "audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    (SONAR, {"messages": TURNS, "functions": [{"name": "f"}]}, "functions"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "param"), CASES, ids=[f"{path} {list(b)[-1]} {p}" for path, b, p in CASES]
)
def test_an_error_names_the_field_as_the_client_wrote_it(
    server: Any, path: str, body: dict[str, Any], param: str
) -> None:
    refused = server.post(path, {"model": "tiny", **body})
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert error["param"] == param and error["message"], error


def test_the_same_fields_with_values_that_ask_for_nothing_are_taken(server: Any) -> None:
    harmless = {"functions": [], "function_call": "none", "modalities": ["text"], "audio": None}
    answer = server.post(CHAT, {"model": "tiny", "messages": TURNS, "max_tokens": 2, **harmless})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/api/generate", {"prompt": "x", "format": BAD_SCHEMA}, "JSON schema"),
        ("/api/generate", {"prompt": "x" * 2**20 + "y"}, "prompt: at most"),
        (
            "/api/chat",
            {"messages": [{"role": "user", "content": "x" * 2**20 + "y"}]},
            "messages: at most",
        ),
        ("/api/chat", {"messages": TURNS, "format": {"enum": ["x" * 70_000]}}, "format: at most"),
        ("/api/chat", {"messages": TURNS, "format": 5}, "format: "),
        ("/api/chat", {"messages": TURNS, "keep_alive": []}, "keep_alive: "),
        (
            "/api/chat",
            {"messages": TURNS, "options": {"stop": ["x"] * 17}},
            "options.stop: at most",
        ),
        ("/api/create", {"model": "new", "from": "tiny", "license": 5}, "license: "),
    ],
    ids=str,
)
def test_ollamas_errors_begin_with_its_own_names(
    server: Any, path: str, body: dict[str, Any], words: str
) -> None:
    refused = server.post(path, {"model": "tiny", **body})
    assert refused.status_code == 400 and words in refused.json()["error"], refused.text
    assert refused.json()["error"].split(":")[0] in words or words == "JSON schema"


def test_ids_are_embedded_as_the_text_that_they_are_of(server: Any) -> None:
    def vectors(given: Any) -> list[list[float]]:
        answer = server.post(EMBEDDINGS, {"model": "tiny", "input": given})
        assert answer.status_code == 200, answer.text
        return [each["embedding"] for each in answer.json()["data"]]

    ids = tokenizer().encode("To be, or not")
    [of_text] = vectors("To be, or not")
    assert vectors(ids) == vectors([ids]) == [of_text]
    first, _, third = vectors([ids, [84], "To be, or not"])
    assert np.allclose([first, third], of_text, atol=1e-6)
    counted = server.post(EMBEDDINGS, {"model": "tiny", "input": [ids, [84]]}).json()["usage"][
        "prompt_tokens"
    ]
    assert counted == len(ids) + 1
    for wrong in ([10**6], [-1], [[84], [10**6]], [[]], [84, "x"], [1.5], [True], [[[84]]]):
        refused = server.post(EMBEDDINGS, {"model": "tiny", "input": wrong})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input"), wrong


def test_ollamas_empty_input_has_no_vector_and_an_empty_text_in_a_list_has_one(server: Any) -> None:
    for given, count in (("", 0), ([], 0), (None, 0), ([""], 1), ("x", 1)):
        answer = server.post("/api/embed", {"model": "tiny", "input": given})
        assert answer.status_code == 200 and len(answer.json()["embeddings"]) == count, given
