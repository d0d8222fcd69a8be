"""Windows: labels shifted by one, every window once an epoch, an order that needs nothing but numbers."""

import gc
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated_windows import in_use

from groundup.data.batches.loader import Permutation, Windows, permute, require_tokens
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.errors import DataError
from groundup.files import sha256_text


def counting(folder: Path, tokens: int) -> ShardSet:
    """Shards whose train split is 0, 1, 2, ...: a token is its place."""
    np.arange(tokens, dtype="<u2").tofile(folder / "train.bin")
    return ShardSet(
        folder, "uint16", 65536, "none", {"train": SplitTable(tokens, 1, tokens, f"{tokens}")}
    )


def starts(windows: Windows, positions: range) -> list[int]:
    return [int(row[0]) for position in positions for row in windows.batch(position).ids]


def test_labels_are_the_ids_shifted_by_one(shards: ShardSet) -> None:
    batch = Windows(shards, "train", context_tokens=16, batch_size=4, seed=0).batch(3)
    assert batch.ids.shape == batch.labels.shape == (4, 16) and batch.mask is None
    assert batch.ids.dtype == torch.int64
    assert torch.equal(batch.ids[:, 1:], batch.labels[:, :-1])
    tokens = shards.tokens("train")
    for ids, labels in zip(batch.ids.tolist(), batch.labels.tolist(), strict=True):
        places = [
            p
            for p in range(0, len(tokens) - 16, 16)
            if tokens[p : p + 17].tolist() == [*ids, labels[-1]]
        ]
        assert places, "a row is a window of the shard, its last label the token after it"


def test_windows_begin_a_context_apart(tmp_path: Path) -> None:
    windows = Windows(
        counting(tmp_path, 10 * 7 + 4), "train", context_tokens=7, batch_size=5, seed=3
    )
    assert windows.num_windows == 10
    assert sorted(starts(windows, range(2))) == [7 * w for w in range(10)]


@pytest.mark.parametrize(
    ("count", "batch_size"), [(1, 1), (1, 4), (2, 3), (10, 3), (64, 8), (101, 8)]
)
def test_every_window_is_seen_once_an_epoch(tmp_path: Path, count: int, batch_size: int) -> None:
    windows = Windows(
        counting(tmp_path, count * 4 + 1), "train", context_tokens=4, batch_size=batch_size, seed=1
    )
    rows = starts(windows, range(-(-3 * count // batch_size)))
    for epoch in range(3):
        assert sorted(rows[epoch * count : (epoch + 1) * count]) == [4 * w for w in range(count)]


def test_epochs_and_seeds_have_orders_of_their_own(tmp_path: Path) -> None:
    shards = counting(tmp_path, 4 * 50 + 1)
    orders = [
        tuple(starts(Windows(shards, "train", 4, 10, seed), range(e * 5, e * 5 + 5)))
        for seed in (0, 1)
        for e in (0, 1)
    ]
    assert len(set(orders)) == 4
    assert all(order != tuple(sorted(order)) for order in orders)


def test_a_batch_depends_on_its_position_only(shards: ShardSet) -> None:
    one, other = (Windows(shards, "train", 8, 4, seed=5) for _ in range(2))
    straight = [one.batch(position) for position in range(20)]
    for position in (19, 0, 7):
        assert torch.equal(other.batch(position).ids, straight[position].ids)


def test_the_order_never_changes() -> None:
    """Runs that were begun with an earlier version go on with the same data: these numbers are a promise."""
    assert [permute(place, 10, "0/0") for place in range(10)] == [9, 8, 0, 1, 7, 5, 6, 4, 2, 3]


def test_the_order_is_spread_evenly() -> None:
    """Where the first window lands over 2,000 keys: each of 10 places about 200 times (chi-squared, 9 degrees, p > 0.001)."""
    counts = np.bincount([permute(0, 10, f"{seed}/0") for seed in range(2_000)], minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 1000, 70_000, 2**33])
def test_the_permutation_with_tables_is_the_readable_one(count: int) -> None:
    fast = Permutation(count, "7/3")
    for place in {*range(min(count, 300)), count // 2, count - 1}:
        assert fast.at(place) == permute(place, count, "7/3")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 1000])
def test_the_permutation_is_one(count: int) -> None:
    assert sorted(permute(place, count, "7/3") for place in range(count)) == list(range(count))


def test_reading_in_order_labels_every_token_but_the_first_once(tmp_path: Path) -> None:
    windows = Windows(
        counting(tmp_path, 5 * 8 + 1 + 3), "train", context_tokens=8, batch_size=2, seed=0
    )
    batches = list(windows.in_order())
    assert [tuple(batch.ids.shape) for batch in batches] == [(2, 8), (2, 8), (1, 8), (1, 3)]
    assert torch.cat([batch.labels.flatten() for batch in batches]).tolist() == list(range(1, 44))


def test_the_fingerprint_names_data_and_order(shards: ShardSet) -> None:
    base = Windows(shards, "train", 8, 4, seed=5).fingerprint
    others = [(8, 4, 6), (8, 5, 5), (9, 4, 5)]
    assert base == Windows(shards, "train", 8, 4, seed=5).fingerprint
    assert base not in {Windows(shards, "train", c, b, seed=s).fingerprint for c, b, s in others}
    assert base != Windows(shards, "validation", 8, 4, seed=5).fingerprint


def test_text_shorter_than_a_window_says_how_many_tokens_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train text has 100 tokens, .* needs 129: 29 are missing"):
        Windows(counting(tmp_path, 100), "train", context_tokens=128, batch_size=1, seed=0)
    require_tokens(129, 128, "train")


@pytest.mark.parametrize("stride", [1, 3, 7, 8, 20])
def test_windows_begin_a_stride_apart_and_none_is_longer_than_the_text(
    tmp_path: Path, stride: int
) -> None:
    tokens = 61
    windows = Windows(counting(tmp_path, tokens), "train", 8, batch_size=1, seed=3, stride=stride)
    expected = list(range(0, tokens - 8, stride))
    assert windows.num_windows == len(expected) and windows.epoch_tokens == 8 * len(expected)
    assert sorted(starts(windows, range(windows.num_windows))) == expected
    last = max(int(windows.batch(position).labels.max()) for position in range(windows.num_windows))
    assert tokens - stride <= last < tokens if stride < 8 else last < tokens


def test_a_stride_changes_training_windows_not_evaluation(tmp_path: Path) -> None:
    shards = counting(tmp_path, 61)
    plain, strided = (
        Windows(shards, "train", 8, 4, seed=0),
        Windows(shards, "train", 8, 4, seed=0, stride=3),
    )
    assert all(
        torch.equal(a.ids, b.ids) for a, b in zip(plain.in_order(), strided.in_order(), strict=True)
    )


def test_a_stride_of_the_context_is_the_run_it_was_before_there_was_a_choice(
    shards: ShardSet,
) -> None:
    plain, given = (
        Windows(shards, "train", 8, 4, seed=5),
        Windows(shards, "train", 8, 4, seed=5, stride=8),
    )
    assert plain.fingerprint == given.fingerprint
    parts = json.dumps([shards.fingerprint, "train", 8, 4, 5])
    assert plain.fingerprint == sha256_text(parts)
    assert Windows(shards, "train", 8, 4, seed=5, stride=4).fingerprint != plain.fingerprint


def test_windows_that_nobody_has_close_their_file_without_a_collection(tmp_path: Path) -> None:
    """The system of that name removes no file that is mapped: of a plan's temporary folder, of a run that is begun anew."""
    windows = Windows(counting(tmp_path, 100), "train", context_tokens=8, batch_size=2, seed=0)
    windows.batch(0)
    gc.disable()
    try:
        assert any(path.startswith(str(tmp_path)) for path in in_use())
        del windows
        assert not any(path.startswith(str(tmp_path)) for path in in_use())
    finally:
        gc.enable()
