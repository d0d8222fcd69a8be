"""The files of a page, read once from a package. Routes look names up among them, so that no
request can reach another file.

/                  the page, for clients that accept text/html; a greeting for others, which
                   Ollama's clients check for
/page/NAME         its styles and scripts
"""

import functools
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from groundup.http.responses import RefusedError
from groundup.palette import page_style

GREETING = "groundup is running"
INDEX = "index.html"
# Written from the palette; the other files lie in the package.
COLOURS = "colours.css"
Files = Callable[[], Mapping[str, tuple[str, bytes]]]
"""Read at the first request: what serves programs needs none of them."""
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.cache
def page_files(package: str) -> dict[str, tuple[str, bytes]]:
    """Those of a package's folder `web`, and the colours with the font: name -> (media type, bytes)."""
    folder = resources.files(package).joinpath("web")
    colours = {COLOURS: (MEDIA_TYPES[".css"], page_style().encode())}
    return colours | {
        file.name: (MEDIA_TYPES[PurePosixPath(file.name).suffix], file.read_bytes())
        for file in folder.iterdir()
        if PurePosixPath(file.name).suffix in MEDIA_TYPES
    }


def page_routes(files: Files) -> list[Route]:
    """Return the routes of a page and its files, which `page_files` reads."""

    async def front(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(GREETING, headers={"Vary": "Accept"})
        media_type, content = files()[INDEX]
        return Response(content, media_type=media_type, headers={"Vary": "Accept"})

    return [Route("/", front), file_route(files)]


def file_route(files: Files) -> Route:
    """Return the route of a page's files."""

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files():
            raise RefusedError(404, "The page has no such file.")
        media_type, content = files()[name]
        return Response(content, media_type=media_type)

    return Route("/page/{name}", file)
