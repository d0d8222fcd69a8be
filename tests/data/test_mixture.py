"""Mixtures: rows of several sources by shares, each source in its own epochs, from a position alone."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.batches.loader import Batch, Windows
from groundup.data.batches.mixture import (
    JoinedSpans,
    Mixture,
    join_batches,
    mixture_of,
    source_readings,
    source_shards,
)
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.data.batches.packing import PackedWindows
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.data.batches.spans import SPANS_FILE
from groundup.errors import ConfigError, DataError

CONTEXT, ROWS = 5, 8
# books 0..399, letters 400..499, songs 500..559, letters 560..600
SPANS: list[tuple[str, int]] = [
    ("texts/books", 400),
    ("letters", 100),
    ("songs", 60),
    ("letters", 41),
]
WEIGHTS = MixtureConfig({"letters": 2, "books": 1, "songs": 1})


def counting(folder: Path, spans: list[tuple[str, int]] = SPANS, **held_out: Any) -> ShardSet:
    """Shards whose train split is 0, 1, 2, ...: a token is its place."""
    tokens = sum(count for _, count in spans)
    np.arange(tokens, dtype="<u2").tofile(folder / "train.bin")
    (folder / SPANS_FILE).write_text(json.dumps({"train": spans, **held_out}))
    splits = {"train": SplitTable(tokens, 1, tokens, f"{tokens}")}
    splits |= {
        split: SplitTable(sum(n for _, n in found), 1, 1, "") for split, found in held_out.items()
    }
    return ShardSet(folder, "uint16", 65536, "none", splits)


def windows(part: ShardSet, context: int = CONTEXT) -> Windows:
    return Windows(part, "train", context, ROWS, seed=3)


def mixed(shards: ShardSet, config: MixtureConfig = WEIGHTS) -> Mixture:
    return mixture_of(shards, config, ROWS, windows)


def source_of(token: int) -> str:
    return "books" if token < 400 else "songs" if 500 <= token < 560 else "letters"


def test_the_order_and_the_fingerprint_never_change(tmp_path: Path) -> None:
    """Runs that were begun with an earlier version go on with the same data: these values are a promise."""
    shards = counting(tmp_path)
    as_they_come, mixture = windows(shards), mixed(shards)
    assert (
        as_they_come.fingerprint
        == "c24de3b1fd30c505339090bd45b01a1b2fe5efda1a6b0e89700aee259b9a54e1"
    )
    assert as_they_come.batch(31).ids[:, 0].tolist() == [275, 40, 310, 375, 140, 330, 180, 280], (
        "as before mixtures"
    )
    assert mixture.fingerprint == "5fdbb4fe3d34a78b5002fc2f9de0e1b90f9280465f36bfbeebba1d91f29be918"
    assert mixture.batch(0).ids[:, 0].tolist() == [485, 390, 470, 540, 435, 85, 410, 530]


def test_each_batch_has_the_shares_that_are_asked_for(tmp_path: Path) -> None:
    mixture = mixed(counting(tmp_path))
    for position in range(30):
        found = [source_of(int(row[0])) for row in mixture.batch(position).ids]
        assert {name: found.count(name) for name in ("letters", "books", "songs")} == {
            "letters": 4,
            "books": 2,
            "songs": 2,
        }


def test_a_row_is_a_window_of_one_source_and_each_is_seen_once_in_its_epoch(tmp_path: Path) -> None:
    mixture = mixed(counting(tmp_path))
    seen: dict[str, list[int]] = {"books": [], "letters": [], "songs": []}
    for position in range(160):
        batch = mixture.batch(position)
        assert batch.all_count and batch.ids.shape == (ROWS, CONTEXT)
        for ids, labels in zip(batch.ids.tolist(), batch.labels.tolist(), strict=True):
            whole = [*ids, labels[-1]]
            assert len({source_of(token) for token in whole}) == 1 and ids[1:] == labels[:-1]
            assert whole == sorted(whole), (
                "of letters a window may go over from its first span to its second"
            )
            seen[source_of(ids[0])].append(ids[0])
    for name, loader in zip(("books", "letters", "songs"), mixture.loaders.values(), strict=True):
        epoch = loader.num_windows
        first, second = seen[name][:epoch], seen[name][epoch : 2 * epoch]
        assert len(set(first)) == epoch and sorted(first) == sorted(second) and first != second


@pytest.mark.parametrize(
    "config", [WEIGHTS, MixtureConfig(temperature=3), MixtureConfig(max_epochs=2)]
)
def test_a_batch_depends_on_its_position_only(tmp_path: Path, config: MixtureConfig) -> None:
    one, other = (mixed(counting(tmp_path), config) for _ in range(2))
    straight = [one.batch(position) for position in range(40)]
    for position in (39, 0, 17):
        assert torch.equal(other.batch(position).ids, straight[position].ids)
        assert torch.equal(other.batch(position).labels, straight[position].labels)


def test_no_source_is_read_more_often_than_it_may_be(tmp_path: Path) -> None:
    mixture = mixed(
        counting(tmp_path), MixtureConfig({"letters": 2, "books": 1, "songs": 1}, max_epochs=1.5)
    )
    assert mixture.length == 118 + 42 + 16  # one and a half of 79, 28 and 11 windows
    assert mixture.counts(mixture.length) == {"texts/books": 118, "letters": 42, "songs": 16}
    assert mixture.counts(176 * 2) == {"texts/books": 236, "letters": 84, "songs": 32}, (
        "then it begins again"
    )


def test_shards_are_cut_into_their_sources_without_copies(tmp_path: Path) -> None:
    parts = source_shards(counting(tmp_path))
    assert {name: part.num_tokens("train") for name, part in parts.items()} == {
        "texts/books": 400,
        "letters": 141,
        "songs": 60,
    }
    assert not parts["songs"].tokens("train").flags.owndata, "mapped, not copied"
    assert parts["songs"].tokens("train")[[0, 59]].tolist() == [500, 559]
    assert np.asarray(parts["letters"].tokens("train")).tolist() == [
        *range(400, 500),
        *range(560, 601),
    ]
    assert len({part.fingerprint for part in parts.values()}) == 3


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
def test_joined_spans_are_what_their_concatenation_is(
    counts: list[int], data: st.DataObject
) -> None:
    whole = np.arange(100, 100 + 2 * sum(counts))
    first, spans = 0, []
    for count in counts:
        spans.append((first, count))
        first += count + data.draw(st.integers(0, 1))
    plain = np.concatenate([whole[start : start + count] for start, count in spans])
    view = JoinedSpans(whole, spans)
    assert len(view) == len(plain) and np.array_equal(np.asarray(view), plain)
    places = np.array(data.draw(st.lists(st.integers(0, len(plain) - 1), min_size=1))).reshape(
        -1, 1
    )
    assert np.array_equal(view[places], plain[places])
    assert np.array_equal(view[2:7], plain[2:7])


def test_the_rows_of_parts_are_put_where_they_belong() -> None:
    def part(*rows: int, all_count: bool = True) -> Batch:
        ids = torch.tensor(rows)[:, None].repeat(1, 3)
        return Batch(ids, ids + 1, all_count=all_count)

    whole = join_batches([part(7, 9), part(5), part(6, 8, all_count=False)], [2, 4, 0, 1, 3])
    assert whole.ids[:, 0].tolist() == [5, 6, 7, 8, 9] and torch.equal(whole.labels, whole.ids + 1)
    assert whole.mask is None and not whole.all_count


def test_what_is_read_of_each_source_is_stated(tmp_path: Path) -> None:
    shards = counting(tmp_path)
    by_name = {
        each.name: each for each in source_readings(shards, mixed(shards), 440, 440 * CONTEXT)
    }
    songs = by_name["songs"]
    assert (songs.source, songs.tokens, songs.share, songs.wanted) == ("songs", 60, 60 / 601, 0.25)
    assert songs.epochs == 110 / 11 and songs.read_tokens == 550
    assert by_name["books"].epochs == 110 / 79
    plain = source_readings(shards, None, 440, 601)
    assert [(each.epochs, each.wanted == each.share) for each in plain] == [(1.0, True)] * 3


def test_the_fingerprint_names_sources_shares_and_most(tmp_path: Path) -> None:
    shards = counting(tmp_path)
    configs = [
        WEIGHTS,
        MixtureConfig({"letters": 3, "books": 1, "songs": 1}),
        MixtureConfig(temperature=2),
    ]
    configs += [
        MixtureConfig(WEIGHTS.weights, max_epochs=2),
        MixtureConfig({"letters": 2, "books": 1, "songs": 0}),
    ]
    found = [mixed(shards, config).fingerprint for config in configs]
    found += [mixture_of(shards, WEIGHTS, ROWS, partial(windows, context=6)).fingerprint]
    found += [mixture_of(shards, WEIGHTS, ROWS + 1, windows).fingerprint]
    assert len({*found, windows(shards).fingerprint}) == len(found) + 1
    assert (
        found[0]
        == mixed(
            counting(tmp_path), MixtureConfig({"songs": 0.5, "letters": 1, "texts/books": 0.5})
        ).fingerprint
    )


def test_a_source_of_weight_0_is_not_read(tmp_path: Path) -> None:
    shards = counting(tmp_path)
    mixture = mixed(shards, MixtureConfig({"letters": 1, "books": 0, "songs": 1}))
    assert {
        source_of(int(row[0])) for position in range(9) for row in mixture.batch(position).ids
    } == {
        "letters",
        "songs",
    }
    books = source_readings(shards, mixture, 72, 360)[0]
    assert (books.name, books.wanted, books.read_tokens, books.epochs) == ("books", 0, 0, 0)


def test_sources_that_can_not_be_mixed_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source 'letter'") as raised:
        mixed(counting(tmp_path), MixtureConfig({"letter": 1, "books": 1, "songs": 1}))
    assert raised.value.fix == "Did you mean 'letters'?"
    held_out = counting(tmp_path, validation=[("diaries", 9), ("songs", 4)])
    with pytest.raises(
        DataError, match="diaries has no train tokens: all of its documents are held out"
    ):
        mixed(held_out, MixtureConfig({"letters": 1, "books": 1, "songs": 1, "diaries": 1}))
    short = counting(tmp_path, [*SPANS, ("notes", 5)])
    with pytest.raises(DataError, match="notes: The train text has 5 tokens") as too_short:
        mixed(short, MixtureConfig({**WEIGHTS.weights, "notes": 1}))
    assert "weight 0" in (too_short.value.fix or "")
    assert "notes" not in mixed(short, MixtureConfig(temperature=2)).loaders, (
        "by temperature it is left out"
    )


def test_shards_of_one_source_have_a_limit_of_epochs_and_no_mixture(tmp_path: Path) -> None:
    shards = counting(tmp_path)
    (tmp_path / SPANS_FILE).unlink()  # as older shards
    with pytest.raises(ConfigError, match="do not tell sources apart"):
        mixed(shards)
    assert mixed(shards, MixtureConfig(max_epochs=2)).length == 2 * windows(shards).num_windows


def test_packed_rows_of_each_source_are_mixed(tmp_path: Path) -> None:
    shards = counting(tmp_path)
    file = np.where(np.arange(601) % 4 == 3, 999, np.arange(601)).astype("<u2")
    file[[399, 499, 559, 600]] = 999  # each source ends with a document
    file.tofile(tmp_path / "train.bin")
    mixture = mixture_of(
        shards, WEIGHTS, ROWS, lambda part: PackedWindows(part, "train", 9, ROWS, seed=3)
    )
    batch, alone = (
        mixture.batch(0),
        {name: loader.rows([0]) for name, loader in mixture.loaders.items()},
    )
    assert batch.documents is not None and batch.documents.max() >= 1
    for place in range(ROWS):
        number, row = mixture.order.at(place)
        if row == 0:
            expected = alone[list(mixture.loaders)[number]]
            assert expected.documents is not None
            assert torch.equal(batch.ids[place], expected.ids[0])
            assert torch.equal(batch.documents[place], expected.documents[0])
    found = {source_of(int(row[row != 999][0])) for row in batch.ids}
    assert found == {"letters", "books", "songs"}
