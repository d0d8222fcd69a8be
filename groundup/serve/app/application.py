"""The server as one ASGI app: the routes of every API dialect, and errors in the JSON shape of the
dialect at a path.

All dialects share one port and no path belongs to two: Ollama has /api, OpenAI has /v1, Perplexity
/chat/completions and /search, both /v1/responses. Outside of any dialect are / (a text that
Ollama's clients look for; a browser, which accepts text/html, gets the page), /page and /groundup
(used by the page), /healthz and /metrics. To add a dialect: a folder with a translator and its
routes, and a line here. Errors of /api have Ollama's shape, all others OpenAI's, which is
Perplexity's, too.
"""

import asyncio
import contextlib
import difflib
import json
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundup.errors import ConfigError, DataError, GroundupError, MissingExtra, ModelError
from groundup.http.access_log import MEDIA_TYPE
from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse, error_handlers
from groundup.serve.app import page
from groundup.serve.app.lazy_routes import LazyRoutes, plain_paths
from groundup.serve.ollama import routes as ollama
from groundup.serve.ollama.answers import error_body as ollama_error
from groundup.serve.openai import routes as openai
from groundup.serve.openai.fields import error_body as openai_error
from groundup.serve.requests import RequestError
from groundup.serve.server import OPERATOR, ModelServer

# The known path that an unknown one most likely stands for.
LIKELY_PATHS = {
    **dict.fromkeys(("/v1/messages", "/v1/chat", "/chat"), "/v1/chat/completions"),
    **dict.fromkeys(("/completions", "/v1/engines/completions", "/v1/generate"), "/v1/completions"),
    **dict.fromkeys(("/embeddings", "/v1/embed", "/v1/embedding"), "/v1/embeddings"),
    **dict.fromkeys(("/models", "/v1/model"), "/v1/models"),
    **dict.fromkeys(("/api/models", "/api/list"), "/api/tags"),
    "/api/completions": "/api/generate",
    "/api/chat/completions": "/v1/chat/completions",
    "/api/embedding": "/api/embed",
    "/responses": "/v1/responses",
    "/sonar": "/v1/sonar",
}
OF_THE_PAGE = ("/groundup/", "/page/", "/embed", "/healthz", "/metrics")
log = logging.getLogger(__name__)


def app_of(server: ModelServer, beside: "ServedBeside | None" = None) -> Starlette:
    """Return the app, to be wrapped in `http.guard.Guard`."""

    async def healthz(request: Request) -> Response:
        return JsonResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        server.metrics.jobs.set(server.worker.num_answers)
        server.metrics.models.set(len(server.loaded_models.current()))
        return Response(server.metrics.text(), media_type=MEDIA_TYPE)

    routes: list[BaseRoute] = [
        *page.routes(server),
        Route("/healthz", healthz),
        *([Route("/metrics", metrics)] if server.client is OPERATOR else []),
        *ollama.routes(server),
        *openai.routes(server),
        *([] if beside is None else [beside.route(server)]),
    ]
    if server.indexes.names:
        routes += document_routes(server)
    else:  # what reads documents takes a third of a server's start
        routes += [*routes_of_no_index(), LazyRoutes(routes, partial(document_routes, server))]
    app = Starlette(
        routes=routes,
        exception_handlers={
            **error_handlers(error_body, lambda path: unknown_path(path, api_paths(routes))),
            GroundupError: refuse,
        },
        lifespan=lambda app: running(server, beside),
    )
    app.router.redirect_slashes = False  # a path with an additional slash is another path: 404
    return app


def document_routes(server: ModelServer) -> list[BaseRoute]:
    """Return the routes that answer from documents, or may."""
    from groundup.serve.app import documents
    from groundup.serve.perplexity import routes as perplexity
    from groundup.serve.responses import routes as responses

    return [*documents.routes(server), *perplexity.routes(server), *responses.routes(server)]


def routes_of_no_index() -> list[BaseRoute]:
    """Return those of `documents.py` that the page asks first, with nothing to list."""

    def nothing(name: str) -> Route:
        async def empty(request: Request) -> Response:
            return JsonResponse({name: []})

        return Route(f"/groundup/{name}", empty)

    return [nothing("assistants"), nothing("indexes")]


def paths_of(app: Starlette) -> frozenset[str]:
    """Return every path without a path parameter."""
    return plain_paths(app.routes)


def api_paths(routes: Sequence[BaseRoute]) -> list[str]:
    """Return the paths of the API dialects: all but those of the page and its documents."""
    return [path for path in plain_paths(routes) if not path.startswith(OF_THE_PAGE)]


def unknown_path(path: str, known: Collection[str]) -> str:
    """Return the message for an unknown path, with the `known` path that the client most likely
    means.

    >>> unknown_path("/v1/messages", []), unknown_path("/favicon.ico", ["/v1/models"])
    ('There is no such path here; this server has /v1/chat/completions.', 'Not Found')
    """
    path = path.rstrip("/").lower()
    likely = [LIKELY_PATHS[path]] if path in LIKELY_PATHS else []
    # of "/x/v1/chat/completions" the longest end, not "/chat/completions"
    by_length = sorted(known, key=lambda each: (-len(each), each))
    likely += [each for each in by_length if path.endswith(each)]
    likely += difflib.get_close_matches(path, by_length, n=1, cutoff=0.8)
    if not likely:
        return "Not Found"
    return f"There is no such path here; this server has {likely[0]}."


def error_body(status: int, message: str, path: str) -> bytes:
    """Return an error as JSON in the shape of the dialect at this path."""
    return json.dumps(_shape(path, status, message)).encode()


def _shape(
    path: str, status: int, message: str, param: str | None = None, code: str | None = None
) -> JsonObject:
    if path.startswith("/api/"):
        return ollama_error(message)
    return openai_error(message, status, param=param, code=code)


def refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, GroundupError)
    shown = shown_error(error)
    shape = _shape(request.url.path, shown.status, shown.message, shown.param, shown.code)
    response = JsonResponse(shape, shown.status)
    if shown.status == 503:
        response.headers["Retry-After"] = "1"
    return response


def shown_error(error: GroundupError) -> RequestError:
    """Return what a client is told of an error. Invalid values and missing packages are shown;
    other errors (those about files contain paths) only go to the log.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ConfigError | DataError | ModelError):
        return RequestError(error.message)
    if isinstance(error, MissingExtra):
        return RequestError(error.message, status=501)
    log.error("a request could not be answered: %s", error)
    return RequestError("internal server error; the server's log has the details", status=500)


class ServedBeside(Protocol):
    """Something that is served beside the APIs."""

    def route(self, server: ModelServer) -> Route:
        """Return its route, over a server as one key sees it."""

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Run for as long as the server does."""


@contextlib.asynccontextmanager
async def running(server: ModelServer, beside: ServedBeside | None = None) -> AsyncIterator[None]:
    """Hold what a server needs while it runs, in its event loop."""
    async with contextlib.AsyncExitStack() as stack:
        if beside is not None:
            await stack.enter_async_context(beside.running())
        watching = asyncio.create_task(server.loaded_models.watch())
        try:
            yield
        finally:
            watching.cancel()
            server.worker.close()
