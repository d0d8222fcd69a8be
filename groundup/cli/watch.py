"""`groundup watch`: runs looked at while they are trained, on a page of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ListenOptions, grouped
from groundup.errors import ConfigError, require_extra

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from groundup.report.live.watched import Watched

PORT = 8765

RunsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Run folders, builds, or a folder that holds them; they may come later."),
]
PortOption = Annotated[int, typer.Option("--port", help="0 takes any that is free.", min=0, max=65535)]


@grouped()
def command(
    runs: RunsArgument,
    port: PortOption = PORT,
    listen: ListenOptions = ListenOptions(),
    as_json: JsonOption = False,
) -> None:
    """Follow runs while they are trained: loss, bits per byte, learning rate, gradient, speed; what the model writes; what the figures mean.

    A page for your browser, on this machine alone unless --host says otherwise. It reads the run folders and nothing else: training does not
    notice it. --json prints what is known now, and ends. Needs the extra `serve`.

    Examples:

        groundup watch runs/quickstart

        groundup watch runs/a runs/b --port 9000

        groundup watch runs/quickstart --json
    """
    from groundup.report.live.watched import Watched

    watched = Watched(runs)
    missing = [run for run in runs if not run.exists()]
    if as_json:
        if missing:
            raise ConfigError(
                f"{missing[0]} does not exist.", fix="Name a folder of runs; without --json it is waited for."
            )
        details = [{**row, **(watched.detail(row["id"]) or {})} for row in watched.summaries()]
        print_result([], {"runs": details}, as_json)
        return
    require_extra("serve", "starlette", "uvicorn")
    for run in missing:
        console_progress().say(f"{run} does not exist yet: waiting for it.")
    serve(watched, port, listen)


def serve(watched: "Watched", port: int, listen: ListenOptions) -> None:
    """Serve the page until a signal. Raises ConfigError: the port is taken, or the door would stand open."""
    from groundup.http.access import access_for
    from groundup.http.guard import Guard
    from groundup.http.run_server import run_server

    guard = Guard(watch_app(watched), access_for(**vars(listen)))
    found = len(watched.summaries())
    what = f"{found} run{'' if found == 1 else 's'}" if found else "what begins to run"
    run_server(
        guard,
        listen.host,
        port,
        announce=lambda address: print(f"Watching {what}: {address}  (Ctrl-C ends it)", flush=True),
    )


def watch_app(watched: "Watched") -> "Starlette":
    """The page and its two addresses of values: /runs.json (a row each), /runs/3.json (all of one)."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from groundup.http.page import INDEX, page_files
    from groundup.http.responses import JsonResponse, RefusedError, error_handlers

    files = page_files("groundup.report.live")

    def page(request: Request) -> Response:
        name = request.path_params.get("name", INDEX)
        if name not in files:
            raise RefusedError(404, "There is no such page.")
        media_type, content = files[name]
        return Response(content, media_type=media_type)

    def rows(request: Request) -> Response:
        return JsonResponse({"runs": watched.summaries()})

    def one(request: Request) -> Response:
        detail = watched.detail(request.path_params["number"])
        if detail is None:
            raise RefusedError(404, "There is no run of that number.")
        return JsonResponse(detail)

    routes = [
        Route("/", page),
        Route("/runs.json", rows),
        Route("/runs/{number:int}.json", one),
        Route("/{name:str}", page),
    ]
    app = Starlette(routes=routes, exception_handlers=error_handlers())
    app.router.redirect_slashes = False
    return app
