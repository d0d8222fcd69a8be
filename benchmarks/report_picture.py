"""The site's pictures of a build's report, its first screen on a desktop and on a phone, in a real Chromium.

    python benchmarks/report_picture.py runs/quickstart

BUILD is a finished build. Needs Playwright with Chromium (the system's, else `playwright install chromium`) and Pillow.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from page_picture import ROOT, in_few_colours

SCREENS = {"report": (980, ".contents"), "report-narrow": (390, ".shown-texts")}
"""Of each picture the width of the page, and the last element that is on it."""
MARGIN = 12


def pictures(report: Path) -> dict[str, bytes]:
    """Return each picture of SCREENS as PNG, two pixels of it to one of the page."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        made = {}
        for name, (width, last) in SCREENS.items():
            page = browser.new_page(
                viewport={"width": width, "height": 1200}, device_scale_factor=2
            )
            page.goto(report.resolve().as_uri())
            made[name] = _until(page, last)
        browser.close()
    return made


def _until(page: Any, last: str) -> bytes:
    """The page from its top to the end of an element, in few colours."""
    end = page.locator(last).first.evaluate("e => e.getBoundingClientRect().bottom")
    clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": end + MARGIN}
    return in_few_colours(page.screenshot(clip=clip))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="a finished build")
    for name, picture in pictures(parser.parse_args().build / "report.html").items():
        file = ROOT / f"docs/images/{name}.png"
        file.write_bytes(picture)
        print(f"{file.relative_to(ROOT)}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
