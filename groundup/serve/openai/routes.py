"""/v1/...: each route reads a body, asks the server, and answers in OpenAI's shape."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.json_body import read_object
from groundup.http.json_response import JsonResponse
from groundup.serve.messages import require_few_messages
from groundup.serve.openai import models
from groundup.serve.openai.chat import ChatCompletion, read_chat_completion
from groundup.serve.openai.completions import TextCompletion, read_completion
from groundup.serve.openai.embeddings import embedding_answer, read_embedding
from groundup.serve.server import Server


def routes(server: Server) -> list[Route]:
    """All of them."""
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

    async def _body(self, request: Request) -> dict[str, Any]:
        value = read_object(await request.body(), self.server.limits)
        require_few_messages(value, self.server.limits)
        return value

    async def chat(self, request: Request) -> Response:
        asked = read_chat_completion(await self._body(request))
        return await self.server.answer(asked, ChatCompletion(asked), request)

    async def completions(self, request: Request) -> Response:
        asked = read_completion(await self._body(request))
        return await self.server.answer(asked, TextCompletion(asked), request)

    async def embeddings(self, request: Request) -> Response:
        asked, as_base64 = read_embedding(await self._body(request))
        found, _ = await self.server.embed(asked)
        return JsonResponse(embedding_answer(asked.model, found, as_base64=as_base64))

    async def classify(self, request: Request) -> Response:
        asked = models.read_classify(await self._body(request))
        return JsonResponse(models.classify_answer(asked.model, await self.server.classify(asked)))

    async def models(self, request: Request) -> Response:
        shelf = self.server.shelf
        listed = await asyncio.to_thread(shelf.listed)
        return JsonResponse(models.model_list([(named, shelf.facts(named)) for named in listed]))

    async def model(self, request: Request) -> Response:
        id = request.path_params["id"]
        named = await asyncio.to_thread(self.server.shelf.find, id)
        return JsonResponse(models.model_entry(id, self.server.shelf.facts(named)))
