"""Every page of the built site in Chromium, as wide as a desktop and as a phone: a picture of each, and what is wrong with it.

    python docs/site/look.py [NAME...]       pages whose path contains NAME; pictures go to build/site/pictures

Faults: a request to another host, an error or a warning in the console, a page wider than the screen, a formula that was not set, an empty page.
"""

import shutil
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Page, TimeoutError, sync_playwright

SITE = Path(__file__).parents[2] / "build" / "site" / "html"
PICTURES = SITE.parent / "pictures"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
# Of a page that is longer, in pixels, only the beginning is in the picture.
MAX_PICTURE = 16_000
FORMULAS_ARE_SET = """() =>
  [...document.querySelectorAll(".arithmatex")].every((each) => each.querySelector("mjx-container"))"""
# Runs in the page: what a reader would see go wrong.
FAULTS = """() => {
  const wide = document.documentElement.scrollWidth - window.innerWidth, faults = [];
  const text = document.querySelector("article")?.innerText ?? "";
  if (wide > 1) faults.push(`is ${wide} pixels wider than the screen`);
  if (text.trim().length < 20) faults.push("is empty");
  const unset = [...document.querySelectorAll(".arithmatex")].filter((each) => !each.querySelector("mjx-container")).length;
  if (unset) faults.push(`${unset} formulas are not set`);
  const wrong = document.querySelectorAll("mjx-merror").length;
  if (wrong) faults.push(`${wrong} formulas are wrong`);
  const missing = [...document.images].filter((each) => each.complete && !each.naturalWidth).length;
  if (missing) faults.push(`${missing} pictures are missing`);
  return faults;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """The site's files, without a line for each."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def main() -> int:
    """Open every page in both widths and print what is wrong; return the exit code."""
    names = sys.argv[1:]
    pages = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    pages = [
        page
        for page in pages
        if page != "404.html" and (not names or any(name in page for name in names))
    ]
    shutil.rmtree(PICTURES, ignore_errors=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    count = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, (width, height) in WIDTHS.items():
            context = browser.new_context(viewport={"width": width, "height": height})
            for page in pages:
                view = context.new_page()
                found = faults_of(
                    view, f"{address}/{page}", address, PICTURES / name / f"{page}.png"
                )
                view.close()
                for fault in found:
                    print(f"{page} ({name}): {fault}", file=sys.stderr)
                count += len(found)
        browser.close()
    print(
        f"{len(pages)} pages looked at, {count} faults; pictures in {PICTURES.relative_to(SITE.parents[2])}"
    )
    return 1 if count else 0


def faults_of(view: Page, address: str, site: str, picture: Path) -> list[str]:
    """Open a page, write its picture and return what is wrong with it."""
    faults: list[str] = []
    view.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((site, "data:", "blob:"))
            else faults.append(f"asks for {request.url}")
        ),
    )
    view.on(
        "console",
        lambda message: (
            faults.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    view.goto(address)
    with suppress(TimeoutError):  # what is not set by then is a fault
        view.wait_for_function(FORMULAS_ARE_SET, timeout=20_000)
    faults += view.evaluate(FAULTS)
    picture.parent.mkdir(parents=True, exist_ok=True)
    height = view.evaluate("document.documentElement.scrollHeight")
    view.screenshot(path=picture, full_page=height < MAX_PICTURE)
    return faults


if __name__ == "__main__":
    sys.exit(main())
