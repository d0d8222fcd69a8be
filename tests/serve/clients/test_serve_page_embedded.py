"""The assistant in a page of another site, in a real Chromium: `localhost` is the site, `127.0.0.1` the server."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from acting_build import make_acting_build
from test_serve_assistant import QUESTION

pytestmark = pytest.mark.browser

KEY = "pk-clinic-0123456789"
LABEL = "Ask the clinic"
UNGUARDED = "/without-policy"
SCREENS = [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark")]


class Site:
    """A firm's own web site with a strict content security policy, at `http://localhost:PORT`; by
    its other name, 127.0.0.1, it is a site that nobody has listed.
    """

    def __init__(self) -> None:
        self.server, self.tag = "", ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                policy = f"default-src 'none'; script-src {site.server}; frame-src {site.server}"
                if self.path != UNGUARDED:
                    self.send_header("content-security-policy", policy)
                self.end_headers()
                self.wfile.write(site.page().encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://localhost:{self.http.server_port}"
        self.unlisted = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def page(self) -> str:
        view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        text = "We care for teeth. " * 200
        return f"<!DOCTYPE html>{view}<title>Site</title><h1>Clinic</h1><p>{text}</p>{self.tag}"


@pytest.fixture(scope="module")
def site(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = Site()
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    rates = "requests_per_minute_and_address = 1000\nrequests_per_minute = 1000"
    file.write_text(f'[site]\nkey = "{KEY}"\npublic = true\nassistants = ["clinic"]\n{rates}\n')
    file.chmod(0o600)
    build = make_acting_build(tmp_path_factory.mktemp("embedded") / "clinic")
    access = ("--api-key", "operator", "--keys", str(file), "--cors", found.address)
    found.server = serve(str(build), *access).address
    found.tag = tag(found, "clinic", KEY)
    yield found
    found.http.shutdown()
    found.http.server_close()


def tag(site: Site, assistant: str, key: str) -> str:
    data = f'data-assistant="{assistant}" data-key="{key}" data-label="{LABEL}"'
    return f'<script src="{site.server}/embed.js" {data} data-colour="#1d5c4f" async></script>'


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """visit(...) -> the site's page; whatever it complains of, keeps, or asks of others fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []
    own = (site.address, site.server, "data:", "blob:")

    def open_page(*, width: int = 1280, height: int = 800, **options: Any) -> Any:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(own) else complaints.append(request.url),
        )
        page.goto(site.address)
        return page

    yield open_page
    for context in contexts:
        assert context.cookies() == []
        context.close()
    assert complaints == []


def opened_frame(page: Any) -> Any:
    """The assistant's frame, once it greets."""
    page.get_by_role("button", name=LABEL).click()
    page.frame_locator("iframe").get_by_role("heading", name="Pebblegate").wait_for()
    return page.frames[1]


def is_open(page: Any) -> bool:
    return bool(page.get_by_role("dialog", name=LABEL).is_visible())


def focused(page: Any) -> str:
    """The class of what has the focus in the site's page, of our parts."""
    inner = "document.activeElement.shadowRoot?.activeElement"
    return str(page.evaluate(f"{inner}?.className || {inner}?.tagName || ''"))


@pytest.mark.parametrize(("width", "height", "scheme"), SCREENS)
def test_a_question_in_a_page_of_another_site(
    visit: Callable[..., Any], width: int, height: int, scheme: str
) -> None:
    phone = width < 500
    page = visit(width=width, height=height, color_scheme=scheme, has_touch=phone, is_mobile=phone)
    assert len(page.frames) == 1 and not is_open(page)  # nothing is loaded before it is asked for
    frame = opened_frame(page)
    box = page.get_by_role("dialog", name=LABEL).bounding_box()
    assert (box["width"] == width and round(box["height"]) == height) == phone
    assert "not to a person" in frame.locator(".firm").inner_text()
    assert not frame.locator(".workbench").is_visible() and frame.locator("nav").count() == 0

    price = ask_in(frame, QUESTION)
    assert "£690" in price.locator(".cited").inner_text()
    price.locator(".cite").click()
    frame.locator("mark.cited").first.wait_for()
    assert frame.locator("mark.cited").all_inner_texts() == ["Porcelain crown", "£690"]
    page.keyboard.press("Escape")
    assert not frame.locator("#passage").is_visible() and is_open(page)
    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def ask_in(frame: Any, question: str, number: int = 0) -> Any:
    frame.locator("#assistant-question").fill(question)
    frame.locator("#assistant-question").press("Enter")
    article = frame.locator("#assistant-thread .asked").nth(number)
    article.and_(frame.locator(":not([aria-busy])")).wait_for()
    return article


def test_an_appointment_is_booked_from_the_site(visit: Callable[..., Any]) -> None:
    """With the public key alone, also where the browser denies a frame its storage."""
    frame = opened_frame(visit(width=390, height=844))
    frame.get_by_role("button", name="Book an appointment").click()
    frame.get_by_role("button", name="hygiene visit").click()
    frame.get_by_label("date").fill("2031-03-05")
    frame.get_by_role("button", name="Use this").click()
    frame.get_by_label("time").fill("11:00")
    frame.get_by_role("button", name="Use this").click()
    frame.locator("#assistant-thread").get_by_text("In whose name?").wait_for()
    confirm = ask_in(frame, "Ada Brook", 4)
    confirm.get_by_role("button", name="Yes").click()
    frame.locator("#assistant-thread").get_by_text("Your reference is").wait_for()


def test_by_keyboard_it_opens_is_typed_into_and_closes(visit: Callable[..., Any]) -> None:
    page = visit()
    opener = page.get_by_role("button", name=LABEL)
    opener.wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "open" and opener.get_attribute("aria-expanded") == "false"
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    question = page.frame_locator("iframe").locator("#assistant-question:focus")
    question.wait_for()
    page.keyboard.type("hello")
    assert question.input_value() == "hello"
    page.keyboard.press("Escape")
    page.get_by_role("button", name=LABEL, expanded=False).wait_for()  # said after it is closed
    assert focused(page) == "open" and not is_open(page)
    page.keyboard.press("Enter")  # what was typed and said is still there
    question.wait_for()
    assert question.input_value() == "hello"
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name=LABEL, expanded=False).wait_for()
    assert focused(page) == "open" and not is_open(page)


def test_who_wants_less_motion_gets_none(visit: Callable[..., Any]) -> None:
    for reduced, name in (("no-preference", "rise"), ("reduce", "none")):
        page = visit(reduced_motion=reduced)
        opened_frame(page)
        panel = page.get_by_role("dialog", name=LABEL)
        assert panel.evaluate("(each) => getComputedStyle(each).animationName") == name


def test_a_page_of_a_site_that_is_not_listed_shows_no_frame(site: Site, browser: Any) -> None:
    page = browser.new_page()
    page.goto(site.unlisted)
    with page.expect_console_message() as said:
        page.get_by_role("button", name=LABEL).click()
    assert f"frame-ancestors {site.address}" in said.value.text
    assert all(not frame.url.startswith(site.server) for frame in page.frames)
    page.close()


def test_by_its_own_script_a_site_asks_only_where_it_is_listed(site: Site, browser: Any) -> None:
    page = browser.new_page()
    asked = """async ([address, key]) => {
        const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
        const body = JSON.stringify({ assistant: "clinic", question: "When are you open?" });
        const path = `${address}/groundup/ask`;
        return fetch(path, { method: "POST", headers, body }).then((found) => found.text(), String);
    }"""
    for address, says in ((site.address, '"done":true'), (site.unlisted, "Failed to fetch")):
        page.goto(f"{address}{UNGUARDED}")
        assert says in page.evaluate(asked, [site.server, KEY])
    page.close()


def test_a_wrong_key_or_name_is_said_in_the_frame_and_in_the_console(
    site: Site, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    monkeypatch.setattr(site, "tag", tag(site, "clinic", "pk-wrong-0123456789"))
    page.goto(site.address)
    page.get_by_role("button", name=LABEL).click()
    problem = page.frame_locator("iframe").get_by_role("alert")
    problem.wait_for()
    assert "key is wrong" in problem.inner_text()
    assert not page.frame_locator("iframe").locator("#assistant-question").is_visible()
    said.clear()
    monkeypatch.setattr(site, "tag", tag(site, "clinic", ""))
    page.goto(site.address)
    page.wait_for_load_state()
    assert page.get_by_role("button").count() == 0 and 'data-key="PUBLIC KEY"' in said[0]
    page.close()
