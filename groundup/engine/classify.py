"""Texts -> class probabilities of a classifier, in right-padded batches with the same result for each text as alone."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.padding import BATCH_TOKENS, batches_by_length, right_padded
from groundup.model.heads import Classifier
from groundup.tokenizer.fast import Tokenizer


def classifier_ids(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """Return the input ids of a classifier, in training and inference: truncated on the right to `max_tokens`, never empty."""
    ids = tokenizer.with_bos(tokenizer.encode(text)) or [tokenizer.special.document_end_id]
    return ids[:max_tokens]


@torch.inference_mode()
def class_probabilities(
    model: Classifier, rows: Sequence[Sequence[int]], *, compute: Compute, batch_tokens: int = BATCH_TOKENS
) -> Float[Tensor, "rows N"]:
    """Return the softmax of the class scores of each row of ids, in order, on the CPU."""
    result = torch.zeros(len(rows), model.score.out_features)
    for batch in batches_by_length([len(row) for row in rows], batch_tokens):
        ids, mask = right_padded([rows[i] for i in batch], compute.device)
        result[batch] = model(ids, mask=mask).float().softmax(dim=-1).cpu()
    return result
