"""SentencePiece in GGUF metadata: there and back, what llama.cpp needs, what is refused."""

import dataclasses
import random
from typing import Any

import pytest

from groundup.errors import FormatError, ModelError
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import BYTE, CONTROL, UNUSED, gguf_metadata, tokenizer_from_gguf
from groundup.tokenizer.sentencepiece import BYTE_TOKENS, SPACE, SentencePiece
from groundup.tokenizer.spec import AddedToken


def test_metadata_read_back_are_the_same_tokenizer(pieces: Tokenizer) -> None:
    metadata = gguf_metadata(pieces)
    read = tokenizer_from_gguf(metadata)
    assert (read.table, read.chat_template) == (pieces.table, pieces.chat_template)
    assert (read.special.tokens, read.special.stop_ids) == (
        pieces.special.tokens,
        pieces.special.stop_ids,
    )
    assert gguf_metadata(read) == metadata


def test_scores_keep_their_order(pieces: Tokenizer, pieces_metadata: dict[str, Any]) -> None:
    written = gguf_metadata(pieces)["tokenizer.ggml.scores"]
    assert isinstance(written, list) and all(isinstance(score, float) for score in written)
    made = {pieces.table.vocabulary[left + right] for left, right in pieces.table.merges}
    before = sorted(made, key=lambda id: -pieces_metadata["tokenizer.ggml.scores"][id])
    assert sorted(made, key=lambda id: -written[id]) == before


def test_metadata_say_what_llama_cpp_needs(pieces: Tokenizer) -> None:
    metadata = gguf_metadata(pieces, vocab_size=pieces.vocab_size + 2)
    assert metadata["tokenizer.ggml.model"] == "llama"
    assert metadata["tokenizer.ggml.add_space_prefix"] is True
    assert metadata["tokenizer.ggml.add_bos_token"] is True
    assert "tokenizer.ggml.merges" not in metadata
    types = metadata["tokenizer.ggml.token_type"]
    assert isinstance(types, list)
    assert types[-2:] == [UNUSED] * 2
    assert [id for id, type in enumerate(types) if type == BYTE] == [
        pieces.table.vocabulary[each] for each in BYTE_TOKENS
    ]
    assert {id for id, type in enumerate(types) if type == CONTROL} == set(
        pieces.special.tokens.values()
    )
    plain = dataclasses.replace(pieces.table, style=SentencePiece("never"))
    assert (
        gguf_metadata(Tokenizer(plain, pieces.config()))["tokenizer.ggml.add_space_prefix"] is False
    )


def test_silent_metadata_are_read_as_llama_cpp_reads_them(pieces_metadata: dict[str, Any]) -> None:
    silent = {
        key: value
        for key, value in pieces_metadata.items()
        if "_token" not in key or key.endswith("token_type")
    }
    del silent["tokenizer.ggml.add_space_prefix"]
    read = tokenizer_from_gguf(silent)
    assert read.table.style == SentencePiece("always")
    assert (read.special.bos_id, read.special.eos_id, read.special.unk_id) == (1, 2, 0)
    assert read.special.adds_bos


def test_spaces_of_whole_tokens_are_written_as_spaces(pieces: Tokenizer) -> None:
    # Gemma's files: a run of spaces is a whole token, "▁▁" in a tokenizer.json and "  " in a GGUF.
    id = pieces.table.vocabulary[SPACE * 2]
    table = dataclasses.replace(
        pieces.table, added={**pieces.table.added, id: AddedToken(SPACE * 2, False)}
    )
    ours = Tokenizer(dataclasses.replace(table, style=SentencePiece("never")), pieces.config())
    metadata = gguf_metadata(ours)
    assert metadata["tokenizer.ggml.tokens"][id] == "  "  # type: ignore[index]
    assert ours.token_bytes(id) == b"  "
    assert tokenizer_from_gguf(metadata).encode("the  reader") == ours.encode("the  reader")


def test_merges_that_scores_can_not_say_are_not_written(pieces: Tokenizer) -> None:
    merges = [merge for merge in pieces.table.merges if merge != pieces.table.merges[40]]
    lacking = Tokenizer(dataclasses.replace(pieces.table, merges=merges), pieces.config())
    with pytest.raises(ModelError, match="form a token without a merge") as refused:
        gguf_metadata(lacking)
    assert refused.value.fix


@pytest.mark.parametrize("name", ["Phi-3 mini", "my-phi3"])
def test_phi_3_is_known_by_its_name(pieces_metadata: dict[str, Any], name: str) -> None:
    read = tokenizer_from_gguf({**pieces_metadata, "general.name": name})
    taking = {each.text for each in read.table.added.values() if each.takes_spaces}
    assert taking == {"</s>", "<think>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("scores", None, "is missing or not a list"),
        ("scores", [0.0, 1.0], "has 2 entries for"),
        ("scores", [1] * 1000, "has an entry that is not a float"),
        ("scores", [float("nan")] * 1000, "has a non-finite entry"),
        ("scores", [0.0] * 1000, "has the same score for several tokens"),
        ("scores", range(10**9), "has 1000000000 entries, at most 1000000"),
        ("add_space_prefix", 1, "is a int, expected a bool"),
        ("eos_token_id", 10**9, "is 1000000000, of"),
        ("token_type", [1] * 10, "has 10 entries for"),
    ],
)
def test_metadata_that_lie_are_refused(
    pieces_metadata: dict[str, Any], name: str, value: object, reason: str
) -> None:
    with pytest.raises(FormatError, match=r"tiny\.gguf: .*") as refused:
        tokenizer_from_gguf(
            {**pieces_metadata, f"tokenizer.ggml.{name}": value}, source="tiny.gguf"
        )
    assert reason in str(refused.value)


def test_a_vocabulary_without_all_bytes_is_refused(pieces_metadata: dict[str, Any]) -> None:
    tokens = [
        "<other>" if token == "<0xE6>" else token
        for token in pieces_metadata["tokenizer.ggml.tokens"]
    ]
    with pytest.raises(FormatError, match="the byte 230"):
        tokenizer_from_gguf({**pieces_metadata, "tokenizer.ggml.tokens": tokens})


def test_a_token_of_a_character_that_is_none_is_refused(pieces_metadata: dict[str, Any]) -> None:
    tokens = [
        "\N{SNOWMAN}t" if token == "----" else token
        for token in pieces_metadata["tokenizer.ggml.tokens"]
    ]
    with pytest.raises(FormatError, match="with a character that is not a token"):
        tokenizer_from_gguf({**pieces_metadata, "tokenizer.ggml.tokens": tokens})


def test_mutated_metadata_give_a_tokenizer_or_one_error(pieces_metadata: dict[str, Any]) -> None:
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
        float("inf"),
        SPACE,
    ]
    accepted = 0
    for _ in range(400):
        changed = dict(pieces_metadata)
        key = chance.choice(list(changed))
        if isinstance(changed[key], list) and chance.random() < 0.8:
            items = list(changed[key])
            items[chance.randrange(len(items))] = chance.choice([*odd, *items[:3], *items[-3:]])
            changed[key] = items
        else:
            changed[key] = chance.choice(odd)
        try:
            read = tokenizer_from_gguf(changed)
            assert read.decode(read.encode("any text 123 </s>")) == "any text 123 </s>"
            gguf_metadata(read)
            accepted += 1
        except FormatError:
            pass
    assert 0 < accepted < 400
