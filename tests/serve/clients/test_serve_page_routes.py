"""What the page asks of the server beside the dialects: its files, and the inside of models. Without a browser."""

from pathlib import Path
from typing import Any

import pytest

from groundup.device import select_compute
from groundup.lab.head_patterns import search_heads
from groundup.weights.model_io import open_model

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_the_page_and_a_client_its_word(server: Any) -> None:
    page = server.get("/", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<main>" in page.text
    for accept in ("*/*", "application/json"):
        assert "running" in server.get("/", headers={"accept": accept}).text


def test_the_policy_lets_no_script_or_style_in_that_is_not_a_file_of_ours(server: Any) -> None:
    page = server.get("/", headers=BROWSER)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<style" not in page.text and " style=" not in page.text and "<script>" not in page.text


def test_every_file_that_the_page_names_is_there_and_none_other(server: Any) -> None:
    files = Path(__file__).parents[3] / "groundup/serve/web"
    for file in files.iterdir():
        found = server.get(f"/page/{file.name}")
        assert found.status_code == 200
        if b" messages " not in file.read_bytes():  # which the server writes into the others
            assert found.content == file.read_bytes()
    for name in ("none.js", "%2e%2e%2fpage.py", "..%5cpage.py", "a/b", ""):
        assert server.get(f"/page/{name}").status_code == 404


def test_scripts_make_no_markup_from_text() -> None:
    files = Path(__file__).parents[3] / "groundup/serve/web"
    for file in files.glob("*.js"):
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "https://",
        ):
            assert word not in file.read_text(), (file.name, word)


def test_the_inside_of_a_text_has_its_tokens_and_one_blocks_attention(server: Any) -> None:
    found = server.post(
        "/groundup/inside", {"model": "tiny", "text": "To be, or not", "block": 2}
    ).json()
    assert "".join(token["text"] for token in found["tokens"]) == "To be, or not"
    assert found["blocks"] == 2
    assert len(found["heads"]) == 4
    size = len(found["pieces"])
    for head in found["heads"]:
        assert [len(row) for row in head] == [size] * size
        assert all(abs(sum(row) - 1) < 0.01 for row in head)


def test_heads_worth_a_look_are_those_that_the_lab_finds(server: Any, models: Path) -> None:
    found = server.post("/groundup/heads", {"model": "tiny"}).json()
    opened = open_model(models / "tiny", select_compute("cpu"))
    searched = search_heads(opened.model, opened.tokenizer, sequences=2)
    expected = [
        (kind["kind"], head["block"], head["head"], head["score"])
        for kind in searched["kinds"]
        for head in kind["best"][:3]
        if head["score"] > 3 * kind["chance"]
    ]
    assert [
        (head["kind"], head["block"], head["head"], head["score"]) for head in found["heads"]
    ] == expected
    assert found["caption"] == searched["caption"]
    assert (
        server.post("/groundup/heads", {"model": "tiny"}).json() == found
    )  # and again, from what is remembered


def test_the_menus_are_told_without_a_tokenizer_being_read(server: Any) -> None:
    found = server.get("/groundup/models").json()["models"]
    assert [each["name"] for each in found] == [
        "ender:latest",
        "other:latest",
        "tiny:latest",
        "sorter:latest",
    ]
    assert [each["kind"] for each in found] == ["chat", "chat", "chat", "classifier"]


def test_what_the_page_says_of_sampling_reaches_the_draw(server: Any) -> None:
    def text(**options: float) -> str:
        body = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "To be"}],
            "max_tokens": 12,
            **options,
        }
        return str(
            server.post("/v1/chat/completions", body).json()["choices"][0]["message"]["content"]
        )

    greedy = text(temperature=0)
    assert text(temperature=9, seed=1) != greedy
    assert text(temperature=9, seed=1, top_k=1) == text(temperature=9, seed=1, min_p=1) == greedy
    assert text(temperature=0, repetition_penalty=5) != greedy
    refused = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "min_p": 2}
    assert server.post("/v1/chat/completions", refused).status_code == 400


def test_a_long_text_is_looked_at_from_its_beginning(server: Any) -> None:
    text = "To be, or not to be. " * 100
    found = server.post("/groundup/inside", {"model": "tiny", "text": text}).json()
    assert len(found["tokens"]) == 48
    assert text[: found["shown"]] == "".join(token["text"] for token in found["tokens"])


def test_why_names_what_spoke_for_the_verdict(server: Any) -> None:
    text = "To be, or not"
    (verdict,) = server.post("/v1/classify", {"model": "sorter", "input": text}).json()["data"]
    found = server.post("/groundup/why", {"model": "sorter", "text": text}).json()
    assert found["decision"] == verdict["label"]
    assert found["probability"] == pytest.approx(verdict["probability"], abs=1e-4)
    assert "".join(piece["text"] for piece in found["pieces"]) == text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("inside", {"model": "none", "text": "a"}, 404),
        ("inside", {"model": "sorter", "text": "a"}, 400),
        ("inside", {"model": "tiny", "text": ""}, 400),
        ("inside", {"model": "tiny", "text": "a", "block": 99}, 400),
        ("inside", {"model": "tiny", "text": "a", "block": 0}, 400),
        ("inside", {"model": "tiny", "text": "a" * 20_001}, 400),
        ("inside", {"model": "tiny"}, 400),
        ("heads", {"model": "none"}, 404),
        ("heads", {"model": "sorter"}, 400),
        ("heads", {}, 400),
        ("why", {"model": "tiny", "text": "a"}, 400),
        ("why", {"model": "sorter", "text": ""}, 400),
        ("why", [], 400),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_words(
    server: Any, path: str, body: Any, status: int
) -> None:
    answer = server.post(f"/groundup/{path}", body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_the_page_is_behind_the_key_too(guarded: Any) -> None:
    for path in ("/", "/page/app.js"):
        assert guarded.get(path, headers=BROWSER).status_code == 401
    assert guarded.post("/groundup/inside", {"model": "tiny", "text": "a"}).status_code == 401
    assert guarded.get("/", headers=BROWSER, auth=("", "secret")).status_code == 200
