"""Packed rows: every token but the first of each document a label once, in rows that are nearly full, by position alone."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundup.cache import entries
from groundup.data.batches import packing
from groundup.data.batches.loader import IGNORED_LABEL, Windows
from groundup.data.batches.packing import PackedWindows, best_fit
from groundup.data.batches.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.errors import DataError
from groundup.progress import Advance, Silent

END = 0
Lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60).filter(
    lambda lengths: max(lengths) > 1
)


def of_lengths(folder: Path, lengths: list[int]) -> ShardSet:
    """Shards of documents with so many tokens, end-of-text included; every other token is its place in the file."""
    tokens = np.arange(1, sum(lengths) + 1, dtype="<u2")
    tokens[np.cumsum(lengths) - 1] = END
    tokens.tofile(folder / "train.bin")
    table = SplitTable(len(tokens), len(lengths), 1, str(lengths))
    return ShardSet(folder, "uint16", 65536, "none", {"train": table})


def rooms_by_best_fit(lengths: list[int], capacity: int) -> tuple[int, list[int]]:
    """Number of rows, and the room that is left in those not full: one piece after the other, the plain algorithm."""
    rooms: list[int] = []
    rows = 0
    for length in sorted(lengths, reverse=True):
        at = bisect_left(rooms, length)
        rows += at == len(rooms)
        left = (rooms.pop(at) if at < len(rooms) else capacity) - length
        insort(rooms, left)
    return rows, [room for room in rooms if room]


@given(st.lists(st.integers(1, 50), max_size=120))
def test_grouped_best_fit_fills_rows_as_the_plain_algorithm_does(lengths: list[int]) -> None:
    rows, count = best_fit(np.array(lengths, dtype=np.int64), 50)
    used = np.bincount(rows, weights=lengths, minlength=count).astype(int)
    assert used.max(initial=0) <= 50
    assert (count, sorted(50 - u for u in used.tolist() if u < 50)) == rooms_by_best_fit(
        lengths, 50
    )


@given(lengths=Lengths, context=st.integers(1, 24), batch_size=st.integers(1, 5))
def test_every_token_but_the_first_of_each_document_is_a_label_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], context: int, batch_size: int
) -> None:
    shards = of_lengths(tmp_path_factory.mktemp("shards"), lengths)
    packed = PackedWindows(shards, "train", context, batch_size, seed=2)
    tokens = shards.tokens("train").astype(int)
    firsts = np.cumsum([0, *lengths[:-1]])
    wanted = np.delete(tokens, firsts)
    batches = list(packed.in_order())
    check_rows(packed, tokens)
    for found in (
        batches,
        [packed.batch(position) for position in range(-(-packed.num_windows // batch_size))],
    ):
        rows = torch.cat([batch.labels for batch in found])[: packed.num_windows]
        labels = rows[rows != IGNORED_LABEL]
        assert sorted(labels.tolist()) == sorted(wanted.tolist())
    assert packed.epoch_tokens == len(wanted) == packed.figures.tokens
    assert all(batch.all_count == bool((batch.labels != IGNORED_LABEL).all()) for batch in batches)


def check_rows(packed: PackedWindows, tokens: np.ndarray) -> None:
    """A row's documents follow one another from its start, each a stretch of one document of the file with the token after each as label."""
    for batch in packed.in_order():
        assert batch.documents is not None
        for ids, labels, documents in zip(batch.ids, batch.labels, batch.documents, strict=True):
            real = int((documents >= 0).sum())
            assert (
                real > 0
                and (documents[real:] == -1).all()
                and (labels[real:] == IGNORED_LABEL).all()
            )
            assert (
                (documents[:real].diff() >= 0).all()
                and (documents[:real].diff() <= 1).all()
                and documents[0] == 0
            )
            assert (ids[:real] != END).all()  # nothing is predicted from the end of a text
            for number in range(int(documents[real - 1]) + 1):
                its = documents == number
                place = int(ids[its][0]) - 1
                stretch = tokens[place : place + int(its.sum()) + 1].tolist()
                assert [*ids[its].tolist(), int(labels[its][-1])] == stretch
                assert labels[its][:-1].tolist() == stretch[1:-1]


def test_long_documents_are_whole_rows_and_a_rest(tmp_path: Path) -> None:
    packed = PackedWindows(of_lengths(tmp_path, [20, 3, 5]), "train", 8, 1, seed=0)
    assert [packed.pieces_of(row) for row in range(packed.num_windows)] == [
        [(0, 8)],
        [(8, 8)],
        [(16, 3), (23, 4)],
        [(20, 2)],
    ]
    batch = packed.batch(0)
    assert batch.documents is not None and batch.documents.shape == (1, 8)


@pytest.mark.parametrize("context", [128, 512, 2048])
@pytest.mark.parametrize("typical", [60, 400, 3000])
def test_padding_is_below_three_percent_of_ordinary_texts(
    tmp_path: Path, context: int, typical: int
) -> None:
    """Lengths as of web texts: lognormal, from a tenth to ten times the typical one."""
    lengths = (
        np.random.default_rng(1).lognormal(np.log(typical), 1.0, 400_000 // typical).astype(int) + 2
    )
    packed = PackedWindows(of_lengths(tmp_path, lengths.tolist()), "train", context, 4, seed=0)
    assert packed.figures.padding_share < 0.03
    assert "padding." in packed.figures.line()


def test_much_padding_says_what_would_have_less(tmp_path: Path) -> None:
    packed = PackedWindows(of_lengths(tmp_path, [70] * 50), "train", 100, 4, seed=0)
    assert packed.figures.padding_share == pytest.approx(0.31)
    assert "50 rows, 31.0% padding; a longer context" in packed.figures.line()


def test_a_batch_depends_on_its_position_only_and_epochs_have_their_own_order(
    tmp_path: Path,
) -> None:
    shards = of_lengths(tmp_path, [9, 30, 4, 17, 2, 8, 25] * 6)
    one, other = (PackedWindows(shards, "train", 16, 4, seed=5) for _ in range(2))
    straight = [one.batch(position) for position in range(30)]
    for position in (29, 0, 7):
        again = other.batch(position)
        assert all(
            torch.equal(getattr(again, n), getattr(straight[position], n))
            for n in ("ids", "labels", "documents")
        )
    rows = torch.cat([batch.ids for batch in straight])[: 2 * one.num_windows]
    first, second = rows.split(one.num_windows)
    assert not torch.equal(first, second)
    assert sorted(first.tolist()) == sorted(second.tolist())


def test_values_of_each_token_come_with_the_same_rows(tmp_path: Path) -> None:
    shards = of_lengths(tmp_path, [9, 30, 4, 17])
    packed = PackedWindows(shards, "train", 16, 2, seed=0)
    doubled = packed.over(2 * shards.tokens("train").astype(np.int64))
    for batch, other in zip(packed.in_order(), doubled.in_order(), strict=True):
        real = batch.labels != IGNORED_LABEL
        assert torch.equal(other.labels[real], 2 * batch.labels[real])
        assert (other.labels[~real] == IGNORED_LABEL).all()


def test_the_fingerprint_names_data_order_and_packing(tmp_path: Path) -> None:
    shards = of_lengths(tmp_path, [9, 30, 4, 17])
    prints = {
        PackedWindows(shards, "train", c, b, seed=s).fingerprint
        for c, b, s in ((8, 4, 5), (8, 4, 6), (8, 5, 5))
    }
    assert len(prints | {Windows(shards, "train", 8, 4, seed=5).fingerprint}) == 4
    assert PackedWindows(shards, "train", 8, 4, seed=5).fingerprint in prints


def test_rows_can_be_cut_for_a_warm_up(tmp_path: Path) -> None:
    packed = PackedWindows(of_lengths(tmp_path, [9, 30, 4, 17]), "train", 16, 2, seed=0)
    cut = SequenceLengthWarmup(packed, row_tokens=4, until=1)
    short, whole = cut.batch(0), packed.batch(0)
    assert short.documents is not None and whole.documents is not None
    assert short.documents.shape == short.ids.shape == (8, 4)
    assert torch.equal(short.documents.flatten(), whole.documents.flatten())
    assert cut.epoch_tokens == packed.epoch_tokens


class Counted(Silent):
    def __init__(self) -> None:
        self.tracked: list[str] = []

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        self.tracked.append(what)
        with super().track(what, total, unit) as advance:
            yield advance


def test_the_plan_of_a_long_text_is_made_in_sections_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = np.random.default_rng(3).integers(2, 60, 300).tolist()
    shards = of_lengths(tmp_path, lengths)
    whole = PackedWindows(shards, "train", 16, 4, seed=0)
    monkeypatch.setattr(packing, "SECTION_TOKENS", 500)
    monkeypatch.setattr(packing, "KEPT_FROM_TOKENS", 1000)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    progress = Counted()
    kept, again = (
        PackedWindows(shards, "train", 16, 4, seed=0, progress=progress) for _ in range(2)
    )
    assert progress.tracked == ["packing documents"]
    assert [(entry.kind, entry.in_use) for entry in entries()] == [("packing plan", True)]
    assert isinstance(again.plan.starts, np.memmap)
    assert kept.epoch_tokens == again.epoch_tokens == whole.epoch_tokens
    assert torch.equal(kept.batch(3).ids, again.batch(3).ids)
    labels = torch.cat([batch.labels.flatten() for batch in again.in_order()])
    assert len(labels[labels != IGNORED_LABEL]) == sum(lengths) - len(lengths)
    check_rows(again, shards.tokens("train").astype(int))
    next((tmp_path / "cache" / "packing").glob("*/lengths")).write_bytes(b"cut")
    assert (
        PackedWindows(shards, "train", 16, 4, seed=0, progress=progress).epoch_tokens
        == whole.epoch_tokens
    )
    assert len(progress.tracked) == 2


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1]])
def test_texts_without_a_pair_of_tokens_are_refused(tmp_path: Path, lengths: list[int]) -> None:
    with pytest.raises(DataError, match="No document of the train text has two tokens"):
        PackedWindows(of_lengths(tmp_path, lengths), "train", 8, 1, seed=0)
