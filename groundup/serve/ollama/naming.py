"""Models in Ollama's words: lists, details, what is loaded; bodies that copy, create, delete, pull."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, read_fields
from groundup.serve.messages import ClientMessage, conversation, without_tools
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.ollama.answers import rfc3339
from groundup.serve.ollama.generation import OptionsBody
from groundup.serve.requests import Options, RequestError

JSON = dict[str, Any]
# A model that stays for ever expires in a year of the far future, which every client's date can hold.
NEVER = datetime(2318, 1, 1, tzinfo=UTC)
# Our words for options, in Ollama's.
OPTION_NAMES = {"repetition_penalty": "repeat_penalty", "max_tokens": "num_predict", "context_tokens": "num_ctx"}


class NameBody(Body):
    """A body that names a model; older clients write `name`."""

    model: str = ""
    name: str = ""
    stream: bool = True
    insecure: bool = False


class CopyBody(Body):
    """/api/copy."""

    source: str = Field(min_length=1)
    destination: str = Field(min_length=1)


class CreateBody(NameBody):
    """/api/create. Fields that would bring weights from elsewhere are refused."""

    source: str = Field("", alias="from")
    system: str = ""
    template: str = ""
    license: str | list[str] = ""
    parameters: OptionsBody = OptionsBody()
    messages: list[ClientMessage] = []
    files: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    quantize: str = ""


def read_name(value: JSON) -> NameBody:
    """A body whose `model` is filled. Raises RequestError."""
    return _named(read_fields(NameBody, value))


def read_copy(value: JSON) -> CopyBody:
    """The names of an /api/copy body. Raises RequestError."""
    return read_fields(CopyBody, value)


def read_create(value: JSON) -> CreateBody:
    """An /api/create body. Raises RequestError: 501 for what would need weights from elsewhere."""
    body = _named(read_fields(CreateBody, value))
    for given, name in (
        (body.files, "files"),
        (body.adapters, "adapters"),
        (body.quantize, "quantize"),
        (body.template, "template"),
    ):
        if given:
            raise RequestError(
                f"create with {name} is not supported: a new name has the weights and the template of a model that is here",
                status=501,
                param=name,
            )
    if not body.source:
        raise RequestError("from: is missing", param="from")
    return body


def _named(body: Any) -> Any:
    name = body.model or body.name
    if not name:
        raise RequestError("model: is missing", param="model")
    return body.model_copy(update={"model": name})


def created(body: CreateBody) -> JSON:
    """What the new name says beyond its source, as fields of `ModelAlias`."""
    licence = body.license if isinstance(body.license, str) else "\n".join(body.license)
    values = {
        "system": body.system,
        "license": licence,
        "messages": without_tools(conversation(body.messages)).messages,
    }
    return {**values, "options": body.parameters.options()}


def details(named: ModelAlias, facts: ModelInfo) -> JSON:
    """The short description that lists have."""
    return {
        "parent_model": "" if named.is_own else named.base,
        "format": facts.format,
        "family": facts.config.family,
        "families": [facts.config.family],
        "parameter_size": short_count(facts.parameters),
        "quantization_level": facts.stored_as,
    }


def short_count(number: int) -> str:
    """
    >>> short_count(134_515_008), short_count(1_500_000_000), short_count(80_000)
    ('134.5M', '1.5B', '80.0K')
    """
    unit, name = next((u, n) for u, n in ((1e9, "B"), (1e6, "M"), (1e3, "K"), (1, "")) if number >= u or u == 1)
    return f"{number / unit:.1f}{name}" if name else str(number)


def _head(named: ModelAlias, facts: ModelInfo) -> JSON:
    return {
        "name": named.name,
        "model": named.name,
        "size": facts.size_bytes,
        "digest": facts.digest,
        "details": details(named, facts),
    }


def tags(models: Sequence[tuple[ModelAlias, ModelInfo]]) -> JSON:
    """/api/tags."""
    return {"models": [{**_head(*each), "modified_at": modified(*each)} for each in models]}


def modified(named: ModelAlias, facts: ModelInfo) -> str:
    """When the name was made, or the model's files written."""
    return named.created or rfc3339(facts.modified)


def loaded(named: ModelAlias, facts: ModelInfo, size_bytes: int, expires_in_s: float) -> JSON:
    """One entry of /api/ps."""
    now = datetime.now(UTC)
    far = (NEVER - now).total_seconds()
    expires = NEVER if expires_in_s >= far else now + timedelta(seconds=expires_in_s)
    memory = {"size": size_bytes, "size_vram": 0, "context_length": facts.config.context_tokens}
    return {**_head(named, facts), **memory, "expires_at": rfc3339(expires)}


def show(named: ModelAlias, facts: ModelInfo, template: str, stops: Sequence[str], promise: str) -> JSON:
    """/api/show. `template` is the model's own, `stops` the texts of the tokens that end its answers, `promise` ours (a field of our own)."""
    parameters = parameter_lines(named.options, stops)
    return {
        "details": details(named, facts),
        "model_info": model_info(facts),
        "capabilities": list(facts.capabilities),
        "promise": promise,
        "template": template,
        "system": named.system,
        "parameters": parameters,
        "modelfile": _modelfile(named, parameters),
        "license": named.license or facts.license,
        "messages": [{"role": said.role, "content": said.content} for said in named.messages],
        "modified_at": modified(named, facts),
    }


def model_info(facts: ModelInfo) -> JSON:
    """The shape, under the names that GGUF files have for it."""
    config, name = facts.config, facts.config.family
    return {
        "general.architecture": name,
        "general.parameter_count": facts.parameters,
        f"{name}.context_length": config.context_tokens,
        f"{name}.embedding_length": config.width,
        f"{name}.block_count": config.num_layers,
        f"{name}.attention.head_count": config.num_heads,
        f"{name}.attention.head_count_kv": config.num_kv_heads,
        f"{name}.feed_forward_length": config.feedforward_width,
        f"{name}.vocab_size": config.vocab_size,
    }


def parameter_lines(options: Options, stops: Sequence[str]) -> str:
    """Lines "name   value", as a Modelfile's PARAMETER has them."""
    lines = [("stop", json.dumps(stop, ensure_ascii=False)) for stop in options.stop or stops]
    values: Mapping[str, Any] = {each.name: getattr(options, each.name) for each in fields(options)}
    lines += [
        (OPTION_NAMES.get(name, name), str(value))
        for name, value in values.items()
        if value is not None and name != "stop"
    ]
    return "\n".join(f"{name:<30} {value}" for name, value in lines)


def _modelfile(named: ModelAlias, parameters: str) -> str:
    """What `ollama create` would make this name from. The model's own place is not told."""
    system = [f'SYSTEM """{named.system}"""'] if named.system else []
    return "\n".join([f"FROM {named.base}", *system, *(f"PARAMETER {line}" for line in parameters.splitlines())]) + "\n"
