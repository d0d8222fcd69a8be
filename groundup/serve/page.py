"""Routes that only the web page of `groundup serve` uses, outside of any API dialect.

/groundup/models   the models for its menus: chat models first, each with its sampling settings. No tokenizer is read for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.engine.chat_sampling import CHAT_SAMPLING, chat_sampling
from groundup.http.page import page_routes
from groundup.http.responses import JsonResponse
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.server import Server

KINDS = ("chat", "base", "classifier")


def routes(server: Server) -> list[Route]:
    """Return the routes of the page, its files and its menus."""

    async def models(request: Request) -> Response:
        registry = server.registry
        listed = await asyncio.to_thread(lambda: [(alias, registry.info(alias)) for alias in registry.listed()])
        return JsonResponse({"models": await asyncio.to_thread(menu, listed)})

    return [*page_routes("groundup.serve"), Route("/groundup/models", models)]


def menu(listed: Sequence[tuple[ModelAlias, ModelInfo]]) -> list[dict[str, Any]]:
    """Return one entry for each model: chat models, then base models, then classifiers, each in the order of `listed`."""
    entries = [
        {
            "name": alias.name,
            "kind": _kind(info),
            "capabilities": list(info.capabilities),
            "sampling": {**chat_sampling(info.path), **_alias_sampling(alias)},
        }
        for alias, info in listed
    ]
    return sorted(entries, key=lambda entry: KINDS.index(entry["kind"]))


def _kind(info: ModelInfo) -> str:
    if info.kind == "classifier":
        return "classifier"
    return "chat" if info.chats else "base"


def _alias_sampling(alias: ModelAlias) -> dict[str, Any]:
    """Return the sampling settings stored with an alias."""
    return {key: value for key, value in asdict(alias.options).items() if key in CHAT_SAMPLING and value is not None}
