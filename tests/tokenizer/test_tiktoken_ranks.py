"""Vocabularies of `tiktoken` give the ids that the real library gives, whatever their ranks; bad files are one sentence."""

import base64
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from groundup.errors import ConfigError, FormatError, NetworkError
from groundup.tokenizer.bytelevel import CHARACTER_TO_BYTE
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import CONTROL_TOKENS
from groundup.tokenizer.tiktoken_ranks import (
    PUBLISHED,
    merges_of_ranks,
    parts_below,
    read_ranks,
    tiktoken_encoding,
    tokenizer_of_encoding,
)

BYTES = {bytes([byte]): byte for byte in range(256)}
TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("aAbB1 \n\r\t'sſ.$/")),
    max_size=40,
)


def write_ranks(file: Path, ranks: Mapping[bytes, int]) -> Path:
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in ranks.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def ranks(tokenizer: Tokenizer) -> dict[bytes, int]:
    tokens = (
        (text, id) for text, id in tokenizer.table.vocabulary.items() if text not in CONTROL_TOKENS
    )
    return {bytes(CHARACTER_TO_BYTE[character] for character in text): id for text, id in tokens}


@given(
    words=st.lists(st.text(alphabet="abc", min_size=2, max_size=6), unique=True, max_size=25),
    probes=st.lists(st.text(alphabet="abc ", max_size=30), min_size=1, max_size=8),
)
def test_any_ranks_give_the_ids_of_tiktoken(words: list[str], probes: list[str]) -> None:
    """Random words in random order: many are reached by no merge of lower rank, which trained vocabularies seldom have."""
    ranks = BYTES | {word.encode(): 256 + place for place, word in enumerate(words)}
    encoding = tiktoken.Encoding(
        "x", pat_str=PUBLISHED["gpt2"].pattern, mergeable_ranks=ranks, special_tokens={}
    )
    tokenizer = tokenizer_of_encoding(encoding, source="x")
    for probe in probes:
        assert tokenizer.encode(probe) == encoding.encode_ordinary(probe), (words, probe)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_splits_give_the_pieces_of_tiktoken(
    name: str, ranks: dict[bytes, int], hard_strings: tuple[str, ...], tmp_path: Path
) -> None:
    encoding = tiktoken_encoding(str(write_ranks(tmp_path / "mine.tiktoken", ranks)), name)
    assert encoding._pat_str == PUBLISHED[name].pattern
    tokenizer = tokenizer_of_encoding(encoding, source="x")
    random_texts = [
        "".join(random.Random(seed).choices(" \n\r\taA1é'sſ漢.", k=12)) for seed in range(1500)
    ]
    for text in (*hard_strings, *random_texts):
        assert tokenizer.encode(text) == encoding.encode_ordinary(text), text[:60]
    assert tokenizer.encode_batch(random_texts) == encoding.encode_ordinary_batch(random_texts)


def test_spaces_at_the_end_of_a_text_are_one_piece_for_gpt4_only(ranks: dict[bytes, int]) -> None:
    """What an expression copied from Llama 3 gets wrong."""
    both = {**ranks, b"\n ": max(ranks.values()) + 1}
    for name, pieces in (("cl100k_base", [b"a", b"\n "]), ("o200k_base", [b"a", b"\n", b" "])):
        encoding = tiktoken.Encoding(
            "x", pat_str=PUBLISHED[name].pattern, mergeable_ranks=both, special_tokens={}
        )
        tokenizer = tokenizer_of_encoding(encoding, source="x")
        assert [tokenizer.token_bytes(id) for id in tokenizer.encode("a\n ")] == pieces


@given(text=TEXT)
def test_decoding_gives_the_text_again(text: str) -> None:
    encoding = tiktoken.Encoding(
        "x", pat_str=PUBLISHED["o200k_base"].pattern, mergeable_ranks=BYTES, special_tokens={}
    )
    tokenizer = tokenizer_of_encoding(encoding, source="x")
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_tiktoken_library_is_also_the_fast_encoder(
    ranks: dict[bytes, int], tmp_path: Path
) -> None:
    encoding = tiktoken_encoding(str(write_ranks(tmp_path / "x.tiktoken", ranks)), "cl100k")
    assert tokenizer_of_encoding(encoding, source="x")._ranks is not None


def test_special_tokens_keep_their_published_ids_also_between_ranks(
    ranks: dict[bytes, int],
) -> None:
    encoding = tiktoken.Encoding(
        "x",
        pat_str=PUBLISHED["p50k_base"].pattern,
        mergeable_ranks={token: rank + (rank >= 600) for token, rank in ranks.items()},
        special_tokens={"<|endoftext|>": 600, "<|end|>": 900},
    )
    tokenizer = tokenizer_of_encoding(encoding, source="x")
    assert tokenizer.special.tokens == {"<|endoftext|>": 600, "<|end|>": 900}
    assert (tokenizer.special.eos_id, tokenizer.vocab_size) == (600, 901)
    assert tokenizer.encode("a<|endoftext|>b") == encoding.encode_ordinary("a<|endoftext|>b")


def test_ranks_without_special_tokens_get_ours_at_the_next_ids(
    ranks: dict[bytes, int], tmp_path: Path
) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", ranks)
    tokenizer = tokenizer_of_encoding(tiktoken_encoding(str(file), "gpt2"), source="x")
    assert list(tokenizer.special.tokens) == list(CONTROL_TOKENS)
    assert min(tokenizer.special.tokens.values()) == len(ranks)
    assert tokenizer.chat_template is not None


def test_a_token_is_made_of_the_two_parts_below_its_rank() -> None:
    ranks = {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"ab": 4, b"abc": 5}
    assert parts_below(b"abc", ranks) == [b"a", b"bc"]
    assert list(merges_of_ranks(ranks)) == [("b", "c"), ("a", "b"), ("a", "bc")]
    unreached = {b"a": 0, b"b": 1, b"c": 2, b"abc": 3, b"ab": 4}
    assert list(merges_of_ranks(unreached)) == [("ab", "c"), ("a", "b")]


def test_a_file_named_as_an_encoding_needs_no_pattern(
    ranks: dict[bytes, int], tmp_path: Path
) -> None:
    encoding = tiktoken_encoding(str(write_ranks(tmp_path / "o200k_base.tiktoken", ranks)))
    assert encoding._pat_str == PUBLISHED["o200k_base"].pattern
    other = write_ranks(tmp_path / "other.tiktoken", ranks)
    with pytest.raises(ConfigError, match="has ranks only") as error:
        tiktoken_encoding(str(other))
    assert "cl100k_base" in error.value.fix
    with pytest.raises(ConfigError, match="not one of those"):
        tiktoken_encoding(str(other), r"(a+)+$")
    assert (
        tiktoken_encoding(str(other), PUBLISHED["cl100k_base"].pattern)._pat_str
        == PUBLISHED["cl100k_base"].pattern
    )


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("!!! 300", "line 257"),
        ("YWI=", "line 257"),
        ("YWI= -1", "line 257"),
        ("YWI= 1e3", "line 257"),
        ("YWI= 99999999999999999999", "line 257"),
        ("YWI= ٣", "line 257"),
        ("YQ== 300", "line 257"),
        (" 300", "line 257"),
        ("YWI= 97", "ranks"),
    ],
)
def test_a_bad_line_is_named(line: str, place: str, tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", BYTES)
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(FormatError) as error:
        read_ranks(file)
    assert error.value.place == place


def test_other_bad_files_are_refused(tmp_path: Path) -> None:
    file = write_ranks(
        tmp_path / "x.tiktoken", {token: rank for token, rank in BYTES.items() if rank != 7}
    )
    with pytest.raises(FormatError, match="the byte 7 has no token"):
        read_ranks(file)
    with pytest.raises(FormatError, match="is missing"):
        read_ranks(tmp_path / "nowhere.tiktoken")
    (tmp_path / "binary.tiktoken").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="is not UTF-8"):
        read_ranks(tmp_path / "binary.tiktoken")


def test_an_encoding_whose_pattern_is_unknown_is_refused() -> None:
    encoding = tiktoken.Encoding(
        "x", pat_str=r"\w+|\W+", mergeable_ranks=dict(BYTES), special_tokens={}
    )
    with pytest.raises(FormatError, match="splits text in an unknown way"):
        tokenizer_of_encoding(encoding, source="x")


def test_a_special_token_that_is_also_text_is_refused() -> None:
    ranks = BYTES | {b"<e>": 256}
    encoding = tiktoken.Encoding(
        "x", pat_str=PUBLISHED["gpt2"].pattern, mergeable_ranks=ranks, special_tokens={"<e>": 300}
    )
    with pytest.raises(FormatError, match="special token"):
        tokenizer_of_encoding(encoding, source="x")


def test_names_of_encodings_are_known_and_the_network_is_not_needed_to_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="no encoding 'cl100k_bse'") as unknown:
        tiktoken_encoding("tiktoken:cl100k_bse")
    assert "cl100k_base" in unknown.value.fix

    def offline(name: str) -> tiktoken.Encoding:
        raise OSError(f"no route for {name}")

    monkeypatch.setattr(tiktoken, "get_encoding", offline)
    with pytest.raises(NetworkError, match=r"could not fetch cl100k_base: no route"):
        tiktoken_encoding("tiktoken:cl100k_base")
