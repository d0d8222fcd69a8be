"""Rows of different length -> batches: sorted by length so that little is padding, bounded in tokens, padded on the right.

In a causal model nothing looks to the right, so what stands behind a row changes nothing in it.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

# Fits a small machine's memory for every model that this house trains; about what saturates two cores.
BATCH_TOKENS = 4096


def batches_by_length(lengths: Sequence[int], batch_tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices of rows, batch by batch, longest first: rows x longest is at most `batch_tokens`, but a batch has at least one row.

    Longest first, so that what does not fit into memory fails at once and not at the end.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def right_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """The rows as one tensor, id 0 behind the shorter ones, and the mask of what is real."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device)[None] < lengths[:, None]
