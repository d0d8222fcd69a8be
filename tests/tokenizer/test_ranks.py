"""tiktoken is used only where it gives the ids of `tokenizers`."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from groundup.tokenizer import rank_encoder
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, ByteLevel
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.spec import AddedToken, TokenizerTable
from groundup.tokenizer.special import CONTROL_TOKENS

AB = st.text(alphabet="aab b", min_size=1, max_size=40)


@given(texts=st.lists(AB, min_size=1, max_size=6), probes=st.lists(AB, min_size=1, max_size=10))
def test_random_vocabularies_give_the_same_ids_in_both_libraries(
    texts: list[str], probes: list[str]
) -> None:
    trained = train_tokenizer(texts, 256 + len(CONTROL_TOKENS) + 20)
    encoder = rank_encoder.rank_encoder(trained.table)
    assert encoder is not None
    assert encoder.encode_ordinary_batch(probes) == [trained.encode(probe) for probe in probes]


def test_merges_out_of_rank_order_are_left_to_tokenizers(tokenizer: Tokenizer) -> None:
    table = tokenizer.table
    swapped = dataclasses.replace(
        table, merges=[table.merges[1], table.merges[0], *table.merges[2:]]
    )
    assert rank_encoder.rank_encoder(table) is not None
    assert rank_encoder.rank_encoder(swapped) is None


def test_a_token_that_merging_never_reaches_is_left_to_tokenizers() -> None:
    # "abc" is made of (ab, c), but b and c join first, so no text ever becomes it by merging.
    vocabulary = {
        character: rank for rank, character in enumerate(sorted(BYTE_TO_CHARACTER.values()))
    }
    for token in ("bc", "ab", "abc"):
        vocabulary[token] = len(vocabulary)
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    added = {len(vocabulary): AddedToken("<|endoftext|>", True)}
    table = TokenizerTable(vocabulary, merges, ByteLevel("llama-bpe"), added)
    assert rank_encoder.rank_encoder(table) is None
    assert Tokenizer(table, {}).encode_batch(["abc"]) == [Tokenizer(table, {}).encode("abc")]


def test_what_one_expression_can_not_say_is_left_to_tokenizers(tokenizer: Tokenizer) -> None:
    added = {**tokenizer.table.added, 640: AddedToken("<think>", control=False)}
    assert rank_encoder.rank_encoder(dataclasses.replace(tokenizer.table, added=added)) is None
    for style in (ByteLevel("smollm"), ByteLevel("llama-bpe", nfc=True)):
        assert rank_encoder.rank_encoder(dataclasses.replace(tokenizer.table, style=style)) is None


def test_only_long_runs_of_spaces_are_sent_away() -> None:
    limit = rank_encoder.MAX_RUN_OF_SPACES
    assert rank_encoder.fits_tiktoken(" " * limit)
    assert not rank_encoder.fits_tiktoken("a" + " " * (limit + 1))
    assert not rank_encoder.fits_tiktoken("a" + "\t \n" * limit)
    assert rank_encoder.fits_tiktoken("a " * limit)
