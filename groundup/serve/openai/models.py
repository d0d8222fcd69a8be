"""The answers that are lists: /v1/models, /v1/embeddings (floats, or base64 of little-endian float32), and /v1/classify, which no other API has."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from groundup.serve.fields import Body, Texts, Whole, read_fields
from groundup.serve.model_info import ModelInfo
from groundup.serve.openai.fields import JSON
from groundup.serve.requests import ClassifyRequest, Embeddings, EmbedRequest, RequestError


def model_entry(id: str, info: ModelInfo) -> JSON:
    """Return one model; `id` as the client wrote it, or the name with its tag."""
    return {"id": id, "object": "model", "created": int(info.modified.timestamp()), "owned_by": "groundup"}


class ClassifyBody(Body):
    """The body of /v1/classify."""

    model: str = Field(min_length=1)
    input: Texts


def read_classify(value: dict[str, Any]) -> ClassifyRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ClassifyBody, value)
    return ClassifyRequest(body.model, tuple(body.input))


def classify_answer(model: str, found: Sequence[dict[str, float]]) -> JSON:
    """Return, for each text, its label and the probability of every label, most probable first."""
    data = []
    for index, probabilities in enumerate(found):
        label = next(iter(probabilities))
        data.append(
            {"index": index, "label": label, "probability": probabilities[label], "probabilities": probabilities}
        )
    return {"object": "list", "model": model, "data": data}


class EmbeddingsBody(Body):
    """The body of /v1/embeddings."""

    model: str = Field(min_length=1)
    input: Annotated[Texts, Field(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Whole | None = Field(None, ge=1)


def read_embedding(value: dict[str, Any]) -> tuple[EmbedRequest, bool]:
    """Return the request of a body and whether to encode as base64. Raises RequestError; token ids as input are refused."""
    body = read_fields(EmbeddingsBody, value)
    if not all(body.input):
        raise RequestError("input: a text is empty; there is nothing to embed", param="input")
    request = EmbedRequest(body.model, tuple(body.input), body.dimensions)
    return request, body.encoding_format == "base64"


def embedding_answer(model: str, found: Embeddings, *, as_base64: bool) -> JSON:
    """Return all vectors, in the order of the texts."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(np.array(vector, dtype="<f4").tobytes()).decode() if as_base64 else vector,
        }
        for index, vector in enumerate(found.vectors)
    ]
    counted = {"prompt_tokens": found.prompt_tokens, "total_tokens": found.prompt_tokens}
    return {"object": "list", "data": data, "model": model, "usage": counted}
