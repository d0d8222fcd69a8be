"""Token pictures: the pieces are the text, and a tokenizer's report says what it learned."""

import json

import pytest

from groundup.lab.tokens import (
    characters_per_token,
    first_merges,
    longest_tokens,
    token_picture,
    tokenizer_report,
)
from groundup.tokenizer.fast import Tokenizer


@pytest.mark.parametrize("text", ["To be, or not", " the\n\tquestion", "", "naïve"])
def test_pieces_of_a_text_together_are_the_text(tokenizer: Tokenizer, text: str) -> None:
    picture = token_picture(tokenizer, text)
    assert [piece["id"] for piece in picture["pieces"]] == tokenizer.encode(text)
    assert (
        b"".join(tokenizer.token_bytes(piece["id"]) for piece in picture["pieces"]).decode()
        == picture["text"]
        == text
    )


def test_a_part_of_a_character_is_shown_by_its_bytes(tokenizer: Tokenizer) -> None:
    pieces = token_picture(tokenizer, "🙂")["pieces"]
    assert "".join(piece["text"] for piece in pieces) == "\\xf0\\x9f\\x99\\x82"


def test_control_tokens_typed_as_text_are_shown_as_text(tokenizer: Tokenizer) -> None:
    assert len(token_picture(tokenizer, "<|im_end|>")["pieces"]) > 1


def test_report_holds_merges_in_the_order_they_were_learned(tokenizer: Tokenizer) -> None:
    merged = first_merges(tokenizer)
    first = tokenizer.table.merges[0]
    assert merged[0] == "".join(first).replace("Ġ", " ")
    assert longest_tokens(tokenizer)[0] == max(longest_tokens(tokenizer), key=len)
    assert not any("<|" in token for token in longest_tokens(tokenizer))


def test_report_is_plain_json(tokenizer: Tokenizer) -> None:
    report = tokenizer_report(tokenizer, ["to be"], ["to be or not to be"])
    assert json.loads(json.dumps(report)) == report
    assert report["vocab_size"] == tokenizer.vocab_size
    assert 1 < report["characters_per_token"] < 9


def test_characters_per_token_counts_characters_over_tokens(tokenizer: Tokenizer) -> None:
    text = "that is the question"
    assert characters_per_token(tokenizer, [text, text]) == len(text) / len(tokenizer.encode(text))
    assert characters_per_token(tokenizer, []) is None
