"""The README's picture of the page: a question to the bank's documents, in a real Chromium.

    python benchmarks/page_picture.py [--question TEXT] [--out docs/images/page-documents.png]

Makes the index of the packaged pack in a temporary folder, serves it, asks, and takes the picture.
Needs Playwright with Chromium (the system's, else `playwright install chromium`) and Pillow.
"""

import argparse
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
QUESTION = "What is the fee for a cash withdrawal abroad?"
SIZE, COLOURS = (1180, 680), 64


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--documents", default=str(ROOT / "groundup/packs/bank/documents"))
    parser.add_argument("--index", help="an index that is made already")
    parser.add_argument("--width", type=int, default=SIZE[0])
    parser.add_argument("--height", type=int, default=SIZE[1])
    parser.add_argument("--out", default=str(ROOT / "docs/images/page-documents.png"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        groundup = [sys.executable, "-m", "groundup"]
        index = given.index or f"{folder}/documents.index"
        if not given.index:
            subprocess.run([*groundup, "index", given.documents, "--out", index], check=True)
        port = free_port()
        serve = [*groundup, "serve", "--index", index, "--port", str(port)]
        server = subprocess.Popen(serve)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address)
            Path(given.out).write_bytes(picture(address, given))
        finally:
            server.terminate()
            server.wait()


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for(address: str, seconds: float = 120) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{address}/groundup/indexes").close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def ask(page: Any, address: str, questions: Sequence[str]) -> None:
    """Ask an index's documents in its page, which then shows the answers from the top."""
    page.goto(f"{address}/#documents")
    page.locator("#documents-index option").first.wait_for(state="attached")
    for question in questions:
        page.locator("#documents-question").fill(question)
        page.keyboard.press("Enter")
        page.locator(".asked").last.wait_for()
        page.wait_for_selector(".asked:last-child:not([aria-busy])")
    page.evaluate("document.querySelector('#documents').scrollTop = 0")
    page.evaluate("document.activeElement.blur()")


def picture(address: str, given: argparse.Namespace) -> bytes:
    """Return the picture of the answered question, in few colours."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": given.width, "height": given.height})
        ask(page, address, given.question.split("|"))
        taken = page.screenshot()
        browser.close()
    made = io.BytesIO()
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS).save(made, "png", optimize=True)
    return made.getvalue()


if __name__ == "__main__":
    main()
