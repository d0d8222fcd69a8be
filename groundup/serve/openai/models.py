"""/v1/models in OpenAI's format, and /v1/classify, which exists in no other API; its answer is a list, too."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, Texts, read_fields
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.openai.errors import JSON
from groundup.serve.requests import ClassifyRequest


def model_entry(id: str, info: ModelInfo) -> JSON:
    """Return one model; `id` as the client wrote it, or the name with its tag."""
    return {"id": id, "object": "model", "created": int(info.modified.timestamp()), "owned_by": "groundup"}


def model_list(models: Sequence[tuple[ModelAlias, ModelInfo]]) -> JSON:
    """Return all models."""
    return {"object": "list", "data": [model_entry(alias.name, info) for alias, info in models]}


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
