"""The README's moving picture: a build's own lines, its report, its model in a page, and an answer
from documents, in a real Chromium.

    python benchmarks/demo_picture.py runs/quickstart --command "make demo"

BUILD is a finished build of quickstart, made by the command that is shown. Needs Playwright with Chromium (the system's, else
`playwright install chromium`) and Pillow.
"""

import argparse
import html
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page_picture import ROOT, ask, free_port, wait_for

WIDTH, HEIGHT, COLOURS = 960, 600, 48
MAX_BYTES = 2_000_000
START, WRITTEN = "The king", "14"
QUESTION = "How much is a replacement card abroad?"
TERMINAL = """<style>body { margin: 0; padding: 28px 32px; background: #16181d; color: #e8e6df;
font: 15px/1.62 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre; overflow: hidden }
b { color: #8fb8e8; font-weight: 600 }</style>%s"""


@dataclass(frozen=True)
class Frame:
    """A picture, as PNG, and how long it is shown."""

    picture: bytes
    shown_ms: int


def stage_lines(log: str) -> list[str]:
    """Return the line of each stage of a build.log: its number and name, seconds and result."""
    found, begun = [], ""
    for line in log.splitlines():
        said = re.sub(r"^\d\d:\d\d:\d\d ", "", line)
        if re.match(r"\[\d+/\d+\] \w+", said):
            begun = said.strip()
        elif begun and re.match(r" *\d+ s  ", said):
            found.append(f"{begun:<16}{said.strip()}")
            begun = ""
    return found


def terminal(page: Any, command: str, lines: list[str]) -> Iterator[Frame]:
    """Yield the command with the lines of its stages, as they come."""
    for shown in range(0, len(lines) + 1, 3):
        text = "\n".join(f"{line[:97]}…" if len(line) > 98 else line for line in lines[:shown])
        page.set_content(TERMINAL % f"<b>$ {html.escape(command)}</b>\n\n{html.escape(text)}")
        yield Frame(page.screenshot(), 1800 if shown == len(lines) else 900)


def model(page: Any, file: Path) -> Iterator[Frame]:
    """Yield the model in its page: it writes, then a score of two tokens with its formula."""
    page.goto(file.resolve().as_uri())
    page.fill("#text", START)
    page.fill("#tokens-to-write", WRITTEN)
    page.wait_for_selector("#distribution tr")
    page.evaluate("document.querySelector('#status').scrollIntoView(); scrollBy(0, -64)")
    yield Frame(page.screenshot(), 1100)
    for _ in range(3):
        page.click("#write")
        page.wait_for_selector("#write:not([disabled])")
        page.wait_for_timeout(600)
        yield Frame(page.screenshot(), 900)
    page.check("input[name=level][value=mathematics]", force=True)
    page.evaluate("document.getElementById('at-scores').scrollIntoView()")
    page.wait_for_selector("#inside:not([aria-busy])")
    page.locator("[data-stage=scores] .row.chosen .figure").first.click()
    page.wait_for_timeout(400)
    yield Frame(page.screenshot(), 3000)


def answer(page: Any) -> Iterator[Frame]:
    """Yield an answer from the documents of the packaged bank, served."""
    groundup = [sys.executable, "-m", "groundup"]
    with tempfile.TemporaryDirectory() as folder:
        index = f"{folder}/bank.index"
        documents = str(ROOT / "groundup/packs/bank/documents")
        subprocess.run([*groundup, "index", documents, "--out", index], check=True)
        port = free_port()
        server = subprocess.Popen([*groundup, "serve", "--index", index, "--port", str(port)])
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address)
            ask(page, address, [QUESTION])
            yield Frame(page.screenshot(), 3500)
        finally:
            server.terminate()
            server.wait()


def frames(build: Path, command: str) -> Iterator[Frame]:
    """Yield all frames of a build."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        names = ("chromium-headless-shell", "chromium", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        lines = stage_lines((build / "build.log").read_text("utf-8"))
        yield from terminal(page, command, lines)
        page.goto((build / "report.html").resolve().as_uri())
        yield Frame(page.screenshot(), 2600)
        yield from model(page, build / "model.html")
        yield from answer(page)
        browser.close()


def moving(shown: list[Frame]) -> bytes:
    """Return the frames as a GIF that repeats, in few colours."""
    from PIL import Image

    opened = [Image.open(io.BytesIO(each.picture)).convert("RGB") for each in shown]
    first, *others = [each.quantize(COLOURS, dither=Image.Dither.NONE) for each in opened]
    made = io.BytesIO()
    times = [each.shown_ms for each in shown]
    first.save(made, "gif", save_all=True, append_images=others, duration=times, loop=0)
    return made.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="a finished build of quickstart")
    parser.add_argument("--command", required=True, help="by which the build was made")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/demo.gif")
    given = parser.parse_args()
    shown = list(frames(given.build, given.command))
    made = moving(shown)
    if len(made) > MAX_BYTES:
        raise SystemExit(f"{len(made):,} bytes, at most {MAX_BYTES:,} are wanted")
    given.out.write_bytes(made)
    seconds = sum(each.shown_ms for each in shown) / 1000
    print(f"{given.out}: {len(shown)} frames, {seconds:.0f} s, {len(made):,} bytes")


if __name__ == "__main__":
    main()
