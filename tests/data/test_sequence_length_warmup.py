"""Short rows first: the same tokens and labels in the same order, cut."""

from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.data.batches.loader import Windows
from groundup.data.batches.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.errors import ConfigError


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    """Twenty windows of 12 tokens; a token is its place."""
    np.arange(241, dtype="<u2").tofile(tmp_path / "train.bin")
    shards = ShardSet(tmp_path, "uint16", 65536, "none", {"train": SplitTable(241, 1, 241, "241")})
    return Windows(shards, "train", context_tokens=12, batch_size=3, seed=1)


def test_rows_are_cut_up_to_the_position_and_whole_from_there(windows: Windows) -> None:
    cut = SequenceLengthWarmup(windows, row_tokens=4, until=5)
    for position in range(10):
        whole, batch = windows.batch(position), cut.batch(position)
        assert batch.ids.shape == batch.labels.shape == ((9, 4) if position < 5 else (3, 12))
        assert torch.equal(batch.ids.flatten(), whole.ids.flatten())
        assert torch.equal(batch.labels.flatten(), whole.labels.flatten())
        assert torch.equal(batch.labels, batch.ids + 1) and batch.all_count


def test_an_epoch_still_makes_every_token_a_label_once(windows: Windows) -> None:
    cut = SequenceLengthWarmup(windows, row_tokens=6, until=11)
    labels = torch.cat(
        [cut.batch(position).labels.flatten() for position in range(20)]
    )  # 60 rows: three epochs
    assert labels.sort().values.tolist() == sorted([*range(1, 241)] * 3)
    assert cut.epoch_tokens == 240


def test_the_fingerprint_tells_the_cut(windows: Windows) -> None:
    cuts = [(4, 5), (6, 5), (4, 6)]
    prints = {
        SequenceLengthWarmup(windows, row_tokens=row, until=until).fingerprint
        for row, until in cuts
    }
    assert len(prints | {windows.fingerprint}) == 4


@pytest.mark.parametrize("row_tokens", [5, 12, 24])
def test_a_cut_that_leaves_a_rest_is_refused_with_what_fits(
    windows: Windows, row_tokens: int
) -> None:
    with pytest.raises(
        ConfigError, match=f"start_context_tokens {row_tokens} does not divide the context of 12"
    ):
        SequenceLengthWarmup(windows, row_tokens=row_tokens, until=5)
