"""What the page of `groundup serve` alone asks for, in no client's dialect.

/groundup/models   the models as its menus show them: chat models first, each with how its answers are drawn. No tokenizer is read for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.engine.chat_sampling import CHAT_SAMPLING, chat_sampling
from groundup.http.json_response import JsonResponse
from groundup.http.page import page_routes
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.server import Server

KINDS = ("chat", "base", "classifier")


def routes(server: Server) -> list[Route]:
    """The page, its files and its menus."""

    async def models(request: Request) -> Response:
        shelf = server.shelf
        listed = await asyncio.to_thread(lambda: [(named, shelf.facts(named)) for named in shelf.listed()])
        return JsonResponse({"models": await asyncio.to_thread(menu, listed)})

    return [*page_routes("groundup.serve"), Route("/groundup/models", models)]


def menu(listed: Sequence[tuple[ModelAlias, ModelInfo]]) -> list[dict[str, Any]]:
    """What the menus need of each model: chat models, then base models, then classifiers; each kind in the order of `listed`."""
    entries = [
        {
            "name": named.name,
            "kind": _kind(facts),
            "capabilities": list(facts.capabilities),
            "sampling": {**chat_sampling(facts.path), **_said(named)},
        }
        for named, facts in listed
    ]
    return sorted(entries, key=lambda entry: KINDS.index(entry["kind"]))


def _kind(facts: ModelInfo) -> str:
    if facts.kind == "classifier":
        return "classifier"
    return "chat" if facts.chats else "base"


def _said(named: ModelAlias) -> dict[str, Any]:
    """How answers are drawn, as far as a client that made this name said so."""
    return {key: value for key, value in asdict(named.options).items() if key in CHAT_SAMPLING and value is not None}
