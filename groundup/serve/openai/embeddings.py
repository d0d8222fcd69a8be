"""/v1/embeddings: a body -> an EmbedRequest; vectors -> a list, as floats or as base64 of little-endian float32."""

import base64
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from groundup.serve.fields import Body, Texts, Whole, read_fields
from groundup.serve.openai.errors import JSON
from groundup.serve.requests import Embeddings, EmbedRequest, RequestError


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
        {"object": "embedding", "index": index, "embedding": _base64(vector) if as_base64 else vector}
        for index, vector in enumerate(found.vectors)
    ]
    counted = {"prompt_tokens": found.prompt_tokens, "total_tokens": found.prompt_tokens}
    return {"object": "list", "data": data, "model": model, "usage": counted}


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.array(vector, dtype="<f4").tobytes()).decode()
