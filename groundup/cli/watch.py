"""`groundup watch`: a live page over runs in training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.fields import grouped
from groundup.cli.options import JsonOption, ListenOptions, PortOption
from groundup.errors import ConfigError, require_extra
from groundup.runs import nearest_names

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from groundup.report.live.follow import Watched

PORT = 8765
# A script of the page that is written for the browser that asks.
TEXTS = "texts.js"


@grouped()
def command(
    runs: Annotated[
        list[Path], Argument(metavar="RUN", help="Run folders, builds, or a folder of them.")
    ],
    port: PortOption = PORT,
    listen: ListenOptions = ListenOptions(),
    wait: Annotated[bool, Option("--wait", help="Wait for runs that do not exist yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Follow runs during training: loss, bits per byte, learning rate, gradient norm, speed,
    samples, and advice.

    A page for your browser, for this machine only unless --host is given. It only reads the run
    folders, so training is not affected. --json prints the present state and exits. Needs the extra
    `serve`.

    Examples:
        groundup watch runs/quickstart
        groundup watch runs/a runs/b --port 9000
        groundup watch runs/tonight --wait
        groundup watch runs/quickstart --json
    """
    from groundup.report.live.follow import Watched

    watched = Watched(runs)
    missing = [run for run in runs if not run.exists()]
    if missing and (as_json or not wait):
        fix = nearest_names(missing[0], "build", "run")
        fix += " If it is going to be made, wait for it with --wait (without --json)."
        raise ConfigError(f"{missing[0]} does not exist.", fix=fix.strip())
    if as_json:
        details = [{**row, **(watched.detail(row["id"]) or {})} for row in watched.summaries()]
        print_result([], {"runs": details}, as_json)
        return
    require_extra("serve", "starlette", "uvicorn")
    for run in missing:
        console_progress().say(f"{run} does not exist yet: waiting for it.")
    serve(watched, port, listen)


def serve(watched: "Watched", port: int, listen: ListenOptions) -> None:
    """Raises ConfigError: the port is taken, or other machines could connect without a key."""
    from groundup.http.access import access_for
    from groundup.http.guard import Guard
    from groundup.http.run_server import run_server

    count = len(watched.summaries())
    what = {0: "for new runs", 1: "1 run"}.get(count, f"{count} runs")
    run_server(
        Guard(watch_app(watched), access_for(**vars(listen))),
        listen.host,
        port,
        announce=lambda address: print(f"Watching {what}: {address}  (Ctrl-C ends it)", flush=True),
    )


def watch_app(watched: "Watched") -> "Starlette":
    """The page, /runs.json (one row per run) and /runs/3.json (everything about one run); texts in
    the language that the browser prefers.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from groundup.http.page import INDEX, MEDIA_TYPES, page_files
    from groundup.http.responses import JsonResponse, RefusedError, error_handlers, path_number
    from groundup.language.messages import preferred_language
    from groundup.language.page_texts import page_language

    files = page_files("groundup.report.live")

    def language(request: Request) -> str:
        return preferred_language(request.headers.get("accept-language", ""))

    def page(request: Request) -> Response:
        name = request.path_params.get("name", INDEX)
        if name == TEXTS:
            script, headers = page_script(language(request)), {"Vary": "Accept-Language"}
            return Response(script, media_type=MEDIA_TYPES[".js"], headers=headers)
        if name not in files:
            raise RefusedError(404, "There is no such page.")
        media_type, content = files[name]
        return Response(content, media_type=media_type)

    def rows(request: Request) -> Response:
        return JsonResponse({"runs": watched.summaries()})

    def one(request: Request) -> Response:
        with page_language(language(request)):
            detail = watched.detail(path_number(request.path_params["number"]))
        if detail is None:
            raise RefusedError(404, "There is no run of that number.")
        return JsonResponse(detail)

    addresses = {"/": page, "/runs.json": rows, "/runs/{number}.json": one, "/{name:str}": page}
    routes = [Route(path, endpoint) for path, endpoint in addresses.items()]
    app = Starlette(routes=routes, exception_handlers=error_handlers())
    app.router.redirect_slashes = False
    return app


def page_script(language: str) -> str:
    """The texts of a language for the page, by the English ones in its files."""
    from groundup.language.page_texts import page_texts

    texts = json.dumps(dict(page_texts(language)), ensure_ascii=False)
    return f"export const LANGUAGE = {json.dumps(language)};\nexport const TEXTS = {texts};\n"
