"""The page's own files, read once from the package: name -> (media type, bytes). Nothing else can be asked for, so no name leads elsewhere."""

from importlib import resources
from pathlib import PurePosixPath

INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_files() -> dict[str, tuple[str, bytes]]:
    """All files of the page."""
    folder = resources.files("groundup.report.live").joinpath("web")
    return {
        file.name: (MEDIA_TYPES[PurePosixPath(file.name).suffix], file.read_bytes())
        for file in folder.iterdir()
        if PurePosixPath(file.name).suffix in MEDIA_TYPES
    }
