"""The page of an assistant that acts, in a real Chromium: fields that fit what is asked, and nothing
twice.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acting_build import make_acting_build
from test_serve_page_assistant import SCREENS, ask, fits, replied

from tests.page_faults import page_faults

pytestmark = pytest.mark.browser

START = "Book me a check-up on 5 March 2031"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_acting_build(tmp_path_factory.mktemp("page") / "clinic")


@pytest.fixture(scope="module")
def clinic(serve: Callable[..., Any], build: Path) -> Any:
    return serve(str(build))


@pytest.fixture
def view(opened: Callable[..., Any], clinic: Any) -> Callable[..., Any]:
    def show(**options: Any) -> Any:
        page = opened(clinic.address, **options)
        page.get_by_role("heading", name="Pebblegate").wait_for()
        return page

    return show


def booked(build: Path) -> int:
    with contextlib.closing(sqlite3.connect(build / "world.sqlite")) as database:
        found = "SELECT count(*) FROM appointment WHERE date > '2031'"
        return int(database.execute(found).fetchone()[0])


@pytest.mark.parametrize(("width", "height", "scheme"), SCREENS)
def test_booked_by_fields_alone_and_undone(
    view: Callable[..., Any], build: Path, width: int, height: int, scheme: str
) -> None:
    page = view(width=width, height=height, scheme=scheme)
    page.get_by_role("button", name="Book an appointment").click()
    replied(page, 0).get_by_role("button", name="hygiene visit").click()
    page.get_by_label("date").fill("2031-03-05")
    page.get_by_role("button", name="Use this").click()
    replied(page, 2).get_by_label("time").fill("11:00")
    assert page.locator(".ways").count() == 1, "only the last question has fields"
    page.get_by_role("button", name="Use this").click()
    replied(page, 3)
    confirm = ask(page, "Ada Brook", 4)
    assert "Ada Brook" in confirm.locator(".understood").inner_text()
    assert fits(page, width)
    confirm.get_by_role("button", name="Yes").click()
    done = replied(page, 5)
    assert "Your reference is" in done.inner_text() and booked(build) == 1
    done.get_by_role("button", name="Undo").click()
    replied(page, 6).get_by_role("button", name="Yes").click()
    assert "is cancelled" in replied(page, 7).inner_text() and booked(build) == 0


@pytest.mark.parametrize(("width", "height", "scheme"), SCREENS)
def test_what_is_possible_in_place_of_a_refused_day_or_time_is_one_click_away(
    view: Callable[..., Any], width: int, height: int, scheme: str
) -> None:
    page = view(width=width, height=height, scheme=scheme)
    sunday = ask(page, START.replace("5 March", "9 March"))
    assert "closed on Sundays" in sunday.inner_text() and sunday.get_by_label("date").is_visible()
    assert page_faults(page) == []
    sunday.get_by_role("button", name="Monday 10 March 2031").click()
    replied(page, 1)
    late = ask(page, "at 18:45", 2)
    assert "No appointment can start then" in late.inner_text()
    times = late.locator(".idea").all_inner_texts()
    assert len(times) == 3 and times == sorted(times)
    late.get_by_role("button", name=times[-1]).click()
    assert "whose name" in replied(page, 3).inner_text()


def test_the_words_that_were_taken_are_marked(view: Callable[..., Any]) -> None:
    article = ask(view(), START)
    marks = article.locator(".question mark")
    assert marks.all_inner_texts() == ["check-up", "5 March 2031"]
    assert marks.last.get_attribute("title") == "date: Wednesday 5 March 2031"


def test_a_conversation_goes_on_after_a_reload_and_in_a_second_tab(
    view: Callable[..., Any], build: Path
) -> None:
    page = view()
    ask(page, START)
    ask(page, "at 10:30", 1)
    page.reload()
    assert "whose name" in replied(page, 1).inner_text()
    confirm = ask(page, "Ada Brook", 2)
    kept = page.evaluate("sessionStorage['groundup.assistant.clinic:latest']")
    confirm.get_by_role("button", name="Yes").click()
    first = replied(page, 3).locator(".cited").inner_text()
    other = page.context.new_page()
    other.add_init_script(f"sessionStorage['groundup.assistant.clinic:latest'] ??= {kept!r}")
    other.goto(page.url)
    replied(other, 2).get_by_role("button", name="Yes").click()
    assert replied(other, 3).locator(".cited").inner_text() == first and booked(build) == 1
    other.close()
    page.get_by_role("button", name="Undo").click()
    replied(page, 4).get_by_role("button", name="Yes").click()
    replied(page, 5)


def test_what_had_no_reply_yet_is_asked_again(view: Callable[..., Any]) -> None:
    page = view()
    page.route("**/groundup/ask", lambda route: None)
    page.locator("#assistant-question").fill(START)
    page.keyboard.press("Enter")
    page.locator(".asked[aria-busy]").wait_for()
    page.unroute("**/groundup/ask")
    page.reload()
    assert "At what time?" in replied(page, 0).inner_text()


def test_by_keyboard_from_the_button_to_the_confirmation(view: Callable[..., Any]) -> None:
    page = view()
    page.get_by_role("button", name="Cancel an appointment").focus()
    page.keyboard.press("Enter")
    replied(page, 0)
    ask(page, "KB2M7Q", 1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    focused = "document.activeElement.textContent"
    assert page.evaluate(focused) in ("Yes", "No", "Leave it")
    page.get_by_role("button", name="No", exact=True).press("Enter")
    replied(page, 2)
    assert page.locator(".ways").count() == 0


def test_an_answer_is_rated_and_a_question_is_not(
    opened: Callable[..., Any], serve: Callable[..., Any], build: Path, tmp_path: Path
) -> None:
    rated = serve(str(build), "--feedback", str(tmp_path / "feedback.jsonl"))
    page = opened(rated.address)
    page.get_by_role("heading", name="Pebblegate").wait_for()
    assert ask(page, START).locator(".rating").count() == 0
    ended = ask(page, "leave it", 1)
    assert ended.locator(".rating").count() == 1
