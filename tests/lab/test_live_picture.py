"""The picture of the whole model in the page with a model inside, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from groundup.lab.live.live_page import write_live_page
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from tests.axe import violations
from tests.lab.test_live_trace import values_in_torch
from tests.live_shapes import SHAPES, open_shape
from tests.page_faults import page_faults

TEXT = "To be, or not to be, that is"
SCREENS = pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
# Each list that is drawn at zoom 2, of the tokens given: its row is brought into the middle.
NUMBERS = """(tokens) => {
  const { picture } = livePage.explanation, found = {};
  for (const [row, { lists }] of picture.layout.rows.entries()) {
    for (const [place, { list, from, to }] of picture.layout.listPlaces(row).entries()) {
      for (const token of tokens) {
        if (list.name === "logits") continue;
        picture.goTo({ column: token + 0.5, row: row + (from + to) / 2, zoom: 2 });
        const drawn = [...picture.canvas.querySelectorAll(`[data-token="${token}"]`)];
        const own = drawn.find(({ dataset }) => dataset.list === `${list.name} ${list.layer} ${list.head}` && Number(dataset.start) === list.start);
        const texts = [...own.querySelectorAll(".number")].map((each) => each.textContent);
        found[`${list.name} ${list.layer} ${list.head} ${list.start} ${token}`] = texts;
      }
    }
  }
  return found;
}"""


@pytest.fixture
def shown(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int, scheme: str
) -> Iterator[Any]:
    """The page with its picture in sight, all tokens read."""
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = open_picture(browser, file, width, scheme)
    yield page
    assert page.complaints == [file.as_uri()]
    page.close()


def open_picture(browser: Any, file: Path, width: int = 1280, scheme: str = "light") -> Any:
    options = {"color_scheme": scheme, "reduced_motion": "reduce"}
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(request.url))
    page.goto(file.as_uri())
    page.evaluate("document.getElementById('picture-bar').scrollIntoView()")
    page.wait_for_selector("#picture-said:not(:empty)")
    return page


def wait_until(page: Any, condition: str) -> None:
    """`wait_for_function` evaluates a string in the page, which its policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def shown_number(text: str) -> float:
    number = float(text.replace("\u2212", "-").removeprefix("<").removesuffix(" %"))
    return number / 100 if text.endswith("%") else number


@pytest.mark.browser
def test_numbers_in_the_picture_are_those_of_the_model_in_pytorch(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for name, shape in SHAPES.items():
        opened, file = open_shape(tokenizer, **shape), tmp_path / "model.html"
        model = opened.model
        assert isinstance(model, LanguageModel)
        write_live_page(opened, file, text=TEXT)
        page, ids = open_picture(browser, file), tokenizer.encode(TEXT)
        expected, tokens = values_in_torch(model, ids), (0, 6, len(ids) - 1)
        found = page.evaluate(NUMBERS, tokens)
        assert len(found) > 100, name
        for key, texts in found.items():
            assert_shown(texts, expected, key, name)
        assert page.complaints == [file.as_uri()], name
        page.close()


def assert_shown(texts: list[str], expected: dict[str, Tensor], key: str, shape: str) -> None:
    """Each number, as far as its digits go."""
    name, layer, head, start, token = key.split()
    row = expected[f"{name} {layer} {head}"][int(token)]
    if name == "scores":
        row = row[row > -float("inf")]
    if name == "weights":
        row = row[row > 0]
    values = row[int(start) :][: len(texts)] if head == "-1" else row
    assert len(texts) == len(values) > 0, (shape, key)
    for text, value in zip(texts, values.tolist(), strict=True):
        digits = len(text.rstrip(" %").partition(".")[2])
        unit = 0.01 if text.endswith("%") else 1
        least = 0.0005 if text.startswith("<") else 0
        assert abs(shown_number(text) - value) <= 0.51 * unit * 10**-digits + least + 1e-4, key


@pytest.mark.browser
@SCREENS
def test_each_zoom_shows_something_else_and_keys_and_buttons_lead_there(shown: Any) -> None:
    room, canvas = shown.locator("#picture-room"), shown.locator("#picture-canvas")

    def has(css: str) -> int:
        return int(canvas.locator(css).count())

    assert room.get_attribute("data-level") == "words"
    assert re.search("attention:? mixes", canvas.text_content())
    assert not has(".number")
    room.focus()
    for level, parts in (("heads", ".share"), ("numbers", ".number")):
        shown.keyboard.press("+")
        shown.keyboard.press("+")
        assert room.get_attribute("data-level") == level
        assert has(parts)
        assert not has(".said")
    assert not has(".share")
    shown.keyboard.press("Home")
    assert room.get_attribute("data-level") == "words"
    for words, level in (("Numbers", "numbers"), ("Heads", "heads"), ("Whole model", "words")):
        button = shown.get_by_role("button", name=words, exact=True)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert room.get_attribute("data-level") == level
    assert shown.evaluate("document.documentElement.scrollWidth") <= shown.viewport_size["width"]


@pytest.mark.browser
@SCREENS
def test_arrow_keys_tell_each_part_and_enter_opens_its_step(shown: Any) -> None:
    shown.locator("#picture-room").focus()
    shown.keyboard.press("+")
    shown.keyboard.press("+")
    said = set()
    for key in ("ArrowDown", "ArrowLeft") * 3:
        shown.keyboard.press(key)
        said.add(shown.inner_text("#picture-said"))
    assert len(said) == 6
    shown.evaluate("livePage.explanation.picture.place({ row: 12, column: 5 })")
    row = shown.evaluate("livePage.explanation.picture.layout.rows[12]")
    assert (row["kind"], row["layer"]) == ("head", 1)
    assert "looks at" in shown.inner_text("#picture-said")
    shown.keyboard.press("Enter")
    shown.wait_for_selector("#inside:not([aria-busy])")
    assert shown.evaluate("document.activeElement.id") == "at-mask"
    assert shown.input_value("#choose-token") == "5"
    assert shown.input_value("#choose-block") == "1"
    assert shown.input_value("#choose-head") == str(row["head"])
    shown.click("[data-show=qkv]")
    assert shown.evaluate("document.activeElement.id") == "picture-room"
    assert shown.locator("#picture-room").get_attribute("data-level") == "numbers"
    lists = shown.locator("[data-token='5'][data-list='query 1 -1'] .number")
    assert lists.count() >= 5  # of 8 in a row, as many as a phone is wide


@pytest.mark.browser
@SCREENS
def test_wheel_drag_and_click_zoom_move_and_open(shown: Any) -> None:
    room = shown.locator("#picture-room")
    box = room.bounding_box()
    shown.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    view = "(({ zoom, left, top }) => [zoom, left, top])(livePage.explanation.picture.view)"
    for pixels in (-30, 30):  # the mouse is at rest, or nothing is left to zoom out: page scrolls
        shown.mouse.wheel(0, pixels)
        assert shown.evaluate(view)[0] == 0
    room.scroll_into_view_if_needed()
    shown.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"], steps=3)
    shown.mouse.wheel(0, -500)
    wait_until(shown, f"({view})[0] > 0.9")
    before = shown.evaluate(view)
    box = room.bounding_box()
    x, y = box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"]
    shown.mouse.move(x, y)
    shown.mouse.down()
    shown.mouse.move(x + 40, y + 40, steps=4)
    shown.mouse.up()
    after = shown.evaluate(view)
    assert after[0] == before[0]
    assert after[2] < before[2]
    assert shown.evaluate("document.activeElement.id") == "picture-room"
    shown.mouse.click(x, y)
    assert shown.evaluate("document.activeElement.id").startswith("at-")


@pytest.mark.browser
def test_a_tap_opens_a_step_and_touches_nothing_that_is_then_below_the_finger(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    touch = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = touch.new_page()
    page.goto(file.as_uri())
    page.evaluate("document.getElementById('picture-bar').scrollIntoView()")
    page.wait_for_selector("#picture-said:not(:empty)")
    box = page.locator("#picture-room").bounding_box()
    page.touchscreen.tap(box["x"] + 200, box["y"] + 250)
    page.wait_for_selector("#inside h3:focus")
    touch.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light")])
def test_a_number_that_is_pointed_at_says_how_it_came_about(shown: Any) -> None:
    shown.click("[data-show=scores]")
    last = shown.evaluate("livePage.ids.length - 1")
    for name, words in (("scores", "score"), ("query", "query")):
        cells = f"[data-token='{last}'][data-list^='{name} '] [data-index]"
        cell = shown.locator(cells).nth(1)
        cell.hover(force=True)
        assert words in shown.inner_text("#inspector-said").lower()
        value = cell.evaluate("(cell) => livePage.explanation.look.explain(refOfCell(cell)).value")
        shown_there = cell.evaluate("(cell) => cell.nextElementSibling.textContent")
        assert shown.evaluate("figure", value) == shown_there
    before = shown.locator(f"[data-token='{last - 1}'] [data-index]").first
    shown.keyboard.press("Escape")
    before.hover(force=True)
    assert not shown.is_visible("#inspector")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light")])
def test_the_framed_token_is_the_one_that_is_written(shown: Any) -> None:
    for seed in ("3", "4"):
        shown.fill("#seed", seed)
        wait_until(shown, "livePage.cached === livePage.ids.length")
        shown.evaluate("document.getElementById('picture-bar').scrollIntoView()")
        wait_until(shown, "livePage.explanation.picture.seen")
        shown.evaluate("livePage.explanation.draw()")
        framed = shown.text_content("#picture-canvas .drawn")
        ids = shown.evaluate("livePage.ids.length")
        shown.evaluate("livePage.write(1)")
        shown.wait_for_selector("#status:has-text('written')")
        assert shown.evaluate(f"livePage.tokenizer.show(livePage.ids[{ids}])") == framed
        shown.click("#again")
    shown.click("#picture summary")
    shown.wait_for_selector("#picture-words:has-text('head 4:')")


@pytest.mark.network
@pytest.mark.browser
@SCREENS
def test_axe_finds_no_violation_at_any_zoom(shown: Any) -> None:
    shown.click("#picture summary")
    for words in ("Whole model", "Heads", "Numbers"):
        shown.get_by_role("button", name=words, exact=True).click()
        assert violations(shown) == []


@pytest.mark.browser
@SCREENS
def test_nothing_is_too_small_to_read_at_any_zoom(shown: Any) -> None:
    for words in ("Whole model", "Heads", "Numbers"):
        shown.get_by_role("button", name=words, exact=True).click()
        assert page_faults(shown) == []


@pytest.mark.browser
def test_what_was_never_on_the_screen_is_printed(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = browser.new_page(viewport={"width": 1280, "height": 500})
    page.goto(file.as_uri())
    page.locator("button.token.next").wait_for()
    assert not page.locator("#picture-canvas text").count()
    page.pdf()
    assert page.locator("#picture-canvas text").count()
    stages = page.locator("[data-stage] .picture")
    assert (
        stages.count() == stages.locator("visible=true").and_(page.locator(":not(:empty)")).count()
    )
    page.close()
