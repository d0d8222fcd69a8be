"""Models in Ollama's format: lists, details, loaded models; bodies of copy, create, delete and
pull.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import Field

from groundup.http.responses import JsonObject
from groundup.serve.fields import Body, read_fields
from groundup.serve.messages import ClientMessage, conversation, without_tools
from groundup.serve.model_registry import AliasChanges, ModelAlias, ModelInfo
from groundup.serve.ollama.answers import rfc3339
from groundup.serve.ollama.generation import OPTION_NAMES, OptionsBody
from groundup.serve.requests import Options, RequestError

N = TypeVar("N", bound="NameBody")
# The expiry of a model that stays forever: a far date that every client can represent.
NEVER = datetime(2318, 1, 1, tzinfo=UTC)


class NameBody(Body):
    """A body that names a model; older clients send `name`."""

    model: str = ""
    name: str = ""
    stream: bool = True
    insecure: bool = False


class CopyBody(Body):
    """The body of /api/copy."""

    source: str = Field(min_length=1)
    destination: str = Field(min_length=1)


class CreateBody(NameBody):
    """The body of /api/create. Fields that need weights from elsewhere are refused."""

    source: str = Field("", alias="from")
    system: str = ""
    template: str = ""
    license: str | list[str] = ""
    parameters: OptionsBody = OptionsBody()
    messages: list[ClientMessage] = []
    files: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    quantize: str = ""


def read_name(value: JsonObject) -> NameBody:
    """Return a body whose `model` is set. Raises RequestError."""
    return _with_name(read_fields(NameBody, value))


def _with_name(body: N) -> N:
    name = body.model or body.name
    if not name:
        raise RequestError("model: is missing", param="model")
    return body.model_copy(update={"model": name})


def read_create(value: JsonObject) -> CreateBody:
    """Return an /api/create body.

    Raises RequestError: 501 for what needs weights from elsewhere.
    """
    body = _with_name(read_fields(CreateBody, value))
    for name in ("files", "adapters", "quantize"):
        if getattr(body, name):
            raise RequestError(
                f"create with {name} is not supported: "
                "a new name has the weights of an existing model",
                status=501,
                param=name,
            )
    if not body.source:
        raise RequestError("from: is missing", param="from")
    return body


def changes_of(body: CreateBody) -> AliasChanges:
    """Return what the new alias has in place of its source's."""
    licence = body.license
    if not isinstance(licence, str):
        licence = "\n".join(licence)
    return AliasChanges(
        system=body.system,
        messages=without_tools(conversation(body.messages)).messages,
        options=body.parameters.options(),
        license=licence,
        template=body.template,
    )


def details(alias: ModelAlias, info: ModelInfo) -> JsonObject:
    """Return the short description used in lists."""
    parent = ""
    if alias.name != alias.base:
        parent = alias.base
    return {
        "parent_model": parent,
        "format": info.format,
        "family": info.config.family,
        "families": [info.config.family],
        "parameter_size": short_count(info.parameters),
        "quantization_level": info.stored_as,
    }


def short_count(number: int) -> str:
    """Return a count with a unit.

    >>> short_count(134_515_008), short_count(1_500_000_000), short_count(80_000)
    ('134.5M', '1.5B', '80.0K')
    """
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= unit:
            return f"{number / unit:.1f}{name}"
    return str(number)


def _head(alias: ModelAlias, info: ModelInfo) -> JsonObject:
    return {
        "name": alias.name,
        "model": alias.name,
        "size": info.size_bytes,
        "digest": info.digest,
        "details": details(alias, info),
    }


def tags(models: Sequence[tuple[ModelAlias, ModelInfo]]) -> JsonObject:
    return {"models": [{**_head(*each), "modified_at": modified(*each)} for each in models]}


def modified(alias: ModelAlias, info: ModelInfo) -> str:
    """Return when the alias was created, or the model's files written."""
    return alias.created or rfc3339(info.modified)


def loaded_entry(
    alias: ModelAlias, info: ModelInfo, size_bytes: int, expires_in_s: float
) -> JsonObject:
    """Return one entry of /api/ps."""
    now = datetime.now(UTC)
    expires = NEVER
    if expires_in_s < (NEVER - now).total_seconds():
        expires = now + timedelta(seconds=expires_in_s)
    return {
        **_head(alias, info),
        "size": size_bytes,
        "size_vram": 0,
        "context_length": info.config.context_tokens,
        "expires_at": rfc3339(expires),
    }


def model_details(
    alias: ModelAlias, info: ModelInfo, template: str, stops: Sequence[str], determinism_note: str
) -> JsonObject:
    """Return the answer of /api/show. `stops`: the texts of the model's stop tokens;
    `determinism_note`: a field that only we have, as is "tools": how the model calls them."""
    parameters = parameter_lines(alias.options, stops)
    modelfile = [f"FROM {alias.base}"]  # without the model's path
    if alias.template:
        modelfile.append(f'TEMPLATE """{alias.template}"""')
    if alias.system:
        modelfile.append(f'SYSTEM """{alias.system}"""')
    modelfile += [f"PARAMETER {line}" for line in parameters.splitlines()]
    return {
        "details": details(alias, info),
        "model_info": model_info(info),
        "capabilities": list(info.capabilities),
        "tools": info.tools,
        "promise": determinism_note,
        "template": alias.template or template,
        "system": alias.system,
        "parameters": parameters,
        "modelfile": "\n".join(modelfile) + "\n",
        "license": alias.license or info.license,
        "messages": [{"role": each.role, "content": each.content} for each in alias.messages],
        "modified_at": modified(alias, info),
    }


def model_info(info: ModelInfo) -> JsonObject:
    """Return the model's dimensions, under their names in GGUF files."""
    config, name = info.config, info.config.family
    return {
        "general.architecture": name,
        "general.parameter_count": info.parameters,
        f"{name}.context_length": config.context_tokens,
        f"{name}.embedding_length": config.width,
        f"{name}.block_count": config.num_layers,
        f"{name}.attention.head_count": config.num_heads,
        f"{name}.attention.head_count_kv": config.num_kv_heads,
        f"{name}.feed_forward_length": config.feedforward_width,
        f"{name}.vocab_size": config.vocab_size,
    }


def parameter_lines(options: Options, stops: Sequence[str]) -> str:
    """Return lines "name   value", as in a Modelfile's PARAMETER."""
    lines = [("stop", json.dumps(stop, ensure_ascii=False)) for stop in options.stop or stops]
    lines += [
        (OPTION_NAMES.get(name, name), str(value))
        for name, value in asdict(options).items()
        if value is not None and name != "stop"
    ]
    return "\n".join(f"{name:<30} {value}" for name, value in lines)
