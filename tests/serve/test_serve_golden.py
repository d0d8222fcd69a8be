"""Each endpoint's golden file: a body, what it asks for, the events that answer it, and the answer in both forms, byte for byte as JSON.

`python tests/serve/test_serve_golden.py` writes the files anew; look at the difference before you keep it.
"""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from groundup.engine.events import ChatEvent, RankedToken, TokenLogprob
from groundup.http.limits import Limits
from groundup.retrieve.caller import Caller
from groundup.serve.ollama.answers import OllamaAnswer
from groundup.serve.ollama.generation import read_chat, read_generate
from groundup.serve.openai.chat import ChatCompletion, read_chat_completion
from groundup.serve.openai.completions import TextCompletion, read_completion
from groundup.serve.perplexity.answers import DocumentResult
from groundup.serve.perplexity.routes import SonarAnswer
from groundup.serve.perplexity.search_request import SearchFilters, SearchRequest
from groundup.serve.perplexity.search_request import read_chat as read_sonar
from groundup.serve.requests import GenerateRequest, Options, TextPrompt, Timing
from groundup.serve.responses.kept import KeptResponses
from groundup.serve.responses.request import ResponsesRequest, read_responses
from groundup.serve.responses.routes import ResponsesAnswer, Searched
from groundup.serve.streaming import Translator
from groundup.tokenizer.tools import ToolCall

FOLDER = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
TIMING = Timing(1000, 10, 90, 900)
# Of a request's fields, those that are for errors alone: see test_serve_public_names.py.
OF_ERRORS = ("names", "format_param", "system_param")


def read_response(body: dict[str, Any]) -> ResponsesRequest:
    return read_responses(body, KeptResponses(Limits()), Limits())


def fixed(request: Any, golden: dict[str, Any]) -> Translator:
    """The endpoint's translator, with ids and times that never change."""
    endpoint = golden["endpoint"]
    if isinstance(request, SearchRequest):
        same: Any = {"id": "id-1", "created": 1_795_560_000}
        if endpoint == "v1/responses":
            found = results_of(golden)
            asked = read_response(golden["body"])
            searched = None if found is None else Searched("To be?", found, asked.is_perplexitys)
            return ResponsesAnswer(request.plain.model, asked.echo, searched, **same)
        concise = golden["body"].get("stream_mode") == "concise"
        return SonarAnswer(
            request.plain.model, request.size, results_of(golden), concise=concise, **same
        )
    if endpoint.startswith("api/"):
        return OllamaAnswer(request.model, chat=endpoint == "api/chat", now=lambda: NOW)
    kind = ChatCompletion if endpoint == "v1/chat/completions" else TextCompletion
    return kind(request, id="id-1", created=1_795_560_000)


def results_of(golden: dict[str, Any]) -> list[DocumentResult] | None:
    found = golden["results"]
    return None if found is None else [DocumentResult(**each) for each in found]


READERS = {
    "api/generate": read_generate,
    "api/chat": read_chat,
    "v1/chat/completions": read_chat_completion,
    "v1/completions": read_completion,
    "chat/completions": lambda body: read_sonar(body)[0],
    "v1/responses": lambda body: read_response(body).search,
}


def event_of(value: dict[str, Any]) -> ChatEvent:
    logprobs = tuple(score_of(each) for each in value.get("scores", []))
    calls = tuple(ToolCall(**each) for each in value.get("calls", []))
    context = tuple(value.get("context", ()))
    return ChatEvent(
        value["text"],
        value["reason"],
        value["prompt"],
        value["tokens"],
        logprobs=logprobs,
        calls=calls,
        context=context,
    )


def score_of(value: dict[str, Any]) -> TokenLogprob:
    return TokenLogprob(token_of(value), tuple(map(token_of, value["alternatives"])))


def token_of(value: dict[str, Any]) -> RankedToken:
    return RankedToken(0, bytes(value["raw"]), value["logprob"])


def plain(request: Any) -> dict[str, Any]:
    """What a request says beyond the defaults."""
    values = {each.name: getattr(request, each.name) for each in dataclasses.fields(request)}
    default = (
        SearchRequest(GenerateRequest("", ()))
        if isinstance(request, SearchRequest)
        else GenerateRequest("", ())
    )
    said = {
        name: value
        for name, value in values.items()
        if value != getattr(default, name) and name not in OF_ERRORS
    }
    return json.loads(json.dumps(said, default=_plain_part))


def _plain_part(value: Any) -> Any:
    if isinstance(value, Options):
        return {name: each for name, each in dataclasses.asdict(value).items() if each is not None}
    if isinstance(value, SearchFilters):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, TextPrompt):
        return {"text": value.text, "rendered": value.rendered}
    parts = {
        each.name: (getattr(value, each.name), each.default) for each in dataclasses.fields(value)
    }
    return {
        name: said
        for name, (said, default) in parts.items()
        if said not in (default, Caller()) and name not in OF_ERRORS
    }


def outcome(golden: dict[str, Any]) -> dict[str, Any]:
    """What the code makes of a golden file's body and events."""
    request = READERS[golden["endpoint"]](golden["body"])
    assert isinstance(request, GenerateRequest | SearchRequest)
    answers = [[event_of(each) for each in events] for events in golden["events"]]
    translator = fixed(request, golden)
    stream = [translator.begin()]
    stream += [
        translator.chunk(index, event) for index, events in enumerate(answers) for event in events
    ]
    stream.append(translator.end([events[-1] for events in answers], TIMING))
    whole = fixed(request, golden).complete(answers, TIMING)
    return {
        "request": plain(request),
        "whole": whole,
        "stream": b"".join(stream).decode("ascii").splitlines(),
    }


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_an_endpoint_says_what_its_golden_file_says(file: Path) -> None:
    golden = json.loads(file.read_text())
    found = json.loads(json.dumps(outcome(golden)))
    for part in ("request", "whole", "stream"):
        assert found[part] == golden[part], part


def test_every_endpoint_that_generates_has_a_golden_file() -> None:
    assert {json.loads(file.read_text())["endpoint"] for file in FOLDER.glob("*.json")} == set(
        READERS
    )


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text())
        path.write_text(
            json.dumps({**content, **outcome(content)}, indent=1, ensure_ascii=True) + "\n"
        )
