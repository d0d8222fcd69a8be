"""Perplexity's API with its official client: answers from documents, every citation to be opened, and plain answers where nothing is indexed."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lazy_module import LazyModule
from served_documents import BOILER, QUESTION, Documents

perplexity = LazyModule("perplexity")

QUOTED = '"The warranty lasts 24 months from the day of purchase." [1]'
TEXT = f'{QUOTED}\nThe warranty lasts "24 months". [1]'
TURN = {"role": "user", "content": QUESTION}


def client_of(server: Any) -> perplexity.Perplexity:
    return perplexity.Perplexity(api_key="any", base_url=server.address, max_retries=0)


@pytest.fixture
def client(documents: Documents) -> Iterator[perplexity.Perplexity]:
    with client_of(documents.server) as opened:
        yield opened


@pytest.fixture
def plain_client(server: Any) -> Iterator[perplexity.Perplexity]:
    """Of a server without documents."""
    with client_of(server) as opened:
        yield opened


def chat(client: perplexity.Perplexity, question: str = QUESTION, **fields: Any) -> Any:
    asked: Any = {"model": "sonar", "messages": [{"role": "user", "content": question}], **fields}
    return client.chat.completions.create(**asked)


@pytest.mark.parametrize("model", ["reader", "sonar", "sonar-pro"])
def test_an_answer_has_its_sources(
    client: perplexity.Perplexity, documents: Documents, model: str
) -> None:
    answer = chat(client, model=model)
    [choice] = answer.choices
    assert (
        choice.message.content == TEXT
        and choice.finish_reason == "stop"
        and choice.delta.role == "assistant"
    )
    assert answer.model == model and answer.object == "chat.completion"
    assert answer.citations == [each.url for each in answer.search_results]
    first = answer.search_results[0]
    assert (
        first.title == "Boiler PX-20 > Warranty (px20.md)"
        and first.snippet in BOILER
        and first.source == "web"
    )
    assert first.origin == "document", "what it is here stands beside Perplexity's own value"
    written_s = (documents.docs / "boilers" / "px20.md").stat().st_mtime
    written = datetime.fromtimestamp(written_s, UTC).date().isoformat()
    assert first.last_updated == written and first.date is None
    used = answer.usage
    assert (
        used.total_tokens == used.prompt_tokens + used.completion_tokens
        and used.completion_tokens > 5
    )
    assert 0 < used.citation_tokens < used.prompt_tokens and used.num_search_queries == 1
    assert used.cost.total_cost == used.cost.input_tokens_cost == used.cost.output_tokens_cost == 0
    assert used.search_context_size == "medium"


def test_a_citation_opens_the_passage_in_its_document(client: perplexity.Perplexity) -> None:
    answer = chat(client)
    page = httpx.get(answer.citations[0], timeout=60).json()
    assert page["text"][page["start"] : page["end"]] == answer.search_results[0].snippet


def test_a_stream_has_the_results_in_every_chunk_and_the_same_text(
    client: perplexity.Perplexity,
) -> None:
    whole, chunks = chat(client), list(chat(client, stream=True))
    assert (
        "".join(chunk.choices[0].delta.content for chunk in chunks)
        == TEXT
        == whole.choices[0].message.content
    )
    text = ""
    for chunk in chunks:
        text += chunk.choices[0].delta.content
        assert chunk.choices[0].message.content == text
        assert chunk.citations == whole.citations and chunk.search_results == whole.search_results
        assert chunk.id == chunks[0].id and chunk.object == "chat.completion.chunk"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [
        "stop"
    ]
    counted = [chunk.usage.completion_tokens for chunk in chunks]
    assert counted == sorted(counted) and chunks[-1].usage == whole.usage


def test_a_concise_stream_has_pieces_and_then_the_whole(client: perplexity.Perplexity) -> None:
    *pieces, last = chat(client, stream=True, stream_mode="concise")
    assert (
        "".join(each.choices[0].delta.content for each in pieces)
        == TEXT
        == last.choices[0].message.content
    )
    assert all(each.citations is None and each.usage is None for each in pieces)
    assert last.object == "chat.completion.done" and last.citations and last.usage.total_tokens > 0
    assert last.choices[0].finish_reason == "stop"


def test_what_is_not_there_is_said_without_sources(client: perplexity.Perplexity) -> None:
    for stream in (False, True):
        answer = chat(client, "Who is the president of Peru?", stream=stream)
        last = list(answer)[-1] if stream else answer
        assert last.choices[0].message.content == "Not found in your documents."
        assert last.citations == last.search_results == [] and last.usage.completion_tokens == 0


def test_without_a_search_or_without_documents_the_model_answers_plainly(
    client: perplexity.Perplexity, plain_client: perplexity.Perplexity
) -> None:
    for answer in (
        chat(client, disable_search=True, max_tokens=5),
        chat(client, max_tokens=5, extra_body={"index": "none"}),
        chat(plain_client, model="tiny", max_tokens=5),
        chat(plain_client, max_tokens=5),
    ):
        assert (
            answer.choices[0].message.content and not answer.citations and not answer.search_results
        )
        assert answer.usage.completion_tokens <= 5 and answer.usage.num_search_queries == 0
    assert plain_client.search.create(query="anything").results == []


def test_a_plain_answer_may_have_a_format(
    client: perplexity.Perplexity, plain_client: perplexity.Perplexity
) -> None:
    a = {"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    schema = {"type": "object", **a, "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"schema": schema}}
    answer = chat(plain_client, model="tiny", response_format=form)
    assert json.loads(answer.choices[0].message.content)["a"] in ("x", "y")


FORM: Any = {
    "type": "json_schema",
    "json_schema": {
        "schema": {
            "type": "object",
            "properties": {"months": {"enum": [24, 36]}},
            "required": ["months"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_from_documents_may_have_a_format(
    client: perplexity.Perplexity, stream: bool
) -> None:
    answer = chat(client, model="reader", response_format=FORM, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert json.loads(last.choices[0].message.content)["months"] in (24, 36)
    assert last.citations == [each.url for each in last.search_results] != []
    assert last.choices[0].finish_reason == "stop"
    assert 0 < last.usage.citation_tokens < last.usage.prompt_tokens


def test_a_format_holds_also_where_nothing_is_found(client: perplexity.Perplexity) -> None:
    answer = chat(client, "Who is the president of Peru?", model="reader", response_format=FORM)
    assert json.loads(answer.choices[0].message.content)["months"] in (24, 36)
    assert answer.citations == answer.search_results == [] and answer.usage.citation_tokens == 0


def test_the_model_reads_system_messages_with_the_documents(client: perplexity.Perplexity) -> None:
    alone = chat(client, model="reader").usage
    system: Any = [{"role": "system", "content": "Say it in one short sentence, please."}, TURN]
    told = client.chat.completions.create(model="reader", messages=system)
    assert told.usage.prompt_tokens > alone.prompt_tokens + 4
    assert told.usage.citation_tokens == alone.citation_tokens
    assert str(told.choices[0].message.content).startswith(QUOTED)


def test_quotations_alone_follow_no_system_message_and_have_no_format(
    documents: Documents, serve: Any
) -> None:
    nobody = serve(
        "--models", str(documents.index.parent / "empty"), "--index", str(documents.index)
    )
    system = {"role": "system", "content": "Be kind."}
    assert (
        nobody.post("/chat/completions", {"messages": [TURN]}).json()["choices"][0]["message"][
            "content"
        ]
        == QUOTED
    )
    for path, body, param in (
        ("/chat/completions", {"messages": [system, TURN]}, "messages"),
        ("/chat/completions", {"messages": [TURN], "response_format": FORM}, "response_format"),
        ("/v1/responses", {"input": QUESTION, "instructions": "Be kind."}, "instructions"),
        ("/v1/responses", {"input": [system, TURN]}, "input"),
        (
            "/v1/responses",
            {"input": QUESTION, "text": {"format": {"type": "json_object"}}},
            "text.format",
        ),
        ("/v1/responses", {"input": QUESTION, "response_format": FORM}, "response_format"),
    ):
        answer = nobody.post(path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), (
            path,
            answer.text,
        )


def test_a_follow_up_is_searched_in_its_context(client: perplexity.Perplexity) -> None:
    turns: Any = [
        TURN,
        {"role": "assistant", "content": "24 months."},
        {"role": "user", "content": "And from when?"},
    ]
    answer = client.chat.completions.create(model="sonar", messages=turns)
    assert str(answer.choices[0].message.content).startswith(QUOTED)


def test_limits_and_stop_strings_hold(client: perplexity.Perplexity) -> None:
    answer = chat(client, max_tokens=3)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3
    assert answer.choices[0].message.content == QUOTED, (
        "a sentence that is cut off is no part of the answer"
    )
    for stop in ("months", "[1]\nThe", "wa"):
        expected = TEXT.partition(stop)[0]
        assert chat(client, stop=stop).choices[0].message.content == expected
        pieces = [chunk.choices[0].delta.content for chunk in chat(client, stop=stop, stream=True)]
        assert "".join(pieces) == expected


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"search_domain_filter": ["boilers/"]}, ["px20.md"]),
        ({"search_domain_filter": ["-px20", "-nothing"]}, ["hostel.txt"]),
        ({"search_domain_filter": ["wikipedia.org"]}, []),
        ({"search_recency_filter": "day"}, ["px20.md"]),
        ({"search_recency_filter": "year"}, ["hostel.txt", "px20.md"]),
        ({"search_after_date_filter": "01/01/2020"}, ["hostel.txt", "px20.md"]),
        ({"last_updated_before_filter": "01/01/2020"}, []),
        ({"max_results": 1}, None),
    ],
)
def test_filters_choose_documents_by_name_and_by_time(
    client: perplexity.Perplexity, documents: Documents, filters: Any, found: list[str] | None
) -> None:
    month_ago = time.time() - timedelta(days=40).total_seconds()
    os.utime(documents.docs / "hostel.txt", (month_ago, month_ago))
    results = client.search.create(
        query=["warranty of the boiler", "breakfast in the hostel"], **filters
    ).results
    names = sorted(re.sub(r".*\((.*)\)", r"\1", each.title) for each in results)
    assert len(names) == 1 if found is None else names == sorted(found)


def test_a_search_has_each_document_once_and_its_words(client: perplexity.Perplexity) -> None:
    found = client.search.create(
        query="boiler warranty filter hostel", extra_body={"display_server_time": True}
    )
    assert found.id and found.server_time
    assert len({each.title for each in found.results}) == len(found.results) == 2
    short = client.search.create(
        query="boiler warranty filter hostel", max_tokens=10, max_tokens_per_page=5
    ).results
    for each in short:
        assert len(each.snippet) <= 20 and any(
            full.snippet.startswith(each.snippet) for full in found.results
        )
    assert client.search.create(query="zzz").results == []


def test_what_it_does_not_have_is_refused_in_words(
    documents: Documents, client: perplexity.Perplexity
) -> None:
    for path, fields, param in (
        ("/chat/completions", {"tools": [{"type": "function"}]}, "tools"),
        (
            "/chat/completions",
            {"response_format": {"type": "json_object"}, "max_tokens": 0},
            "response_format",
        ),
        ("/chat/completions", {"n": 2}, "n"),
        (
            "/chat/completions",
            {"search_after_date_filter": "2020-01-01"},
            "search_after_date_filter",
        ),
        (
            "/chat/completions",
            {"messages": [{"role": "system", "content": "Be kind."}]},
            "messages",
        ),
        ("/chat/completions", {"stream_mode": "short"}, "stream_mode"),
        ("/chat/completions", {"index": "nobody"}, "index"),
        ("/v1/sonar", {"model": "nobody"}, "model"),
        ("/search", {"query": "  "}, "query"),
        ("/search", {"query": "a", "max_results": 0}, "max_results"),
        ("/search", {}, "query"),
        (
            "/v1/responses",
            {"input": "a", "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]},
            "tools",
        ),
        ("/v1/responses", {"input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
        ("/v1/responses", {"input": [{"type": "function_call_output"}]}, None),
        ("/v1/responses", {}, "input"),
    ):
        body = (
            {"messages": [TURN], **fields}
            if "/v1/responses" not in path and path != "/search"
            else fields
        )
        answer = documents.server.post(path, body)
        assert answer.status_code in (400, 404), (path, fields, answer.text)
        error = answer.json()["error"]
        assert error["message"] and (param is None or error["param"] == param)
    with pytest.raises(perplexity.NotFoundError, match='"nobody" not found'):
        chat(client, model="nobody", stream=True)


def test_many_at_once_have_what_each_has_alone(client: perplexity.Perplexity) -> None:
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda _: chat(client).choices[0].message.content, range(12)))
    assert set(found) == {TEXT}


def test_a_client_that_hangs_up_frees_everything(
    documents: Documents, client: perplexity.Perplexity
) -> None:
    body = {"model": "sonar", "messages": [TURN], "stream": True}
    with httpx.stream(
        "POST", f"{documents.server.address}/chat/completions", json=body, timeout=60
    ) as stream:
        next(stream.iter_bytes())
    deadline = time.monotonic() + 120
    while "groundup_answers_in_hand 0.0" not in documents.server.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert chat(client).choices[0].message.content == TEXT
