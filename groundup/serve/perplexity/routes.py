"""/chat/completions (also /v1/sonar) and /search: each reads a body, answers from documents, or
plainly where nothing is indexed.

The last turn in its context is searched. A small context has fewer and shorter passages, and is no
error. The model reads system messages, the question and the sources; earlier answers are for plain
answers. "full" chunks have the text so far and all results, each; of a "concise" stream the chunks
have pieces only, and the last one has the whole.
"""

import math
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.engine.events import ChatEvent
from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage, estimated_tokens
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import Ranking, find
from groundup.retrieve.vectors import Vectors
from groundup.serve.fields import Texts, Whole, read_fields
from groundup.serve.openai.fields import DONE, MEDIA_TYPE, error_body, sse
from groundup.serve.perplexity.answers import (
    DocumentResult,
    answer,
    base_url_of,
    cut,
    search_results,
)
from groundup.serve.perplexity.search_request import SearchFilters, read_chat
from groundup.serve.requests import RequestError, Timing
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import MAX_QUESTION_CHARACTERS, SourcedAnswer
from groundup.serve.streaming import Translator

MAX_QUERIES, MAX_RESULTS = 20, 100
OF_ANSWERS = ("source", "origin")
"""Fields that only the results of an answer have."""
COMPLETION, CHUNK, WHOLE = "chat.completion", "chat.completion.chunk", "chat.completion.done"
COST = {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "request_cost": 0.0, "total_cost": 0.0}


class SearchBody(SearchFilters):
    """The body of /search. `index` is ours."""

    query: Annotated[Texts, Field(min_length=1, max_length=MAX_QUERIES)]
    max_results: Whole = Field(10, ge=1)
    max_tokens: Whole | None = Field(None, ge=1)
    max_tokens_per_page: Whole | None = Field(None, ge=1)
    display_server_time: bool = False
    index: str | None = None


def routes(server: ModelServer) -> list[Route]:
    api = _PerplexityApi(server)
    return [
        Route("/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/sonar", api.chat, methods=["POST"]),
        Route("/search", api.search, methods=["POST"]),
    ]


class _PerplexityApi:
    def __init__(self, server: ModelServer) -> None:
        self.server = server

    async def chat(self, client: Request) -> Response:
        request, concise = read_chat(await self.server.read_body(client))

        def translate(
            results: list[DocumentResult] | None, found: SourcedAnswer | None
        ) -> Translator:
            translator = SonarAnswer(request.plain.model, request.size, results, concise=concise)
            if found is not None:
                translator.source_tokens = lambda: found.source_tokens
            return translator

        return await answer(self.server, request, translate, client)

    async def search(self, client: Request) -> Response:
        body = read_fields(SearchBody, await self.server.read_body(client))
        if not all(query.strip() for query in body.query):
            raise RequestError("query: is empty; there is nothing to search", param="query")
        results: list[JsonObject] = []
        if body.index is not None or self.server.indexes.names:
            name, base_url = self.server.indexes.find(body.index), base_url_of(client)

            def search(index: Index, vectors: Vectors | None) -> list[JsonObject]:
                passages = _search(index, ranking_of(AUTO, vectors), body)
                return _within_limits(search_results(name, passages, base_url), body)

            results = await self.server.indexes.search(name, search)
        answer: JsonObject = {"id": str(uuid.uuid4()), "results": results}
        if body.display_server_time:
            answer["server_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        return JsonResponse(answer)


def _search(index: Index, ranking: Ranking | None, body: SearchBody) -> list[Passage]:
    """Return the passages of all queries: the best of each, the second of each, ..., each document
    once.
    """
    count = min(body.max_results, MAX_RESULTS)
    queries = [query[:MAX_QUESTION_CHARACTERS] for query in body.query]
    lists = [find(index, query, count, ranking, body.keep()).passages for query in queries]
    return merge(lists)[:count]


def merge(lists: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the first of each list, the second of each, ...; of a document only the first one."""
    once: dict[int, Passage] = {}
    for passage in chain.from_iterable(zip_longest(*lists)):
        if passage is not None:
            once.setdefault(passage.document_id, passage)
    return list(once.values())


def _within_limits(results: Sequence[DocumentResult], body: SearchBody) -> list[JsonObject]:
    """Return the results with snippets of at most `max_tokens_per_page` each and `max_tokens`
    together; those without room are left out.
    """
    found: list[JsonObject] = []
    left: float = body.max_tokens or math.inf
    for each in results:
        snippet, most = each.snippet, min(left, body.max_tokens_per_page or math.inf)
        if most < math.inf:
            snippet = cut(snippet, int(most))
        left -= estimated_tokens(snippet)
        fields = {**vars(each), "snippet": snippet}
        found.append({key: value for key, value in fields.items() if key not in OF_ANSWERS})
        if left <= 0:
            break
    return found


class SonarAnswer:
    """The translator of one answer."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        model: str,
        size: str,
        results: Sequence[DocumentResult] | None,
        *,
        concise: bool = False,
        source_tokens: Callable[[], int] = lambda: 0,
        id: str = "",
        created: int = 0,
    ) -> None:
        """`results` None: an answer without a search; `source_tokens` of the prompt, known once the
        model has read them.
        """
        self.model, self.size, self.results, self.concise = model, size, results, concise
        self.id = id or str(uuid.uuid4())
        self.created = created or int(time.time())
        self.source_tokens = source_tokens
        self._text: defaultdict[int, str] = defaultdict(str)

    def begin(self) -> bytes:
        """Return a chunk without text, so that a client has the results before the first word."""
        return self.chunk(0, ChatEvent("", None, 0, 0))

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        self._text[index] += event.text
        if not self.concise:
            return sse(self._whole(CHUNK, event, index, delta=event.text))
        choice = self._choice(index, event, event.text)
        choice |= {"message": _message(""), "finish_reason": None}
        return sse({**self._head(CHUNK), "choices": [choice]})

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the end of the stream; of a concise one with the whole answer before it."""
        if not self.concise:
            return DONE
        [last] = last_events
        return sse(self._whole(WHOLE, last)) + DONE

    def error(self, message: str, status: int) -> bytes:
        return sse(error_body(message, status)) + DONE

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        [events] = answers
        self._text[0] = "".join(event.text for event in events)
        return self._whole(COMPLETION, events[-1])

    def _head(self, name: str) -> JsonObject:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def _whole(self, name: str, event: ChatEvent, index: int = 0, delta: str = "") -> JsonObject:
        """Return an object with the text so far and all results."""
        choice = self._choice(index, event, delta)
        whole = {**self._head(name), "choices": [choice]}
        if self.results is not None:
            whole["citations"] = [each.url for each in self.results]
            whole["search_results"] = list(map(vars, self.results))
        return {**whole, "usage": self._usage(event)}

    def _choice(self, index: int, event: ChatEvent, delta: str) -> JsonObject:
        return {
            "index": index,
            "finish_reason": event.finish_reason,
            "message": _message(self._text[index]),
            "delta": _message(delta),
        }

    def _usage(self, event: ChatEvent) -> JsonObject:
        return {
            "prompt_tokens": event.prompt_tokens,
            "completion_tokens": event.completion_tokens,
            "total_tokens": event.prompt_tokens + event.completion_tokens,
            "search_context_size": self.size,
            "num_search_queries": int(self.results is not None),
            "citation_tokens": self.source_tokens(),
            "cost": COST,
        }


def _message(text: str) -> JsonObject:
    return {"role": "assistant", "content": text}
