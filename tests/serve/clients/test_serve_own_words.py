"""Answers from documents are quotations only, unless a request or the server asks for a model's own words, which no check makes certain."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from served_documents import QUESTION, Documents

QUOTED = '"The warranty lasts 24 months from the day of purchase." [1]'
OWN = 'The warranty lasts "24 months". [1]'
SYSTEM = {"role": "system", "content": "Answer in French."}
TURN = {"role": "user", "content": QUESTION}


@pytest.fixture(scope="module")
def plain(documents: Documents, serve: Callable[..., Any]) -> Any:
    """A server of the same model and documents, as it starts without options."""
    return serve(str(documents.model), "--index", str(documents.index))


def said(server: Any, path: str, **fields: Any) -> str:
    body = {"input": QUESTION} if path == "/v1/responses" else {"messages": [TURN]}
    found = server.post(path, {"model": "sonar", **body, **fields})
    assert found.status_code == 200, found.text
    answer = found.json()
    if path != "/v1/responses":
        return str(answer["choices"][0]["message"]["content"])
    return "".join(part["text"] for item in answer["output"] for part in item.get("content", ()))


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/sonar", "/v1/responses"])
@pytest.mark.parametrize("model", ["sonar", "reader"])
def test_nobody_asked_so_quotations_only(plain: Any, path: str, model: str) -> None:
    search = {"tools": [{"type": "web_search"}]} if path == "/v1/responses" else {}
    assert said(plain, path, model=model, **search) == QUOTED
    assert said(plain, path, model=model, **search, own_words=False) == QUOTED
    assert said(plain, path, model=model, **search, own_words=True) == f"{QUOTED}\n{OWN}"


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/responses"])
def test_a_server_that_is_told_so_writes_unless_a_request_does_not_want_it(
    documents: Documents, path: str
) -> None:
    assert said(documents.server, path) == f"{QUOTED}\n{OWN}"
    assert said(documents.server, path, own_words=False) == QUOTED


def test_a_stream_has_no_words_of_a_model_either(plain: Any) -> None:
    streamed = plain.post(
        "/chat/completions", {"messages": [TURN], "stream": True, "stream_mode": "concise"}
    )
    assert "24 months from the day" in streamed.text and 'lasts \\"24 months' not in streamed.text


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/chat/completions", {"messages": [SYSTEM, TURN]}, "messages"),
        (
            "/chat/completions",
            {"messages": [TURN], "response_format": {"type": "json_object"}},
            "response_format",
        ),
        ("/v1/responses", {"input": QUESTION, "instructions": "Answer in French."}, "instructions"),
        (
            "/v1/responses",
            {"input": QUESTION, "text": {"format": {"type": "json_object"}}},
            "text.format",
        ),
    ],
)
def test_what_quotations_can_not_follow_is_refused_by_name(
    plain: Any, path: str, fields: dict[str, Any], param: str
) -> None:
    refused = plain.post(path, fields)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == param
    assert '"own_words": true' in refused.json()["error"]["message"]
    assert plain.post(path, {**fields, "own_words": True}).status_code == 200


def test_own_words_need_a_model_that_writes(
    documents: Documents, serve: Callable[..., Any]
) -> None:
    nobody = serve(
        "--models", str(documents.index.parent / "empty"), "--index", str(documents.index)
    )
    refused = nobody.post("/chat/completions", {"messages": [TURN], "own_words": True})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "own_words"
    assert said(nobody, "/chat/completions") == QUOTED


@pytest.mark.parametrize("stream", [False, True])
def test_a_bias_for_no_token_of_the_model_is_refused_before_a_quotation_is_sent(
    plain: Any, stream: bool
) -> None:
    asked = {"messages": [TURN], "own_words": True, "logit_bias": {"999999": 1}}
    refused = plain.post("/chat/completions", {**asked, "stream": stream})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == "logit_bias"
    biased = said(plain, "/chat/completions", own_words=True, logit_bias={"65": 100})
    assert biased.startswith(QUOTED) and OWN not in biased
