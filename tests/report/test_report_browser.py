"""The page in a real browser: no complaint in its console, every chapter there, nothing cut off on a phone."""

from pathlib import Path
from typing import Any

import pytest

from groundup.report.pages.build_page import write_page
from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 800)])
def test_page_opens_without_complaint_and_fits(
    browser: Any, build_folder: Path, scheme: str, width: int, height: int
) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(write_page(build_folder).as_uri())
    assert complaints == []
    assert len(requests) == 1  # the page itself
    assert page.locator("main summary h2").count() == 12
    for heading in page.locator("main summary h2").all():
        assert heading.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unfold(page)
    assert page_faults(page) == []
    page.close()


def unfold(page: Any) -> None:
    """Open every chapter, as a reader would."""
    folded = page.locator("main > details.chapter:not([open]) > summary")
    while folded.count():  # the locator is looked up anew each time, and has one fewer
        folded.first.click()


def test_the_overview_fits_one_screen_and_chapters_are_folded(
    browser: Any, build_folder: Path
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(write_page(build_folder).as_uri())
    for part in (".overview", ".stages", ".contents"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800, part
    folded = page.locator("main > details.chapter")
    assert folded.evaluate_all("all => all.map(each => each.open)") == [True] * 3 + [False] * 9
    for said in page.locator(".shown-texts dd").all():  # two texts before and two after
        assert said.bounding_box()["y"] < 600
    assert page.locator(".shown-texts dd").count() == 4
    page.set_viewport_size({"width": 390, "height": 844})
    last = page.locator(".shown-texts dd").last.bounding_box()
    assert last["y"] + last["height"] <= 844
    page.close()


def test_a_link_opens_its_chapter_without_a_script(browser: Any, build_folder: Path) -> None:
    address = write_page(build_folder).as_uri()
    page = browser.new_page(viewport={"width": 1280, "height": 800}, java_script_enabled=False)
    page.goto(address)
    assert not page.locator("#tokens .see").is_visible()
    page.locator('.contents a[href="#tokens"]').click()
    page.locator("#tokens .see").wait_for()
    page.goto("about:blank")
    page.goto(f"{address}#lineage")
    page.locator("#lineage .see").wait_for()
    page.close()


def test_on_paper_every_chapter_is_there(browser: Any, build_folder: Path) -> None:
    page = browser.new_page()
    page.goto(write_page(build_folder).as_uri())
    assert print_faults(page) == []
    page.emulate_media(media="print")
    assert not page.locator("#repeat details").first.is_visible(), "what is folded in a chapter"
    assert page.locator("#pretrain .see").is_visible() and page.locator("#repeat .see").is_visible()
    page.close()


def test_style_sheet_is_accepted_and_one_drawing_of_each_chart_is_shown(
    browser: Any, build_folder: Path
) -> None:
    address = write_page(build_folder).as_uri()
    for width, shown, hidden in ((1280, "wide", "narrow"), (390, "narrow", "wide")):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(address)
        unfold(page)
        assert page.evaluate("getComputedStyle(document.body).display") == "block"
        assert page.locator(f"#pretrain .{shown}-drawing").first.is_visible()
        assert not page.locator(f"#pretrain .{hidden}-drawing").first.is_visible()
        assert page.locator(f"#emergence .{shown}-drawing").is_visible()
        assert page.locator("#emergence .small-drawing").count() == 1
        page.close()


def test_dark_and_light_differ_and_both_have_enough_contrast(
    browser: Any, build_folder: Path
) -> None:
    address = write_page(build_folder).as_uri()
    grounds = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        ink, ground = (
            page.evaluate(f"getComputedStyle(document.body).{name}")
            for name in ("color", "backgroundColor")
        )
        soft = page.evaluate("getComputedStyle(document.querySelector('.see')).color")
        assert contrast(ink, ground) > 7
        assert contrast(soft, ground) > 4.5
        grounds.add(ground)
        page.close()
    assert len(grounds) == 2


def contrast(one: str, two: str) -> float:
    """WCAG 2's contrast ratio of two colours as a browser writes them, "rgb(1, 2, 3)"."""
    first, second = sorted((luminance(one), luminance(two)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def luminance(colour: str) -> float:
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [
        share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
