"""/v1/...: each route reads a body, calls the server, and answers in OpenAI's format."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.responses import JsonResponse
from groundup.serve.openai import models
from groundup.serve.openai.chat import ChatCompletion, read_chat_completion
from groundup.serve.openai.completions import TextCompletion, read_completion
from groundup.serve.openai.embeddings import embedding_answer, read_embedding
from groundup.serve.server import Server


def routes(server: Server) -> list[Route]:
    """Return the routes of this dialect."""
    api = _Api(server)
    return [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.completions, methods=["POST"]),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
        Route("/v1/classify", api.classify, methods=["POST"]),
        Route("/v1/models", api.models, methods=["GET"]),
        Route("/v1/models/{id}", api.model, methods=["GET"]),
    ]


class _Api:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def chat(self, request: Request) -> Response:
        parsed = read_chat_completion(await self.server.read_body(request))
        return await self.server.answer(parsed, ChatCompletion(parsed), request)

    async def completions(self, request: Request) -> Response:
        parsed = read_completion(await self.server.read_body(request))
        return await self.server.answer(parsed, TextCompletion(parsed), request)

    async def embeddings(self, request: Request) -> Response:
        parsed, as_base64 = read_embedding(await self.server.read_body(request))
        found, _ = await self.server.embed(parsed)
        return JsonResponse(embedding_answer(parsed.model, found, as_base64=as_base64))

    async def classify(self, request: Request) -> Response:
        parsed = models.read_classify(await self.server.read_body(request))
        return JsonResponse(models.classify_answer(parsed.model, await self.server.classify(parsed)))

    async def models(self, request: Request) -> Response:
        registry = self.server.registry
        listed = await asyncio.to_thread(registry.listed)
        return JsonResponse(models.model_list([(alias, registry.info(alias)) for alias in listed]))

    async def model(self, request: Request) -> Response:
        id = request.path_params["id"]
        alias = await asyncio.to_thread(self.server.registry.find, id)
        return JsonResponse(models.model_entry(id, self.server.registry.info(alias)))
