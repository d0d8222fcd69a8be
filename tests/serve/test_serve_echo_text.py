"""Tokens of an echo join to the prompt, also where the model reads something before it."""

import pytest

from groundup.engine.events import RankedToken, TokenLogprob
from groundup.serve.prompt_echo import with_text


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        ([b"To", b" be"], "To be", [b"To", b" be"]),
        ([b"<s>", b"To", b" be"], "To be", [b"", b"To", b" be"]),  # a bos token
        ([b" To", b" be"], "To be", [b"To", b" be"]),  # SentencePiece's space
        ([b"<s>", b" To"], "To", [b"", b"To"]),
        ([b"<s>", b"To"], "<s>To", [b"<s>", b"To"]),  # asked for as an id
        ([b"\xc3", b"\xb6"], "ö", [b"\xc3", b"\xb6"]),
        ([b"\xc3", b"x"], "�x", [b"\xc3", b"x"]),
    ],
)
def test_what_the_prompt_does_not_have_is_left_out_of_its_tokens(
    tokens: list[bytes], text: str, expected: list[bytes]
) -> None:
    scores = [TokenLogprob(RankedToken(place, each, None), ()) for place, each in enumerate(tokens)]
    assert [each.token.text for each in with_text(scores, text)] == expected
