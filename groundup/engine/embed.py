"""Texts -> embeddings: a language model's last hidden states, averaged over the tokens of a text and normalised.

A language model was not trained for this: similar texts get close vectors, but all vectors lie close together, and a dedicated embedding model does
better. In right-padded batches, with the same result for each text as alone, up to rounding.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.generate import PREFILL_TOKENS
from groundup.engine.padding import BATCH_TOKENS, batches_by_length, right_padded
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul


@torch.inference_mode()
def embed(
    model: LanguageModel, rows: Sequence[Sequence[int]], *, compute: Compute, batch_tokens: int = BATCH_TOKENS
) -> Float[Tensor, "rows C"]:
    """Return a vector for each row of ids (at least one each), in order, on the CPU."""
    result = torch.zeros(len(rows), model.config.width)
    for batch in batches_by_length([len(row) for row in rows], batch_tokens):
        if len(rows[batch[0]]) > PREFILL_TOKENS:
            for index in batch:
                *_, result[index] = embed_in_chunks(model, rows[index], compute=compute)
            continue
        ids, mask = right_padded([rows[i] for i in batch], compute.device)
        hidden = model.hidden(ids).float() * mask[..., None]  # [B, T, C]
        result[batch] = (hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True)).cpu()
    return F.normalize(result, dim=-1)


@torch.inference_mode()
def embed_in_chunks(model: LanguageModel, row: Sequence[int], *, compute: Compute) -> Iterator[Float[Tensor, " C"]]:
    """Yield the vector of one long row so far after each chunk, so that the caller can do other work in between."""
    cache = KVCache(model.config, 1, len(row), compute.device, compute.dtype)
    total = torch.zeros(model.config.width, device=compute.device)
    for start in range(0, len(row), PREFILL_TOKENS):
        chunk = torch.tensor([row[start : start + PREFILL_TOKENS]], device=compute.device)
        with fast_matmul(compute.device):
            total += model.hidden(chunk, cache=cache)[0].float().sum(dim=0)
        yield F.normalize(total, dim=0).cpu()


def truncate_vectors(vectors: Float[Tensor, "rows C"], dimensions: int) -> Float[Tensor, "rows d"]:
    """Return the first `dimensions` components, normalised again."""
    return F.normalize(vectors[:, :dimensions], dim=-1)
