"""The picture from text to next token in the page with a model inside, in a real browser."""

import re
from pathlib import Path
from typing import Any

import pytest

from groundup.html_nodes import to_html
from groundup.lab.live.explanation import LEVELS, explanation
from groundup.lab.live.live_page import write_live_page
from groundup.lab.live.tables import live_config
from groundup.tokenizer.fast import Tokenizer
from tests.axe import violations
from tests.live_shapes import SHAPES, open_shape

TEXT = "To be, or not to be, that is"
QUESTIONS = (
    "What is a vector embedding?",
    "What is positional encoding?",
    "What are query, key and value?",
    "What is an attention score?",
    "What is masked attention",
    "What is multi-head attention, and where do the heads go?",
    "How do layers stack?",
)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_questions_stand_in_order_and_name_what_the_model_has(
    tokenizer: Tokenizer, shape: str
) -> None:
    config = live_config(open_shape(tokenizer, **SHAPES[shape]).config)
    written = to_html(explanation(config))
    places = [written.index(question) for question in QUESTIONS]
    assert places == sorted(places)
    assert ("turns arrows" in written) == (config["positions"] == "rope")
    assert ("share one key" in written) == (config["num_kv_heads"] != config["num_heads"])
    assert ("step 5" in written) <= ("5</span>Q, K, V" in written)
    assert ("step 6" in written) <= ("6</span>Scores" in written)


def explained(browser: Any, file: Path, width: int = 1280, scheme: str = "light") -> Any:
    """The page, scrolled to its explanation, with all that it complains of in `complaints`."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(request.url))
    page.goto(file.as_uri())
    page.evaluate("document.getElementById('at-tokens').scrollIntoView()")
    page.wait_for_selector("[data-stage=choice] .row")
    page.wait_for_selector("#inside:not([aria-busy])")
    return page


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_number_is_followed_to_where_it_came_from(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = explained(browser, file, width, scheme)
    assert page.complaints == [file.as_uri()]
    assert not page.is_visible(".figure")  # words only
    page.locator("[data-stage=embedding] .strip").press("ArrowRight")
    said = page.inner_text("#inspector-said")
    assert "number 2" in said
    assert not re.search(r"\d\.\d", said)
    for level in LEVELS:
        page.check(f"input[name=level][value={level}]", force=True)
    assert page.locator("#inspector-said .formula sub").count()
    page.keyboard.press("Escape")
    assert not page.is_visible("#inspector")
    page.select_option("#choose-block", label="2")
    page.select_option("#choose-head", label="4")
    page.wait_for_selector("#inside:not([aria-busy])")
    figure = page.locator("[data-stage=scores] .row .figure").first
    own = "figure(livePage.explanation.look.trace.get('scores', 1, 3)[REFS.get(each).index])"
    assert figure.inner_text() == figure.evaluate(f"(each) => {own}")
    figure.click()
    assert "block 2, head 4" in page.inner_text("#inspector-said")
    page.locator(".source-link", has_text="query").click()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert "Query, turned" in page.inner_text("#inspector-said")
    page.locator(".source-link", has_text="query").click()
    page.locator(".source-link", has_text="evened-out list").click()
    assert (
        page.locator(".list.source").count() == 2
    )  # the stream: before the norm, and before the sum
    page.click("#inspector-close")
    written = page.locator(".token:not(.next)").count()
    page.click("[data-key=draw]")
    page.wait_for_selector("#status:has-text('1 token written')")
    assert page.locator(".token:not(.next)").count() == written + 1
    page.click("[data-by='-1']")
    assert page.input_value("#choose-token") == str(written - 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("#text", "")
    page.wait_for_selector("#inside-empty:has-text('Type a text')")
    assert not page.is_visible("#stages")
    assert page.complaints == [file.as_uri()]
    page.close()


@pytest.mark.browser
def test_every_number_of_every_kind_of_model_can_be_explained(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for name, shape in SHAPES.items():
        file = tmp_path / "model.html"
        write_live_page(open_shape(tokenizer, **shape), file, text=TEXT)
        page = explained(browser, file)
        found = page.evaluate(EVERY_NUMBER)
        assert found["figures"] > 100, name
        assert found["strips"] > 20, name
        assert found["wrong"] == [], name
        assert page.complaints == [file.as_uri()], name
        page.close()


# Each figure and the last square of each strip: what is shown is what its formula gives.
EVERY_NUMBER = """() => {
  const explanation = livePage.explanation, wrong = [];
  const near = (one, other) => Math.abs(one - other) <= 2e-5 + 1e-4 * Math.abs(one);
  const figures = [...explanation.root.querySelectorAll(".figure")];
  for (const each of figures) {
    const { title, value, numbers } = explanation.look.explain(REFS.get(each)), shown = each.textContent;
    if (shown && ![figure(value), percent(value)].includes(shown) && !shown.endsWith("°")) wrong.push([title, shown, numbers]);
  }
  const strips = [...explanation.root.querySelectorAll(".strip[role=slider]")];
  for (const strip of strips) {
    const index = Number(strip.getAttribute("aria-valuemax")) - 1;
    const { title, value, numbers } = explanation.look.explain(refInStrip(strip, index));
    if (!near(strip.values[index], value)) wrong.push([title, strip.values[index], numbers]);
  }
  return { figures: figures.length, strips: strips.length, wrong };
}"""


@pytest.mark.browser
def test_pictures_that_are_drawn_late_leave_the_cache_to_the_text_in_the_box(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = explained(browser, file)
    found = page.evaluate(CHANGED_MEANWHILE)
    assert found["logits"] == found["fresh"]
    page.close()


# The map of attention is drawn between frames, and the text has changed meanwhile.
CHANGED_MEANWHILE = """async () => {
  livePage.explanation.draw();
  livePage.explanation.drawStages(["mask"]);
  livePage.explanation.update = () => {}; // no drawing for the new text
  byId("text").value = "that is not, or to be the question";
  await livePage.readText();
  for (let n = 0; n < 30; n++) await frame();
  const { ids, model, config } = livePage, fresh = new LiveModel(config, model.weights);
  const logits = ids.map((id, position) => fresh.step(id, position)).at(-1);
  return { logits: Array.from(livePage.logitsAt(ids.length)), fresh: Array.from(logits) };
}"""


@pytest.mark.browser
@pytest.mark.parametrize("answers", [25, pytest.param(170, marks=pytest.mark.slow)])
def test_memory_stays_flat_over_many_answers(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, answers: int
) -> None:
    """Over six times as many: 150, or 1,020."""
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = explained(browser, file)
    tools = page.context.new_cdp_session(page)

    def used() -> tuple[int, int]:
        """Bytes of JavaScript and nodes of the page that are still held after `ANSWERS`."""
        page.evaluate(ANSWERS, answers)
        tools.send("HeapProfiler.collectGarbage")
        counted = tools.send("Memory.getDOMCounters")
        return tools.send("Runtime.getHeapUsage")["usedSize"], counted["nodes"]

    used()
    # What is held at one moment goes up and down.
    before, later = ([used() for _ in range(rounds)] for rounds in (2, 3))
    for held, still_held in zip(zip(*before, strict=True), zip(*later, strict=True), strict=True):
        assert min(still_held) < 1.05 * max(held) + 100
    page.close()


# Answers, each written, explained, and taken back; then all pictures are drawn to their end.
ANSWERS = """async (count) => {
  for (let answer = 0; answer < count; answer++) {
    livePage.promptLength = livePage.place = 4;
    await livePage.write(5);
    livePage.explanation.goToToken(6);
    livePage.explanation.inspect({ name: "logits", index: answer });
  }
  clearTimeout(livePage.explanation.timer);
  livePage.explanation.draw();
  while (livePage.explanation.root.hasAttribute("aria-busy")) await frame();
  for (let n = 0; n < 30; n++) await frame();
}"""


@pytest.mark.network
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_violation(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "model.html"
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = explained(browser, file, width, scheme)
    page.check("input[name=level][value=mathematics]", force=True)
    page.locator("[data-stage=embedding] .strip i").nth(5).click()
    page.check("input[name=train-level][value=mathematics]", force=True)
    page.click("#train-step")
    page.wait_for_selector("#train-weight-said:has-text('measured')")
    assert violations(page) == []
    page.close()
