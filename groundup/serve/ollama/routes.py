"""/api/...: each route reads a body, calls the server, and answers in Ollama's format."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from groundup.http.responses import JsonObject, JsonResponse
from groundup.serve import assistants
from groundup.serve.fields import read_fields
from groundup.serve.model_registry import ModelAlias, template_and_stops
from groundup.serve.ollama import naming
from groundup.serve.ollama.answers import MEDIA_TYPE, OllamaAnswer, line
from groundup.serve.ollama.generation import (
    embed_answer,
    read_chat,
    read_embed,
    read_embeddings,
    read_generate,
)
from groundup.serve.requests import GenerateRequest, LoadRequest, RequestError
from groundup.serve.server import ModelServer

# The release of Ollama whose API this is; editors require at least 0.6.4.
VERSION = "0.12.11"


def routes(server: ModelServer) -> list[Route]:
    api = _OllamaApi(server)
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


class _OllamaApi:
    def __init__(self, server: ModelServer) -> None:
        self.server = server

    async def version(self, request: Request) -> Response:
        return JsonResponse({"version": VERSION})

    async def tags(self, request: Request) -> Response:
        registry = self.server.registry
        aliases = await asyncio.to_thread(registry.aliases)
        return JsonResponse(naming.tags([(alias, registry.info(alias)) for alias in aliases]))

    async def ps(self, request: Request) -> Response:
        loaded = self.server.loaded_models.current()
        models = [
            naming.loaded_entry(alias, each.info, each.size_bytes, each.expires_in_s)
            for base, each in loaded.items()
            if self.server.registry.shows(alias := ModelAlias(base, base))
        ]
        return JsonResponse({"models": models})

    async def show(self, request: Request) -> Response:
        name = naming.read_name(await self.server.read_body(request)).model
        alias = await asyncio.to_thread(self.server.registry.find, name)
        info = self.server.registry.info(alias)
        template, stops = await asyncio.to_thread(template_and_stops, info.path)
        models = self.server.loaded_models
        note = models.determinism_note(info)
        details = naming.model_details(alias, info, template, stops, note)
        return JsonResponse(details | {"decodes_with": models.decodes_with(alias.base)})

    async def generate(self, request: Request) -> Response:
        return await self._answer(request, read_generate, chat=False)

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, read_chat, chat=True)

    async def _answer(
        self,
        request: Request,
        read: Callable[[JsonObject], GenerateRequest | LoadRequest],
        *,
        chat: bool,
    ) -> Response:
        parsed = read(await self.server.read_body(request))
        translator = OllamaAnswer(parsed.model, chat=chat)
        if isinstance(parsed, LoadRequest):
            return JsonResponse(translator.empty(await self.server.load(parsed)))
        return await assistants.answer(self.server, parsed, translator, request)

    async def embed(self, request: Request) -> Response:
        parsed = read_embed(await self.server.read_body(request))
        found, timing = await self.server.embed(parsed)
        return JsonResponse(embed_answer(parsed.model, found, timing))

    async def embeddings(self, request: Request) -> Response:
        found, _ = await self.server.embed(read_embeddings(await self.server.read_body(request)))
        return JsonResponse({"embedding": found.vectors[0]})

    async def copy(self, request: Request) -> Response:
        body = read_fields(naming.CopyBody, await self.server.read_body(request))
        await asyncio.to_thread(self.server.registry.copy, body.source, body.destination)
        return Response()

    async def delete(self, request: Request) -> Response:
        name = naming.read_name(await self.server.read_body(request)).model
        await asyncio.to_thread(self.server.registry.delete, name)
        return Response()

    async def create(self, request: Request) -> Response:
        body = naming.read_create(await self.server.read_body(request))
        await self.server.create(body.model, body.source, naming.changes_of(body))
        statuses = ["using existing model", "writing manifest", "success"]
        return _statuses(statuses, stream=body.stream)

    async def pull(self, request: Request) -> Response:
        """Succeed for existing models only: nothing is downloaded for a client."""
        body = naming.read_name(await self.server.read_body(request))
        await asyncio.to_thread(self.server.registry.find, body.model)
        return _statuses(["pulling manifest", "success"], stream=body.stream)

    async def push(self, request: Request) -> Response:
        naming.read_name(await self.server.read_body(request))
        raise RequestError("push is not supported: nothing leaves this machine", status=501)


def _statuses(statuses: list[str], *, stream: bool) -> Response:
    if not stream:
        return JsonResponse({"status": statuses[-1]})
    return StreamingResponse(
        iter([line({"status": each}) for each in statuses]), media_type=MEDIA_TYPE
    )
