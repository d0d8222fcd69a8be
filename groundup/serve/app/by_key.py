"""The app of each key: over the server as the key's clients see it (`ModelServer.seen_with`), so
that no route can reach more than the key may use. A public key has the routes that ask its
assistants and rate their replies, a request of an open path (no key) those of `embed.py`.
"""

from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from groundup.errors import GroundupError
from groundup.http.access import Access
from groundup.http.guard import KEY
from groundup.http.keys import ClientKey
from groundup.http.responses import RefusedError, error_handlers
from groundup.serve.app import documents, feedback
from groundup.serve.app.application import (
    ServedBeside,
    app_of,
    error_body,
    paths_of,
    refuse,
)
from groundup.serve.app.embed import open_app, open_paths
from groundup.serve.server import ModelServer

PUBLIC_ONLY = "A public key may ask its assistants, and nothing else."


class AppsByKey:
    """One ASGI app of several: the operator's, and one for each further key."""

    def __init__(
        self, server: ModelServer, access: Access, beside: ServedBeside | None = None
    ) -> None:
        """Raises ConfigError for a key of a name that is not served."""
        public = [key for key in access.keys if key.public]
        self.access = replace(access, open_paths=open_paths(access, public) if public else {})
        """With the paths that pages of other sites load, where there is a public key."""
        self.operators = app_of(server, beside)
        self._open = open_app({name for key in public for name in key.assistants})
        self._apps = {key.name: _app_of_key(server, key, beside) for key in access.keys}
        self._apps[access.operator.name] = self.operators

    @property
    def paths(self) -> frozenset[str]:
        """Every path without a path parameter."""
        return paths_of(self.operators) | paths_of(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self.operators
        if scope["type"] != "lifespan":
            key: ClientKey | None = scope[KEY]
            app = self._open if key is None else self._apps[key.name]
        await app(scope, receive, send)


def _app_of_key(server: ModelServer, key: ClientKey, beside: ServedBeside | None) -> Starlette:
    view = server.seen_with(key)
    if not key.public:
        return app_of(view, beside)

    async def nothing_else(request: Request) -> Response:
        raise RefusedError(403, PUBLIC_ONLY)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    rest = Route("/{path:path}", nothing_else, methods=methods)
    return Starlette(
        routes=[*documents.routes(view), *feedback.routes(view), rest],
        exception_handlers={**error_handlers(error_body), GroundupError: refuse},
    )
