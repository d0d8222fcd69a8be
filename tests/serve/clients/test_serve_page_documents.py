"""The page's Documents view in a real Chromium: an answer with its sources beside it, and a passage within its document."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_documents import BOILER, QUESTION, Documents

from groundup.files import write_json
from groundup.migrations import BUILD
from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser

SIZES = [(1280, 900), (390, 844)]


@pytest.fixture
def view(opened: Callable[..., Any], documents: Documents) -> Callable[..., Any]:
    """view() -> the page with the documents shown and the indexes known."""

    def show(place: str = "", **options: Any) -> Any:
        page = opened(f"{documents.server.address}/#documents{place}", **options)
        page.locator("#documents-index option:not([disabled])").first.wait_for(state="attached")
        return page

    return show


def ask(page: Any, question: str, *, model: str = "") -> Any:
    """The article of the answer, once it has ended."""
    page.locator("#documents-model").select_option(model)
    page.locator("#documents-question").fill(question)
    page.keyboard.press("Enter")
    answer = page.locator(".asked").last
    page.wait_for_function("() => document.querySelector('.asked:last-child:not([aria-busy])')")
    return answer


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_number_opens_what_is_cited_in_its_document(
    view: Callable[..., Any], width: int, height: int
) -> None:
    page = view(width=width, height=height)
    answer = ask(page, QUESTION)
    quoted = answer.locator("blockquote").first
    assert "The warranty lasts 24 months from the day of purchase." in quoted.inner_text()
    quoted.locator(".cite").click()
    page.locator("#passage mark").first.wait_for()
    words = page.locator(".document").inner_text().split()
    assert words == BOILER.replace("#", "").split()
    assert (
        page.locator("mark.cited").inner_text()
        == "The warranty lasts 24 months from the day of purchase."
    )
    assert page.locator("#passage-name").inner_text() == "px20.md"
    page.keyboard.press("Escape")
    assert not page.locator("#passage").is_visible()
    assert page.locator("nav").bounding_box()["y"] >= 0
    assert page_faults(page) == print_faults(page) == []


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_question_that_failed_can_be_sent_again(
    documents: Documents, browser: Any, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(f"{documents.server.address}/#documents")
    page.locator("#documents-index option:not([disabled])").first.wait_for(state="attached")
    ask(page, QUESTION)
    failed = ask(page, "boiler " * 4000).locator(".note.failed")
    said = "A question has at most 8,000 characters; this one has 27,999."
    assert failed.inner_text() == said
    assert page.locator("#documents-question").input_value() == ("boiler " * 4000).strip()
    page.close()


def test_the_page_asks_no_model_unless_one_is_chosen(view: Callable[..., Any]) -> None:
    page = view()
    assert page.locator("#documents-model").input_value() == ""
    page.locator("#documents-question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.asked:last-child:not([aria-busy])')")
    answer = page.locator(".asked").last
    assert answer.locator("blockquote").count() and not answer.locator(".cited > p").count()


def test_the_models_sentences_stand_below_with_what_was_left_out(view: Callable[..., Any]) -> None:
    page = view()
    answer = ask(page, QUESTION, model="reader")
    said = answer.locator(".cited > p")
    assert "24 months" in said.first.inner_text()
    answer.locator("summary").click()
    assert "Grace Hopper" in answer.locator(".omitted li").first.inner_text()
    sources = answer.locator(".sources li")
    assert "px20.md" in sources.first.inner_text()
    assert "uncited" not in (sources.first.get_attribute("class") or "")


def test_what_is_not_there_is_an_answer_of_its_own(view: Callable[..., Any]) -> None:
    page = view()
    answer = ask(page, "Who composed the Moonlight Sonata?")
    assert answer.locator(".not-found").inner_text() == "Not found in your documents."
    assert answer.locator(".cite").count() == 0


PRICES = "# Wharf prices\n\n| Mooring | Price |\n|---|---|\n| Canoe | £4 |\n| Narrowboat | £19 |\n"
KEYS = "# Keys\n\nUpdated 2026-01-04.\n\nA spare quay key costs £30 for each member.\n"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_row_is_told_in_words_with_its_table_and_a_refusal_opens_the_nearest_passage(
    view: Callable[..., Any], documents: Documents, width: int, height: int
) -> None:
    file = documents.docs / "wharf.md"
    file.write_text(PRICES)
    documents.update()
    try:
        page = view(width=width, height=height)
        answer = ask(page, "What does the mooring of a narrowboat cost?")
        assert answer.locator(".row-said p").inner_text().startswith("Narrowboat: £19 (Price)")
        assert answer.locator("table tr.quoted").inner_text().split() == ["Narrowboat", "£19"]
        assert answer.locator("th[scope=col]").all_inner_texts() == ["Mooring", "Price"]
        assert answer.locator("blockquote").count() == 0
        answer.locator(".cite").click()
        page.locator("mark.cited").first.wait_for()
        assert page.locator("mark.cited").all_inner_texts() == ["Narrowboat", "£19"]
        assert page.locator(".document tr").count() == 3
        assert "|" not in page.locator(".document").inner_text()
        page.keyboard.press("Escape")
        refused = ask(page, "Which admiral took his ironclad battleship to the narrowboat?")
        assert "ironclad" in refused.locator(".hint").first.inner_text()
        assert refused.locator(".near-text mark").inner_text()
        assert "|" not in refused.locator(".near-text").inner_text()
        assert refused.get_by_role("complementary", name="Passages that come nearest").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        file.unlink()
        documents.update()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rows_that_a_question_leaves_open_stand_alone_as_a_table(
    view: Callable[..., Any], documents: Documents, width: int, height: int
) -> None:
    file = documents.docs / "berths.md"
    rows = "| Canoe | £4 |\n| Wide punt | £27 |\n| Dinghy | £8 |\n| Long punt | £23 |\n"
    file.write_text(f"# Berths\n\n| Boat | Berth |\n|---|---|\n{rows}")
    documents.update()
    try:
        page = view(width=width, height=height)
        answer = ask(page, "What does the berth of a punt cost?")
        table = answer.get_by_role("region", name="The rows of the table that answer")
        assert table.get_by_role("rowheader").all_inner_texts() == ["Wide punt", "Long punt"]
        assert table.locator(".quoted").count() == 0
        assert answer.locator(".row-said p").inner_text() == "1"
        answer.locator(".cite").click()
        page.locator("mark.cited").first.wait_for()
        page.keyboard.press("Escape")
        assert page_faults(page) == print_faults(page) == []
    finally:
        file.unlink()
        documents.update()


def test_code_keeps_its_lines_below_the_sentence_that_introduces_it(
    view: Callable[..., Any], documents: Documents
) -> None:
    file = documents.docs / "sluice.md"
    code = "sluicectl drain --slow\n  && sluicectl verify"
    file.write_text(f"# Sluice\n\nThe [sluice](s.md) is **drained** so:\n\n```sh\n{code}\n```\n")
    documents.update()
    try:
        page = view(width=390, height=844)
        answer = ask(page, "How do I drain the sluice?")
        assert answer.locator("blockquote").inner_text().startswith("“The sluice is drained so:”")
        assert answer.locator(".program pre").inner_text() == code
        answer.locator(".cite").click()
        page.locator("mark.cited").first.wait_for()
        assert "".join(page.locator("mark.cited").all_inner_texts()) == code
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        file.unlink()
        documents.update()


def test_the_quoted_row_of_a_long_table_is_in_view_and_its_words_are_whole(
    view: Callable[..., Any], documents: Documents
) -> None:
    file = documents.docs / "slips.md"
    rows = [f"| Slipway {number} | £{number + 200} | by lantern |" for number in range(30)]
    head = "| Berth | Mooringcharge | Illumination |\n|---|---|---|\n"
    file.write_text("# Slips\n\n" + head + "\n".join(rows) + "\n| Ketch | £77 | none |\n")
    documents.update()
    try:
        answer = ask(view(width=390, height=844), "What is the mooringcharge of a ketch?")
        table, row = answer.locator(".table"), answer.locator("tr.quoted")
        box, inside = table.bounding_box(), row.bounding_box()
        assert (
            box["y"] <= inside["y"] and inside["y"] + inside["height"] <= box["y"] + box["height"]
        )
        assert table.evaluate("(each) => getComputedStyle(each).overflowWrap") == "normal"
    finally:
        file.unlink()
        documents.update()


def test_a_question_of_5000_characters_leaves_room_for_its_answer(
    view: Callable[..., Any],
) -> None:
    page = view(width=390, height=844)
    answer = ask(page, (f"{QUESTION} " * 200)[:5_000])
    asked = answer.locator(".question")
    assert asked.bounding_box()["height"] < 200 and asked.get_attribute("tabindex") == "0"
    assert len(answer.get_attribute("aria-label")) < 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_short_question_is_not_answered_with_the_one_before(
    view: Callable[..., Any],
) -> None:
    page = view()
    ask(page, QUESTION)
    answer = ask(page, "Do you do mortgages?")
    assert answer.locator(".not-found").inner_text() == "Not found in your documents."


def test_documents_that_differ_stand_side_by_side(
    view: Callable[..., Any], documents: Documents
) -> None:
    files = [documents.docs / "keys.md", documents.docs / "keys-2025.md"]
    files[0].write_text(KEYS)
    files[1].write_text(KEYS.replace("£30", "£25").replace("2026-01-04", "2025-05-03"))
    documents.update()
    try:
        answer = ask(view(), "What does a spare quay key cost a member?")
        whose = answer.locator(".differing .whose").all_inner_texts()
        assert sorted(whose) == ["keys-2025.md, 2025-05-03", "keys.md, 2026-01-04"]
        note = answer.locator(".answer-note").inner_text()
        assert "keys.md of 2026-01-04" in note and "keys-2025.md of 2025-05-03" in note
    finally:
        for file in files:
            file.unlink()
        documents.update()


def test_markup_in_a_document_or_question_is_text(
    view: Callable[..., Any], documents: Documents
) -> None:
    evil = "The <img src=x onerror=alert(1)> zebra pump costs 5 euros.\n"
    file = documents.docs / "evil.txt"
    file.write_text(evil)
    documents.update()
    try:
        page = view()
        answer = ask(page, "What does the <b>zebra</b> pump cost?")
        assert "<img src=x onerror=alert(1)>" in answer.locator("blockquote").inner_text()
        assert answer.locator("img, b").count() == 0
        answer.locator(".cite").first.click()
        page.locator("#passage mark").first.wait_for()
        assert page.locator("#passage img").count() == 0
    finally:
        file.unlink()
        documents.update()


def test_a_citations_address_opens_the_page_at_its_passage(
    opened: Callable[..., Any], documents: Documents
) -> None:
    url = documents.ask()[0]["sources"][0]["url"]
    page = opened(documents.server.address + url)
    page.locator("#passage mark").first.wait_for()
    assert "24 months" in " ".join(page.locator("#passage mark").all_inner_texts())


def test_places_count_characters_not_units_of_utf16(
    view: Callable[..., Any], documents: Documents
) -> None:
    file = documents.docs / "smile.txt"
    file.write_text("😀😀😀 A preface.\n\nThe quagga ticket costs 7 euros.\n")
    documents.update()
    try:
        page = view()
        ask(page, "What does the quagga ticket cost?").locator(".cite").first.click()
        page.locator("mark.cited").first.wait_for()
        assert page.locator("mark.cited").inner_text() == "The quagga ticket costs 7 euros."
    finally:
        file.unlink()
        documents.update()


def test_a_server_without_an_index_says_how_to_make_one(
    opened: Callable[..., Any], address: str
) -> None:
    page = opened(f"{address}/#documents")
    page.locator("#no-index").wait_for()
    assert "groundup index DOCS" in page.locator("#no-index").inner_text()
    assert not page.locator("#documents-form").is_visible()


def test_a_new_conversation_forgets_the_old_one(view: Callable[..., Any]) -> None:
    page = view()
    ask(page, QUESTION)
    page.get_by_role("button", name="New conversation").last.click()
    assert page.locator(".asked").count() == 0


def test_a_pack_opens_on_its_documents_with_questions_that_they_answer(
    opened: Callable[..., Any], serve: Callable[..., Any], documents: Documents, tmp_path: Path
) -> None:
    shutil.copytree(documents.index, tmp_path / "index")
    answers = {"quotations": {"text": "The warranty lasts 24 months.", "cited": []}}
    kinds = {"index": "index", "asked": "answers"}
    write_json(tmp_path / "build.json", BUILD.stamp({"kinds": kinds, "stages": {}}))
    (tmp_path / "asked").mkdir()
    items = [{"question": QUESTION, "answer": "24 months", "answers": answers}]
    write_json(tmp_path / "asked" / "results.json", {"items": items})
    server = serve(str(documents.model), f"pack={tmp_path / 'index'}")
    page = opened(server.address)
    idea = page.locator("#documents-ideas .idea")
    idea.wait_for()
    assert idea.inner_text() == QUESTION and not page.locator("#chat").is_visible()
    idea.click()
    page.wait_for_function("() => document.querySelector('.asked:last-child:not([aria-busy])')")
    assert (
        "24 months" in page.locator(".asked blockquote").first.inner_text()
        and not idea.is_visible()
    )
    page.goto(f"{server.address}/#chat")
    page.locator(".welcome .idea").wait_for()
    assert "France" not in page.locator("#chat").inner_text()
