"""The site's pictures of served pages, in a real Chromium.

    python benchmarks/page_picture.py documents [--index INDEX]   docs/images/page-documents.png
    python benchmarks/page_picture.py chat                        docs/images/page.png
    python benchmarks/page_picture.py watch --run RUN             docs/images/watch.png

documents: a question to the bank's documents, whose index is made in a temporary folder; chat: two
questions to SmolLM2, with the readout of a token; watch: the first screen of a run.
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
CHAT, TOKEN = (
    ("Give me three reasons to drink water, as a list.", "What is the capital of France?"),
    "Paris",
)
MODEL = "smollm2-135m-instruct"
FILES = {"documents": "page-documents", "chat": "page", "watch": "watch"}
SIZES = {"documents": (900, 820), "chat": (900, 860), "watch": (760, 1020)}
COLOURS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", choices=FILES)
    parser.add_argument("--index", help="an index of the bank's documents that is made already")
    parser.add_argument("--run", help="the run, or the build, of watch")
    given = parser.parse_args()
    if (given.page == "watch") != bool(given.run):
        parser.error("--run is given with watch, and only there")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen([*served(given, folder), "--port", str(port)])
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address)
            file = ROOT / f"docs/images/{FILES[given.page]}.png"
            file.write_bytes(picture(address, given.page))
        finally:
            server.terminate()
            server.wait()


def served(given: argparse.Namespace, folder: str) -> list[str]:
    """The command that serves the page."""
    groundup = [sys.executable, "-m", "groundup"]
    if given.page == "watch":
        return [*groundup, "watch", given.run]
    if given.page == "chat":
        return [*groundup, "serve", MODEL]
    index = given.index or f"{folder}/documents.index"
    if not given.index:
        documents = ROOT / "groundup/packs/bank/documents"
        subprocess.run([*groundup, "index", documents, "--out", index], check=True)
    return [*groundup, "serve", "--index", index]


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for(address: str, seconds: float = 120) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address).close()
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


def chat(page: Any, address: str) -> None:
    """Ask a model two questions, and point at a token of the second answer."""
    page.goto(f"{address}/#chat")
    page.locator("#chat-model option:not([disabled])").first.wait_for(state="attached")
    for number, question in enumerate(CHAT, start=1):
        page.locator("#question").fill(question)
        page.keyboard.press("Enter")
        page.locator(".message.model").nth(number - 1).wait_for()
        page.locator(".message.model .note:not(:empty)").nth(number - 1).wait_for()
    page.locator("#settings summary").click()
    page.locator("#shade").check()
    page.keyboard.press("Escape")
    page.locator(".token", has_text=TOKEN).last.hover()
    page.locator("#readout").wait_for()


def watch(page: Any, address: str) -> None:
    """Show a run's curves."""
    page.goto(address)
    page.locator("figure.chart svg").first.wait_for()
    page.wait_for_timeout(1000)


def picture(address: str, shown: str) -> bytes:
    """Return the picture of a page, in few colours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        width, height = SIZES[shown]
        page = browser.new_page(viewport={"width": width, "height": height})
        if shown == "documents":
            ask(page, address, [QUESTION])
        else:
            {"chat": chat, "watch": watch}[shown](page, address)
        taken = page.screenshot()
        browser.close()
    return in_few_colours(taken)


def in_few_colours(taken: bytes) -> bytes:
    """Return a screenshot as a smaller PNG."""
    from PIL import Image

    made = io.BytesIO()
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS).save(made, "png", optimize=True)
    return made.getvalue()


if __name__ == "__main__":
    main()
