"""The splits: nothing is lost, and they are the ones that the families' own files name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from groundup.tokenizer.bytelevel import (
    BYTE_TO_CHARACTER,
    GPT2_SPLIT,
    LLAMA3_SPLIT,
    SPLITS,
    ByteLevel,
    pre_tokenizer_spec,
    recognise_split,
    split_text,
)


@pytest.mark.parametrize("split", SPLITS)
@given(
    text=st.text(
        alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("a1 \n\r\t'.$")),
        max_size=60,
    )
)
def test_pieces_joined_are_the_text(split: str, text: str) -> None:
    pieces = split_text(text, split)
    assert "".join(pieces) == text
    assert all(pieces)


def test_llama3_splits_digits_in_threes_and_smollm_one_by_one() -> None:
    assert split_text("It's 12345 o'clock", "llama-bpe") == [
        "It",
        "'s",
        " ",
        "123",
        "45",
        " o",
        "'clock",
    ]
    assert split_text("in 1990", "smollm") == ["in", " ", "1", "9", "9", "0"]
    assert split_text("in 1990", "gpt-2") == ["in", " 1990"]
    assert split_text("in 1990", "qwen2") == ["in", " ", "1", "9", "9", "0"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_is_recognised_in_a_tokenizer_json(split: str) -> None:
    assert recognise_split(pre_tokenizer_spec(split)) == split


def test_the_splits_split_like_the_library(hard_strings: tuple[str, ...]) -> None:
    """What `tokenizers` makes of the same expressions, piece by piece."""
    steps = {
        "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")],
        "gpt-2": [pre_tokenizers.Split(Regex(GPT2_SPLIT), "isolated")],
        "smollm": [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(GPT2_SPLIT), "isolated"),
        ],
        "default": [
            pre_tokenizers.Split(Regex(expression), "isolated") for expression in SPLITS["default"]
        ],
    }
    for split, parts in steps.items():
        library = pre_tokenizers.Sequence(parts)
        for text in hard_strings:
            assert split_text(text, split) == [
                piece for piece, _ in library.pre_tokenize_str(text)
            ], (split, text[:60])


@pytest.mark.parametrize(
    "foreign",
    [None, {}, [], "x", {"type": "Whitespace"}, {"type": "Sequence", "pretokenizers": [7, None]}],
)
def test_any_other_split_is_not_recognised(foreign: object) -> None:
    assert recognise_split(foreign) is None


def test_a_space_before_the_text_is_not_recognised_as_gpt2() -> None:
    assert recognise_split({**pre_tokenizer_spec("gpt-2"), "add_prefix_space": True}) is None


@given(tokens=st.lists(st.text(alphabet=sorted(BYTE_TO_CHARACTER.values()), max_size=5)))
def test_the_bytes_of_many_tokens_are_those_of_each(tokens: list[str]) -> None:
    style = ByteLevel("gpt-2")
    assert style.bytes_of_all(tokens) == [style.bytes_of(token, added=False) for token in tokens]


@pytest.mark.parametrize(
    "character", [" ", "\n", "\x7f", "\xa0", "\xad", "\u0144", "\ud800", "\uffff", "😀"]
)
def test_a_character_outside_the_byte_alphabet_has_no_bytes(character: str) -> None:
    style = ByteLevel("gpt-2")
    assert (
        style.bytes_of_all(["a", character]) is None
        and style.bytes_of(character, added=False) is None
    )
