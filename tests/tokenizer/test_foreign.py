"""A tokenizer.json from elsewhere: what is read as it is, what is refused, and no raw error for any of 800 mutants."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import FormatError
from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE, Tokenizer, train_tokenizer
from groundup.tokenizer.spec import MAX_JSON_BYTES, check_table, table_from_json


@pytest.fixture
def spec(tokenizer: Tokenizer) -> dict[str, Any]:
    return copy.deepcopy(tokenizer.table.to_json())


def opened(spec: dict[str, Any], **config: Any) -> Tokenizer:
    return Tokenizer(
        table_from_json(spec, "foreign.json"),
        {"eos_token": "<|im_end|>", **config},
        source="foreign.json",
    )


def test_merges_may_be_texts_or_pairs(spec: dict[str, Any], tokenizer: Tokenizer) -> None:
    spec["model"]["merges"] = [" ".join(merge) for merge in spec["model"]["merges"]]
    assert opened(spec).fingerprint == tokenizer.fingerprint


def test_truncation_and_padding_of_a_foreign_file_are_switched_off(
    spec: dict[str, Any], tokenizer: Tokenizer
) -> None:
    spec["truncation"] = {
        "direction": "Right",
        "max_length": 3,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    spec["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    text = "many more tokens than three, and no token to fill up"
    assert opened(spec).encode(text) == tokenizer.encode(text)
    assert opened(spec).encode("a") == tokenizer.encode("a")


def test_a_bos_of_the_post_processor_is_known(spec: dict[str, Any]) -> None:
    first = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    rest = {"Sequence": {"id": "A", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [first, rest],
        "pair": [],
        "special_tokens": {},
    }
    spec["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]}
    assert opened(spec, bos_token="<|endoftext|>").special.adds_bos
    assert not opened(spec, bos_token="<|endoftext|>", add_bos_token=False).special.adds_bos
    spec["post_processor"] = {**template, "single": [first, rest, first]}
    with pytest.raises(FormatError, match="more than put one token"):
        opened(spec)


def test_composed_characters_of_qwen_are_kept(spec: dict[str, Any]) -> None:
    spec["normalizer"] = {"type": "NFC"}
    assert opened(spec).decode(opened(spec).encode("e\u0301")) == "\u00e9"


def deep(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "NFC"}
    for _ in range(levels):
        inner = {"type": "Sequence", "normalizers": [inner]}
    return inner


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (
            "normalizer",
            {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
        ),  # the library panics
        ("normalizer", {"type": "Prepend", "prepend": "x" * 1000}),
        ("normalizer", deep(200)),
        (
            "pre_tokenizer",
            {
                "type": "Split",
                "pattern": {"Regex": "(a+)+$"},
                "behavior": "Isolated",
                "invert": False,
            },
        ),  # panics
        ("pre_tokenizer", None),
        ("post_processor", {"type": "BertProcessing", "sep": ["x", 1], "cls": ["y", 2]}),
        ("post_processor", {"type": "TemplateProcessing"}),
        ("post_processor", [1]),
        ("model", {"type": "Unigram", "vocab": []}),
        ("model", {"type": "WordPiece", "vocab": {}}),
        ("model", None),
        ("model.dropout", 0.1),
        ("model.continuing_subword_prefix", "abcdef"),  # panics
        ("model.byte_fallback", True),
        ("model.vocab", {"a": 10**9}),
        ("model.vocab", {"a": 0, "b": 0}),
        ("model.vocab", {"a": -1}),
        ("model.vocab", {}),
        ("model.vocab", []),
        ("model.merges", [["a", "zzz"]]),
        ("model.merges", [["a", "b", "c"]]),
        ("model.merges", {}),
        ("added_tokens", [{"id": 640, "content": "<|im_end|>", "special": True}]),
        ("added_tokens", [{"id": 0, "content": "<|im_end|>", "special": True}]),
        ("added_tokens", [{"id": 632, "content": "<|im_end|>"}, {"id": 632, "content": "x"}]),
        ("added_tokens", [{"id": 0, "content": "!", "special": True}]),  # the byte of "!"
        ("added_tokens", [{"id": 632, "content": "", "special": True}]),
        ("added_tokens", [{"id": 632, "content": "\ud800", "special": True}]),
        ("added_tokens", [{"content": "x"}]),
        ("added_tokens", 3),
    ],
)
def test_what_the_library_would_stumble_over_is_refused_first(
    spec: dict[str, Any], place: str, value: object
) -> None:
    *parents, last = place.split(".")
    (spec[parents[0]] if parents else spec)[last] = value
    with pytest.raises(FormatError, match=r"foreign\.json"):
        opened(spec)


def test_a_control_token_that_text_would_become_is_refused(spec: dict[str, Any]) -> None:
    word = next(
        token
        for token in spec["model"]["vocab"]
        if token.isalpha() and token.isascii() and len(token) > 2
    )
    spec["added_tokens"] = [{"id": spec["model"]["vocab"][word], "content": word, "special": True}]
    spec["model"]["merges"] = [
        merge for merge in spec["model"]["merges"] if word not in (*merge, "".join(merge))
    ]
    with pytest.raises(FormatError, match="ordinary text can become"):
        check_table(table_from_json(spec, "foreign.json"), "foreign.json")


@pytest.mark.parametrize(
    "config",
    [
        {"eos_token": 7},
        {"eos_token": "nowhere"},
        {"chat_template": 7},
        {"bos_token": {"content": [1]}},
    ],
)
def test_settings_that_contradict_the_tokens_are_refused(
    spec: dict[str, Any], config: dict[str, Any]
) -> None:
    with pytest.raises(FormatError, match=r"foreign\.json"):
        opened(spec, **config)


def test_a_tokenizer_without_any_end_is_refused(spec: dict[str, Any]) -> None:
    spec["added_tokens"] = []
    with pytest.raises(FormatError, match="no token ends a text"):
        opened(spec, eos_token=None)


def test_a_file_over_the_size_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / TOKENIZER_FILE).open("wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)
    with pytest.raises(FormatError, match="size"):
        Tokenizer.load(tmp_path)


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


def test_eight_hundred_mutants_load_or_are_refused(tmp_path: Path, english: list[str]) -> None:
    train_tokenizer(english[:1], 280).save(tmp_path)
    files = {
        name: (tmp_path / name).read_text(encoding="utf-8")
        for name in (TOKENIZER_FILE, CONFIG_FILE)
    }
    odd: list[Any] = [
        None,
        0,
        -1,
        10**9,
        2**70,
        1.5,
        "",
        [],
        {},
        "x",
        "a b",
        True,
        ["a"],
        {"a": 1},
        [[["x"]]],
        "\ud800",
        "<|im_end|>",
    ]
    chance = random.Random(1)
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(800):
        name = chance.choice([TOKENIZER_FILE, TOKENIZER_FILE, CONFIG_FILE])
        (tmp_path / name).write_bytes(mutant(files[name], odd, chance))
        try:
            loaded = Tokenizer.load(tmp_path)
            loaded.decode(loaded.encode("Hello 123 <|im_end|> wörld 😀"))
            loaded.encode_control("a<|im_end|>b")
            outcomes["loaded"] += 1
        except FormatError:
            outcomes["refused"] += 1
        (tmp_path / name).write_text(files[name], encoding="utf-8")
    assert min(outcomes.values()) > 100


def mutant(text: str, odd: list[Any], chance: random.Random) -> bytes:
    """A few bytes changed, or a part of the JSON replaced or taken out."""
    if chance.random() < 0.4:
        data = bytearray(text.encode())
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.choice(
                [*b'{}[]",:0129', chance.randrange(256)]
            )
        return bytes(data[: chance.choice([len(data)] * 9 + [chance.randrange(len(data))])])
    value = json.loads(text)
    *parents, last = chance.choice(list(paths(value)))
    inner = value
    for key in parents:
        inner = inner[key]
    if chance.random() < 0.3:
        del inner[last]
    else:
        inner[last] = chance.choice(odd)
    return json.dumps(value).encode()
