"""The page of `data inspect` in a real browser: nothing in its console, nothing cut off on a phone, hostile text stays text."""

from pathlib import Path
from typing import Any

import pytest
from test_report_inspection import SCRIPT, plain, write_sources

from groundup.report.pages.inspection_page import render_inspection_page
from tests.page_faults import page_faults

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_texts_are_shown_as_text_and_fit(
    browser: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    file = tmp_path / "page.html"
    file.write_text(render_inspection_page(plain(*write_sources(tmp_path))), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    for details in page.locator("summary").all():
        details.click()
    assert (complaints, requests) == ([], [file.as_uri()])
    assert page_faults(page) == []
    assert page.locator("script, img, iframe, [style], [onerror]").count() == 0
    assert page.locator("blockquote", has_text=SCRIPT).count() >= 2
    assert (
        page.locator("blockquote").first.evaluate("each => getComputedStyle(each).unicodeBidi")
        == "isolate"
    )
    assert page.locator("del").count() >= 3
    drawing, other = ("wide", "narrow") if width > 600 else ("narrow", "wide")
    assert page.locator(f"#source-1 .{drawing}-drawing").is_visible()
    assert not page.locator(f"#source-1 .{other}-drawing").is_visible()
    page.close()
