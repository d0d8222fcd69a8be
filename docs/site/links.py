"""Links of the built site: each leads to a page and an anchor that exist, and no page loads anything from elsewhere.

python docs/site/links.py build/site/html
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser fetches without being asked.
LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "data-src"),
    ("video", "src"),
    ("link", "href"),
}


class Page(HTMLParser):
    """The anchors and the addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, bool]] = []
        """Each with whether the browser fetches it itself."""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.addresses.append((value, (tag, name) in LOADED))


def faults_of_site(folder: Path) -> list[str]:
    """Return a line for each dead link, missing anchor, and address of another host that a page or style sheet loads."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    faults = [
        f"{path.relative_to(folder)}: {fault}"
        for path, page in pages.items()
        for address, loaded in page.addresses
        if (fault := fault_of(address, loaded, path, pages, folder))
    ]
    for path in sorted(folder.rglob("*.css")):
        faults += [
            f"{path.relative_to(folder)}: loads {found}"
            for found in re.findall(r"url\(['\"]?(https?:[^)]+)", path.read_text())
        ]
    return faults


def fault_of(
    address: str, loaded: bool, path: Path, pages: dict[Path, Page], folder: Path
) -> str | None:
    """Return what is wrong with a link, or with something that a page loads; None: nothing."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return f"loads {address}" if loaded and parts.scheme != "data" else None
    # from the root: 404.html, which is shown at any address
    start = folder if parts.path.startswith("/") else path.parent
    target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return f"no such file: {address}"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return f"no such anchor: {address}"
    return None


if __name__ == "__main__":
    found = faults_of_site(Path(sys.argv[1]).resolve())
    print("\n".join(found))
    sys.exit(bool(found))
