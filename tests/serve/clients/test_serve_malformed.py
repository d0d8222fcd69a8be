"""Malformed requests, thousands of them, the same ones every time: always a 4xx in the dialect's shape, and the server stays as it was."""

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

# What a field of each kind can't be.
WRONG: dict[str, list[Any]] = {
    "text": [5, 1.5, True, [], {}, ["x"]],
    "number": ["x", "", True, [], {}, float("nan"), float("inf"), 10**400],
    "whole": ["x", True, 1.5, [], {}, float("nan")],
    "flag": ["yes", 1, 0.0, [], {}],
    "table": ["x", 5, True, [1], []],
    "tables": ["x", 5, True, [1], ["x"], [[]], {"a": 1}],
    "texts": [5, True, [5], [[]], {}, ["x", None], [{}]],
    "prompts": [5, True, [5, "x"], [[]], {}, ["x", None], [{}]],  # a list of ids is one
    "stop": [5, True, [5], {}, ["x", 5], ["x"] * 1000, "y" * 10_000],
    "expression": [5, [], {}, "(", "a(?=b)", "[z-a]", "\ud800", "a" * 10_000],
    "form": [
        "x",
        5,
        {},
        {"regex": 5},
        {"regex": "("},
        {"regex": "a", "json": {}},
        {"grammar": "x"},
        {"choice": []},
        {"other": 1},
        {"json": "{"},
    ],
    "ids": [5, "x", {}, ["x"], [1.5], [-1], [True], [10**9], [1, 10**400]],
    "template": [
        5,
        [],
        {},
        "{{ .Unknown }}{{ .Prompt }}",
        "{{ range .Messages }}{{ end }}",
        "{{ if .Prompt }}",
        "{% if",
        "Hello",
        "{{ 1 // 0 }}",
        "x" * 40_000,
    ],
    "chosen": [
        "perhaps",
        "required",
        "",
        5,
        [],
        {},
        {"type": "x"},
        {"function": {"name": "nobody"}},
    ],
    "content": [5, True, {}, [5], ["x"], [{"type": "image_url"}]],
    "role": ["wizard", "", 5, [], {}],
    "name": [
        "nobody",
        "../tiny",
        "/etc/passwd",
        "tiny:../x",
        "a" * 3000,
        "",
        "tiny\0",
        "\ud800",
        5,
        [],
        {},
        None,
    ],
}
WRONG["own name"] = [
    name for name in WRONG["name"] if name is not None
]  # none is the default model
WRONG["penalty"] = [
    *WRONG["number"],
    1e308,
    -1e308,
    1e-308,
]  # the least that a repetition penalty can't be
WRONG["biases"] = [
    5,
    "x",
    [1],
    {"x": 1},
    {"-1": 1},
    {"5": "1"},
    {"5": 1e308},
    {"5": float("nan")},
    {"9" * 400: 1},
]
WRONG["unsupported"] = [5, "x", {"name": "f"}, [{"name": "f"}], ["audio"], True]
WRONG["words"] = ["x", 5, True, [5], [{}], {}]
WRONG["day"] = ["2020-01-31", "13/01/2020", "x", "", 5, [], {}]
WRONG["items"] = [
    5,
    True,
    {},
    [],
    [5],
    ["x"],
    [{}],
    [{"type": "function_call"}],
    [{"role": "wizard", "content": "a"}],
]
TURN = {"role": "user", "content": "To be"}
OPTIONS = {
    "options.temperature": "number",
    "options.top_p": "number",
    "options.top_k": "whole",
    "options.seed": "whole",
}
OPTIONS |= {
    "options.num_predict": "whole",
    "options.stop": "stop",
    "options.repeat_penalty": "penalty",
}
OLLAMA = {
    "model": "name",
    "stream": "flag",
    "options": "table",
    "top_logprobs": "whole",
    "logprobs": "flag",
    **OPTIONS,
}
TURNS = {"messages": "tables", "messages.0.role": "role", "messages.0.content": "content"}
OPENAI = {
    "model": "name",
    "stream": "flag",
    "max_tokens": "whole",
    "temperature": "number",
    "top_p": "number",
}
OPENAI |= {"structured_outputs": "form", "guided_regex": "expression"}
TOOLS = {"tools": "tables", "tool_choice": "chosen", "parallel_tool_calls": "flag"}
OPENAI |= {
    "seed": "whole",
    "stop": "stop",
    "n": "whole",
    "presence_penalty": "number",
    "stream_options": "table",
}
OPENAI |= {"repetition_penalty": "penalty", "logit_bias": "biases"}
OPENAI |= dict.fromkeys(("functions", "function_call", "modalities", "audio"), "unsupported")
FILTERS = {
    "search_domain_filter": "words",
    "search_after_date_filter": "day",
    "search_recency_filter": "role",
}
SONAR = {
    **OPENAI,
    **TURNS,
    **FILTERS,
    "model": "own name",
    "tools": "tables",
    "disable_search": "flag",
}
SONAR |= {
    "num_search_results": "whole",
    "web_search_options": "table",
    "stream_mode": "role",
    "response_format": "table",
}
# path -> a good body, and the kind of each field that is made wrong
ENDPOINTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "/api/generate": (
        {"model": "tiny", "prompt": "To be"},
        {
            **OLLAMA,
            "prompt": "text",
            "system": "text",
            "raw": "flag",
            "context": "ids",
            "template": "template",
        },
    ),
    "/api/chat": ({"model": "tiny", "messages": [TURN]}, {**OLLAMA, **TURNS, "tools": "tables"}),
    "/api/embed": (
        {"model": "tiny", "input": "To be"},
        {"model": "name", "input": "texts", "dimensions": "whole"},
    ),
    "/api/embeddings": ({"model": "tiny", "prompt": "To be"}, {"model": "name", "prompt": "text"}),
    "/api/show": ({"model": "tiny"}, {"model": "name"}),
    "/api/copy": (
        {"source": "tiny", "destination": "x"},
        {"source": "name", "destination": "text"},
    ),
    "/api/create": (
        {"model": "x", "from": "tiny"},
        {"from": "name", "parameters": "table", "messages": "tables", "template": "template"},
    ),
    "/api/pull": ({"model": "tiny"}, {"model": "name"}),
    "/v1/chat/completions": (
        {"model": "tiny", "messages": [TURN]},
        {
            **OPENAI,
            **TURNS,
            **TOOLS,
            "top_logprobs": "whole",
            "response_format": "table",
            "max_completion_tokens": "whole",
        },
    ),
    "/v1/completions": (
        {"model": "tiny", "prompt": "To be"},
        {**OPENAI, "prompt": "prompts", "logprobs": "whole"},
    ),
    "/v1/embeddings": (
        {"model": "tiny", "input": "To be"},
        {"model": "name", "input": "prompts", "encoding_format": "role"},
    ),
    "/chat/completions": ({"model": "tiny", "messages": [TURN]}, SONAR),
    "/v1/sonar": ({"model": "tiny", "messages": [TURN]}, SONAR),
    "/search": (
        {"query": "x", "country": "no"},
        {
            **FILTERS,
            "query": "texts",
            "max_results": "whole",
            "max_tokens": "whole",
            "max_tokens_per_page": "whole",
        },
    ),
    "/v1/responses": (
        {"model": "tiny", "input": "To be"},
        {
            "model": "own name",
            "input": "items",
            "instructions": "text",
            "stream": "flag",
            "tools": "tables",
        },
    ),
    "/groundup/ask": (
        {"question": "x", "index": "nobody"},
        {"question": "text", "k": "whole", "history": "tables", "index": "text", "model": "text"},
    ),
    "/v1/classify": ({"model": "sorter", "input": "To be"}, {"model": "name", "input": "texts"}),
}


def malformed(count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """(method, path, body): wrong fields mostly, then damaged JSON, then wrong routes and methods."""
    choose = random.Random(seed)
    paths = list(ENDPOINTS)
    for _ in range(count):
        path = choose.choice(paths)
        kind = choose.random()
        if kind < 0.6:
            yield "POST", path, wrong_fields(path, choose)
        elif kind < 0.9:
            yield "POST", path, damaged(path, choose)
        else:
            yield misrouted(path, choose)


def wrong_fields(path: str, choose: random.Random) -> bytes:
    good, kinds = ENDPOINTS[path]
    body = copy.deepcopy(good)
    for name in choose.sample(list(kinds), min(len(kinds), choose.choice((1, 1, 2)))):
        put(body, name.split("."), copy.deepcopy(choose.choice(WRONG[kinds[name]])))
    return json.dumps(body).encode()


def put(body: Any, names: list[str], value: Any) -> None:
    """Set a field of a field; where there is something wrong in between, that is wrong enough."""
    for name in names[:-1]:
        if isinstance(body, list):
            body = body[int(name)] if body else {}
        else:
            body = body.setdefault(name, {}) if isinstance(body, dict) else {}
    if isinstance(body, dict):
        body[names[-1]] = value


def damaged(path: str, choose: random.Random) -> bytes:
    good = json.dumps(ENDPOINTS[path][0]).encode()
    depth = choose.choice((65, 500, 100_000))
    return choose.choice(
        [
            b"",
            good[: choose.randrange(len(good))],
            good + b"}",
            choose.randbytes(choose.randrange(1, 300)),
            choose.choice((b"[]", b"5", b"null", b'"x"', b"true", b"[1, 2]")),
            good[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}",
            b'{"a":' * depth,
            good.replace(b'"tiny"', b"NaN")
            .replace(b'"sorter"', b"NaN")
            .replace(b'"x"', b"Infinity"),
            good.replace(b"o", b"\xff"),
            b'{"model": ' + b"9" * 5000 + b"}",
        ]
    )


def misrouted(path: str, choose: random.Random) -> tuple[str, str, bytes]:
    good = json.dumps(ENDPOINTS[path][0]).encode()
    other = choose.choice(
        (
            path + "/",
            path + "/x",
            path.upper(),
            "/api/../api/nothing",
            "/v1/nothing",
            "/api/blobs/sha256:0",
        )
    )
    return choose.choice(
        [
            ("GET", path, b""),
            ("PUT", path, good),
            ("PATCH", path, good),
            ("DELETE", path, good),
            ("POST", other, good),
        ]
    )


def check(path: str, answer: httpx.Response) -> None:
    """A 4xx, in the dialect's shape, that tells nothing of this machine."""
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    if answer.request.url.path.startswith("/api/"):
        assert isinstance(error, str) and error
    else:
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["message"] and error["type"]
        if error["param"] is not None:  # a field as the client writes it, never a name of ours
            good, kinds = ENDPOINTS[path]
            assert re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)*", error["param"]), error
            assert error["param"].split(".")[0] in good.keys() | {
                name.split(".")[0] for name in kinds
            }, error
    for word in ("Traceback", "site-packages", ".py", "groundup/", "/tmp", "/home"):
        assert word not in answer.text


def ask_all(server: Any, count: int, seed: int) -> None:
    def known() -> Any:
        asked = {
            "model": "tiny",
            "prompt": "To be",
            "stream": False,
            "options": {"seed": 1, "num_predict": 8},
        }
        return server.post("/api/generate", asked).json()["response"]

    before = known(), server.get("/api/tags").json()
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for method, path, body in malformed(count, seed):
            try:
                check(path, client.request(method, path, content=body))
            except AssertionError as error:
                raise AssertionError(f"{method} {path} {body[:300]!r}") from error
    assert (known(), server.get("/api/tags").json()) == before
    assert "groundup_answers_in_hand 0.0" in server.get("/metrics").text


def test_200_malformed_requests_change_nothing(server: Any) -> None:
    ask_all(server, 200, seed=1)


@pytest.mark.slow
def test_5000_malformed_requests_change_nothing(server: Any) -> None:
    ask_all(server, 5000, seed=2)
