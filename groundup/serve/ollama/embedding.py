"""/api/embed and the older /api/embeddings: bodies -> an EmbedRequest; vectors -> an object."""

from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, Texts, Whole, read_fields
from groundup.serve.ollama.generation import KeepAlive, keep_alive_s
from groundup.serve.requests import Embeddings, EmbedRequest, Timing

JSON = dict[str, Any]


class EmbedBody(Body):
    """The body of /api/embed."""

    model: str = Field(min_length=1)
    input: Texts = []
    truncate: bool = True
    dimensions: Whole | None = Field(None, ge=1)
    keep_alive: KeepAlive | None = None


class EmbeddingsBody(Body):
    """The body of /api/embeddings."""

    model: str = Field(min_length=1)
    prompt: str = ""
    keep_alive: KeepAlive | None = None


def read_embed(value: JSON) -> EmbedRequest:
    """Return the request of an /api/embed body. Raises RequestError."""
    body = read_fields(EmbedBody, value)
    alive = keep_alive_s(body.keep_alive)
    return EmbedRequest(body.model, tuple(body.input), body.dimensions, body.truncate, alive)


def read_embeddings(value: JSON) -> EmbedRequest:
    """Return the request of an /api/embeddings body. Raises RequestError."""
    body = read_fields(EmbeddingsBody, value)
    return EmbedRequest(body.model, (body.prompt,), keep_alive_s=keep_alive_s(body.keep_alive))


def embed_answer(model: str, found: Embeddings, timing: Timing) -> JSON:
    """Return all vectors, in the order of the texts."""
    return {
        "model": model,
        "embeddings": found.vectors,
        "total_duration": timing.total_ns,
        "load_duration": timing.load_ns,
        "prompt_eval_count": found.prompt_tokens,
    }


def embeddings_answer(found: Embeddings) -> JSON:
    """Return the only vector."""
    return {"embedding": found.vectors[0]}
