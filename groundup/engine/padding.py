"""Rows of different length -> batches: sorted by length to reduce padding, bounded in tokens, padded on the right.

In a causal model no token attends to later ones, so padding on the right does not change a row.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

# Fits a small machine's memory for every model trained here; about enough to saturate two cores.
BATCH_TOKENS = 4096


def batches_by_length(lengths: Sequence[int], batch_tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Yield batches of row indices: rows x longest is at most `batch_tokens`, but a batch has at least one row.

    The longest rows come first, so that running out of memory happens at once and not at the end.
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
    """Return the rows as one tensor, padded with id 0, and the mask of real tokens."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device)[None] < lengths[:, None]
