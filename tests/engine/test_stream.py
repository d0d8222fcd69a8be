"""Streaming: pieces joined are the text; no piece cuts a character or shows a part of a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.engine.stream import TextStream, earliest, longest_beginning
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

TEXT = "To be, or not to be, that is the question. Ὦ ξεῖν', 😀 العربية 你好\r\n\tEND."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT.split("Ὦ")[0] * 3], 300)


def pieces(tokenizer: Tokenizer, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    return [*(stream.push(token_id) for token_id in ids), stream.finish()]


def test_pieces_joined_are_the_text_and_none_cuts_a_character(tokenizer: Tokenizer) -> None:
    got = pieces(tokenizer, tokenizer.encode(TEXT))
    assert "".join(got) == TEXT
    assert not any("\ufffd" in piece for piece in got)


def test_text_comes_as_soon_as_it_is_final(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("to be")
    assert pieces(tokenizer, ids)[: len(ids)] == [tokenizer.decode([token_id]) for token_id in ids]


@given(st.lists(st.integers(0, 299), max_size=30))
def test_any_ids_give_what_decoding_them_whole_gives(tokenizer: Tokenizer, ids: list[int]) -> None:
    assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids, skip_control=True)


def test_a_control_token_that_is_to_be_shown_is_text(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer, shown_ids={tokenizer.special.tokens["<|reserved_0|>"]})
    ids = tokenizer.encode_control("a<|reserved_0|>b<|im_start|>c")
    assert [stream.push(id) for id in ids] == ["a", "<|reserved_0|>", "b", "", "c"]


def test_control_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_control("a<|im_start|>b")
    assert "".join(pieces(tokenizer, ids)) == "ab"


def test_an_unfinished_character_at_the_end_becomes_a_replacement(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("x😀")[:-1]
    assert "".join(pieces(tokenizer, ids)) == "x\ufffd"


@pytest.mark.parametrize("stop", ["question", ", or", "n. Ὦ", "😀", "你", "be,", "END.", "T"])
def test_a_stop_string_over_token_borders_never_shows(tokenizer: Tokenizer, stop: str) -> None:
    got = pieces(tokenizer, tokenizer.encode(TEXT), (stop,))
    assert "".join(got) == TEXT[: TEXT.index(stop)]


@given(
    text=st.text("ab😀 ", max_size=20),
    stop=st.lists(st.text("ab😀 ", min_size=1, max_size=4), max_size=3),
)
def test_text_before_the_earliest_stop_is_returned(
    tokenizer: Tokenizer, text: str, stop: list[str]
) -> None:
    # Byte by byte, so that every prefix of the text is seen; the stream stops at the first stop string that is complete.
    byte_ids = {
        tokenizer.token_bytes(token_id): token_id for token_id in range(tokenizer.vocab_size)
    }
    ids = [byte_ids[bytes([byte])] for byte in text.encode()]
    whole = next(
        (
            text[: earliest(text[:n], stop)]
            for n in range(1, len(text) + 1)
            if earliest(text[:n], stop) is not None
        ),
        text,
    )
    assert "".join(pieces(tokenizer, ids, tuple(stop))) == whole


def test_what_only_looked_like_a_stop_is_given_back(tokenizer: Tokenizer) -> None:
    assert "".join(pieces(tokenizer, tokenizer.encode("a <|im_en"), ("<|im_end|>",))) == "a <|im_en"


def test_stopped_says_so_and_nothing_follows(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer, ["b"])
    assert "".join(stream.push(token_id) for token_id in tokenizer.encode("a b c")) == "a "
    assert stream.stopped
    assert stream.finish() == ""


def test_the_earliest_of_several_stops_counts() -> None:
    assert earliest("a b c", ["c", "b"]) == 2
    assert earliest("a b c", ["d"]) is None
    assert longest_beginning("so ab", ["abc", "bx"]) == 2
