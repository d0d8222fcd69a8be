"""/groundup/...: what the page shows of a model's inside, in no client's dialect. The lab computes it, in the worker's thread, between two steps.

POST /groundup/inside   {"model", "text", "block": 1}   a language model reading a text: tokens with their surprise, one block's attention
POST /groundup/heads    {"model"}                       the heads of all its blocks that do something one can name, found once for each model
POST /groundup/why      {"model", "text"}               a classifier: which tokens spoke for and against its verdict

Both look at the beginning of a text, and say where they stopped (`shown`): a picture of more tokens can't be read, and answers at work wait for it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.json_body import read_object
from groundup.http.json_response import JsonResponse
from groundup.lab.attention import attention_picture
from groundup.lab.attribution import class_attribution
from groundup.lab.drawing.attention import PATTERNS
from groundup.lab.drawing.by_head import TIMES_CHANCE
from groundup.lab.head_patterns import search_heads
from groundup.lab.surprise import surprise
from groundup.lab.tokens import beginning
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.server import Server
from groundup.serve.worker import Worker
from groundup.weights.model_io import OpenModel

# Along the side of an attention map. A classifier reads the text once more without each of its tokens: work grows with the square.
SHOWN_TOKENS = 48
MAX_CHARACTERS = 20_000
EXPECTED = 3
# Random texts read to find the heads: each holds up the answers at work, and two tell heads apart as well as the lab's eight.
HEAD_TEXTS = 2
HEADS_OF_A_PATTERN = 3
# Models whose heads are remembered.
MAX_KNOWN = 64
Look = Callable[[OpenModel, str], dict[str, Any]]


class ModelBody(Body):
    """Which model."""

    model: str = Field(min_length=1)


class InsideBody(Body):
    """What is looked at; `block` counts from 1."""

    model: str = Field(min_length=1)
    text: str = Field(max_length=MAX_CHARACTERS)
    block: Whole = Field(1, ge=1)


def routes(server: Server) -> list[Route]:
    """All of them."""
    known: dict[str, dict[str, Any]] = {}  # by the model's digest

    async def asked(request: Request) -> InsideBody:
        return read_fields(InsideBody, read_object(await request.body(), server.limits))

    async def inside(request: Request) -> Response:
        body = await asked(request)
        return await _looked(server, body, "completion", lambda opened, text: _read(opened, text, body.block))

    async def why(request: Request) -> Response:
        return await _looked(server, await asked(request), "classification", _explained)

    async def heads(request: Request) -> Response:
        body = read_fields(ModelBody, read_object(await request.body(), server.limits))
        named, facts = await server.find(body.model, "completion")
        if facts.digest not in known:
            async with _place(server.worker), server.residents.lease(named.base, facts, None) as resident:
                found = await server.worker.run(lambda: _telling(resident.opened))
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[facts.digest] = found
        return JsonResponse({"model": body.model, **known[facts.digest]})

    return [
        Route("/groundup/heads", heads, methods=["POST"]),
        Route("/groundup/inside", inside, methods=["POST"]),
        Route("/groundup/why", why, methods=["POST"]),
    ]


async def _looked(server: Server, body: InsideBody, capability: str, look: Look) -> Response:
    """Raises RequestError (503 where answers at work and waiting are too many, and a look counts as one), DataError, ModelError."""
    named, facts = await server.find(body.model, capability)
    async with _place(server.worker), server.residents.lease(named.base, facts, None) as resident:
        opened = resident.opened
        room = min(SHOWN_TOKENS, facts.config.context_tokens - 1)
        shown = beginning(opened.require_tokenizer(), body.text, room)
        found = await server.worker.run(lambda: look(opened, shown))
    return JsonResponse({"model": body.model, "shown": len(shown), **found})


@contextlib.asynccontextmanager
async def _place(worker: Worker) -> AsyncIterator[None]:
    """A place among the answers at work and waiting."""
    worker.admit(1)
    worker.jobs += 1
    try:
        yield
    finally:
        worker.jobs -= 1


def _read(opened: OpenModel, text: str, block: int) -> dict[str, Any]:
    """Tokens of the text, each with its surprise; attention also of the token that begins every text, where the model has one."""
    picture = attention_picture(opened.model, opened.tokenizer, text, blocks=(block,))
    told = surprise(opened.model, opened.tokenizer, text, top=EXPECTED)
    return {
        "blocks": opened.config.num_layers,
        "tokens": told["tokens"],
        "bits_per_token": told["bits_per_token"],
        "pieces": picture["pieces"],
        "heads": [head["weights"] for head in picture["heads"]],
    }


def _telling(opened: OpenModel) -> dict[str, Any]:
    """Return for each pattern the heads with a score far above chance, the highest first."""
    found = search_heads(opened.model, opened.tokenizer, sequences=HEAD_TEXTS)
    heads = [
        {**head, "kind": kind["kind"], "looks": PATTERNS[kind["kind"]], "chance": kind["chance"]}
        for kind in found["kinds"]
        for head in kind["best"][:HEADS_OF_A_PATTERN]
        if head["score"] > TIMES_CHANCE * kind["chance"]
    ]
    return {"heads": heads, "caption": found["caption"]}


def _explained(opened: OpenModel, text: str) -> dict[str, Any]:
    return class_attribution(opened.model, opened.tokenizer, text, labels=opened.labels)
