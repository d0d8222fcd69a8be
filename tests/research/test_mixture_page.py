"""The page of a search: slices of the surface in a real browser, on a desktop and a phone, in light and dark; a hostile name stays text."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tiny_research import Searched

from groundup.report.pages.mixture_page import render_mixture_page
from tests.page_faults import page_faults

SCRIPT = "<script>alert(1)</script>"


def hostile(searched: Searched) -> dict[str, Any]:
    plain = dict(copy.deepcopy(searched.results.to_plain()))
    plain |= {"target": SCRIPT, "command": SCRIPT, "next_command": SCRIPT, "recipe": SCRIPT}
    plain["sources"][0]["name"] = SCRIPT
    plain["left_out"] = {"repair": SCRIPT}
    return plain


def test_each_source_has_a_slice_with_a_dot_for_each_run(searched: Searched) -> None:
    plain = searched.results.to_plain()
    html = render_mixture_page(plain)
    sizes, sources, runs = 2, 2, len(searched.results.proxies)
    assert html.count("<circle") == sizes * sources * runs
    assert html.count('class="reference"') == sizes * sources * 2
    assert searched.results.next_command.split()[1] in html
    undone = {**plain, "comparison": None, "better": False}
    assert "Not done" in render_mixture_page(undone)


@pytest.mark.parametrize(("better", "said"), [(True, "fewer bits per byte"), (False, "are kept")])
def test_it_says_what_is_kept(searched: Searched, better: bool, said: str) -> None:
    assert said in render_mixture_page({**searched.results.to_plain(), "better": better})


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_runs_nothing(
    browser: Any, searched: Searched, tmp_path: Path, scheme: str, width: int
) -> None:
    complaints: list[str] = []
    file = tmp_path / "page.html"
    file.write_text(render_mixture_page(hostile(searched)), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for event in ("console", "dialog", "pageerror"):
        page.on(event, lambda each: complaints.append(str(each)))
    page.goto(file.as_uri())
    assert complaints == []
    assert page_faults(page) == []
    assert page.locator("script, [style], [onerror]").count() == 0
    assert page.get_by_text(SCRIPT).count() >= 4
    drawn = page.locator("svg.chart:visible")
    assert drawn.count() == 2 and drawn.first.bounding_box()["width"] > 200
    page.close()
