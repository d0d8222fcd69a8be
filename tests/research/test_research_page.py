"""The page of a research: the tree of tries in a real browser, on a desktop and a phone, in light and dark; a hostile name stays text."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tiny_research import Done

from groundup.report.pages.research_page import render_research_page
from tests.page_faults import page_faults

SCRIPT = "<script>alert(1)</script>"


def hostile(done: Done) -> dict[str, Any]:
    plain = dict(copy.deepcopy(done.results.to_plain()))
    plain["texts"], plain["command"] = [SCRIPT], SCRIPT
    first = plain["rounds"][0]["tried"]
    first[-1] |= {"difference": None, "failed": SCRIPT, "changes": SCRIPT, "settings": [SCRIPT]}
    plain["left_out"] = {"six-blocks": SCRIPT}
    return plain


def test_a_switch_has_a_cell_for_each_round_that_it_was_in(done: Done) -> None:
    html = render_research_page(done.results.to_plain())
    tried = sum(len(found.tried) for found in done.results.rounds)
    assert html.count('class="better"') + html.count('class="worse"') == tried
    assert "round 1: 4 steps, 1 seed" in html and "round 2: 8 steps, 2 seeds" in html
    assert "A round with a single seed" in html
    half = {**done.results.to_plain(), "rounds": done.results.to_plain()["rounds"][:1]}
    assert "Not done: 1 of 2 rounds" in render_research_page({**half, "test": None})


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_runs_nothing(
    browser: Any, done: Done, tmp_path: Path, scheme: str, width: int
) -> None:
    complaints: list[str] = []
    file = tmp_path / "page.html"
    file.write_text(render_research_page(hostile(done)), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for event in ("console", "dialog", "pageerror"):
        page.on(event, lambda each: complaints.append(str(each)))
    page.goto(file.as_uri())
    assert complaints == []
    assert page_faults(page) == []
    assert page.locator("script, [style], [onerror]").count() == 0
    assert page.get_by_text(SCRIPT).count() >= 4
    bar = page.locator(".tree rect").first
    assert bar.is_visible() and bar.bounding_box()["width"] > 0
    page.close()
