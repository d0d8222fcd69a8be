"""The page that runs a served model in the browser: its parts, for whom they are, and the page itself in Chromium."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.device import select_compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.lab.live.parts import is_matrix
from groundup.model.heads import LanguageModel
from groundup.model.quantised import round_int8
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.weights.model_io import OpenModel, open_model
from tests.axe import violations

PART_BYTES = 4096
IN_SMALL_PARTS = f"from groundup.lab.live import parts\nparts.PART_BYTES = {PART_BYTES}"
BROWSER = {"accept": "text/html"}
COUNT = 8


@pytest.fixture(scope="module")
def parted(
    serve: Callable[..., Any], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A server whose parts are small."""
    cache = str(tmp_path_factory.mktemp("cache"))
    return serve("--models", str(models), first=IN_SMALL_PARTS, GROUNDUP_CACHE=cache)


def held(server: Any, name: str, **options: Any) -> dict[str, Any]:
    """What the page of a model has inside."""
    page = server.get(f"/live/{name}", headers=BROWSER, **options)
    found = re.search(r'id="contents">(.*?)</script>', page.text)
    assert found, page.text
    contents: dict[str, Any] = json.loads(found[1])
    return contents


def test_all_parts_are_sent_and_each_is_what_its_hash_says(parted: Any) -> None:
    contents = held(parted, "tiny")
    assert contents["address"] == "../groundup/live-model/tiny"
    address = f"/groundup/live-model/tiny/{contents['digest']}"
    page = parted.get(f"{address}/page.json").json()
    parts = [parted.get(f"{address}/parts/{part}") for part in range(len(page["parts"]))]
    assert len(parts) > 10
    assert [hashlib.sha256(each.content).hexdigest() for each in parts] == page["parts"]
    assert sum(len(each.content) for each in parts) == page["bytes"]
    assert {each.headers["cache-control"] for each in parts} == {"no-store"}
    assert abs(page["bytes"] / contents["bytes"] - 1) < 0.1
    for path in (f"{len(parts)}", "-1", "x", "..%2fpage.json", "1e3"):
        assert parted.get(f"{address}/parts/{path}").status_code == 404
    other = f"/groundup/live-model/tiny/{'0' * 64}/page.json"
    assert "reload the page" in parted.get(other).json()["error"]["message"]


def test_what_no_page_runs_is_told_and_sends_nothing(parted: Any) -> None:
    assert parted.get("/live/none").status_code == 404
    assert parted.get("/live/sorter").status_code == 400  # a classifier
    assert parted.get("/groundup/live-program/none.js").status_code == 404
    for listed in parted.get("/groundup/models").json()["models"]:
        assert listed["runs_in_page"] == (listed["kind"] == "chat")


def test_pages_of_models_compile_and_no_other_page_does(parted: Any) -> None:
    policy = parted.get("/live/tiny", headers=BROWSER).headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "unsafe-inline" not in policy
    front = parted.get("/", headers=BROWSER).headers["content-security-policy"]
    assert "unsafe" not in front


def test_weights_are_for_the_operators_key_alone(
    serve: Callable[..., Any], models: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text('[shop]\nkey = "a-key-of-the-shop-1234"\nmodels = ["tiny"]\n')
    keys.chmod(0o600)
    given = ["--api-key", "an-operators-key-1234", "--keys", str(keys)]
    server = serve(str(models / "tiny"), *given, GROUNDUP_CACHE=str(tmp_path))
    operator, shop = ("", "an-operators-key-1234"), ("", "a-key-of-the-shop-1234")
    contents = held(server, "tiny", auth=operator)
    part = f"/groundup/live-model/tiny/{contents['digest']}/parts/0"
    assert server.get(part, auth=operator).status_code == 200
    for path in ("/live/tiny", "/groundup/live-program/live.js", part):
        assert server.get(path).status_code == 401
        assert server.get(path, auth=shop).status_code == 404
        foreign = {"origin": "https://elsewhere.example"}
        assert server.get(path, auth=operator, headers=foreign).status_code == 403
    (listed,) = server.get("/groundup/models", auth=shop).json()["models"]
    assert not listed["runs_in_page"]


def rounded(folder: Path) -> OpenModel:
    """With the numbers that the page has, in float32."""
    opened = open_model(str(folder), select_compute("cpu"))
    for name, weight in opened.model.named_parameters():
        if is_matrix(name, weight):
            numbers, scales = round_int8(weight.detach())
            weight.data = numbers * scales[:, None]
    return opened


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """visit(address, ...) -> a page in a browser of its own; what it complains of fails the test, but for answers that the test refuses."""
    contexts, complaints = [], []

    def open_page(address: str, width: int = 1280, scheme: str = "light", **options: Any) -> Any:
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in complaints if "Failed to load resource" not in each] == []


@pytest.mark.browser
def test_loading_goes_on_where_it_stopped_and_a_second_visit_fetches_nothing(
    visit: Callable[..., Any], parted: Any
) -> None:
    asked: list[str] = []
    page = visit(f"{parted.address}/live/tiny")

    def note(request: Any) -> None:
        name = request.url.rpartition("/")[2]
        if name != "icon.svg":  # which the browser fetches when it likes
            asked.append(name)

    page.on("request", note)
    page.wait_for_selector("#load-status:has-text('Nothing is fetched yet.')")
    page.route("**/parts/2", lambda route: route.abort(), times=1)
    page.route("**/parts/5", lambda route: route.fulfill(status=500, body="{}"), times=1)
    page.click("#load")
    page.wait_for_selector("#load-status:has-text('The server refused (status 500).')")
    assert asked == ["page.json", "0", "1", "2", "2", "3", "4", "5"]
    page.reload()
    asked.clear()
    page.wait_for_selector("#load:has-text('Go on loading'):enabled")
    page.route("**/parts/6", lambda route: route.fulfill(body=b"x" * PART_BYTES), times=1)
    page.click("#load")
    page.wait_for_selector("#status:has-text('tokens.')")
    assert asked[:4] == ["5", "6", "6", "7"]  # what arrived damaged is fetched once more
    page.reload()
    asked.clear()
    page.wait_for_selector("#load:has-text('Start: nothing is fetched'):enabled")
    page.click("#load")
    page.wait_for_selector("#status:has-text('tokens.')")
    assert asked == []
    page.click("#forget")
    page.wait_for_selector("#load-status:has-text('Removed')")
    page.reload()
    page.wait_for_selector("#load-status:has-text('Nothing is fetched yet.')")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_answers_explains_and_changes_as_python_computes_it(
    visit: Callable[..., Any], parted: Any, models: Path, width: int, scheme: str
) -> None:
    page = visit(f"{parted.address}/live/tiny", width, scheme)
    page.click("#load:enabled")
    page.wait_for_selector("#status:has-text('tokens.')")
    page.fill("#temperature", "0")
    page.fill("#tokens-to-write", str(COUNT))
    opened = rounded(models / "tiny")
    tokenizer = opened.require_tokenizer()
    assert isinstance(opened.model, LanguageModel)
    for question, asks in (("To be?", True), ("<|im_end|> 'tis 中文", True), ("To be, or", False)):
        page.set_checked("#as-question", asks)
        fill = "([text]) => { const box = document.querySelector('#text'); box.value = text; "
        write = "box.dispatchEvent(new Event('input')); document.querySelector('#write').click() }"
        page.evaluate(fill + write, [question])  # before the text is read
        page.wait_for_selector(f"#status:has-text('{COUNT} tokens written')")
        conversation = Conversation((Message("user", question),))
        ids = tokenizer.encode(question)
        if asks:
            ids = render(conversation, tokenizer, add_generation_prompt=True).ids
        greedy = Sampling(temperature=0, max_tokens=COUNT)
        answer = generate_ids(opened.model, ids, greedy, (), compute=select_compute("cpu"))
        assert page.evaluate("livePage.ids") == [*ids, *answer]
    page.evaluate("document.querySelector('#inside').scrollIntoView()")
    page.wait_for_selector("[data-stage=tokens] .chips")
    page.evaluate("document.querySelector('#changes').scrollIntoView()")
    page.wait_for_selector("#change-bars .compared")
    page.click(".switch[data-kind=block] >> nth=1")
    page.wait_for_selector("#change-said:has-text('has moved by')")
    page.fill("#other-text", "To be, and")
    page.wait_for_selector("#patch-grid button")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.network
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_violation(
    visit: Callable[..., Any], parted: Any, width: int, scheme: str
) -> None:
    page = visit(f"{parted.address}/live/tiny", width, scheme)
    page.wait_for_selector("#load:enabled")
    assert violations(page) == []
    page.click("#load")
    page.wait_for_selector("#status:has-text('tokens.')")
    page.evaluate("document.querySelector('#changes').scrollIntoView()")
    page.wait_for_selector("#change-bars .compared")
    assert violations(page) == []


@pytest.mark.browser
def test_without_simd_or_memory_a_sentence_says_so(
    visit: Callable[..., Any], parted: Any, browser: Any
) -> None:
    page = visit("about:blank")
    page.add_init_script("WebAssembly.validate = () => false; delete window.indexedDB")
    page.goto(f"{parted.address}/live/ender")
    page.wait_for_selector("#load-notes:has-text('has no SIMD')")
    page.click("#load:enabled")
    page.wait_for_selector("#load-status:has-text('in JavaScript')")
    page = visit("about:blank")
    page.add_init_script("WebAssembly.Memory = class { constructor() { throw new RangeError() } }")
    page.goto(f"{parted.address}/live/ender")
    page.click("#load:enabled")
    page.wait_for_selector("#load-status:has-text('of memory to one page')")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.network
def test_smollm2_answers_in_the_page_as_in_python(
    visit: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    page = visit(f"{serve('smollm2-135m-instruct').address}/live/smollm2-135m-instruct")
    page.click("#load:enabled")
    page.wait_for_selector("#status:has-text('tokens.')")
    page.fill("#temperature", "0")
    page.click("#write")
    page.wait_for_selector("#status:has-text('The model ended its text here')")
    assert page.inner_text("#written-text") == "The capital of France is Paris."
