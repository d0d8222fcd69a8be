"""/chat/completions (also /v1/sonar), /search and /v1/responses: each reads a body, answers from documents, or plainly where nothing is indexed.

The last turn in its context is searched. A small context has fewer and shorter passages, and is no error. The model reads the question and the
sources alone: system messages and earlier answers are for plain answers.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.responses import JsonResponse
from groundup.retrieve.answer import MAX_TOKENS, AskConfig
from groundup.retrieve.follow_up import question_in_context
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage, estimated_tokens
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import Ranking, find
from groundup.serve.fields import Texts, Whole, read_fields
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.openai.fields import DEFAULTS
from groundup.serve.perplexity.chat import SonarAnswer
from groundup.serve.perplexity.filters import SearchFilters
from groundup.serve.perplexity.responses import ResponsesAnswer
from groundup.serve.perplexity.results import JSON, cut, search_results
from groundup.serve.perplexity.search_request import SearchRequest, is_own_name, read_chat, read_responses
from groundup.serve.request_preparation import require_within
from groundup.serve.requests import GenerateRequest, RequestError, no_such_model
from groundup.serve.server import Server
from groundup.serve.sourced_answers import (
    MAX_QUESTION_CHARACTERS,
    AskRequest,
    SourcedAnswer,
    SourcedText,
    sourced_answer,
)
from groundup.serve.streaming import Translator, respond

MAX_QUERIES, MAX_RESULTS = 20, 100
Translate = Callable[[list[JSON] | None, SourcedAnswer | None], Translator]
"""A function of the results and the answer from them (None: nothing is searched) that returns the answer's translator."""


class SearchBody(SearchFilters):
    """The body of /search. `index` is ours."""

    query: Annotated[Texts, Field(min_length=1, max_length=MAX_QUERIES)]
    max_results: Whole = Field(10, ge=1)
    max_tokens: Whole | None = Field(None, ge=1)
    max_tokens_per_page: Whole | None = Field(None, ge=1)
    display_server_time: bool = False
    index: str | None = None


def routes(server: Server) -> list[Route]:
    """Return the routes of this dialect."""
    api = _Api(server)
    return [
        Route("/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/sonar", api.chat, methods=["POST"]),
        Route("/v1/responses", api.responses, methods=["POST"]),
        Route("/search", api.search, methods=["POST"]),
    ]


class _Api:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def chat(self, client: Request) -> Response:
        asked, concise = read_chat(await self.server.read_body(client))

        def translate(results: list[JSON] | None, answer: SourcedAnswer | None) -> Translator:
            count = (lambda: 0) if answer is None else (lambda: answer.source_tokens)
            return SonarAnswer(asked.model, asked.size, results, concise=concise, source_tokens=count)

        return await self._answer(asked, translate, client)

    async def responses(self, client: Request) -> Response:
        asked = read_responses(await self.server.read_body(client))

        def translate(results: list[JSON] | None, answer: SourcedAnswer | None) -> Translator:
            question = "" if answer is None else answer.request.question
            return ResponsesAnswer(asked.model, question, results)

        return await self._answer(asked, translate, client)

    async def search(self, client: Request) -> Response:
        body = read_fields(SearchBody, await self.server.read_body(client))
        if not all(query.strip() for query in body.query):
            raise RequestError("query: is empty; there is nothing to search", param="query")
        results: list[JSON] = []
        if body.index is not None or self.server.indexes.names:
            name, base_url = self.server.indexes.find(body.index), _base_url(client)
            results = await self.server.indexes.search(
                name, lambda index, vectors: _found(index, ranking_of(AUTO, vectors), name, body, base_url)
            )
        time = {"server_time": datetime.now(UTC).isoformat(timespec="seconds")} if body.display_server_time else {}
        return JsonResponse({"id": str(uuid.uuid4()), "results": results, **time})

    async def _answer(self, asked: SearchRequest, translate: Translate, client: Request) -> Response:
        """Return the answer from documents, or the plain one where nothing is to be searched or nothing is indexed. Raises RequestError."""
        writer = await self._writer(asked.model)
        model = asked.model if writer is None else writer[0].name
        plain = GenerateRequest(
            model,
            (asked.conversation,),
            asked.options,
            DEFAULTS,
            stream=asked.stream,
            constraint=asked.constraint,
        )
        require_within(plain, asked.options, self.server.limits)
        name = await self._index(asked)
        if name is None:
            if writer is None:
                raise no_such_model(asked.model, [])
            return await self.server.answer(plain, translate(None, None), client)
        if asked.constraint is not None:
            message = "response_format: an answer from documents has none; without a search (disable_search) it may"
            raise RequestError(message, param="response_format")
        async with contextlib.AsyncExitStack() as stack:
            answer = await sourced_answer(self.server, _question(asked, name, writer), stack)
            read, base_url = answer.reading.sources if answer.reading.about else (), _base_url(client)
            results = await self.server.indexes.use(name, lambda _: search_results(name, read, base_url))
            return await respond(SourcedText(answer), translate(results, answer), client, stack, in_pieces=asked.stream)
        raise AssertionError("unreachable")  # the stack swallows no exception

    async def _writer(self, model: str) -> tuple[ModelAlias, ModelInfo] | None:
        """Return the model of a name; None where Perplexity's own name is given and no chat model is served. Raises RequestError."""
        try:
            return await self.server.find(model, "completion")
        except RequestError as error:
            if error.status != 404 or not is_own_name(model):
                raise
        alias = await asyncio.to_thread(self.server.registry.default)
        return None if alias is None else await self.server.find(alias.name, "completion")

    async def _index(self, asked: SearchRequest) -> str | None:
        """Return the name of the index to be searched, or None. Raises RequestError for one that does not exist."""
        indexes = self.server.indexes
        if not asked.searches or (asked.index is None and not indexes.names):
            return None
        name = indexes.find(asked.index)
        return name if await indexes.use(name, lambda index: index.passage_count) else None


def _question(asked: SearchRequest, name: str, writer: tuple[ModelAlias, ModelInfo] | None) -> AskRequest:
    """Return what is asked of an index."""
    turns = [message.content for message in asked.conversation.messages if message.role == "user"]
    question = question_in_context([turn[:MAX_QUESTION_CHARACTERS] for turn in turns])
    wanted = asked.options.max_tokens
    config = AskConfig(asked.num_passages, max_tokens=MAX_TOKENS if wanted is None else max(1, wanted))
    writer = None if wanted == 0 else writer
    return AskRequest(name, question, writer, config, asked.options, asked.filters.keep())


def _base_url(client: Request) -> str:
    """Return the address of this server as the client wrote it; the guard has checked its host."""
    return str(client.base_url).rstrip("/")


def _found(index: Index, ranking: Ranking | None, name: str, body: SearchBody, base_url: str) -> list[JSON]:
    """Return the results of all queries: the best of each, the second of each, ..., each document once."""
    count = min(body.max_results, MAX_RESULTS)
    queries = [query[:MAX_QUESTION_CHARACTERS] for query in body.query]
    lists = [find(index, query, count, ranking, body.keep()).passages for query in queries]
    return _within(search_results(name, merged(lists)[:count], base_url), body)


def merged(lists: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the first of each list, the second of each, ...; of a document only the first one."""
    once: dict[int, Passage] = {}
    for passage in chain.from_iterable(zip_longest(*lists)):
        if passage is not None:
            once.setdefault(passage.document_id, passage)
    return list(once.values())


def _within(results: Sequence[JSON], body: SearchBody) -> list[JSON]:
    """Return the results with snippets of at most `max_tokens_per_page` each and `max_tokens` together; those without room are left out."""
    found: list[JSON] = []
    left = body.max_tokens
    for each in results:
        room = min((limit for limit in (left, body.max_tokens_per_page) if limit is not None), default=None)
        snippet = each["snippet"] if room is None else cut(each["snippet"], room)
        if left is not None:
            left -= estimated_tokens(snippet)
        found.append({key: value for key, value in {**each, "snippet": snippet}.items() if key != "source"})
        if left is not None and left <= 0:
            break
    return found
