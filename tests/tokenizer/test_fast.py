"""`Tokenizer`: round trips, safety, saving and loading, training."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import ConfigError, DataError, FormatError
from groundup.tokenizer.fast import (
    CONFIG_FILE,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    Tokenizer,
    train_tokenizer,
)
from groundup.tokenizer.special import CONTROL_TOKENS, END_OF_TEXT, TURN_END, TURN_START

ANY_TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("a1 \n\r\t'<|>_")), max_size=80
)
LOOK_ALIKE = st.sampled_from([*CONTROL_TOKENS, "<|im_", "end|>", "<|", "|>", "x", " ", "\n"])


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_decoding_gives_the_text_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(deadline=None)
@given(text=st.lists(LOOK_ALIKE, max_size=12).map("".join))
def test_text_never_becomes_a_control_token(tokenizer: Tokenizer, text: str) -> None:
    control = set(tokenizer.special.tokens.values())
    for ids in (
        tokenizer.encode(text),
        tokenizer.encode_batch([text])[0],
        tokenizer.encode_offsets(text)[0],
    ):
        assert not control & set(ids)
        assert tokenizer.decode(ids) == text


def test_hard_strings_come_back_from_every_way_of_encoding(
    tokenizer: Tokenizer, hard_strings: tuple[str, ...]
) -> None:
    single = [tokenizer.encode(text) for text in hard_strings]
    assert [tokenizer.decode(ids) for ids in single] == list(hard_strings)
    assert tokenizer.encode_batch(hard_strings) == single
    assert [tokenizer.encode_offsets(text)[0] for text in hard_strings] == single


def test_a_very_long_run_of_spaces_is_encoded_too(tokenizer: Tokenizer) -> None:
    # tiktoken panics on a million spaces; such a text is sent to the other library, and its neighbours with it.
    texts = ["before", "x" + " " * 1_000_000 + "y", "\t" * 150_000]
    found = tokenizer.encode_batch(texts)
    assert found == [tokenizer.encode(text) for text in texts]
    assert [tokenizer.decode(ids) for ids in found] == texts


def test_half_a_character_becomes_the_replacement_character(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud83db")) == "a\ufffdb"
    assert tokenizer.encode_batch(["\udc00"]) == [tokenizer.encode("\ufffd")]


def test_control_tokens_stand_at_the_last_ids(tokenizer: Tokenizer) -> None:
    first = tokenizer.vocab_size - len(CONTROL_TOKENS)
    assert tokenizer.special.tokens == {
        text: first + rank for rank, text in enumerate(CONTROL_TOKENS)
    }
    assert tokenizer.special.eos_id == tokenizer.special.tokens[TURN_END]
    assert (
        tokenizer.special.document_end_id
        == tokenizer.special.pad_id
        == tokenizer.special.tokens[END_OF_TEXT]
    )
    assert tokenizer.special.stop_ids == {
        tokenizer.special.tokens[TURN_END],
        tokenizer.special.tokens[END_OF_TEXT],
    }
    assert not tokenizer.special.adds_bos


def test_a_rendered_prompt_has_its_control_tokens(tokenizer: Tokenizer) -> None:
    start, end = tokenizer.special.tokens[TURN_START], tokenizer.special.tokens[TURN_END]
    ids = tokenizer.encode_control("<|im_start|>user\nHi<|im_end|>\n")
    assert ids == [start, *tokenizer.encode("user\nHi"), end, *tokenizer.encode("\n")]
    assert tokenizer.decode(ids) == "<|im_start|>user\nHi<|im_end|>\n"
    assert tokenizer.decode(ids, skip_control=True) == "user\nHi\n"


def test_offsets_say_where_each_token_stands(tokenizer: Tokenizer) -> None:
    text = "The model reads 12345 \n😀 naïve"
    ids, offsets = tokenizer.encode_offsets(text)
    for id, (start, end) in zip(ids, offsets, strict=True):
        assert text[start:end].encode().find(tokenizer.token_bytes(id)) >= 0, (text[start:end], id)
    assert offsets[0][0] == 0 and offsets[-1][1] == len(text)


def test_an_id_that_no_token_has_is_no_bytes(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes(tokenizer.vocab_size) == tokenizer.token_bytes(-1) == b""


def test_a_saved_tokenizer_is_the_same_when_loaded(
    tokenizer: Tokenizer, tmp_path: Path, hard_strings: tuple[str, ...]
) -> None:
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.special, loaded.pre, loaded.chat_template, loaded.vocab_size) == (
        tokenizer.special,
        "llama-bpe",
        tokenizer.chat_template,
        tokenizer.vocab_size,
    )
    assert loaded.encode_batch(hard_strings) == tokenizer.encode_batch(hard_strings)
    loaded.save(tmp_path / "again")
    for name in (TOKENIZER_FILE, CONFIG_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_another_training_text_has_another_fingerprint(
    tokenizer: Tokenizer, english: list[str]
) -> None:
    assert train_tokenizer(english[:1], 500).fingerprint != tokenizer.fingerprint
    assert train_tokenizer(english, 640).fingerprint == tokenizer.fingerprint


def test_the_template_file_of_newer_folders_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / TEMPLATE_FILE).write_text("{{ messages[0].content }}", encoding="utf-8")
    assert Tokenizer.load(tmp_path).chat_template == "{{ messages[0].content }}"
    Tokenizer.load(tmp_path).save(tmp_path)
    assert Tokenizer.load(tmp_path).chat_template == "{{ messages[0].content }}"
    assert not (tmp_path / TEMPLATE_FILE).exists()


def test_of_several_named_templates_the_default_is_taken(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    named = [
        {"name": "tool_use", "template": "t"},
        {"name": "default", "template": "d"},
        {"name": ["x"]},
        3,
    ]
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "chat_template": named}))
    assert Tokenizer.load(tmp_path).chat_template == "d"


def test_a_folder_without_settings_finds_its_end_of_text(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / CONFIG_FILE).unlink()
    loaded = Tokenizer.load(tmp_path)
    assert loaded.special.eos_id == tokenizer.special.eos_id
    assert loaded.special.bos_id is None


def test_a_bos_is_put_first_once(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "add_bos_token": True}))
    loaded = Tokenizer.load(tmp_path)
    bos = loaded.special.bos_id
    assert loaded.special.adds_bos
    assert loaded.with_bos([1, 2]) == [bos, 1, 2] == loaded.with_bos([bos, 1, 2])
    assert tokenizer.with_bos([1, 2]) == [1, 2]
    loaded.save(tmp_path / "again")
    assert (
        json.loads((tmp_path / "again" / TOKENIZER_FILE).read_text())["post_processor"]["type"]
        == "TemplateProcessing"
    )
    assert Tokenizer.load(tmp_path / "again").special.adds_bos


class Watched(str):
    """A text that can be watched while it lives."""


def test_training_keeps_only_a_few_texts_at_a_time() -> None:
    alive: weakref.WeakSet[Watched] = weakref.WeakSet()
    most = 0

    def texts() -> Iterator[str]:
        nonlocal most
        for number in range(5000):
            text = Watched(f"text number {number} has a few words of its own")
            alive.add(text)
            most = max(most, len(alive))
            yield text

    assert train_tokenizer(texts(), 400).vocab_size == 400
    assert most < 1000


def test_an_error_of_the_texts_comes_through() -> None:
    def texts() -> Iterator[str]:
        yield "some text"
        raise DataError("line 7 is bad")

    with pytest.raises(DataError, match="line 7 is bad"):
        train_tokenizer(texts(), 400)


def test_few_texts_give_fewer_ids() -> None:
    assert train_tokenizer(["the the the cat"], 4096).vocab_size < 280


def test_a_size_without_room_is_refused_with_numbers() -> None:
    with pytest.raises(ConfigError, match=r"256 to 1,000,000 \(got 200\)"):
        train_tokenizer(["text"], 200)


@pytest.mark.parametrize("texts", [[], [""]])
def test_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(DataError, match="no text"):
        train_tokenizer(texts, 400)


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"tokenizer\.json: file: is missing"):
        Tokenizer.load(tmp_path)
