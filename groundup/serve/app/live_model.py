"""The page that runs a served model in the browser, and what it fetches:

GET /live/MODEL                                     the page; it says what loading takes
GET /groundup/live-program/FILE                     its program and style
GET /groundup/live-model/MODEL/DIGEST/page.json     config, tokenizer, chat prompt, hashes; the
                                                    weights are prepared at the first request
GET /groundup/live-model/MODEL/DIGEST/parts/N       the weights, 4 MiB each

All are behind the middleware as every other route. They give the model away, so they are for the
operator alone: without a key whoever connects, else who has the operator's; a further key may ask a
model but not take it. DIGEST is that of the model's files, so a page never mixes two models. What
needs torch is imported by the first request.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from groundup.errors import GroundupError
from groundup.http.guard import COMPILING
from groundup.http.page import MEDIA_TYPES
from groundup.lab.live.supported import served_fault
from groundup.serve.model_registry import LATEST, ModelAlias, ModelInfo
from groundup.serve.requests import RequestError
from groundup.serve.server import OPERATOR, ModelServer
from groundup.serve.worker import in_own_thread

if TYPE_CHECKING:
    from groundup.lab.live.parts import ModelParts

BYTES = "application/octet-stream"
# Whose places are remembered.
MAX_MODELS = 64
log = logging.getLogger(__name__)


def live_fault(alias: ModelAlias, info: ModelInfo) -> str:
    """Why no page runs this model, as far as its config tells; "" where one may."""
    if info.kind != "language" or alias.assistant:
        return "is no language model alone"
    if info.base is not None:
        return "is an adapter: convert it to a model with its base first"
    fault = served_fault(info.config, info.parameters)
    return fault and f"has {fault}"


def live_model_routes(server: ModelServer) -> list[Route]:
    """Return the routes of the page and of the model's parts; none for a further key."""
    if server.client is not OPERATOR:
        return []
    made: dict[str, "ModelParts"] = {}  # by digest

    async def page(request: Request) -> Response:
        from groundup.lab.live.served_page import ServedModel, render_served

        name = request.path_params["name"]
        alias, info = await server.find(name, "completion")
        served = ServedModel(
            alias.name.removesuffix(f":{LATEST}"), info.config, info.parameters, info.digest
        )
        html = await asyncio.to_thread(render_served, served, live_fault(alias, info))
        return HTMLResponse(html, headers={"content-security-policy": COMPILING})

    async def program(request: Request) -> Response:
        from groundup.lab.live.served_page import program_files

        files, name = await asyncio.to_thread(program_files), request.path_params["file"]
        if name not in files:
            raise RequestError("the page has no such file", status=404)
        return Response(files[name], media_type=MEDIA_TYPES[name[name.rindex(".") :]])

    async def parts_of(request: Request) -> "ModelParts":
        from groundup.lab.live.parts import parts_digest

        name, digest = request.path_params["name"], request.path_params["digest"]
        alias, info = await server.find(name, "completion")
        fault = live_fault(alias, info)
        if fault:
            raise RequestError(f'model "{alias.name}" {fault}')
        if digest != parts_digest(info.digest):
            raise RequestError("the model is another one now: reload the page", status=404)
        if digest not in made:
            async with server.parts_lock:
                found = await in_own_thread(lambda: _prepared(alias.name, info))
            if len(made) >= MAX_MODELS:
                made.clear()
            made[digest] = found
        return made[digest]

    async def described(request: Request) -> Response:
        return FileResponse((await parts_of(request)).page_file, media_type="application/json")

    async def part(request: Request) -> Response:
        parts, number = await parts_of(request), request.path_params["part"]
        if number >= parts.num_parts:
            raise RequestError(f"the model has {parts.num_parts} parts, from 0", status=404)
        return Response(await asyncio.to_thread(parts.read, number), media_type=BYTES)

    model = "/groundup/live-model/{name}/{digest}"
    return [
        Route("/live/{name}", page),
        Route("/groundup/live-program/{file}", program),
        Route(f"{model}/page.json", described),
        Route(f"{model}/parts/{{part:int}}", part),
    ]


def _prepared(name: str, info: ModelInfo) -> "ModelParts":
    """Return the parts of a model, made where they are not kept.

    Raises RequestError when the model can't be read (500), ModelError where the page can't run it.
    """
    from groundup.device import select_compute
    from groundup.lab.live.parts import kept_parts, make_parts
    from groundup.weights.model_io import open_model

    kept = kept_parts(info.digest)
    if kept is not None:
        return kept
    try:
        opened = open_model(str(info.path), select_compute("cpu"))
        opened.require_tokenizer()
    except (GroundupError, OSError, MemoryError) as error:
        log.error("%s could not be read for its page: %s", name, error)
        problem = f'model "{name}" could not be read; the server\'s log says why'
        raise RequestError(problem, status=500) from error
    return make_parts(opened, name, info.digest)
