"""The page of an assistant in a real Chromium, as a firm's customers see it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_serve_assistant import QUESTION, make_build

from groundup.language.messages import catalog, languages
from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser

UNKNOWN = "What is the capital of France?"
OPENING_HOURS = "When are you open?"
PERSON = "To speak to a person: call 01632 960530."
SCREENS = [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark")]


@pytest.fixture(scope="module")
def clinic(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return serve(str(make_build(tmp_path_factory.mktemp("page") / "clinic")))


@pytest.fixture
def view(opened: Callable[..., Any], clinic: Any) -> Callable[..., Any]:
    """view() -> the server's page, with its assistant open."""

    def show(**options: Any) -> Any:
        page = opened(clinic.address, **options)
        page.get_by_role("heading", name="Pebblegate").wait_for()
        return page

    return show


def replied(page: Any, number: int) -> Any:
    """The article of a question, counted from 0, once its reply has ended."""
    article = page.locator("#assistant-thread .asked").nth(number)
    article.and_(page.locator(":not([aria-busy])")).wait_for()
    return article


def ask(page: Any, question: str, number: int = 0) -> Any:
    page.locator("#assistant-question").fill(question)
    page.keyboard.press("Enter")
    return replied(page, number)


@pytest.mark.parametrize(("width", "height", "scheme"), SCREENS)
def test_a_conversation(view: Callable[..., Any], width: int, height: int, scheme: str) -> None:
    page = view(width=width, height=height, scheme=scheme)
    assert page.title() == "Pebblegate" and not page.locator("nav").is_visible()
    greeting = page.locator(".greeting")
    assert greeting.inner_text() == "Hello, I am Pebblegate's computer program."
    assert "not to a person" in page.locator(".firm").inner_text()

    page.get_by_role("button", name=OPENING_HOURS).click()
    opening = replied(page, 0)
    assert not page.locator("#assistant-ideas").is_visible()
    assert "opening-hours.md" in opening.get_by_role("complementary", name="Sources").inner_text()

    price = ask(page, QUESTION, 1)
    sources = price.get_by_role("complementary", name="Sources")
    assert "£690" in price.locator(".cited").inner_text()
    assert sources.get_by_role("button").all_inner_texts() == ["Prices"]
    assert "prices.md" in sources.inner_text()
    said, beside = price.locator(".cited").bounding_box(), sources.bounding_box()
    copy = price.locator(".actions").bounding_box()
    assert (beside["x"] > said["x"] + said["width"]) == (width > 1000)
    if width < 1000:  # below, and above what is done with the answer
        assert beside["y"] + beside["height"] <= copy["y"]

    page.get_by_role("button", name="Speak to a person").click()
    person = replied(page, 2).locator(".cited").inner_text()
    assert PERSON in person and f"- {OPENING_HOURS}\n- {QUESTION}" in person
    assert page.get_by_role("button", name="Copy what I asked").is_visible()
    assert fits(page, width)
    assert page_faults(page) == print_faults(page) == []


@pytest.mark.parametrize("language", languages()[1:])
def test_in_the_browsers_language_where_the_pack_has_none(
    view: Callable[..., Any], language: str
) -> None:
    page = view(width=390, height=844, locale=language)
    labels = catalog(language)["page"]
    assert page.evaluate("document.documentElement.lang") == language
    assert page.locator(".firm .machine").inner_text() == labels["machine"]
    page.get_by_role("button", name=labels["person"]).click()
    person = catalog(language)["assistant"]["person"].format(contact="call 01632 960530.")
    assert replied(page, 0).locator(".cited").inner_text() == person
    price = ask(page, QUESTION, 1)
    assert price.get_by_role("complementary", name=labels["sources"]).is_visible()
    said = labels["source"].format(number=1, document="Prices")
    assert price.get_by_role("button", name=said).count() == 2  # the number and the source
    assert fits(page, 390)
    page.get_by_role("link", name=labels["workbench"]).click()
    page.locator("html[lang=en] #documents").wait_for()


def fits(page: Any, width: int) -> bool:
    """Whether nothing is scrolled sideways, and the last reply and what is below it are in view."""
    form = page.locator("#assistant-form").bounding_box()
    last = page.locator("#assistant-thread .asked").last.bounding_box()
    below = page.locator(".workbench").bounding_box()
    widest = "Math.max(...[document.documentElement, assistant].map((each) => each.scrollWidth))"
    return bool(
        page.evaluate(widest) <= width
        and last["y"] + last["height"] <= form["y"]
        and below["y"] + below["height"] <= page.viewport_size["height"]
    )


def test_the_number_of_a_source_opens_its_place_and_closing_goes_back(
    view: Callable[..., Any],
) -> None:
    page = view(width=390, height=844)
    ask(page, QUESTION).locator(".cite").click()
    page.locator("mark.cited").first.wait_for()
    assert page.locator("mark.cited").all_inner_texts() == ["Porcelain crown", "£690"]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "cite"


def test_a_refusal_names_the_sections_that_come_nearest(view: Callable[..., Any]) -> None:
    page = view()
    related = ask(page, "can I bring my dog to a filling").locator(".related")
    assert related.inner_text().startswith("What comes nearest: How to find us > Dogs")
    related.get_by_role("button").first.click()
    passage = page.locator("#passage")
    passage.wait_for()
    assert "dog" in passage.inner_text()


def test_by_keyboard_an_example_leads_on_to_its_answer(view: Callable[..., Any]) -> None:
    page = view()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    replied(page, 0)
    assert page.evaluate("document.activeElement.id") == "assistant-thread"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "cite"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_what_has_the_focus_stands_above_the_field(
    view: Callable[..., Any], width: int, height: int
) -> None:
    page = view(width=width, height=height)
    for number in range(4):
        ask(page, QUESTION, number)
    page.locator("#assistant").evaluate("each => each.scrollTop = 0")
    page.locator("#assistant-thread").focus()
    page.keyboard.press("Tab")
    reached = 0
    while page.evaluate("!document.activeElement.closest('form')"):
        focused = page.locator(":focus").bounding_box()
        form = page.locator("#assistant-form").bounding_box()
        assert focused["y"] + min(focused["height"], 40) <= form["y"]
        page.keyboard.press("Tab")
        reached += 1
    assert reached >= 12


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_question_too_long_is_said_above_the_field(
    clinic: Any, browser: Any, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(clinic.address)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    ask(page, QUESTION)
    said = ask(page, "crown " * 4000, 1).locator(".note.failed").bounding_box()
    assert said["y"] + said["height"] <= page.locator("#assistant-form").bounding_box()["y"]
    page.close()


def test_on_paper_a_table_is_whole(view: Callable[..., Any]) -> None:
    page = view()
    table = ask(page, QUESTION).locator(".table")
    assert table.evaluate("each => each.scrollHeight > each.clientHeight")
    page.emulate_media(media="print")
    assert table.evaluate("each => each.scrollHeight <= each.clientHeight")


def test_on_paper_an_open_document_stands_alone_and_whole(view: Callable[..., Any]) -> None:
    page = view(height=400)
    ask(page, QUESTION).locator(".cite").click()
    page.locator("#passage mark").first.wait_for()
    page.emulate_media(media="print")
    assert not page.locator("main").is_visible()
    assert page.locator(".document").evaluate("each => each.scrollHeight <= each.clientHeight")


def test_a_question_that_failed_can_be_sent_again(clinic: Any, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(clinic.address)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    too_long = "crown " * 4000
    assert "8,000 characters" in ask(page, too_long).locator(".note.failed").inner_text()
    assert page.locator("#assistant-question").input_value() == too_long.strip()
    assert fits(page, 390)
    page.close()


def test_start_again_forgets(view: Callable[..., Any]) -> None:
    page = view()
    ask(page, QUESTION)
    page.get_by_role("button", name="Start again").click()
    assert page.locator(".asked").count() == 0
    assert page.get_by_role("button", name=OPENING_HOURS).is_visible()
    again = ask(page, "Can I talk to someone?").locator(".cited").inner_text()
    assert again == PERSON


@pytest.mark.parametrize(("width", "height", "scheme"), [SCREENS[0], SCREENS[-1]])
def test_a_reply_is_rated_and_the_page_says_what_is_kept(
    opened: Callable[..., Any],
    serve: Callable[..., Any],
    tmp_path: Path,
    width: int,
    height: int,
    scheme: str,
) -> None:
    file = tmp_path / "feedback.jsonl"
    rated = serve(str(make_build(tmp_path / "clinic")), "--feedback", str(file))
    page = opened(rated.address, width=width, height=height, scheme=scheme)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    assert "are kept" in page.locator("#assistant-notice").inner_text()
    ask(page, QUESTION).get_by_role("button", name="No", exact=True).click()
    field = page.get_by_label("What is wrong or missing?")
    field.fill("Another crown")
    assert page.get_by_role("button", name="No", exact=True).get_attribute("aria-pressed") == "true"
    send, form = page.get_by_role("button", name="Send comment"), page.locator("#assistant-form")
    below = send.bounding_box()["y"] + send.bounding_box()["height"]
    assert below <= form.bounding_box()["y"]  # not behind it
    send.click()
    field.wait_for(state="detached")
    last = json.loads(file.read_text().splitlines()[-1])
    assert (last["question"], last["rating"], last["text"]) == (QUESTION, "down", "Another crown")
    assert page.evaluate("document.activeElement.className") == "down"
    assert fits(page, width)
    danger = ask(page, "I want to kill myself", 1)
    assert danger.get_by_role("group", name="Rate this answer").count() == 0


def test_a_kept_conversation_is_deleted_by_its_reader(
    opened: Callable[..., Any], serve: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    keeps = serve(str(make_build(tmp_path / "clinic")), "--transcripts", str(folder))
    page = opened(keeps.address, width=390, height=844)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    assert "for 30 days" in page.locator("#assistant-notice").inner_text()
    delete = page.get_by_role("button", name="Delete conversation")
    assert not delete.is_visible()
    ask(page, UNKNOWN)
    [file] = folder.iterdir()
    assert UNKNOWN in file.read_text() and fits(page, 390)
    delete.click()
    page.get_by_text("The conversation is deleted.").first.wait_for()
    assert list(folder.iterdir()) == [] and page.locator(".asked").count() == 0
    assert page.evaluate("document.activeElement.id") == "assistant-thread"


def test_without_feedback_nothing_is_asked_of_readers(view: Callable[..., Any]) -> None:
    page = view()
    assert ask(page, QUESTION).locator(".rating").count() == 0
    assert not page.locator("#assistant-notice").is_visible()
    assert not page.locator("#assistant-forget").is_visible()


def test_in_sentences_and_tables_what_belongs_together_stays_on_a_line(
    opened: Callable[..., Any], serve: Callable[..., Any], tmp_path: Path
) -> None:
    """A number of a source and the word before it, an amount and its currency; German and long."""
    word = "Schwimmbadbenutzungsgebührenermäßigungsantrag"
    rows = f"| Karte | Preis | {word} |\n|---|---|---|\n| Zehnerkarte | 125 € | {word} |\n"
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "bad.md").write_text(
        f"# Hallenbad\n\n{rows}\n## Kurse\n\nDen {word} gibt es hier.\n"
    )
    own = serve(str(make_build(tmp_path / "clinic", documents)))
    page = opened(own.address, width=390, height=844)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    table = ask(page, "Was kostet die Zehnerkarte?").locator(".quoted td").first
    assert table.inner_text() == "125\N{NO-BREAK SPACE}€"
    quoted = ask(page, f"Wo gibt es den {word}?", 1).locator(".numbered").first
    assert quoted.evaluate("(each) => each.getClientRects().length") == 1
    assert fits(page, 390)
