"""Byte and character tokenizers: nothing is lost, other programs read the same ids, and GGUF has one of them."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lazy_module import LazyModule

from groundup.errors import ConfigError, DataError, ModelError
from groundup.tokenizer.bytelevel import ByteLevel
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf
from groundup.tokenizer.kinds import (
    byte_tokenizer,
    character_tokenizer,
    make_tokenizer,
    require_kind,
)
from groundup.tokenizer.sentencepiece import SPACE
from groundup.tokenizer.special import CONTROL_TOKENS

transformers = LazyModule("transformers")

TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("abé \n\t漢😀")), max_size=80
)
BYTES, CHARACTERS = byte_tokenizer(), character_tokenizer(["to be, or not to be: é漢\n"])
SMALL = train_tokenizer(["the cat and the dog and the end " * 9], 256)


@given(text=TEXT)
def test_bytes_are_the_ids_and_decode_to_the_text(text: str) -> None:
    assert bytes(BYTES.encode(text)) == text.encode()
    assert BYTES.decode(BYTES.encode(text)) == text
    assert BYTES.encode_batch([text, text])[1] == BYTES.encode(text)


@given(text=TEXT)
def test_characters_decode_to_the_text_but_for_the_mark_of_a_space(text: str) -> None:
    ids = CHARACTERS.encode(text)
    assert CHARACTERS.decode(ids) == text.replace(SPACE, " ")
    known = {CHARACTERS.token_bytes(id).decode() for id in range(12)}
    if set(text) <= known:
        assert len(ids) == len(text)


@given(text=TEXT)
def test_256_ids_are_enough_for_every_text(text: str) -> None:
    assert SMALL.vocab_size == 256
    assert SMALL.decode(SMALL.encode(text)) == text


def test_characters_are_sorted_then_come_bytes_then_control_tokens() -> None:
    tokens = [
        CHARACTERS.token_bytes(id).decode("utf-8", "replace") for id in range(CHARACTERS.vocab_size)
    ]
    assert tokens[:15] == [
        "\n",
        ",",
        ":",
        "b",
        "e",
        "n",
        "o",
        "r",
        "t",
        "é",
        " ",
        "漢",
        "\0",
        "\1",
        "\2",
    ]
    assert tokens[-8:] == list(CONTROL_TOKENS)
    assert CHARACTERS.vocab_size == 12 + 256 - 9 + 8  # an ASCII character needs no byte


def test_control_tokens_in_a_text_stay_text() -> None:
    for tokenizer in (BYTES, CHARACTERS, SMALL):
        assert tokenizer.special.eos_id not in tokenizer.encode("<|im_end|>")
        assert tokenizer.encode_control("a<|im_end|>")[-1] == tokenizer.special.eos_id


@pytest.mark.parametrize("kind", ["byte", "character", "bpe"])
def test_transformers_opens_them_to_the_same_ids(
    kind: str, hard_strings: tuple[str, ...], tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(require_kind(kind), ["to be, or not to be: é漢\n"] * 3, 264 + 20)
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == tokenizer.fingerprint
    assert (tokenizer.kind, Tokenizer.load(tmp_path).kind) == (kind, kind)
    for text in hard_strings:
        if not any(control in text for control in CONTROL_TOKENS):
            ids = tokenizer.encode(text)
            assert theirs.encode(text, add_special_tokens=False) == ids
            assert theirs.decode(ids, clean_up_tokenization_spaces=False) == tokenizer.decode(ids)


def test_rare_characters_are_written_in_bytes_where_there_is_no_room() -> None:
    said: list[str] = []

    class Said:
        def say(self, text: str) -> None:
            said.append(text)

    text = "äää öö ü"
    tokenizer = character_tokenizer([text], 256 + 8 + 2, progress=Said())  # type: ignore[arg-type]
    assert tokenizer.vocab_size == 266
    assert [len(tokenizer.encode(each)) for each in "äö ü"] == [
        1,
        2,
        1,
        2,
    ]  # "ä" is the most frequent, a space always there
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "2 rarer ones, 37.50% of the text, are written in bytes" in said[0]


def test_texts_without_a_space_have_one_all_the_same() -> None:
    tokenizer = character_tokenizer(["abc"], 265)
    assert tokenizer.vocab_size == 265
    assert tokenizer.decode(tokenizer.encode("c b")) == "c b"


def test_refusals_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="no kind of tokenizer 'chracter'") as error:
        require_kind("chracter")
    assert "character" in error.value.fix
    with pytest.raises(ConfigError, match="264 is too small"):
        character_tokenizer(["a"], 264)
    with pytest.raises(DataError, match="no text"):
        character_tokenizer(["", ""])


def test_characters_are_written_as_gguf_and_bytes_are_refused() -> None:
    metadata = gguf_metadata(CHARACTERS)
    again = tokenizer_from_gguf(metadata)
    assert again.encode("to bé x ▁") == CHARACTERS.encode("to bé x ▁")
    with pytest.raises(ModelError, match="no merges") as error:
        gguf_metadata(BYTES)
    assert "kind character" in error.value.fix
    with pytest.raises(ModelError, match="no split like its 'o200k'"):
        gguf_metadata(in_split("o200k"))


def in_split(split: str) -> Tokenizer:
    """The same merges with another split."""
    return Tokenizer(dataclasses.replace(SMALL.table, style=ByteLevel(split)), SMALL.config())
