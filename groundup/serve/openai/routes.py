"""/v1/...: each route reads a body, calls the server, and answers in OpenAI's format. Also here:
the bodies and answers that are lists, /v1/models, /v1/embeddings (floats, or base64 of
little-endian float32), and /v1/classify, which no other API has.
"""

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse
from groundup.serve import assistants
from groundup.serve.fields import Body, Texts, Whole, read_fields
from groundup.serve.model_registry import ModelInfo
from groundup.serve.openai.chat import ChatCompletion, read_chat_completion
from groundup.serve.openai.completions import TextCompletion, read_completion
from groundup.serve.openai.fields import are_ids, as_list_of_texts
from groundup.serve.requests import (
    ClassifyRequest,
    Embeddings,
    EmbedRequest,
    RequestError,
    with_warning,
)
from groundup.serve.server import ModelServer
from groundup.weights.decision_rule import DecidedLabels


def routes(server: ModelServer) -> list[Route]:
    api = _OpenAIApi(server)
    return [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.completions, methods=["POST"]),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
        Route("/v1/classify", api.classify, methods=["POST"]),
        Route("/v1/models", api.models, methods=["GET"]),
        Route("/v1/models/{id}", api.model, methods=["GET"]),
    ]


class _OpenAIApi:
    def __init__(self, server: ModelServer) -> None:
        self.server = server

    async def chat(self, request: Request) -> Response:
        parsed = read_chat_completion(await self.server.read_body(request))
        return await assistants.answer(self.server, parsed, ChatCompletion(parsed), request)

    async def completions(self, request: Request) -> Response:
        parsed = read_completion(await self.server.read_body(request))
        return await assistants.answer(self.server, parsed, TextCompletion(parsed), request)

    async def embeddings(self, request: Request) -> Response:
        parsed, as_base64 = read_embedding(await self.server.read_body(request))
        found, _ = await self.server.embed(parsed)
        return JsonResponse(embedding_answer(parsed.model, found, as_base64=as_base64))

    async def classify(self, request: Request) -> Response:
        parsed = read_classify(await self.server.read_body(request))
        return JsonResponse(classify_answer(parsed.model, await self.server.classify(parsed)))

    async def models(self, request: Request) -> Response:
        registry = self.server.registry
        aliases = await asyncio.to_thread(registry.aliases)
        data = [model_entry(each.name, registry.info(each)) for each in aliases]
        return JsonResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        id = request.path_params["id"]
        alias = await asyncio.to_thread(self.server.registry.find, id)
        return JsonResponse(model_entry(id, self.server.registry.info(alias)))


def model_entry(id: str, info: ModelInfo) -> JsonObject:
    """Return one model; `id` as the client wrote it, or the name with its tag.

    `kind`, a field of ours: "assistant", "chat", "base", "classifier", "encoder".
    """
    return {
        "id": id,
        "object": "model",
        "created": int(info.modified.timestamp()),
        "owned_by": "groundup",
        "kind": info.use,
    }


class ClassifyBody(Body):
    """The body of /v1/classify."""

    model: str = Field(min_length=1)
    input: Texts


def read_classify(value: JsonObject) -> ClassifyRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ClassifyBody, value)
    return ClassifyRequest(body.model, tuple(body.input))


def classify_answer(model: str, found: Sequence[DecidedLabels]) -> JsonObject:
    """Return, for each text, its label and the probability of every label, most probable first; of
    an "unsure" one also the guess.

    A classifier of several labels a text gives `labels`, those that reach their thresholds, in
    place of `label` and `probability`.
    """
    data = [{"index": index, **decided} for index, decided in enumerate(found)]
    return {"object": "list", "model": model, "data": data}


def _inputs(value: Any) -> tuple[str | tuple[int, ...], ...]:
    texts: list[str | tuple[int, ...]] = []
    for each in as_list_of_texts(value):
        if isinstance(each, str):
            texts.append(each)
        elif each == [] or are_ids(each):
            texts.append(tuple(each))
        else:
            texts.clear()
            break
    if not texts:
        raise PydanticCustomError(
            "input", "expected a text, a list of token ids, or a list of these"
        )
    return tuple(texts)


class OpenAIEmbeddingsBody(Body):
    """The body of /v1/embeddings."""

    model: str = Field(min_length=1)
    input: Annotated[Any, PlainValidator(_inputs)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Whole | None = Field(None, ge=1)


def read_embedding(value: JsonObject) -> tuple[EmbedRequest, bool]:
    """Return the request of a body and whether to encode as base64. Raises RequestError."""
    body = read_fields(OpenAIEmbeddingsBody, value)
    if not all(body.input):
        raise RequestError("input: a text is empty; there is nothing to embed", param="input")
    request = EmbedRequest(body.model, body.input, body.dimensions)
    return request, body.encoding_format == "base64"


def embedding_answer(model: str, found: Embeddings, *, as_base64: bool) -> JsonObject:
    """Return all vectors, in the order of the texts."""
    vectors: list[str | list[float]] = list(found.vectors)
    if as_base64:
        arrays = (np.array(vector, dtype="<f4") for vector in found.vectors)
        vectors = [base64.b64encode(array.tobytes()).decode() for array in arrays]
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    counted = {"prompt_tokens": found.prompt_tokens, "total_tokens": found.prompt_tokens}
    answer: JsonObject = {"object": "list", "data": data, "model": model, "usage": counted}
    return with_warning(answer, found)
