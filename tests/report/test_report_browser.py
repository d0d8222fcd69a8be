"""The page in a real browser: no complaint in its console, every chapter there, nothing cut off on a phone."""

from pathlib import Path
from typing import Any

import pytest

from groundup.report.page import write_page

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
    assert page.locator("section h2").count() == 13
    for heading in page.locator("section h2").all():
        assert heading.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_classifier_and_chat_model_are_both_drawn_as_made_from_the_pulled_model(
    browser: Any, build_folder: Path, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(write_page(build_folder).as_uri())
    base, spam, chat = (card.bounding_box() for card in page.locator(".fork .stage").all())
    arrows = page.locator(".fork .stage").evaluate_all("all => all.map(c => getComputedStyle(c, '::before').content)")
    assert spam["x"] == chat["x"] > base["x"]
    assert chat["y"] >= spam["y"] + spam["height"]
    assert arrows[0] == "none"
    assert arrows[1] == arrows[2] != "none"
    page.close()


def test_style_sheet_is_accepted_and_one_drawing_of_each_chart_is_shown(browser: Any, build_folder: Path) -> None:
    address = write_page(build_folder).as_uri()
    for width, shown, hidden in ((1280, "wide", "narrow"), (390, "narrow", "wide")):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(address)
        assert page.evaluate("getComputedStyle(document.body).display") == "block"
        assert page.locator(f"#pretrain .{shown}-drawing").first.is_visible()
        assert not page.locator(f"#pretrain .{hidden}-drawing").first.is_visible()
        assert page.locator(f"#emergence .{shown}-drawing").is_visible()
        assert page.locator("#emergence .small-drawing").count() == 1
        page.close()


def test_dark_and_light_differ_and_both_have_enough_contrast(browser: Any, build_folder: Path) -> None:
    address = write_page(build_folder).as_uri()
    grounds = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        ink, ground = (
            page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
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
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
