"""Few rows a batch first: the same rows in the same order, in other batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.data.batches.batch_size_warmup import BatchSizeWarmup
from groundup.data.batches.loader import Windows
from groundup.data.batches.mixture import Mixture
from groundup.data.batches.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.errors import ConfigError


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    """Twenty windows of 12 tokens; a token is its place."""
    np.arange(241, dtype="<u2").tofile(tmp_path / "train.bin")
    shards = ShardSet(tmp_path, "uint16", 65536, "none", {"train": SplitTable(241, 1, 241, "241")})
    return Windows(shards, "train", context_tokens=12, batch_size=4, seed=1)


def test_the_rows_are_those_of_whole_batches_in_their_order(windows: Windows) -> None:
    mixture = Mixture({"one": windows, "two": windows}, [0.25, 0.75], batch_size=4)
    for source in (windows, mixture):
        few = BatchSizeWarmup(source, start_rows=1, until=6)
        batches = [few.batch(position).ids for position in range(8)]
        assert [len(ids) for ids in batches] == [1, 1, 1, 1, 1, 1, 4, 4]
        whole = torch.cat([source.batch(position).ids for position in range(4)])
        assert torch.equal(torch.cat(batches), whole[:14])
        assert few.rows_before(8) == 14


def test_few_rows_can_be_short_ones_too(windows: Windows) -> None:
    short = SequenceLengthWarmup(BatchSizeWarmup(windows, 2, until=3), row_tokens=6, until=3)
    assert [tuple(short.batch(position).ids.shape) for position in (2, 3)] == [(4, 6), (4, 12)]


def test_the_fingerprint_tells_rows_and_batches(windows: Windows) -> None:
    prints = {
        BatchSizeWarmup(windows, rows, until).fingerprint
        for rows, until in ((1, 6), (2, 6), (1, 7))
    }
    assert len(prints | {windows.fingerprint}) == 4


def test_as_many_rows_as_the_batch_has_are_refused(windows: Windows) -> None:
    with pytest.raises(ConfigError, match="start_batch_size 4 must be less than the batch of 4"):
        BatchSizeWarmup(windows, 4, until=1)
