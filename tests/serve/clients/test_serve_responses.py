"""/v1/responses with the two clients that have it, OpenAI's and Perplexity's: the text, its citations as annotations, and the events of a stream."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import perplexity
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from served_documents import BOILER, QUESTION, Documents

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
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]}],
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
    assert answer.output_text == TEXT and answer.status == "completed" and answer.object == "response"
    found, message = answer.output
    assert found.type == "search_results" and list(found.queries) == [QUESTION]
    [part] = message.content
    for each in part.annotations:
        assert part.text[each.start_index : each.end_index] == "[1]" and each.type == "url_citation"
        assert httpx.get(each.url).json()["text"] == BOILER and "px20.md" in each.title
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


@pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings"
)  # of the item `search_results`, which it does not know
def test_openais_helper_for_streams_gathers_the_same(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(model="reader", input=QUESTION) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == TEXT


def test_openais_parts_of_an_earlier_answer_are_read(openai_client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": QUESTION},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "24 months."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "And from when?"}]},
    ]
    answer = openai_client.responses.create(model="sonar", input=turns)
    assert answer.output_text.startswith(TEXT.splitlines()[0])


def test_without_a_search_the_model_answers_plainly(openai_client: openai.OpenAI, plain_client: openai.OpenAI) -> None:
    plain: list[Any] = [
        openai_client.responses.create(model="reader", input=QUESTION, extra_body={"disable_search": True}),
        openai_client.responses.create(model="reader", input=QUESTION, tool_choice="none"),
        plain_client.responses.create(model="tiny", input="To be", instructions="Speak.", max_output_tokens=4),
    ]
    for answer in plain:
        [message] = answer.output
        assert message.type == "message" and message.content[0].text and message.content[0].annotations == []
    assert plain[-1].status == "incomplete" and plain[-1].incomplete_details.reason == "max_output_tokens"
    assert plain[-1].usage.output_tokens == 4
    fields: Any = {"model": "tiny", "input": "To be", "max_output_tokens": 4, "temperature": 0}
    events = list(plain_client.responses.create(**fields, stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output_text == plain_client.responses.create(**fields).output_text != ""


def test_a_plain_answer_may_have_a_format(plain_client: openai.OpenAI) -> None:
    a = {"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    schema = {"type": "object", **a, "additionalProperties": False}
    form: Any = {"format": {"type": "json_schema", "name": "choice", "schema": schema}}
    answer = plain_client.responses.create(model="tiny", input="To be", text=form)
    assert json.loads(answer.output_text)["a"] in ("x", "y")


def test_the_tool_that_searches_takes_filters(documents: Documents) -> None:
    tool: Any = {"type": "web_search", "filters": {"search_domain_filter": ["-boilers"]}, "search_context_size": "low"}
    with perplexity_of(documents.server) as client:
        found = client.responses.create(input=QUESTION, preset="pro-search", tools=[tool])
        assert found.output_text.startswith("Not found")
        assert client.responses.create(input=QUESTION, preset="pro-search").output_text == TEXT
