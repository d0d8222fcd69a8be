"""/v1/responses with the two clients that have it, OpenAI's and Perplexity's: when documents are searched, citations as annotations, events.

Functions: `test_serve_responses_tools.py`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lazy_module import LazyModule
from served_documents import BOILER, QUESTION, Documents

from groundup.migrations import BUILD

openai = LazyModule("openai")
perplexity = LazyModule("perplexity")

TEXT = '"The warranty lasts 24 months from the day of purchase." [1]\nThe warranty lasts "24 months". [1]'
EVENTS = [
    "response.created",
    "response.in_progress",
    "response.reasoning.search_results",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.annotation.added",
    "response.output_text.annotation.added",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def openai_of(server: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="any", base_url=f"{server.address}/v1", max_retries=0)


def perplexity_of(server: Any) -> perplexity.Perplexity:
    return perplexity.Perplexity(api_key="any", base_url=server.address, max_retries=0)


@pytest.fixture(params=[openai_of, perplexity_of], ids=["openai", "perplexity"])
def client(request: pytest.FixtureRequest, documents: Documents) -> Iterator[Any]:
    with request.param(documents.server) as opened:
        yield opened


@pytest.fixture
def openai_client(documents: Documents) -> Iterator[openai.OpenAI]:
    with openai_of(documents.server) as opened:
        yield opened


@pytest.fixture
def plain_client(server: Any) -> Iterator[openai.OpenAI]:
    """Of a server without documents."""
    with openai_of(server) as opened:
        yield opened


@pytest.mark.parametrize(
    "given",
    [
        QUESTION,
        [{"type": "message", "role": "user", "content": QUESTION}],
        [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": QUESTION}],
            }
        ],
        [
            {"type": "message", "role": "user", "content": QUESTION},
            {"type": "message", "role": "assistant", "content": "24 months."},
            {"type": "message", "role": "user", "content": QUESTION},
        ],
    ],
    ids=["text", "message", "parts", "conversation"],
)
def test_an_answer_has_its_sources_as_annotations(client: Any, given: Any) -> None:
    answer = client.responses.create(model="sonar", input=given)
    assert (
        answer.output_text == TEXT and answer.status == "completed" and answer.object == "response"
    )
    found, message = answer.output
    assert found.type == "search_results" and list(found.queries) == [QUESTION]
    [part] = message.content
    for each in part.annotations:
        assert part.text[each.start_index : each.end_index] == "[1]" and each.type == "url_citation"
        assert httpx.get(each.url, timeout=60).json()["text"] == BOILER and "px20.md" in each.title
    assert len(part.annotations) == 2
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_a_stream_has_the_events_of_a_response(client: Any) -> None:
    events = list(client.responses.create(model="sonar", input=QUESTION, stream=True))
    assert [event.type for event in events] == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(EVENTS)))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == TEXT
    whole = client.responses.create(model="sonar", input=QUESTION)
    assert events[-1].response.output_text == whole.output_text == TEXT
    assert events[-1].response.usage == whole.usage and events[0].response.status == "in_progress"


SEARCH: Any = {"type": "web_search"}


def test_openais_helper_for_streams_gathers_the_same(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(model="reader", input=QUESTION, tools=[SEARCH]) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == TEXT


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "web_search_preview"}], ids=str)
def test_a_model_searches_by_the_tool_and_says_so_in_openais_form(
    openai_client: openai.OpenAI, choice: Any
) -> None:
    fields: Any = {"model": "reader", "input": QUESTION, "tools": [SEARCH], "tool_choice": choice}
    answer = openai_client.responses.create(**fields)
    search, message = answer.output
    assert (search.type, search.status, search.action.query) == (
        "web_search_call",
        "completed",
        QUESTION,
    )
    assert answer.output_text == TEXT and len(message.content[0].annotations) == 2
    assert httpx.get(search.action.sources[0].url, timeout=60).json()["text"] == BOILER
    events = list(openai_client.responses.create(**fields, stream=True))
    assert [event.type for event in events[2:7]] == [
        "response.output_item.added",
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
        "response.web_search_call.completed",
        "response.output_item.done",
    ]
    assert events[2].item.status == "in_progress" and events[6].item.action == search.action
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_without_the_tool_a_model_searches_only_if_it_is_an_assistant(
    openai_client: openai.OpenAI, documents: Documents, assistant: Any
) -> None:
    plain = openai_client.responses.create(model="reader", input=QUESTION, max_output_tokens=8)
    assert [item.type for item in plain.output] == ["message"] and '" [1]' not in plain.output_text
    with openai_of(assistant) as client:
        by_model = {
            model: client.responses.create(model=model, input=QUESTION, max_output_tokens=60)
            for model in ("firm", "reader")
        }
        assert (
            by_model["firm"].output_text == TEXT
            and by_model["firm"].output[0].type == "web_search_call"
        )
        assert [item.type for item in by_model["reader"].output] == ["message"]
        none = client.responses.create(
            model="firm", input=QUESTION, tool_choice="none", max_output_tokens=4
        )
        assert [item.type for item in none.output] == ["message"]


def test_an_assistant_answers_from_its_own_documents(
    assistant: Any, openai_client: openai.OpenAI
) -> None:
    """Also where another index is the first one; one that is named takes precedence."""
    with openai_of(assistant) as client:
        for fields in ({}, {"tools": [SEARCH]}):
            assert (
                client.responses.create(model="firm", input=QUESTION, **fields).output_text == TEXT
            )
        other = client.responses.create(
            model="firm", input=QUESTION, extra_body={"index": "none"}, max_output_tokens=4
        )
        assert [item.type for item in other.output] == ["message"]


@pytest.fixture(scope="module")
def assistant(documents: Documents, serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a build with an index, "firm", of a model alone, "reader", and of an empty index that comes first."""
    build = tmp_path_factory.mktemp("builds") / "firm"
    shutil.copytree(documents.index, build / "index")
    shutil.copytree(documents.model, build / "chat")
    record = BUILD.stamp({"kinds": {"chat": "chat", "index": "index"}})
    (build / "build.json").write_text(json.dumps(record))
    empty = f"none={documents.index.parent / 'empty.index'}"
    return serve(str(build), str(documents.model), "--index", empty, "--own-words")


def test_openais_parts_of_an_earlier_answer_are_read(openai_client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": QUESTION},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "24 months."}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "And from when?"}]},
    ]
    answer = openai_client.responses.create(model="sonar", input=turns)
    assert answer.output_text.startswith(TEXT.splitlines()[0])


def test_without_a_search_the_model_answers_plainly(
    openai_client: openai.OpenAI, plain_client: openai.OpenAI
) -> None:
    plain: list[Any] = [
        openai_client.responses.create(
            model="reader", input=QUESTION, extra_body={"disable_search": True}
        ),
        openai_client.responses.create(model="reader", input=QUESTION, tool_choice="none"),
        plain_client.responses.create(
            model="tiny",
            input="To be",
            instructions="Speak.",
            max_output_tokens=4,
            temperature=0,  # sampled, a random model ends at once now and then
        ),
    ]
    for answer in plain:
        [message] = answer.output
        assert (
            message.type == "message"
            and message.content[0].text
            and message.content[0].annotations == []
        )
    assert (
        plain[-1].status == "incomplete"
        and plain[-1].incomplete_details.reason == "max_output_tokens"
    )
    assert plain[-1].usage.output_tokens == 4
    fields: Any = {"model": "tiny", "input": "To be", "max_output_tokens": 4, "temperature": 0}
    events = list(plain_client.responses.create(**fields, stream=True))
    assert events[-1].type == "response.incomplete"
    assert (
        events[-1].response.output_text == plain_client.responses.create(**fields).output_text != ""
    )


def test_a_plain_answer_may_have_a_format(plain_client: openai.OpenAI) -> None:
    a = {"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    schema = {"type": "object", **a, "additionalProperties": False}
    form: Any = {"format": {"type": "json_schema", "name": "choice", "schema": schema}}
    answer = plain_client.responses.create(model="tiny", input="To be", text=form)
    assert json.loads(answer.output_text)["a"] in ("x", "y")


def test_instructions_and_formats_reach_the_model_that_reads_documents(
    openai_client: openai.OpenAI,
) -> None:
    plain: Any = {"model": "reader", "input": QUESTION, "tools": [SEARCH]}
    counted = openai_client.responses.create(**plain).usage
    told = openai_client.responses.create(
        **plain, instructions="Say it in one short sentence, please."
    )
    assert (
        told.usage is not None
        and counted is not None
        and told.usage.input_tokens > counted.input_tokens + 4
    )
    schema = {
        "properties": {"months": {"enum": [24, 36]}},
        "required": ["months"],
        "additionalProperties": False,
    }
    form: Any = {
        "format": {"type": "json_schema", "name": "months", "schema": {"type": "object", **schema}}
    }
    answer = openai_client.responses.create(**plain, text=form)
    assert json.loads(answer.output_text)["months"] in (24, 36)
    assert answer.output[0].type == "web_search_call" and answer.output[0].action.sources


def test_the_tool_that_searches_takes_filters(documents: Documents) -> None:
    tool: Any = {
        "type": "web_search",
        "filters": {"search_domain_filter": ["-boilers"]},
        "search_context_size": "low",
    }
    with perplexity_of(documents.server) as client:
        found = client.responses.create(input=QUESTION, preset="pro-search", tools=[tool])
        assert found.output_text.startswith("Not found")
        assert client.responses.create(input=QUESTION, preset="pro-search").output_text == TEXT
