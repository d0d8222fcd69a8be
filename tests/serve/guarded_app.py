"""A small app behind the guard, as a process of its own: `python guarded_app.py PORT HOST KEY '{"body_bytes": 1000}'`."""

import asyncio
import json
import sys
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from groundup.http.access import access_for
from groundup.http.guard import Guard
from groundup.http.limits import Limits
from groundup.http.responses import error_handlers, read_object
from groundup.http.run_server import run_server


async def length(request: Request) -> Response:
    return JSONResponse({"length": len(await request.body())})


async def keys(request: Request) -> Response:
    return JSONResponse({"keys": sorted(read_object(await request.body(), Limits()))})


async def forever(request: Request) -> Response:
    await asyncio.sleep(3600)
    return Response()


async def stuck(request: Request) -> Response:
    await asyncio.to_thread(time.sleep, 60)
    return Response()


async def bug(request: Request) -> Response:
    raise RuntimeError("/a/path/of/this/machine")


ROUTES = [
    Route("/length", length, methods=["GET", "POST"]),
    Route("/keys", keys, methods=["POST"]),
    Route("/forever", forever),
    Route("/stuck", stuck),
    Route("/bug", bug),
    Mount("/static", StaticFiles(directory=Path(__file__).parent)),
]
APP = Starlette(routes=ROUTES, exception_handlers=error_handlers())

if __name__ == "__main__":
    port, host, key, limits = sys.argv[1:]
    guard = Guard(APP, access_for(host, api_key=key or None), Limits(**json.loads(limits)))
    run_server(guard, host, int(port), announce=lambda address: print(address, flush=True))
