"""/api/...: each route reads a body, calls the server, and answers in Ollama's format. Below them:
lists, details and bodies of models.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse
from groundup.serve import assistants
from groundup.serve.fields import Body, read_fields
from groundup.serve.messages import ClientMessage, conversation, without_tools
from groundup.serve.model_registry import AliasChanges, ModelAlias, ModelInfo
from groundup.serve.ollama.answers import MEDIA_TYPE, OllamaAnswer, line, rfc3339
from groundup.serve.ollama.generation import (
    OPTION_NAMES,
    OptionsBody,
    embed_answer,
    read_chat,
    read_embed,
    read_embeddings,
    read_generate,
)
from groundup.serve.requests import (
    GenerateRequest,
    LoadRequest,
    Options,
    RequestError,
    with_warning,
)
from groundup.serve.server import ModelServer
from groundup.weights.hf_files import folder_tokenizer, is_whole_folder

# The release of Ollama whose API this is; editors require at least 0.6.4.
VERSION = "0.12.11"
N = TypeVar("N", bound="NameBody")
# The expiry of a model that stays forever: a far date that every client can represent.
NEVER = datetime(2318, 1, 1, tzinfo=UTC)


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
        return JsonResponse(tags([(alias, registry.info(alias)) for alias in aliases]))

    async def ps(self, request: Request) -> Response:
        loaded = self.server.loaded_models.current()
        models = [
            loaded_entry(alias, each.info, each.size_bytes, each.expires_in_s)
            for base, each in loaded.items()
            if self.server.registry.shows(alias := ModelAlias(base, base))
        ]
        return JsonResponse({"models": models})

    async def show(self, request: Request) -> Response:
        name = read_name(await self.server.read_body(request)).model
        alias = await asyncio.to_thread(self.server.registry.find, name)
        info = self.server.registry.info(alias)
        template, stops = await asyncio.to_thread(template_and_stops, info.path)
        models = self.server.loaded_models
        note = models.determinism_note(info)
        details = model_details(alias, info, template, stops, note)
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
        return JsonResponse(with_warning({"embedding": found.vectors[0]}, found))

    async def copy(self, request: Request) -> Response:
        body = read_fields(CopyBody, await self.server.read_body(request))
        await asyncio.to_thread(self.server.registry.copy, body.source, body.destination)
        return Response()

    async def delete(self, request: Request) -> Response:
        name = read_name(await self.server.read_body(request)).model
        await asyncio.to_thread(self.server.registry.delete, name)
        return Response()

    async def create(self, request: Request) -> Response:
        body = read_create(await self.server.read_body(request))
        await self.server.create(body.model, body.source, changes_of(body))
        statuses = ["using existing model", "writing manifest", "success"]
        return _statuses(statuses, stream=body.stream)

    async def pull(self, request: Request) -> Response:
        """Succeed for existing models only: nothing is downloaded for a client."""
        body = read_name(await self.server.read_body(request))
        await asyncio.to_thread(self.server.registry.find, body.model)
        return _statuses(["pulling manifest", "success"], stream=body.stream)

    async def push(self, request: Request) -> Response:
        read_name(await self.server.read_body(request))
        raise RequestError("push is not supported: nothing leaves this machine", status=501)


def _statuses(statuses: list[str], *, stream: bool) -> Response:
    if not stream:
        return JsonResponse({"status": statuses[-1]})
    return StreamingResponse(
        iter([line({"status": each}) for each in statuses]), media_type=MEDIA_TYPE
    )


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


def template_and_stops(path: Path) -> tuple[str, list[str]]:
    """Return a model's chat template ("" without one) and the texts of its stop tokens.

    Raises FormatError.
    """
    if is_whole_folder(path):  # without torch
        tokenizer = folder_tokenizer(path)
    else:
        from groundup.weights.formats import reader_of

        tokenizer = reader_of(path).tokenizer(path)
    if tokenizer is None:
        return "", []
    stops = sorted(
        text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids
    )
    return tokenizer.chat_template or "", stops


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
