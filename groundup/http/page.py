"""The page, and the files of pages: read once from the package. Nothing else can be asked for by these routes, so no name leads elsewhere.

/                  the page, to who asks for text/html; else one word, which Ollama's clients look for
/page/NAME         its styles and scripts
/groundup/models   the models as its menus show them: chat models first, each with how its answers are drawn. No tokenizer is read for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from groundup.engine.talking import TALKING, talking_of
from groundup.http.json_response import JsonResponse
from groundup.http.responses import RefusedError
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias
from groundup.serve.server import Server

GREETING = "groundup is running"
INDEX = "index.html"
KINDS = ("chat", "base", "classifier")
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_files(package: str) -> dict[str, tuple[str, bytes]]:
    """All files of the folder `web` of a package: name -> (media type, bytes)."""
    folder = resources.files(package).joinpath("web")
    return {
        file.name: (MEDIA_TYPES[PurePosixPath(file.name).suffix], file.read_bytes())
        for file in folder.iterdir()
        if PurePosixPath(file.name).suffix in MEDIA_TYPES
    }


def routes(server: Server) -> list[Route]:
    """All of them."""
    files = page_files("groundup.serve")

    async def front(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(GREETING, headers={"Vary": "Accept"})
        media_type, content = files[INDEX]
        return Response(content, media_type=media_type, headers={"Vary": "Accept"})

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise RefusedError(404, "The page has no such file.")
        media_type, content = files[name]
        return Response(content, media_type=media_type)

    async def models(request: Request) -> Response:
        shelf = server.shelf
        listed = await asyncio.to_thread(lambda: [(named, shelf.facts(named)) for named in shelf.listed()])
        return JsonResponse({"models": await asyncio.to_thread(menu, listed)})

    return [Route("/", front), Route("/page/{name}", file), Route("/groundup/models", models)]


def menu(listed: Sequence[tuple[ModelAlias, ModelInfo]]) -> list[dict[str, Any]]:
    """What the menus need of each model: chat models, then base models, then classifiers; each kind in the order of `listed`."""
    entries = [
        {
            "name": named.name,
            "kind": _kind(facts),
            "capabilities": list(facts.capabilities),
            "sampling": {**talking_of(facts.path), **_said(named)},
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
    return {key: value for key, value in asdict(named.options).items() if key in TALKING and value is not None}
