"""The page's other views in a real Chromium: Models, Classify, Compare, Inside."""

from collections.abc import Callable
from typing import Any

import pytest
from small_models import save_classifier, save_language

from groundup.device import select_compute
from groundup.files import write_json
from groundup.lab.live.live_page import write_live_page
from groundup.migrations import BUILD
from groundup.weights.model_io import open_model
from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def built(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A build with its own model and the page of it, a chat model and a filter of spam."""
    folder = tmp_path_factory.mktemp("builds") / "mini"
    own = open_model(save_language(folder / "pretrain", seed=3), select_compute("cpu"))
    write_live_page(own, folder / "model.html", text="To be")
    save_language(folder / "chat")
    save_classifier(folder / "spam")
    kinds = {"pretrain": "pretrain", "chat": "chat", "spam": "classifier"}
    write_json(folder / "build.json", BUILD.stamp({"kinds": kinds}))
    return serve(str(folder))


@pytest.fixture
def view(opened: Callable[..., Any], address: str) -> Callable[..., Any]:
    """view(name) -> the page with that view shown and its models known."""

    def show(name: str, **options: Any) -> Any:
        page = opened(f"{address}/#{name}", **options)
        page.locator(f"#{name} option:not([disabled]), #{name} .card").first.wait_for(
            state="attached"
        )
        return page

    return show


def test_models_tell_what_they_are_and_whether_they_are_loaded(
    view: Callable[..., Any], server: Any
) -> None:
    server.post("/api/generate", {"model": "tiny"})  # loads it
    page = view("models")
    tiny = page.locator(".card", has=page.get_by_role("heading", name="tiny"))
    assert "in memory" in tiny.locator(".badge").inner_text()
    assert (
        tiny.locator(".facts > div", has_text="context, tokens").locator("dd").inner_text() == "256"
    )
    sorter = page.locator(".card", has=page.get_by_role("heading", name="sorter"))
    assert "classifies" in sorter.inner_text()


def test_messages_are_classified_and_their_words_marked(
    view: Callable[..., Any], server: Any
) -> None:
    texts = ["To be, or not to be", "<b>that</b> is the question"]
    expected = [
        each["label"]
        for each in server.post("/v1/classify", {"model": "sorter", "input": texts}).json()["data"]
    ]
    page = view("classify")
    page.get_by_label("Messages").fill("\n\n".join(texts))
    page.get_by_role("button", name="Classify").click()
    cards = page.locator("#verdicts .card")
    cards.nth(1).wait_for()
    assert [card.locator("h3").inner_text().split()[0] for card in cards.all()] == expected
    assert cards.locator(".said").all_inner_texts() == texts
    cards.nth(1).get_by_role("button", name="Which words?").click()
    cards.nth(1).locator(".for, .against").first.wait_for()
    assert cards.nth(1).locator(".said").inner_text() == texts[1]
    assert "is read without the token" in cards.nth(1).locator(".hint").inner_text()


def test_two_models_answer_one_prompt_side_by_side(view: Callable[..., Any]) -> None:
    page = view("compare")
    page.get_by_label("Left").select_option("tiny")
    page.get_by_label("Right").select_option("other")
    page.locator("#compare-text").fill("To be")
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("Both answers ended.").wait_for(state="attached")
    answers = page.locator("#compared .answer").all_inner_texts()
    assert len(answers) == 2
    assert answers[0] != answers[1]
    assert page.locator("#compared .by").all_inner_texts() == ["tiny", "other"]
    assert page.locator("#compared .question").inner_text() == "To be"
    assert page.get_by_role("button", name="Ask both").is_visible()


def test_what_to_try_is_one_click_away(opened: Callable[..., Any], built: Any) -> None:
    page = opened(f"{built.address}/#classify")
    tried = page.get_by_role("group", name="To try").get_by_role("button")
    tried.first.wait_for()
    assert tried.count() == 2
    message = tried.first.inner_text()
    tried.first.click()
    assert page.locator("#verdicts .said").inner_text() == message
    assert page.get_by_label("Messages", exact=True).input_value() == message
    page.goto(f"{built.address}/#compare")
    page.get_by_role("group", name="To try").get_by_role("button").first.wait_for()
    page.locator("#compare-left:has(option[value=mini]:checked)").wait_for()
    assert page.get_by_label("Right").input_value() == "mini:own"
    page.get_by_role("group", name="To try").get_by_role("button").first.click()
    page.get_by_text("Both answers ended.").wait_for(state="attached")
    assert page.locator("#compared .by").all_inner_texts() == ["mini", "mini:own"]


def test_the_page_of_a_build_with_its_model_inside_runs_apart_from_the_server(
    opened: Callable[..., Any], built: Any
) -> None:
    page = opened(f"{built.address}/#inside")
    page.get_by_role("link", name="Open the model's page").click()
    page.get_by_role("button", name="One token").click()
    page.wait_for_function("livePage.ids.length > 0")
    assert page.evaluate("origin") == "null"
    page.fill("#train-text", "To be, or not to be. " * 20)
    page.click("#train-step")
    page.wait_for_selector("#train-weight-said:has-text('the same, measured')")
    assert built.get("/groundup/live/mini").status_code == 404
    assert built.get("/groundup/live/none").status_code == 404


def test_the_inside_of_an_answer_is_one_click_away(view: Callable[..., Any]) -> None:
    page = view("chat")
    page.locator("#chat-model").select_option("tiny")
    page.locator("#option-max_tokens").evaluate(
        "e => { e.value = 12; e.dispatchEvent(new Event('input')); }"
    )
    page.locator("#question").fill("To be")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Look inside").click()
    page.locator("#inside .piece").first.wait_for()
    assert page.locator("#inside-model").input_value() == "tiny"
    assert page.locator("#inside-text").input_value() != ""


def test_attention_is_read_token_by_token_with_pointer_and_keys(view: Callable[..., Any]) -> None:
    page = view("inside")
    page.locator("#inside-model").select_option("tiny")
    page.get_by_role("button", name="Look inside").click()
    pieces = page.locator(".piece")
    pieces.first.wait_for()
    told = page.locator(".told")
    assert told.inner_text().startswith(f"Token {pieces.count()},")
    pieces.nth(2).hover()
    assert told.inner_text().startswith("Token 3,")
    pieces.nth(2).focus()
    page.keyboard.press("ArrowRight")
    assert told.inner_text().startswith("Token 4,")
    shares = [
        float(piece.evaluate("e => e.style.getPropertyValue('--share')")) ** 2
        for piece in pieces.all()
    ]
    assert sum(shares) == pytest.approx(1, abs=0.02)
    assert all(share == 0 for share in shares[4:])
    before = page.locator(".map svg").inner_html()
    page.get_by_label("Block").select_option("2")
    page.wait_for_function(
        "before => document.querySelector('.map svg').innerHTML !== before", arg=before
    )
    assert page.get_by_label("Block").input_value() == "2"


def test_the_map_has_labels_a_scale_and_a_value_at_each_square(
    view: Callable[..., Any], server: Any
) -> None:
    page = view("inside")
    page.locator("#inside-model").select_option("tiny")
    page.locator("#inside-text").fill("To be, or not")
    page.get_by_role("button", name="Look inside").click()
    pieces = page.locator(".piece")
    pieces.first.wait_for()
    labels, size = page.locator(".map text").all_text_contents(), pieces.count()
    assert sorted(labels) == sorted(2 * pieces.all_inner_texts())
    assert page.locator(".scale > span").all_inner_texts()[1:] == [
        "1 %",
        "5 %",
        "20 %",
        "50 %",
        "100 %",
    ]
    page.get_by_label("Head").select_option("0")
    found = server.post(
        "/groundup/inside", {"model": "tiny", "text": "To be, or not", "block": 1}
    ).json()
    share = found["heads"][0][2][1]  # of token 3, to token 2
    box = page.locator(".map svg").bounding_box()
    cell = page.locator(".map rect").nth(0).bounding_box()["width"] + 1
    margin = box["width"] - 2 - size * cell
    page.locator(".map").scroll_into_view_if_needed()
    page.locator(".map svg").hover(position={"x": margin + 1.5 * cell, "y": margin + 2.5 * cell})
    told = page.locator("#readout").inner_text()
    assert f"{pieces.nth(2).inner_text()} gives {pieces.nth(1).inner_text()}" in told
    assert abs(float(told.split(" %")[0].split()[-1]) - 100 * share) < 0.6
    page.locator(".map svg").hover(position={"x": 2, "y": 2})
    assert page.locator("#readout").is_hidden()


def test_heads_worth_a_look_are_shown_on_the_text(view: Callable[..., Any], server: Any) -> None:
    heads = server.post("/groundup/heads", {"model": "tiny"}).json()["heads"]
    page = view("inside")
    page.locator("#inside-model").select_option("tiny")
    page.get_by_role("button", name="Look inside").click()
    page.get_by_role("heading", name="Heads with a known pattern").wait_for()
    shown = page.locator("#inside-heads .idea")
    assert shown.count() == len(heads)
    if heads:  # a random model may have none, and then the page says so
        shown.last.click()
        page.wait_for_function(
            "n => document.querySelector('.controls select').value === n",
            arg=str(heads[-1]["block"]),
        )
        assert page.get_by_label("Head").input_value() == str(heads[-1]["head"] - 1)
    else:
        assert "No head of this model" in page.locator("#inside-heads").inner_text()


def test_without_a_text_nothing_is_asked(view: Callable[..., Any]) -> None:
    page = view("inside")
    page.locator("#inside-text").fill("")
    page.get_by_role("button", name="Look inside").click()
    page.locator("#inside-note", has_text="There is no text yet.").wait_for()


@pytest.mark.parametrize("name", ["inside", "classify", "compare", "models"])
@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 900, "dark"), (360, 740, "light")])
def test_every_view_fits(
    view: Callable[..., Any], name: str, width: int, height: int, scheme: str
) -> None:
    page = view(name, width=width, height=height, scheme=scheme)
    assert page.locator(f"#{name} h2").is_visible()
    assert page.locator(f"#{name}").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page_faults(page) == print_faults(page) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_every_answer_fits_on_the_screen_and_on_paper(
    view: Callable[..., Any], width: int, height: int
) -> None:
    page = view("inside", width=width, height=height)
    page.locator("#inside-model").select_option("tiny")
    page.get_by_role("button", name="Look inside").click()
    page.get_by_role("heading", name="Heads with a known pattern").wait_for()
    assert page_faults(page) == print_faults(page) == []
    page.goto(page.url.replace("#inside", "#classify"))
    page.locator("#classify option:not([disabled])").first.wait_for(state="attached")
    page.get_by_label("Messages").fill("To be\nor not to be")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="Which words?").first.click()
    page.locator("#verdicts").locator(".for, .against").first.wait_for()
    assert page_faults(page) == print_faults(page) == []
    page.goto(page.url.replace("#classify", "#compare"))
    page.locator("#compare option:not([disabled])").first.wait_for(state="attached")
    page.locator("#compare-text").fill("To be")
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("Both answers ended.").wait_for(state="attached")
    assert page_faults(page) == print_faults(page) == []


def test_facts_of_a_model_stand_in_columns_on_a_phone(view: Callable[..., Any]) -> None:
    page = view("models", width=390, height=844)
    first, second = (page.locator(".facts > div").nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"]


@pytest.mark.parametrize("name", ["compare", "models"])
def test_the_first_link_skips_into_the_view_that_is_shown(
    view: Callable[..., Any], name: str
) -> None:
    page = view(name)
    page.locator("a[href], button").first.press("Enter")  # a tab begins where the address points
    focused = page.evaluate("document.activeElement.closest('section').id")
    assert focused == name and page.url.endswith(f"#{name}")


@pytest.mark.parametrize("width", [390, 320])
def test_every_link_of_the_head_can_be_seen_on_a_phone(
    view: Callable[..., Any], width: int
) -> None:
    page = view("models", width=width)
    for link in page.locator("nav a").all():
        box = link.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_a_printed_view_is_its_content_whole(view: Callable[..., Any]) -> None:
    page = view("classify", height=300)
    page.get_by_label("Messages").fill("To be\n" * 9)
    page.get_by_role("button", name="Classify").click()
    page.locator("#verdicts .card").nth(8).wait_for()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible() and not page.locator("#classify-form").is_visible()
    last = page.locator("#verdicts .card").nth(8).bounding_box()
    assert page.evaluate("document.documentElement.scrollHeight") >= last["y"] + last["height"]
