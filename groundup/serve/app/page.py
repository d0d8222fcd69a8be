"""/groundup/...: routes that only the web page of `groundup serve` uses, outside of any API
dialect.

GET  /page/messages.js  the labels of the assistant's page in every language
GET  /groundup/models   the models for its menus: chat models first, each with its sampling
                        settings; no tokenizer is read for it
POST /groundup/inside   {"model", "text", "block": 1}   a language model on a text: tokens with
                                                        their surprise (bits), attention of one
                                                        block
POST /groundup/heads    {"model"}                       attention heads with a known pattern, in all
                                                        blocks; searched once for each model
POST /groundup/why      {"model", "text"}               a classifier: how each token contributed to
                                                        its prediction
GET  /groundup/live/MODEL   the page of a build with its own model inside, where it has one: "live"
                            of its entry in /groundup/models is true

Inside, heads and why show internals of a model: `lab` computes them in the worker's thread, between two
steps. The two that read a text read its beginning only, and return its length (`shown`): a larger
picture is unreadable, and running answers wait meanwhile. The live page has scripts inside, and
a build may come from elsewhere: so it is sent as a sandbox, a page without an origin, whose scripts
can't ask this server anything.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from groundup.engine.sampling import CHAT_SAMPLING, chat_sampling
from groundup.errors import FormatError
from groundup.files import inside as inside_folder
from groundup.http.guard import SANDBOX
from groundup.http.json_object import JsonObject
from groundup.http.page import page_routes
from groundup.http.responses import JsonResponse
from groundup.lab.tokens import beginning
from groundup.runs import LIVE_NAME, read_stage_kinds
from groundup.serve.app.live_model import live_fault, live_model_routes
from groundup.serve.app.page_files import served_files
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.requests import RequestError
from groundup.serve.server import OPERATOR, ModelServer
from groundup.serve.worker import Worker, in_own_thread

if TYPE_CHECKING:
    from groundup.weights.model_format import OpenModel

KINDS = ("assistant", "chat", "base", "classifier", "encoder")
# Tokens along one side of an attention map. Attribution runs the classifier once without each
# token: quadratic work.
SHOWN_TOKENS = 48
MAX_CHARACTERS = 20_000
EXPECTED = 3
# Random texts used in the search for heads: each delays running answers, and two separate heads as
# well as the lab's eight.
HEAD_TEXTS = 2
HEADS_PER_PATTERN = 3
# Models whose heads are cached.
MAX_CACHED = 64
# What a page of `lab --live` needs; its own policy narrows it to its own scripts.
LIVE_POLICY = (
    f"{SANDBOX}script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src data:; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Inspect = Callable[["OpenModel", str], Mapping[str, object]]


class ModelBody(Body):
    """The body of /groundup/heads."""

    model: str = Field(min_length=1)


class InsideBody(Body):
    """The body of /groundup/inside and /groundup/why; `block` counts from 1."""

    model: str = Field(min_length=1)
    text: str = Field(max_length=MAX_CHARACTERS)
    block: Whole = Field(1, ge=1)


def routes(server: ModelServer) -> list[Route]:
    """Return the routes of the page, its files, its menus and its internals."""
    cached: dict[str, JsonObject] = {}  # by the model's digest

    async def models(request: Request) -> Response:
        registry = server.registry
        models = await asyncio.to_thread(
            lambda: [(alias, registry.info(alias)) for alias in registry.aliases()]
        )
        entries = await asyncio.to_thread(menu, models)
        if server.client is not OPERATOR:  # weights are for the operator alone
            entries = [{**entry, "runs_in_page": False} for entry in entries]
        return JsonResponse({"models": entries})

    async def inside(request: Request) -> Response:
        body = read_fields(InsideBody, await server.read_body(request))
        return await _inspect(
            server, body, "completion", lambda opened, text: _look_inside(opened, text, body.block)
        )

    async def why(request: Request) -> Response:
        body = read_fields(InsideBody, await server.read_body(request))
        return await _inspect(server, body, "classification", _why)

    async def heads(request: Request) -> Response:
        body = read_fields(ModelBody, await server.read_body(request))
        alias, info = await server.find(body.model, "completion")
        if info.digest not in cached:
            async with (
                _admitted(server.worker),
                server.loaded_models.lease(alias.base, info, None) as loaded,
            ):
                opened = await in_own_thread(lambda: loaded.opened)
                found = await server.worker.run(lambda: _pattern_heads(opened))
            if len(cached) >= MAX_CACHED:
                cached.clear()
            cached[info.digest] = found
        return JsonResponse({"model": body.model, **cached[info.digest]})

    return [
        *page_routes(served_files),
        Route("/groundup/models", models),
        live_route(server),
        *live_model_routes(server),
        Route("/groundup/heads", heads, methods=["POST"]),
        Route("/groundup/inside", inside, methods=["POST"]),
        Route("/groundup/why", why, methods=["POST"]),
    ]


def live_route(server: ModelServer) -> Route:
    """Return the route of the pages with a model inside."""

    async def live(request: Request) -> Response:
        name = request.path_params["name"]
        alias, info = await server.find(name, "completion")
        page = await asyncio.to_thread(live_page_of, alias, info)
        if page is None:
            problem = f'"{name[:120]}" has no page with the model inside'
            raise RequestError(problem, status=404, param="model")
        headers = {"content-security-policy": LIVE_POLICY}
        return FileResponse(page, media_type="text/html; charset=utf-8", headers=headers)

    return Route("/groundup/live/{name}", live)


async def _inspect(
    server: ModelServer, body: InsideBody, capability: str, inspect: Inspect
) -> Response:
    """Return the result of `inspect`.

    Raises RequestError (503 when too many answers run or wait; this counts as one), DataError,
    ModelError.
    """
    alias, info = await server.find(body.model, capability)
    async with (
        _admitted(server.worker),
        server.loaded_models.lease(alias.base, info, None) as loaded,
    ):
        opened = await in_own_thread(lambda: loaded.opened)
        room = min(SHOWN_TOKENS, info.config.context_tokens - 1)
        text = beginning(opened.require_tokenizer(), body.text, room)
        found = await server.worker.run(lambda: inspect(opened, text))
    return JsonResponse({"model": body.model, "shown": len(text), **found})


@contextlib.asynccontextmanager
async def _admitted(worker: Worker) -> AsyncIterator[None]:
    """Count as one running answer for as long as the block runs."""
    worker.admit(1)
    worker.num_answers += 1
    try:
        yield
    finally:
        worker.num_answers -= 1


def _look_inside(opened: "OpenModel", text: str, block: int) -> JsonObject:
    """Return the tokens of the text with their surprise, and the attention of one block, with the
    bos token where the model has one.
    """
    from groundup.lab.attention import attention_picture
    from groundup.lab.predictions import surprise

    picture = attention_picture(opened.model, opened.tokenizer, text, blocks=(block,))
    surprises = surprise(opened.model, opened.tokenizer, text, top=EXPECTED)
    return {
        "blocks": opened.config.num_layers,
        "tokens": surprises["tokens"],
        "bits_per_token": surprises["bits_per_token"],
        "pieces": picture["pieces"],
        "heads": [head["weights"] for head in picture["heads"]],
    }


def _why(opened: "OpenModel", text: str) -> JsonObject:
    """Return how each token of the text contributed to a classifier's prediction."""
    from groundup.lab.attribution import class_attribution

    found = class_attribution(
        opened.model,
        opened.tokenizer,
        text,
        labels=opened.labels,
        multi_label=opened.decision.multi_label,
    )
    return {**found}


def _pattern_heads(opened: "OpenModel") -> JsonObject:
    """Return, for each attention pattern, the heads that show it most, as far as they are well
    above chance.
    """
    from groundup.lab.drawing.attention import PATTERNS
    from groundup.lab.drawing.by_head import TIMES_CHANCE
    from groundup.lab.head_patterns import search_heads

    found = search_heads(opened.model, opened.tokenizer, sequences=HEAD_TEXTS)
    heads = [
        {**head, "kind": kind["kind"], "looks": PATTERNS[kind["kind"]], "chance": kind["chance"]}
        for kind in found["kinds"]
        for head in kind["best"][:HEADS_PER_PATTERN]
        if head["score"] > TIMES_CHANCE * kind["chance"]
    ]
    return {"heads": heads, "caption": found["caption"]}


def menu(models: Sequence[tuple[ModelAlias, ModelInfo]]) -> list[JsonObject]:
    """Return one entry for each model: chat models, then base models, then classifiers, each in the
    order of `models`.
    """
    entries = []
    for alias, info in models:
        own = {name: getattr(alias.options, name) for name in CHAT_SAMPLING}
        own = {name: value for name, value in own.items() if value is not None}
        entries.append(
            {
                "name": alias.name,
                "kind": info.use,
                "capabilities": list(info.capabilities),
                "sampling": {**chat_sampling(info.path), **own},
                "labels": list(info.labels),
                "live": live_page_of(alias, info) is not None,
                "runs_in_page": live_fault(alias, info) == "",
            }
        )
    return sorted(entries, key=lambda entry: KINDS.index(entry["kind"]))


def live_page_of(alias: ModelAlias, info: ModelInfo) -> Path | None:
    """Return the page of a build with its own model inside; None for any other model."""
    build = info.path.parent
    if alias.assistant or not (build / LIVE_NAME).is_file():
        return None
    try:
        page = inside_folder(build, LIVE_NAME)
        is_own = read_stage_kinds(build).get(info.path.name) == "pretrain"
    except FormatError:  # the model is served all the same
        return None
    return page if is_own else None
