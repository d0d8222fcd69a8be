"""/api/...: each route reads a body, asks the server, and answers in Ollama's shape."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from groundup.http.json_body import read_object
from groundup.http.json_response import JsonResponse
from groundup.serve.messages import require_few_messages
from groundup.serve.model_info import template_and_stops
from groundup.serve.model_registry import ModelAlias
from groundup.serve.ollama import embedding, naming
from groundup.serve.ollama.answers import MEDIA_TYPE, OllamaAnswer, line
from groundup.serve.ollama.generation import read_chat, read_generate
from groundup.serve.requests import GenerateRequest, LoadRequest, RequestError
from groundup.serve.server import Server

# The release of Ollama whose API this is; editors ask for at least 0.6.4.
VERSION = "0.12.11"


def routes(server: Server) -> list[Route]:
    """All of them."""
    api = _Api(server)
    return [
        Route("/api/version", api.version, methods=["GET"]),
        Route("/api/tags", api.tags, methods=["GET"]),
        Route("/api/ps", api.ps, methods=["GET"]),
        Route("/api/show", api.show, methods=["POST"]),
        Route("/api/generate", api.generate, methods=["POST"]),
        Route("/api/chat", api.chat, methods=["POST"]),
        Route("/api/embed", api.embed, methods=["POST"]),
        Route("/api/embeddings", api.embeddings, methods=["POST"]),
        Route("/api/copy", api.copy, methods=["POST"]),
        Route("/api/delete", api.delete, methods=["DELETE"]),
        Route("/api/create", api.create, methods=["POST"]),
        Route("/api/pull", api.pull, methods=["POST"]),
        Route("/api/push", api.push, methods=["POST"]),
    ]


class _Api:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def _body(self, request: Request) -> dict[str, Any]:
        value = read_object(await request.body(), self.server.limits)
        require_few_messages(value, self.server.limits)
        return value

    async def version(self, request: Request) -> Response:
        return JsonResponse({"version": VERSION})

    async def tags(self, request: Request) -> Response:
        shelf = self.server.shelf
        listed = await asyncio.to_thread(shelf.listed)
        return JsonResponse(naming.tags([(named, shelf.facts(named)) for named in listed]))

    async def ps(self, request: Request) -> Response:
        held = self.server.residents.held()
        models = [
            naming.loaded(ModelAlias(base, base), each.facts, each.size_bytes, each.expires_in_s)
            for base, each in held.items()
        ]
        return JsonResponse({"models": models})

    async def show(self, request: Request) -> Response:
        name = naming.read_name(await self._body(request)).model
        named = await asyncio.to_thread(self.server.shelf.find, name)
        facts = self.server.shelf.facts(named)
        template, stops = await asyncio.to_thread(template_and_stops, facts.path)
        return JsonResponse(naming.show(named, facts, template, stops, self.server.residents.promise))

    async def generate(self, request: Request) -> Response:
        return await self._answer(request, read_generate, chat=False)

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, read_chat, chat=True)

    async def _answer(
        self, request: Request, read: Callable[[dict[str, Any]], GenerateRequest | LoadRequest], *, chat: bool
    ) -> Response:
        asked = read(await self._body(request))
        translator = OllamaAnswer(asked.model, chat=chat)
        if isinstance(asked, LoadRequest):
            return JsonResponse(translator.nothing(await self.server.load(asked)))
        return await self.server.answer(asked, translator, request)

    async def embed(self, request: Request) -> Response:
        asked = embedding.read_embed(await self._body(request))
        found, timing = await self.server.embed(asked)
        return JsonResponse(embedding.embed_answer(asked.model, found, timing))

    async def embeddings(self, request: Request) -> Response:
        found, _ = await self.server.embed(embedding.read_embeddings(await self._body(request)))
        return JsonResponse(embedding.embeddings_answer(found))

    async def copy(self, request: Request) -> Response:
        body = naming.read_copy(await self._body(request))
        await asyncio.to_thread(self.server.shelf.copy, body.source, body.destination)
        return Response()

    async def delete(self, request: Request) -> Response:
        name = naming.read_name(await self._body(request)).model
        await asyncio.to_thread(self.server.shelf.delete, name)
        return Response()

    async def create(self, request: Request) -> Response:
        body = naming.read_create(await self._body(request))
        await asyncio.to_thread(self.server.shelf.create, body.model, body.source, naming.created(body))
        return _statuses(["using existing model", "writing manifest", "success"], stream=body.stream)

    async def pull(self, request: Request) -> Response:
        """Only what is here already can be had: nothing is downloaded for a client."""
        body = naming.read_name(await self._body(request))
        await asyncio.to_thread(self.server.shelf.find, body.model)
        return _statuses(["pulling manifest", "success"], stream=body.stream)

    async def push(self, request: Request) -> Response:
        naming.read_name(await self._body(request))
        raise RequestError("push is not supported: nothing leaves this machine", status=501)


def _statuses(words: list[str], *, stream: bool) -> Response:
    if not stream:
        return JsonResponse({"status": words[-1]})
    return StreamingResponse(iter([line({"status": word}) for word in words]), media_type=MEDIA_TYPE)
