"""The app of each key: over the server as the key's clients see it (`ModelServer.seen_with`), so
that no route can reach more than the key may use. A public key has the routes that ask its
assistants and rate their replies, a request of an open path (no key) those that other web sites
load the assistant from:

GET /embed.js           the script of <script src="https://assistant.example/embed.js"
                        data-assistant="bank" data-key="pk-..." async></script>
GET /embed/ASSISTANT    the page in the frame that the script opens; its files are those of /page
GET /page/NAME

The frame is a page of this server, so the two sites cannot read or style one another; it sends the
public key, which it has from the part of its address behind "#", that no browser sends to a server.
Only pages of the origins of a public key of the assistant may show the frame (`frame-ancestors`).
The page of the frame is cut out of the server's own, so that there is one assistant.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from groundup.errors import GroundupError
from groundup.http.access import Access
from groundup.http.guard import KEY, POLICY, SECURITY
from groundup.http.keys import ClientKey
from groundup.http.page import INDEX, MEDIA_TYPES, file_route
from groundup.http.responses import RefusedError, error_handlers
from groundup.serve.app.application import (
    ServedBeside,
    app_of,
    error_body,
    paths_of,
    refuse,
)
from groundup.serve.app.page_files import FRAME, SCRIPT, served_files
from groundup.serve.server import ModelServer

PUBLIC_ONLY = "A public key may ask its assistants, and nothing else."
# Browsers ask again after an hour.
CACHED = {"cache-control": "public, max-age=3600"}
_PARTS = {
    "assistant": r'<section id="assistant".*?</section>',
    "passage": r'<dialog id="passage".*?</dialog>',
}
_NO_ANCESTORS = "frame-ancestors 'none'"
_FRAMED = {
    name: value
    for name, value in SECURITY.items()
    if name not in ("x-frame-options", "cross-origin-opener-policy")
} | {"cross-origin-resource-policy": "cross-origin"}


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
        self._open: Starlette | None = None
        if public:
            self._open = open_app({name for key in public for name in key.assistants})
        self._apps = {key.name: _app_of_key(server, key, beside) for key in access.keys}
        self._apps[access.operator.name] = self.operators
        self._paths: frozenset[str] = frozenset()

    def has_path(self, path: str) -> bool:
        """Whether it is one of the paths without a path parameter."""
        if path not in self._paths:  # routes of documents may have come since
            apps = {*self._apps.values(), *([self._open] if self._open else [])}
            self._paths = frozenset().union(*map(paths_of, apps))
        return path in self._paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self.operators
        if scope["type"] != "lifespan":
            key: ClientKey | None = scope[KEY]
            if key is None:
                assert self._open is not None  # only a public key has open paths
                app = self._open
            else:
                app = self._apps[key.name]
        await app(scope, receive, send)


def _app_of_key(server: ModelServer, key: ClientKey, beside: ServedBeside | None) -> Starlette:
    view = server.seen_with(key)
    if not key.public:
        return app_of(view, beside)

    from groundup.serve.app import documents

    async def nothing_else(request: Request) -> Response:
        raise RefusedError(403, PUBLIC_ONLY)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    rest = Route("/{path:path}", nothing_else, methods=methods)
    return Starlette(
        routes=[*documents.routes(view), rest],
        exception_handlers={**error_handlers(error_body), GroundupError: refuse},
    )


def open_app(assistants: Iterable[str]) -> Starlette:
    """Return the app of the paths that need no key; `assistants`: as public keys name them."""
    files, names = served_files(), frozenset(assistants)
    frame = frame_page(files)

    async def script(request: Request) -> Response:
        media_type, content = files[SCRIPT]
        return Response(content, media_type=media_type, headers=CACHED)

    async def framed(request: Request) -> Response:
        if request.path_params["assistant"] not in names:
            raise RefusedError(404, "No public key is for an assistant of this name.")
        return Response(frame, media_type=MEDIA_TYPES[".html"])

    routes = [
        Route(f"/{SCRIPT}", script),
        Route("/embed/{assistant}", framed),
        file_route(served_files),
    ]
    return Starlette(routes=routes, exception_handlers=error_handlers(error_body))


def frame_page(files: Mapping[str, tuple[str, bytes]]) -> bytes:
    """Return the page of a frame, with its parts of the server's own page."""
    whole, page = files[INDEX][1].decode(), files[FRAME][1].decode()
    for name, pattern in _PARTS.items():
        found = re.search(pattern, whole, re.DOTALL)
        assert found is not None, name
        page = page.replace(f"<!-- {name} -->", found[0])
    return page.encode()


def open_paths(access: Access, keys: Iterable[ClientKey]) -> dict[str, Mapping[str, str]]:
    """Return the paths that need no key, with their security headers (`Access.open_paths`)."""
    origins: dict[str, set[str]] = {}
    for key in keys:
        allowed = access.origins if key.origins is None else key.origins
        for assistant in key.assistants:
            origins.setdefault(assistant, set()).update(allowed)
    paths: dict[str, Mapping[str, str]] = {
        f"/embed/{assistant}": _framed_by(allowed) for assistant, allowed in origins.items()
    }
    script = SECURITY | {"cross-origin-resource-policy": "cross-origin"}
    return paths | {f"/{SCRIPT}": script, "/embed/": SECURITY, "/page/": SECURITY}


def _framed_by(origins: Iterable[str]) -> dict[str, str]:
    web = sorted(each for each in origins if each.startswith(("https://", "http://")))
    if not web:
        return SECURITY
    ancestors = f"frame-ancestors {' '.join(web)}"
    return _FRAMED | {"content-security-policy": POLICY.replace(_NO_ANCESTORS, ancestors)}
