"""The concept pages that teach: their order, numbers on paper that code of the page gives too, and pictures that compute what
PyTorch computes. That their examples run: `test_words.py`.
"""

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from groundup.data.batches.loader import Windows
from groundup.lab.embeddings import cosines
from groundup.model import attention_steps as steps
from groundup.model.config import ModelConfig
from groundup.model.positions import Rotation, rotate
from groundup.model.sizes import parameter_count
from tests.live_shapes import needs_node
from tests.test_docs import script

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"
EVERY = sorted(CONCEPTS.glob("*.md"))
TAUGHT = [page for page in EVERY if "images/touch/" in page.read_text()]
PARTS = ["On paper", "In code", "How others do it"]
OTHERS = ["PyTorch", "Hugging Face", "The book", "nanochat"]
MAX_COLUMNS = 80


def by_name(page: Path) -> str:
    return page.stem


@cache
def touch() -> ModuleType:
    sys.path.insert(0, str(CONCEPTS.parent / "site"))
    try:
        return script("touch")
    finally:
        sys.path.pop(0)


@cache
def computed() -> dict[str, Any]:
    """What each picture computes before it is touched, and what its script says then."""
    program = """console.log(JSON.stringify(Object.fromEntries(Object.entries(PICTURES).map(([name, picture]) =>
        [name, { numbers: picture.compute(initial(picture)), said: said(picture, initial(picture)) }]))))"""
    found: dict[str, Any] = json.loads(touch().in_node(program))
    return found


@cache
def booklet() -> ModuleType:
    sys.path.insert(0, str(CONCEPTS.parent / "site"))
    try:
        return script("booklet")
    finally:
        sys.path.pop(0)


def numbers(text: str) -> set[float]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("−", "-"))
    return {float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)}


@pytest.mark.parametrize("page", TAUGHT, ids=by_name)
def test_a_page_asks_answers_shows_computes_and_compares_in_this_order(page: Path) -> None:
    question, answer, picture, _ = page.read_text().split("\n\n", 3)
    assert re.fullmatch(r"# .+\?", question)
    assert len(re.findall(r"[.?!](?= |$)", answer)) == 3, answer
    assert re.fullmatch(r"!\[.{20,}\]\(\.\./images/touch/[\w-]+\.svg\)", picture)
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings[:3] == PARTS
    assert headings[3:] in ([], ["More"])
    others = page.read_text().partition("## How others do it")[2].partition("## More")[0]
    assert re.findall(r"^- \*\*(.+?)\*\*", others, re.MULTILINE) == OTHERS


@pytest.mark.parametrize("page", TAUGHT, ids=by_name)
def test_every_result_on_paper_is_one_that_the_code_of_the_page_gives(page: Path) -> None:
    """Results are set bold; the examples, which the tests run, print them."""
    paper, code = (
        page.read_text().partition(f"## {part}")[2].partition("\n## ")[0] for part in PARTS[:2]
    )
    results = set().union(*(numbers(found) for found in re.findall(r"\*\*(.+?)\*\*", paper)))
    blocks = "".join(re.findall(r"^```python\n(.*?)^```", code, re.DOTALL | re.MULTILINE))
    printed = "\n".join(line for line in blocks.splitlines() if not line.startswith((">>>", "...")))
    assert results
    assert results <= numbers(printed)


@pytest.mark.parametrize("page", EVERY, ids=by_name)
def test_no_line_of_code_is_cut_off(page: Path) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert not [line for line in lines if len(line) > MAX_COLUMNS]
    beside = r"^(?:>>> |\.\.\. )\s*[^#\s].*\s# (?!doctest:)"
    assert not [line for line in lines if re.search(beside, line)]


@needs_node
def test_still_pictures_are_what_the_script_draws() -> None:
    drawn = touch().stills()
    kept = {path.stem: path.read_text() for path in touch().STILLS.glob("*.svg")}
    assert drawn == kept, "run: python docs/site/touch.py"
    assert set(kept) == {
        name for page in TAUGHT for _, _, name in touch().STILL.findall(page.read_text())
    }


@needs_node
def test_no_state_of_a_picture_shows_what_is_no_number_or_lies_outside() -> None:
    """Of all combinations of each control's ends and its middle."""
    program = """
    const states = (controls) => controls.reduce((all, { name, min = 0, max, step = 1, options }) => {
      const last = max ?? options.length - 1, middle = min + step * Math.round((last - min) / 2 / step);
      return all.flatMap((state) => [min, middle, last].map((value) => ({ ...state, [name]: value })));
    }, [{}]);
    const faults = [];
    for (const [name, picture] of Object.entries(PICTURES)) for (const state of states(picture.controls)) {
      const drawn = svg(picture, state), [height] = picture.draw(state, picture.compute(state));
      if (/NaN|undefined|Infinity/.test(drawn + said(picture, state))) faults.push([name, state, "no number"]);
      for (const [, axis, place] of drawn.matchAll(/ (x|y|cx|cy|x1|x2|y1|y2)="([^"]+)"/g))
        if (place < 0 || place > (axis.includes("x") ? WIDTH : height)) faults.push([name, state, axis, place]);
    }
    console.log(JSON.stringify(faults.slice(0, 5)));"""
    assert json.loads(touch().in_node(program)) == []


@needs_node
def test_type_in_a_picture_is_legible_on_a_phone() -> None:
    """A picture is 360 units wide, and at least 340 pixels on a screen of 390."""
    sizes = re.findall(r"(?:font|font-size): ?(\d+)px", (touch().HERE / "touch.css").read_text())
    assert sizes and min(map(int, sizes)) * 340 / 360 >= 12


@needs_node
def test_scores_and_shares_of_the_pictures_are_those_of_attention() -> None:
    found = computed()["score"]["numbers"]
    keys = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 1], [0, 0, 2, 1]])
    scaled = steps.scale(steps.scores(torch.tensor([found["query"]]).float(), keys), head_width=4)
    assert found["scores"] == pytest.approx(scaled[0].tolist())
    assert found["shares"] == pytest.approx(steps.softmax(scaled)[0].tolist())
    made = computed()["qkv"]["numbers"]
    whole = steps.masked_head(
        *(torch.tensor(made[name]).float() for name in ("query", "key", "value"))
    )
    assert made["found"] == pytest.approx(whole[2].tolist())
    best = computed()["embeddings"]["numbers"]["cosine"]
    lists = torch.tensor([[4.0, 3.0], [3.0, 4.0]])
    assert best == pytest.approx(float(cosines(lists)[0, 1]))


@needs_node
def test_rotated_products_of_the_picture_are_those_of_rotary_positions() -> None:
    found = computed()["positions"]["numbers"]
    for (query, key), product in zip(found["angles"], found["products"], strict=True):
        turned = [rotated(degrees) for degrees in (query, key)]
        assert product == pytest.approx(float((turned[0] * turned[1]).sum()), abs=1e-6)


def rotated(degrees: float) -> torch.Tensor:
    """(1, 0), turned."""
    angle = torch.tensor(degrees).deg2rad()
    cosine, sine = (
        torch.stack(pair).view(1, 1, 1, 2)
        for pair in ((angle.cos(), angle.cos()), (-angle.sin(), angle.sin()))
    )
    return rotate(torch.tensor([1.0, 0.0]).view(1, 1, 1, 2), Rotation(cosine, sine))


@needs_node
def test_rows_steps_and_parameters_of_the_pictures_are_those_of_loader_and_model() -> None:
    found = computed()["batches"]["numbers"]
    text = SimpleNamespace(tokens=lambda split: np.arange(13), fingerprint="")
    windows = Windows(text, "train", context_tokens=4, batch_size=1, seed=0)  # type: ignore[arg-type]
    assert (found["rows"], found["labels"]) == (windows.num_windows, windows.context_tokens)
    shape = {"vocab_size": 100, "context_tokens": 16, "width": 8, "num_layers": 3, "num_heads": 2}
    count = parameter_count(ModelConfig(**shape, feedforward_width=16))
    assert computed()["layers"]["numbers"]["all"] == count.total


@needs_node
def test_a_training_step_of_the_picture_is_that_of_autograd() -> None:
    found = computed()["training"]["numbers"]
    weight, shares = torch.zeros((), requires_grad=True), torch.tensor([0.75, 0.25])
    F.cross_entropy(torch.stack([weight, torch.zeros(())]), shares).backward()  # type: ignore[no-untyped-call]
    after = weight.detach() - 2 * weight.grad  # type: ignore[operator]
    assert found["weight"] == pytest.approx(float(after))
    logits = torch.stack([after, torch.zeros(())])
    assert found["loss"] == pytest.approx(float(F.cross_entropy(logits, shares)))
    classified = computed()["uses"]["numbers"]
    assert classified["shares"] == pytest.approx(torch.tensor([2.0, 1.0]).softmax(-1).tolist())


def test_figures_that_pages_tell_of_recorded_trainings_are_those_of_the_record() -> None:
    text = (touch().HERE / "recorded.js").read_text()
    record = json.loads(text.partition("RECORDED = ")[2].rstrip(";\n"))
    first, last = record["emergence"]["steps"][0], record["emergence"]["steps"][-1]
    told = numbers((CONCEPTS / "emergence.md").read_text().partition("## On paper")[0])
    assert {last["step"], last["first"], last["second"]} <= told
    assert {round(100 * each["score"]) for each in (first, last)} <= told
    start = record["pretrained"]
    told = numbers((CONCEPTS / "pretrained.md").read_text().partition("## On paper")[0])
    losses = {start[name][place]["loss"] for name in ("random", "pretrained") for place in (0, -1)}
    assert losses | {start["read"], start["new"], start["held_out"], start["parameters"]} <= told


def test_the_path_has_every_page_that_teaches_once_and_takes_ninety_minutes() -> None:
    stops = booklet().stops()
    assert sorted(stop.name for stop in stops) == sorted(page.stem for page in TAUGHT)
    assert [stop.number for stop in stops] == list(range(1, len(stops) + 1))
    assert sum(stop.minutes for stop in stops) == 90


def test_the_booklet_has_the_pages_in_their_order_with_their_pictures_and_loads_nothing() -> None:
    text = booklet().booklet()
    titles = re.findall(r"<h1>(.+?)</h1>", text)
    assert titles[1:] == [
        (CONCEPTS / f"{stop.name}.md").read_text().split("\n")[0].removeprefix("# ")
        for stop in booklet().stops()
    ]
    assert text.count("<svg") == len(titles) - 1
    assert "<h2>More" not in text
    assert not re.search(r"<(?:img|script|link)", text)
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets <= set(re.findall(r'id="([^"]+)"', text))


@pytest.fixture(scope="module")
def model_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it stands in the site."""
    page = tmp_path_factory.mktemp("site") / "assets" / "model.html"
    page.parent.mkdir()
    touch().write_model(page)
    return page


def test_every_page_of_the_path_opens_a_part_of_the_model_that_the_page_has(
    model_page: Path,
) -> None:
    page = model_page
    anchors = set(re.findall(r' id="([^"]+)"', page.read_text()))
    parts = {each.stem: touch().LIVE.findall(each.read_text()) for each in EVERY}
    assert {each.stem for each in TAUGHT} <= {name for name, found in parts.items() if found}
    assert {part for found in parts.values() for part, _ in found} <= anchors
    assert page.stat().st_size < 2_100_000


@pytest.mark.browser
@pytest.mark.parametrize("part", ["at-scores", "tokens-heading", "question", "train", "changes"])
def test_a_frame_holds_one_part_of_the_model_as_high_as_it_is_and_in_the_colours_of_the_site(
    browser: Any, model_page: Path, part: str
) -> None:
    page = model_page.parents[1] / "concepts" / "page.html"
    page.parent.mkdir(exist_ok=True)
    figure = touch().with_figures(f"<!-- live {part}: **In a model.** Words. -->")
    assert "<noscript><p>The model" in figure
    assert " src=" not in figure
    page.write_text(
        f"<style>{touch().style()}</style><body data-md-color-scheme=default class=md-typeset>"
        f"{figure}<script>{touch().script()}</script>"
    )
    context = browser.new_context(viewport={"width": 390, "height": 844})
    view = context.new_page()
    view.goto(page.as_uri())
    inside = view.frame_locator("iframe")
    inside.locator("body.alone").wait_for()
    shown = """(root) => [...root.querySelectorAll('.stage, #controls > section')]
        .filter((each) => each.checkVisibility())
        .map((each) => each.dataset.stage ?? (each.id || each.classList[0] || 'next'))"""
    sections = {
        "at-scores": ["text", "inside", "scores"],
        "tokens-heading": ["text", "text-tokens", "next"],
        "question": ["text", "text-tokens", "shown"],
        "train": ["train"],
        "changes": ["text", "changes"],
    }
    assert inside.locator("html").evaluate(shown) == sections[part]
    frame = "document.querySelector('iframe').offsetHeight"
    for _ in range(200):  # which the page inside tells by a message
        high = min(inside.locator("body").evaluate("(body) => body.offsetHeight") + 2, 0.8 * 844)
        if abs(view.evaluate(frame) - high) <= 2:
            break
        view.wait_for_timeout(100)
    assert view.evaluate(frame) == pytest.approx(high, abs=2)
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert inside.locator("html").evaluate(wide) <= 0
    ground = "getComputedStyle(document.body).backgroundColor"
    assert inside.locator("html").evaluate(ground) == "rgb(251, 250, 246)"
    view.evaluate("document.body.dataset.mdColorScheme = 'slate'")
    inside.locator("html[style*=dark]").wait_for()
    assert inside.locator("html").evaluate(ground) == "rgb(22, 24, 27)"
    context.close()


@pytest.mark.browser
def test_a_wide_table_is_a_list_on_a_phone_and_reached_by_the_keyboard_elsewhere(
    browser: Any, tmp_path: Path
) -> None:
    titles, row = (
        "".join(f"<t{kind}>{words}{place}</t{kind}>" for place in range(9))
        for kind, words in (("h", "title"), ("d", "some_quite_long_name_of_a_key_of_settings_"))
    )
    style = (touch().HERE.parent / "site.css").read_text()
    page = tmp_path / "page.html"
    page.write_text(
        f"<style>.md-typeset__scrollwrap {{ overflow-x: auto; }} {style}</style><body class=md-typeset>"
        f"<div class=md-typeset__scrollwrap><table><thead><tr>{titles}</tr></thead><tbody><tr>{row}"
        f"</tr></tbody></table></div><script>{touch().script()}</script>"
    )
    context = browser.new_context(viewport={"width": 390, "height": 844})
    view = context.new_page()
    view.goto(page.as_uri())
    view.locator("table[data-stacked]").wait_for()
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    last = view.get_by_role("cell").last
    assert last.get_attribute("data-label") == "title8"
    view.set_viewport_size({"width": 1280, "height": 844})
    view.locator("[tabindex='0'] > table[data-wide]:not([data-stacked])").wait_for()
    context.close()


@pytest.mark.browser
def test_a_picture_is_moved_by_keys_and_by_play_and_stands_still_until_then(
    browser: Any, tmp_path: Path
) -> None:
    figure = touch().with_figures("![A sentence, cut in two](../images/touch/labels.svg)")
    page = tmp_path / "page.html"
    page.write_text(f"<style>{touch().style()}</style>{figure}<script>{touch().script()}</script>")
    said = "document.querySelector('.touch-says').textContent"
    for motion, button in (("no-preference", "Play"), ("reduce", "Next step")):
        context = browser.new_context(reduced_motion=motion)
        view = context.new_page()
        view.goto(page.as_uri())
        assert view.locator("figure svg").get_attribute("aria-label") == "A sentence, cut in two"
        assert view.locator("figure img").count() == 0
        assert "“the cat”" in view.evaluate(said)
        view.get_by_role("slider").focus()
        view.keyboard.press("ArrowRight")
        assert "“the cat sat”" in view.evaluate(said)
        assert view.get_by_role("button").text_content() == button
        # in one go: the next step of Play comes by a clock
        pressed = f"document.querySelector('figure button').click(), {said}"
        assert "“the cat sat on”" in view.evaluate(pressed)
        context.close()
