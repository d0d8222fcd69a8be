"""The readable BPE is the test of the fast tokenizer, and the other way round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.tokenizer.bpe import BPE, join, most_frequent_pair, train_bpe
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, MAX_TRAINED_RUN
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.special import CONTROL_TOKENS


@pytest.fixture(scope="module")
def readable(english: list[str], tokenizer: Tokenizer) -> BPE:
    return train_bpe(english, tokenizer.vocab_size - len(CONTROL_TOKENS), "llama-bpe")


def visible_merges(bpe: BPE) -> list[tuple[str, str]]:
    texts = ["".join(BYTE_TO_CHARACTER[byte] for byte in token) for token in bpe.tokens]
    return [(texts[left], texts[right]) for left, right in bpe.merges]


def test_both_trainers_learn_the_same_merges_in_the_same_order(
    readable: BPE, tokenizer: Tokenizer
) -> None:
    assert len(readable.merges) > 300
    assert visible_merges(readable) == tokenizer.table.merges


def test_both_give_every_token_the_same_id_and_bytes(readable: BPE, tokenizer: Tokenizer) -> None:
    assert list(readable.tokens) == [
        tokenizer.token_bytes(id) for id in range(len(readable.tokens))
    ]


def test_both_encode_hard_strings_to_the_same_ids(
    readable: BPE, tokenizer: Tokenizer, hard_strings: tuple[str, ...]
) -> None:
    for text in hard_strings:
        ids = readable.encode(text)
        assert ids == tokenizer.encode(text), repr(text[:80])
        assert readable.decode(ids) == text


@given(text=st.text(alphabet=st.sampled_from("ab \n\t0é日😀\u0301'<|>"), max_size=40))
def test_both_encode_any_text_to_the_same_ids(
    readable: BPE, tokenizer: Tokenizer, text: str
) -> None:
    assert readable.encode(text) == tokenizer.encode(text)


@given(texts=st.lists(st.text(alphabet="ab ", min_size=1, max_size=30), min_size=1, max_size=6))
def test_ties_are_broken_alike(texts: list[str]) -> None:
    fast = train_tokenizer(texts, 256 + len(CONTROL_TOKENS) + 12)
    assert visible_merges(train_bpe(texts, 256 + 12, "llama-bpe")) == fast.table.merges


def test_a_worked_example() -> None:
    # "aab aab aab": pairs aa 3, ab 3, and " a" twice. Of the threes (a, a) has the lower ids, so it is joined first.
    bpe = train_bpe(["aab aab aab"], 256 + 2, "llama-bpe")
    assert visible_merges(bpe) == [("a", "a"), ("aa", "b")]
    assert bpe.encode("aab") == [257]
    assert bpe.encode("aaab") == [256, *bpe.encode("a"), *bpe.encode("b")]


def test_a_pair_seen_once_is_never_joined() -> None:
    assert train_bpe(["xyz"], 300, "llama-bpe").merges == {}
    assert most_frequent_pair({(1, 2): 1, (2, 3): 1}) is None
    assert most_frequent_pair({}) is None


def test_joining_goes_from_the_left() -> None:
    assert join([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]
    assert join([1], (1, 1), 9) == [1]


@pytest.mark.parametrize("run", ["a", "-", " ", "\n", "é", "字", "-\n"])
def test_both_learn_from_long_unbroken_text_by_short_parts_and_encode_it_whole(run: str) -> None:
    texts = ["aab aab-aab\n", run * 25_000]
    fast, slow = (
        train_tokenizer(texts, 320),
        train_bpe(texts, 320 - len(CONTROL_TOKENS), "llama-bpe"),
    )
    assert visible_merges(slow) == fast.table.merges
    assert (
        max(len(fast.token_bytes(id)) for id in range(fast.vocab_size)) <= 3 * 2 * MAX_TRAINED_RUN
    )
    ids = fast.encode(texts[1])
    assert fast.decode(ids) == texts[1] and fast.encode_batch(texts) == [fast.encode(texts[0]), ids]
    assert slow.encode(run * 700) == fast.encode(run * 700)
