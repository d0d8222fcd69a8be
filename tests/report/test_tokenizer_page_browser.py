"""The pages about tokenizers in a real browser: no complaint in its console, ids under the pointer, nothing cut off on a phone."""

from pathlib import Path
from typing import Any

import pytest
from test_tokenizer_page import compared, shown, token

from groundup.report.pages.tokenizer_page import render_comparison_page, render_tokens_page
from tests.page_faults import page_faults

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_pages_are_accepted_and_fit(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    tokens = [token(number, b" word" if number % 7 else b"\n\n") for number in range(300)]
    pages = [
        render_tokens_page(shown(*tokens, token(9, b"x" * 400))),
        render_comparison_page(compared("a" * 60, "letters")),
    ]
    file = tmp_path / "page.html"
    for html in pages:
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        complaints: list[str] = []
        page.on("console", lambda message, into=complaints: into.append(message.text))
        page.goto(file.as_uri())
        assert page_faults(page) == []
        page.locator(".token").nth(1).hover()
        tip = "getComputedStyle(document.querySelectorAll('.token')[1], '::after').content"
        assert page.evaluate(tip).startswith('"1 ') or page.evaluate(tip).startswith('"2 ')
        assert complaints == []
        page.close()
