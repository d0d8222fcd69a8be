"""The page's chat in a real Chromium, against a real server with small models: one writes for ever, one has learnt a hostile answer by heart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import save_language, save_parrot

from groundup.weights.card import ModelCard
from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser

HOSTILE = """# Hello <b>you</b>

<script>document.title = "run"</script> <img src=x onerror="document.title='run'">

- [one](javascript:document.title='run') and [two](https://example.org/a_b)
- **bold** *slant* `code <i>` &lt; \\*star\\*

```html
<script>alert("run") // 1</script>
```
| a | b |
|---|---|
| <svg onload=alert(1)> | 2 |

> the end 😀"""
STORED = "Object.keys(localStorage).filter(key => key.startsWith('groundup.conversation.')).map(key => JSON.parse(localStorage[key]))"


@pytest.fixture(scope="module")
def house(serve: Callable[..., Any], models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """tiny writes up to its context, endless for thousands of tokens, parrot says HOSTILE to "Go."."""
    folder = tmp_path_factory.mktemp("page")
    save_language(folder / "endless", context_tokens=8192)
    save_parrot(folder / "parrot", "Go.", HOSTILE)
    return serve(str(models / "tiny"), str(folder / "endless"), str(folder / "parrot"))


@pytest.fixture
def chat(house: Any, opened: Callable[..., Any]) -> Callable[..., Any]:
    """chat(model, temperature=...) -> the page with that model chosen."""

    def begin(
        model: str = "tiny", *, temperature: float = 0, longest: int = 400, **view: Any
    ) -> Any:
        page = opened(house.address, **view)
        page.locator("#chat-model option:not([disabled])").first.wait_for(state="attached")
        page.locator("#chat-model").select_option(model)
        page.locator("#settings summary").click()
        page.locator("#option-temperature").fill(str(temperature))
        page.locator("#option-max_tokens").fill(str(longest))
        page.keyboard.press("Escape")
        return page

    return begin


def ask(page: Any, text: str) -> Any:
    """Send a question and wait for the end of its answer; gives the answer's message."""
    page.locator("#question").fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Regenerate").last.wait_for()
    return page.locator(".message.model").last


def stored(page: Any) -> Any:
    (found,) = page.evaluate(STORED)
    return found


def test_an_answer_grows_while_it_is_written(chat: Callable[..., Any]) -> None:
    page = chat("endless", longest=8000)
    page.locator("#question").fill("To be")
    page.keyboard.press("Enter")
    lengths = set()
    while len(lengths) < 3:  # each time longer, or the wait below fails
        page.wait_for_function(
            "seen => document.querySelector('.answer')?.textContent.length > seen",
            arg=max(lengths, default=0),
        )
        assert page.get_by_role("button", name="Stop").is_visible()
        lengths.add(page.locator(".answer").evaluate("e => e.textContent.length"))
    page.get_by_role("button", name="Stop").click()


def test_an_answer_says_what_it_took(chat: Callable[..., Any]) -> None:
    page = chat(longest=150)
    answer = ask(page, "To be")
    assert answer.locator(".note").inner_text().startswith("150 tokens · ")
    assert "cut at the token limit" in answer.locator(".note").inner_text()
    page.locator("#announcer", has_text="Answer ended: 150 tokens").wait_for(state="attached")


def test_a_stopped_answer_is_kept_and_frees_the_server(
    chat: Callable[..., Any], house: Any
) -> None:
    page = chat("endless", longest=8000)
    page.locator("#question").fill("To be")
    page.keyboard.press("Enter")
    page.locator(".token").first.wait_for()
    assert "groundup_answers_in_hand 1.0" in house.get("/metrics").text
    page.get_by_role("button", name="Stop").click()
    page.locator(".note", has_text="stopped by you").wait_for()
    assert page.get_by_role("button", name="Send", exact=True).is_visible()
    page.wait_for_function(
        "async () => (await (await fetch('/metrics')).text()).includes('groundup_answers_in_hand 0.0')"
    )
    assert stored(page)["messages"][1]["content"]


def test_an_answer_can_be_drawn_again(chat: Callable[..., Any]) -> None:
    page = chat(temperature=1.5, longest=30)
    first = ask(page, "To be").locator(".answer").inner_text()
    page.get_by_role("button", name="Regenerate").click()
    page.get_by_role("button", name="Regenerate").wait_for()
    messages = stored(page)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert page.locator(".answer").inner_text() != first


def test_an_edited_message_drops_what_followed_and_is_answered_anew(
    chat: Callable[..., Any],
) -> None:
    page = chat(longest=10)
    ask(page, "one")
    ask(page, "two")
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_label("Edit message").fill("three")
    page.keyboard.press("Enter")
    page.locator(".message.user", has_text="three").wait_for()
    page.get_by_role("button", name="Regenerate").wait_for()
    said = [message["content"] for message in stored(page)["messages"] if message["role"] == "user"]
    assert said == ["three"]
    page.get_by_role("button", name="Edit").click()
    page.keyboard.press("Escape")
    assert page.locator(".message.user .said").inner_text() == "three"


def test_system_prompt_and_sampling_reach_the_server(chat: Callable[..., Any]) -> None:
    page = chat(temperature=0.5, longest=7)
    page.locator("#settings summary").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.locator("#option-top_p").fill("0.5")
    page.locator("#option-seed").fill("3")
    page.keyboard.press("Escape")
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "To be")
    body = json.loads(sent.value.post_data)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "To be"},
    ]
    drawn = {name: body[name] for name in ("temperature", "top_p", "seed", "max_tokens")}
    assert drawn == {"temperature": 0.5, "top_p": 0.5, "seed": 3, "max_tokens": 7}


def test_what_a_model_writes_is_text_and_never_runs(chat: Callable[..., Any]) -> None:
    page = chat("parrot")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    answer = ask(page, "Go.").locator(".answer")
    assert stored(page)["messages"][1]["content"] == HOSTILE
    assert page.locator("main script, main img, main svg, main b").count() == 0
    assert page.title() == "Chat – groundup"
    assert answer.locator("h1").inner_text() == "Hello <b>you</b>"
    assert answer.locator("p").first.inner_text() == HOSTILE.split("\n")[2]
    assert answer.locator("pre").inner_text() == '<script>alert("run") // 1</script>'
    assert answer.locator("td").first.inner_text() == "<svg onload=alert(1)>"
    assert answer.locator("li").nth(1).inner_text() == "bold slant code <i> &lt; *star*"
    assert [link.get_attribute("href") for link in answer.locator("a").all()] == [
        "https://example.org/a_b"
    ]
    assert answer.locator("a").get_attribute("rel") == "noopener noreferrer nofollow"


def test_each_token_tells_its_probability_and_what_else_it_could_have_been(
    chat: Callable[..., Any],
) -> None:
    page = chat("parrot")
    answer = ask(page, "Go.").locator(".answer")
    words = answer.locator("[data-token]", has_text="Hello")
    words.first.hover()
    readout = page.locator("#readout")
    assert "had" in readout.inner_text()
    assert readout.locator("li").count() == 5
    assert float(readout.locator("li.chosen").inner_text().split()[-2]) > 95
    page.mouse.move(5, 5)
    assert not readout.is_visible()
    tokens = stored(page)["messages"][1]["tokens"]
    assert [token["from"] for token in tokens] == [0, *(token["to"] for token in tokens[:-1])]
    assert tokens[-1]["to"] == len(HOSTILE.encode("utf-16-le")) // 2
    assert answer.locator("pre [data-token]").count() > 5


def test_everything_can_be_done_with_keys_alone(chat: Callable[..., Any]) -> None:
    page = chat("parrot")
    page.reload()
    page.locator("#chat-model option:not([disabled])").first.wait_for(state="attached")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the question
    page.keyboard.type("Go.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Regenerate").wait_for()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        name = page.evaluate(
            "document.activeElement.ariaLabel ?? document.activeElement.textContent"
        )
        reached.add(name)
        if name.startswith("Answer."):
            break
    assert {"Regenerate", "Copy answer", "Look inside"} <= reached
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").is_visible()
    assert "Most probable" in page.locator("#announcer").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#readout").is_visible()


def test_conversations_survive_a_reload_and_are_renamed_and_deleted(
    chat: Callable[..., Any],
) -> None:
    page = chat(longest=10)
    ask(page, "first question")
    page.get_by_role("button", name="New conversation").click()
    ask(page, "second question")
    page.reload()
    entries = page.locator("#conversations .open")
    entries.first.wait_for()
    assert entries.all_inner_texts() == ["second question", "first question"]
    entries.nth(1).click()
    assert page.locator(".message.user .said").inner_text() == "first question"
    assert page.locator(".token").count() > 0
    page.get_by_role("button", name="Rename first question").click()
    page.keyboard.type("renamed")
    page.keyboard.press("Enter")
    assert set(entries.all_inner_texts()) == {"second question", "renamed"}
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete renamed").click()
    page.reload()
    entries.first.wait_for()
    assert entries.all_inner_texts() == ["second question"]


def test_a_conversation_leaves_as_markdown_and_json(chat: Callable[..., Any]) -> None:
    page = chat("parrot")
    ask(page, "Go.")
    for name, ending in (("Markdown", "md"), ("JSON", "json")):
        page.locator("#exports summary").click()
        with page.expect_download() as saving:
            page.get_by_role("button", name=name).click()
        page.keyboard.press("Escape")
        assert saving.value.suggested_filename == f"go.{ending}"
        text = Path(saving.value.path()).read_text()
        if ending == "md":
            assert text == f"# Go.\n\n## You\n\nGo.\n\n## parrot\n\n{HOSTILE}\n"
        else:
            assert json.loads(text)["messages"][1] == {
                "role": "assistant",
                "content": HOSTILE,
                "model": "parrot",
            }


def test_the_settings_close_when_the_focus_goes_on(chat: Callable[..., Any]) -> None:
    page = chat(longest=3)
    ask(page, "To be")
    page.locator("#settings summary").click()
    page.locator("#standard").focus()
    assert page.locator("#standard").is_visible()
    page.keyboard.press("Tab")
    assert not page.locator("#standard").is_visible()


def test_a_full_browser_forgets_probabilities_before_words(chat: Callable[..., Any]) -> None:
    page = chat(longest=100)
    ask(page, "first")
    page.get_by_role("button", name="New conversation").click()
    page.evaluate(
        """() => {
          for (let size = 1 << 22; size > 1000; size >>= 1)
            try { for (let part = 0; ; part++) localStorage.setItem(`filler ${size} ${part}`, "x".repeat(size)); } catch {}
        }"""
    )
    ask(page, "second")
    kept = {each["title"]: each["messages"] for each in page.evaluate(STORED)}
    assert kept["first"][1]["content"]
    assert "tokens" not in kept["first"][1]
    assert kept["second"][1]["content"]


def test_a_server_that_is_gone_is_said_in_words(
    serve: Callable[..., Any], models: Path, browser: Any
) -> None:
    own = serve(str(models / "tiny"))
    page = browser.new_page()
    page.goto(own.address)
    page.locator("#chat-model option:not([disabled])").first.wait_for(state="attached")
    own.kill()
    page.locator("#question").fill("To be")
    page.keyboard.press("Enter")
    note = page.locator("#thread .note:not(:empty)")
    note.wait_for()
    assert note.text_content() == "The server does not answer. Try again in a moment."
    assert not page.get_by_role("button", name="Copy answer").is_visible()
    for name in ("documents", "inside", "classify", "compare", "models"):
        page.locator(f"nav a[href='#{name}']").click()
        page.locator("#problem").wait_for()
        page.wait_for_function(
            "name => !document.getElementById(name).textContent.includes('Loading')", arg=name
        )
        assert page_faults(page) == []
        if name != "models":
            assert page.locator(f"#{name} button.main").first.is_disabled()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 740)])
def test_the_chat_fits_and_everything_on_it_has_a_name(
    chat: Callable[..., Any], scheme: str, width: int, height: int
) -> None:
    page = chat("parrot", width=width, height=height, scheme=scheme)
    ask(page, "Go.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#thread").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.locator("#settings summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    assert dark == (scheme == "dark")
    assert page_faults(page) == print_faults(page) == []
    for part in page.locator("input, select, textarea, button, a").all():
        if part.is_visible():
            name = "e => e.ariaLabel || e.textContent || [...(e.labels ?? [])].map(l => l.textContent).join('')"
            assert part.evaluate(name).strip(), part.evaluate("e => e.outerHTML.slice(0, 80)")


@pytest.fixture(scope="module")
def mixed(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a base model and a chat model; the base model comes first in the alphabet."""
    folder = tmp_path_factory.mktemp("mixed")
    (save_language(folder / "a-base") / "README.md").write_text(ModelCard("a-base").markdown())
    save_language(folder / "b-chat", ends=True)
    return serve("--models", str(folder))


def test_the_page_begins_with_a_chat_model_and_explains_a_base_model(
    mixed: Any, opened: Callable[..., Any]
) -> None:
    page = opened(mixed.address)
    questions = page.locator(".welcome .idea")
    questions.nth(2).wait_for()
    assert questions.count() == 3
    assert page.locator("#chat-model").input_value() == "b-chat"
    assert page.locator("#base-note").is_hidden()
    page.locator("#chat-model").select_option("a-base")
    assert "is a base model, trained to continue texts" in page.locator("#base-note").inner_text()
    assert questions.count() == 0
    assert page.get_by_placeholder("Begin a text").is_visible()
    assert page.locator(".welcome h2").inner_text() == "Let your model write"
    page.get_by_role("button", name="Talk with b-chat instead").click()
    assert page.locator("#base-note").is_hidden()
    asked = questions.first.inner_text()
    questions.first.click()
    page.get_by_role("button", name="Regenerate").wait_for()
    assert page.locator(".message.user .said").inner_text() == asked
    assert page.locator(".message.model .by").inner_text() == "b-chat"


def test_menus_say_that_they_load_until_the_models_are_known(mixed: Any, browser: Any) -> None:
    page = browser.new_page()
    waiting: list[Any] = []
    page.route("**/groundup/models", lambda route: waiting.append(route))
    for name in ("chat", "inside", "classify", "compare"):
        page.goto(f"{mixed.address}/#{name}")
        assert page.locator(f"#{name} select").first.locator("option").inner_text() == "Loading …"
        if name == "chat":
            page.get_by_text("Loading the list of models").wait_for()
        else:
            assert page.locator(f"#{name} button.main").is_disabled()
    page.route("**/groundup/models", lambda route: route.continue_())
    for each in waiting:
        each.continue_()
    page.locator("#compare-left option[value=b-chat]").wait_for(state="attached")
    assert page.locator("#compare button.main").is_enabled()
    page.close()


def test_answers_are_drawn_as_the_server_says_until_a_hand_says_otherwise(
    chat: Callable[..., Any],
) -> None:
    page = chat(longest=3)
    bodies: list[Any] = []
    page.on(
        "request",
        lambda request: bodies.append(request.post_data_json) if request.method == "POST" else None,
    )
    page.locator("#settings summary").click()
    page.get_by_role("button", name="The model's defaults").click()
    page.locator("#option-max_tokens").fill("3")
    page.keyboard.press("Escape")
    ask(page, "To be")
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "max_tokens")
    assert [bodies[-1][name] for name in names] == [0.7, 40, 0.9, 0.05, 1, 3]
    page.locator("#settings summary").click()
    page.locator("#option-top_k").fill("5")
    page.keyboard.press("Escape")
    ask(page, "or not")
    assert [bodies[-1][name] for name in names] == [0.7, 5, 0.9, 0.05, 1, 3]
