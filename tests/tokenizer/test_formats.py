"""GGUF metadata -> Tokenizer -> GGUF metadata, and what is refused on the way."""

import random
from typing import Any

import pytest

from groundup.errors import FormatError, GroundupError, ModelError
from groundup.tokenizer.bytelevel import LLAMACPP_SPLITS
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import (
    CONTROL,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    gguf_metadata,
    tokenizer_from_gguf,
)


@pytest.fixture
def metadata(tokenizer: Tokenizer) -> dict[str, Any]:
    return gguf_metadata(tokenizer)


def test_metadata_read_back_are_the_same_tokenizer(
    tokenizer: Tokenizer, metadata: dict[str, Any]
) -> None:
    read = tokenizer_from_gguf(metadata)
    assert read.fingerprint == tokenizer.fingerprint
    assert read.special == tokenizer.special
    assert read.chat_template == tokenizer.chat_template
    assert gguf_metadata(read) == metadata


def test_metadata_say_what_llama_cpp_needs(tokenizer: Tokenizer, metadata: dict[str, Any]) -> None:
    end_of_turn, end_of_text = (
        tokenizer.special.tokens["<|im_end|>"],
        tokenizer.special.tokens["<|endoftext|>"],
    )
    assert metadata["tokenizer.ggml.model"] == "gpt2"
    assert metadata["tokenizer.ggml.pre"] == "llama-bpe"
    assert (
        metadata["tokenizer.ggml.eos_token_id"]
        == metadata["tokenizer.ggml.eot_token_id"]
        == end_of_turn
    )
    assert (
        metadata["tokenizer.ggml.bos_token_id"]
        == metadata["tokenizer.ggml.padding_token_id"]
        == end_of_text
    )
    # Without it llama.cpp would put a bos before every text of this split.
    assert metadata["tokenizer.ggml.add_bos_token"] is False
    types = metadata["tokenizer.ggml.token_type"]
    assert {id for id, type in enumerate(types) if type == CONTROL} == set(
        tokenizer.special.tokens.values()
    )


@pytest.mark.parametrize("split", LLAMACPP_SPLITS)
def test_every_split_goes_there_and_back(
    metadata: dict[str, Any], split: str, hard_strings: tuple[str, ...]
) -> None:
    read = tokenizer_from_gguf({**metadata, "tokenizer.ggml.pre": split})
    assert read.pre == split
    assert [read.decode(ids) for ids in read.encode_batch(hard_strings)] == list(hard_strings)
    assert gguf_metadata(read)["tokenizer.ggml.pre"] == split


def test_rows_without_a_token_are_unused_ids(
    tokenizer: Tokenizer, metadata: dict[str, Any]
) -> None:
    padded = gguf_metadata(tokenizer, vocab_size=tokenizer.vocab_size + 3)
    assert padded["tokenizer.ggml.token_type"][-3:] == [UNUSED] * 3
    assert len(set(padded["tokenizer.ggml.tokens"])) == tokenizer.vocab_size + 3
    assert gguf_metadata(tokenizer_from_gguf(padded)) == metadata
    with pytest.raises(ModelError, match=f"639 rows for a tokenizer of {tokenizer.vocab_size}"):
        gguf_metadata(tokenizer, vocab_size=639)


def test_user_defined_tokens_are_found_in_text_and_are_no_control_tokens(
    metadata: dict[str, Any],
) -> None:
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    thinking = {
        "tokenizer.ggml.tokens": [*tokens, "<think>"],
        "tokenizer.ggml.token_type": [*types, USER_DEFINED],
    }
    read = tokenizer_from_gguf({**metadata, **thinking})
    assert "<think>" not in read.special.tokens
    assert read.encode("a<think>")[-1] == len(tokens)
    assert read.encode_batch(["a<think>"]) == [read.encode("a<think>")]


def test_control_tokens_may_stand_first(
    metadata: dict[str, Any], hard_strings: tuple[str, ...]
) -> None:
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    count = types.count(CONTROL)
    moved = {
        "tokenizer.ggml.tokens": tokens[-count:] + tokens[:-count],
        "tokenizer.ggml.token_type": types[-count:] + types[:-count],
        **{
            f"tokenizer.ggml.{part}_token_id": rank
            for part, rank in (("bos", 0), ("padding", 0), ("eos", 2), ("eot", 2))
        },
    }
    read = tokenizer_from_gguf({**metadata, **moved})
    assert read.special.tokens["<|im_end|>"] == 2
    for text in hard_strings:
        assert read.decode(read.encode(text)) == text
        assert not set(read.encode(text)) & set(range(count))
        assert read.encode_batch([text]) == [read.encode(text)]


def test_a_bos_before_every_text_is_kept(metadata: dict[str, Any]) -> None:
    read = tokenizer_from_gguf({**metadata, "tokenizer.ggml.add_bos_token": True})
    assert read.special.adds_bos
    assert gguf_metadata(read)["tokenizer.ggml.add_bos_token"] is True
    silent = {key: value for key, value in metadata.items() if not key.endswith("add_bos_token")}
    assert tokenizer_from_gguf(silent).special.adds_bos  # llama.cpp's habit for this split
    assert not tokenizer_from_gguf({**silent, "tokenizer.ggml.pre": "gpt-2"}).special.adds_bos


def test_the_eos_is_a_control_token_whatever_its_type(metadata: dict[str, Any]) -> None:
    types = [1 if type == CONTROL else type for type in metadata["tokenizer.ggml.token_type"]]
    read = tokenizer_from_gguf({**metadata, "tokenizer.ggml.token_type": types})
    assert set(read.special.tokens) == {"<|endoftext|>", "<|im_end|>"}


def test_an_end_that_merges_make_of_text_stays_text(metadata: dict[str, Any]) -> None:
    """Qwen's vocabulary has HTML's "</s>" as an ordinary token."""
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    control, added = types.count(CONTROL), ["</", "</s", "</s>"]
    shifted = {
        key: value + len(added) for key, value in metadata.items() if key.endswith("token_id")
    }
    read = tokenizer_from_gguf(
        {
            **metadata,
            **shifted,
            "tokenizer.ggml.tokens": [*tokens[:-control], *added, *tokens[-control:]],
            "tokenizer.ggml.token_type": [*types[:-control], *[NORMAL] * 3, *types[-control:]],
            "tokenizer.ggml.merges": [
                *metadata["tokenizer.ggml.merges"],
                *("< /", "</ s", "</s >"),
            ],
        }
    )
    end = tokens.index("<|endoftext|>") + 2
    assert read.decode([end]) == read.decode(read.encode("</s>")) == "</s>"
    assert end not in read.special.stop_ids and "</s>" not in read.special.tokens


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("model", "t5", "supported are 'gpt2'"),
        ("model", "llama", "scores: is missing"),
        ("model", None, "is missing"),
        ("model", 7, "is a int, expected a str"),
        ("pre", "bloom", "supported are llama-bpe"),
        ("tokens", None, "is missing or not a list"),
        ("tokens", "abc", "is missing or not a list"),
        ("tokens", ["a", 1], "has an entry that is not a str"),
        ("tokens", [], "entries for 0 tokens"),
        ("token_type", [1, 2], "has 2 entries for 640 tokens"),
        ("token_type", range(10**9), "has 1000000000 entries, at most 1000000"),
        ("merges", ["ab"], "number 0, 'ab', is not a pair"),
        ("merges", ["a zzz"], "'a' and 'zzz', is not a pair of tokens that makes a token"),
        ("merges", ["Ġ t", "Ġ t"], "1 are duplicates"),
        ("merges", [["a", "b"]], "has an entry that is not a str"),
        ("eos_token_id", 10**9, "is 1000000000, of 640 tokens"),
        ("eos_token_id", -1, "is -1, of 640 tokens"),
        ("eos_token_id", True, "is a bool, expected a int"),
        ("add_bos_token", 1, "is a int, expected a bool"),
    ],
)
def test_metadata_that_lie_are_refused(
    metadata: dict[str, Any], name: str, value: object, reason: str
) -> None:
    with pytest.raises(FormatError, match=r"tiny\.gguf: .*") as refused:
        tokenizer_from_gguf({**metadata, f"tokenizer.ggml.{name}": value}, source="tiny.gguf")
    assert reason in str(refused.value)


def test_two_tokens_of_one_text_are_refused(metadata: dict[str, Any]) -> None:
    tokens = list(metadata["tokenizer.ggml.tokens"])
    tokens[300] = tokens[301]
    with pytest.raises(FormatError, match="only 639 different"):
        tokenizer_from_gguf({**metadata, "tokenizer.ggml.tokens": tokens})


def test_a_token_outside_the_byte_alphabet_is_refused(metadata: dict[str, Any]) -> None:
    tokens = list(metadata["tokenizer.ggml.tokens"])
    free = next(
        id
        for id in range(256, 600)
        if not any(tokens[id] in merge for merge in metadata["tokenizer.ggml.merges"])
    )
    tokens[free] = "▁word"
    merges = [
        merge for merge in metadata["tokenizer.ggml.merges"] if merge.replace(" ", "") in tokens
    ]
    with pytest.raises(FormatError, match="byte alphabet"):
        tokenizer_from_gguf(
            {**metadata, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
        )


def test_mutated_metadata_give_a_tokenizer_or_one_error(metadata: dict[str, Any]) -> None:
    chance = random.Random(0)
    odd: list[Any] = [
        None,
        -1,
        10**9,
        2**70,
        1.5,
        "",
        "x y",
        [],
        ["a"],
        [1],
        True,
        {},
        "\ud800",
        b"x",
        [None],
        ["\ud800"],
    ]
    accepted = 0
    for _ in range(400):
        changed = dict(metadata)
        key = chance.choice(list(changed))
        if isinstance(changed[key], list) and chance.random() < 0.7:
            items = list(changed[key])
            items[chance.randrange(len(items))] = chance.choice([*odd, *items[:3], *items[-3:]])
            changed[key] = items
        else:
            changed[key] = chance.choice(odd)
        try:
            read = tokenizer_from_gguf(changed)
            assert read.decode(read.encode("any text 123 <|im_end|>")) == "any text 123 <|im_end|>"
            accepted += 1
            gguf_metadata(read)
        except FormatError:
            pass
        except ModelError as error:  # the list of merges was emptied
            assert "no merges" in error.message
    assert 0 < accepted < 400


def test_every_error_is_one_of_ours() -> None:
    with pytest.raises(GroundupError):
        tokenizer_from_gguf({})
