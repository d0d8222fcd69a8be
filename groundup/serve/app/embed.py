"""The assistant in other web sites: what their pages load without a key.

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

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.access import Access
from groundup.http.guard import POLICY, SECURITY
from groundup.http.keys import ClientKey
from groundup.http.page import INDEX, MEDIA_TYPES, file_route, page_files
from groundup.http.responses import RefusedError, error_handlers
from groundup.serve.app.application import error_body

SCRIPT, FRAME = "embed.js", "embed.html"
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


def open_app(assistants: Iterable[str]) -> Starlette:
    """Return the app of the paths that need no key; `assistants`: as public keys name them."""
    package = "groundup.serve"
    files, names = page_files(package), frozenset(assistants)
    frame = frame_page(files)

    async def script(request: Request) -> Response:
        media_type, content = files[SCRIPT]
        return Response(content, media_type=media_type, headers=CACHED)

    async def framed(request: Request) -> Response:
        if request.path_params["assistant"] not in names:
            raise RefusedError(404, "No public key is for an assistant of this name.")
        return Response(frame, media_type=MEDIA_TYPES[".html"])

    routes = [Route(f"/{SCRIPT}", script), Route("/embed/{assistant}", framed), file_route(files)]
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
