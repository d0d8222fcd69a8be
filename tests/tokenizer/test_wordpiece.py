"""WordPiece: the ids of the `tokenizers` library and of transformers, and no truncation or padding from a file."""

import copy
import json
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import tokenizers
from lazy_module import LazyModule
from tiny_encoder import wordpiece

from groundup.errors import FormatError, ModelError
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata
from groundup.tokenizer.spec import check_table, table_from_json
from groundup.tokenizer.wordpiece import WordPiece

transformers = LazyModule("transformers")

HARD = (
    *(
        "The cats sat on the mat, not on that question!",
        "",
        " ",
        "can't C++ ##ing #hash",
        "zebra pizza",
        "a" * 101,
        "a" * 100,
    ),
    *(
        "[CLS] [SEP][MASK] [PAD][UNK]",
        "cat\u200bcat\x00cat\ufffd",
        "漢字漢 x漢y",
        "Éé e\u0301 STRASSE Straße",
        "\u2028\u00a0a\tb\r\nc",
    ),
)
STYLES = (
    WordPiece(),
    WordPiece(lowercase=False),
    WordPiece(lowercase=False, strip_accents=True, split_chinese=False, longest_word=7),
)
OURS = [wordpiece(style) for style in STYLES]
WHOLE, ENDING = (OURS[0].table.vocabulary[text] for text in ("cat", "##s"))


def as_file(ours: Tokenizer) -> dict[str, Any]:
    """The tokenizer.json as sentence encoders have it: it cuts a text after 8 tokens, and pads it to 8."""
    cut = {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    pad = {
        "strategy": {"Fixed": 8},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
    }
    return {**ours.table.to_json(), "truncation": cut, "padding": {**pad, "pad_token": "[PAD]"}}


def library(spec: dict[str, Any]) -> tokenizers.Tokenizer:
    """It recognises control tokens in a text unless it is told not to."""
    read = tokenizers.Tokenizer.from_str(json.dumps(spec))
    read.no_truncation()
    read.no_padding()
    read.encode_special_tokens = True
    return read


def whole(ours: Tokenizer, text: str) -> list[int]:
    return [*ours.with_bos(ours.encode(text)), *ours.end_ids]


@pytest.mark.parametrize("ours", OURS, ids=lambda each: str(each.table.style))
def test_ids_equal_the_librarys_and_those_of_what_is_saved(ours: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(as_file(ours)))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(ours.config()))
    read, expected = Tokenizer.load(tmp_path), library(as_file(ours))
    read.save(tmp_path / "saved")
    again, saved = (
        Tokenizer.load(tmp_path / "saved"),
        json.loads((tmp_path / "saved" / "tokenizer.json").read_text()),
    )
    assert saved["truncation"] is saved["padding"] is None
    assert again.fingerprint == read.fingerprint == ours.fingerprint
    for text in HARD:
        assert whole(read, text) == whole(again, text) == expected.encode(text).ids, text
        assert read.encode_batch([text]) == [read.encode(text)]


@hypothesis.given(
    st.text(st.sampled_from("aezcATs #[]'.,!\u0301\u0130ß漢\n"), max_size=40) | st.text(max_size=40)
)
def test_ids_of_any_text_equal_the_librarys(text: str) -> None:
    for ours in OURS:
        sayable = text.encode("utf-8", "replace").decode()
        assert whole(ours, sayable) == library(as_file(ours)).encode(sayable).ids


def test_auto_tokenizer_gives_the_same_ids(tmp_path: Path) -> None:
    OURS[0].save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    for text in HARD:
        if "[" not in text:  # it recognises control tokens in a text
            assert theirs(text)["input_ids"] == whole(OURS[0], text), text
    roles = (
        theirs.cls_token,
        theirs.sep_token,
        theirs.pad_token,
        theirs.unk_token,
        theirs.mask_token,
    )
    assert roles == ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")


def test_only_an_unknown_word_becomes_a_control_token() -> None:
    for ours in OURS:
        unknown = ours.special.tokens["[UNK]"]
        for text in HARD:
            assert set(ours.encode(text)).isdisjoint(
                set(ours.special.tokens.values()) - {unknown}
            ), text
    assert OURS[0].encode("pizza cat") == [OURS[0].special.unk_id, *OURS[0].encode("cat")]


def test_words_come_back_without_their_case_and_spacing() -> None:
    ours = OURS[0]
    assert ours.decode(ours.encode("The CATS, sat")) == "the cats , sat"
    assert ours.decode(ours.encode("sat"), starts=False) == " sat"
    assert ours.decode(whole(ours, "The cat"), skip_control=True) == "the cat"


def test_offsets_point_into_the_text() -> None:
    text = "The  Cats,\u00e9"
    ids, offsets = OURS[0].encode_offsets(text)
    assert [text[start:end] for start, end in offsets] == [
        "The",
        "Cat",
        "s",
        ",",
        "\u00e9",
    ] and len(ids) == 5


def test_the_older_form_of_the_end_tokens_is_read() -> None:
    spec = OURS[0].table.to_json()
    spec["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    assert table_from_json(spec, "file") == table_from_json(OURS[0].table.to_json(), "file")


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        (("normalizer",), None, "normalizer"),
        (("normalizer", "clean_text"), False, "normalizer"),
        (("normalizer", "lowercase"), 1, "normalizer.lowercase"),
        (("pre_tokenizer",), {"type": "Whitespace"}, "pre_tokenizer"),
        (("post_processor",), None, "one token before and one after"),
        (("post_processor", "single", 0, "SpecialToken", "id"), "cat", "'cat' before a text"),
        (("model", "continuing_subword_prefix"), "@@", "continuing_subword_prefix"),
        (("model", "max_input_chars_per_word"), 0, "max_input_chars_per_word"),
        (("model", "unk_token"), "cat", "not a control token"),
        (("model", "unk_token"), 7, "unk_token"),
        (("model", "vocab"), [], "model.vocab"),
        (("added_tokens", 0, "content"), "cat", "each with a unique id"),
        (
            ("added_tokens", 0),
            {"id": WHOLE, "content": "cat", "special": True},
            "can become the control token 'cat'",
        ),
        (
            ("added_tokens", 0),
            {"id": ENDING, "content": "##s", "special": True},
            "can become the control token '##s'",
        ),
    ],
    ids=str,
)
def test_a_file_with_other_parts_is_refused_by_name(
    part: tuple[Any, ...], value: object, says: str
) -> None:
    spec = copy.deepcopy(OURS[0].table.to_json())
    place: Any = spec
    for key in part[:-1]:
        place = place[key]
    place[part[-1]] = value
    with pytest.raises(FormatError) as caught:
        check_table(table_from_json(spec, "file"), "file")
    assert says in caught.value.message


def test_it_is_not_written_into_a_gguf() -> None:
    with pytest.raises(ModelError, match="WordPiece"):
        gguf_metadata(OURS[0])
