"""The pages about tokenizers: every token with its id and bytes, nothing from a text becomes markup, no script."""

import re
from html.parser import HTMLParser
from typing import Any

from groundup.report.pages.tokenizer_page import (
    MAX_TOKENS,
    render_comparison_page,
    render_tokens_page,
)

HOSTILE = "<script>alert(1)</script>\"'>&amp;\u202eevil\x00"


class Tokens(HTMLParser):
    """Collects the tokens of a page: class and hover text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attributes}
        if "token" in values.get("class", "").split():
            self.found.append((values["class"], values["data-tip"]))


def read(page: str) -> Tokens:
    parser = Tokens()
    parser.feed(page)
    return parser


def token(id: int, data: bytes) -> dict[str, Any]:
    return {"id": id, "text": "ignored", "bytes": list(data)}


def shown(*tokens: dict[str, Any]) -> dict[str, Any]:
    return {"name": "mine", "vocab_size": 300, "tokens": list(tokens)}


def test_every_token_has_its_id_and_its_bytes() -> None:
    page = render_tokens_page(shown(token(5, b" a"), token(7, b"\n"), token(5, b" a")))
    assert read(page).found == [
        ("token piece-0", "5 · 20 61"),
        ("token piece-1", "7 · 0a"),
        ("token piece-2", "5 · 20 61"),
    ]
    assert "·a" in page and "⏎" in page
    assert "5 7 5" in page  # the ids in order, for those without a pointer
    assert "1.67" in page and "3 tokens" in page


def test_what_a_text_says_never_becomes_markup() -> None:
    tokens = [
        token(number, byte) for number, byte in enumerate((HOSTILE.encode(), b"\xf0\x9f", b""))
    ]
    values = {**shown(*tokens), "name": HOSTILE}
    for page in (render_tokens_page(values), render_comparison_page(compared(HOSTILE, HOSTILE))):
        assert "script" not in read(page).tags
        assert "\x00" not in page
        assert "default-src 'none'" in page


def test_a_long_text_is_cut_and_says_so() -> None:
    page = render_tokens_page(shown(*[token(1, b"a")] * (MAX_TOKENS + 5)))
    assert len(read(page).found) == MAX_TOKENS
    assert f"The first {MAX_TOKENS:,} of {MAX_TOKENS + 5:,} tokens" in page


def test_no_tokens_and_damaged_values_are_drawn() -> None:
    assert "0 tokens" in render_tokens_page(shown())
    render_tokens_page({"tokens": [{"id": None, "bytes": "x"}, {}, {"bytes": [True, "a"]}]})
    render_comparison_page({})


def compared(name: str, source: str) -> dict[str, Any]:
    row = {
        "vocab_size": 300,
        "tokens": 10,
        "bytes_per_token": 2.5,
        "embedding_share": 0.25,
        "mb_per_s": 3.21,
    }
    group = {"documents": 1, "bytes": 25, "bytes_per_token": {name: 2.5, "b": 1.0}}
    return {
        "tokenizers": [{"name": name, **row}, {"name": "b", **row, "bytes_per_token": 1.0}],
        "model": {"width": 64, "layers": 2},
        "sources": {source: group},
        "languages": {"de": group},
        "examples": [
            {
                "source": source,
                "text": "ab",
                "pieces": {name: [token(1, b"ab")], "b": [token(2, b"a"), token(3, b"b")]},
            }
        ],
    }


def test_the_comparison_has_every_figure_and_the_best_in_bold() -> None:
    page = render_comparison_page(compared("mine", "letters"))
    for figure in ("2.50", "25.0\u00a0%", "3.2", "German", "letters", "300"):
        assert figure in page
    assert re.findall("<b>(.*?)</b>", page) == ["2.50", "2.50"]
    assert [tip for _, tip in read(page).found] == ["1 · 61 62", "2 · 61", "3 · 62"]
