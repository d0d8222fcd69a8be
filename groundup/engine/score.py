"""Scores of given continuations: (context ids, continuation ids) -> natural log-probabilities.

Pairs are scored in ragged batches without padding (`ragged_batch.py`): a prefix that several pairs share, as the question before four choices, is
computed once. The result equals that of each pair alone. The head runs only at positions that predict a continuation's token, a bounded number at
a time, so that memory does not grow with length times vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.device import Compute
from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.engine.ragged_batch import RaggedBatch, ragged_batches
from groundup.errors import ModelError
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.paged import PagedStore

Pair = tuple[Sequence[int], Sequence[int]]

# Logits in memory at once: 2**24 float32 are 64 MB.
MAX_LOGITS = 2**24


@dataclass(frozen=True)
class ScoredContinuation:
    """The score of one continuation."""

    logprob: float
    """ln P(continuation | context): the sum of `token_logprobs`."""
    is_greedy: bool
    """Whether greedy decoding would generate it."""
    token_logprobs: tuple[float, ...]
    """ln P of each token given all before it."""


def score(
    model: LanguageModel,
    pairs: Sequence[Pair],
    *,
    compute: Compute,
    batch_tokens: int = BATCH_TOKENS,
    done: Callable[[int], None] = lambda pairs: None,
) -> list[ScoredContinuation]:
    """Return one result for each pair, in order. A context that doesn't fit before its continuation loses its oldest tokens.

    An empty continuation has probability 1. `done` is called with the number of pairs of each batch. Raises ModelError for an empty context, or a
    continuation longer than the model's context.
    """
    rows = [_row(context, continuation, model.config.context_tokens) for context, continuation in pairs]
    results: list[ScoredContinuation] = [ScoredContinuation(0.0, True, ())] * len(pairs)
    for batch in ragged_batches(rows, batch_tokens):
        scored = _score_batch(model, batch, [pairs[i][1] for i in batch.rows], compute)
        for index, result in zip(batch.rows, scored, strict=True):
            results[index] = result
        done(len(scored))
    return results


def _row(context: Sequence[int], continuation: Sequence[int], context_tokens: int) -> list[int]:
    """Return context and continuation without the last token (it predicts nothing), truncated on the left to fit."""
    if not context:
        raise ModelError(
            "A continuation can only be scored after at least one token.",
            fix="Put the tokenizer's bos or end-of-text token before it.",
        )
    if len(continuation) > context_tokens:
        raise ModelError(
            f"A continuation of {len(continuation):,} tokens can't be scored in a context of {context_tokens:,}.",
            fix="Cut it into shorter pieces.",
        )
    return [*context, *continuation][: len(context) + max(len(continuation), 1) - 1][-context_tokens:]


@torch.inference_mode()
def _score_batch(
    model: LanguageModel, batch: RaggedBatch, continuations: Sequence[Sequence[int]], compute: Compute
) -> list[ScoredContinuation]:
    ids = torch.tensor([batch.ids], device=compute.device)
    dtype = model.transformer.embedding.weight.dtype
    store = PagedStore(model.config, len(batch.ids), 1, compute.device, dtype, single_use=True)
    counts = [len(continuation) for continuation in continuations]
    # The last `count` tokens of a row each predict one token of its continuation.
    predicting = [
        place for row, count in zip(batch.positions, counts, strict=True) for place in row[len(row) - count :]
    ]
    targets = torch.tensor([token for each in continuations for token in each], dtype=torch.long, device=compute.device)
    with fast_matmul(compute.device):
        hidden = model.hidden(ids, cache=store.rows(batch.spans))[0]  # [N, C]
        logprobs, greedy = token_logprobs(model, hidden[predicting], targets)
    pieces = zip(logprobs.cpu().split(counts), greedy.cpu().split(counts), strict=True)
    return [ScoredContinuation(float(each.sum()), bool(best.all()), tuple(each.tolist())) for each, best in pieces]


def token_logprobs(
    model: LanguageModel, hidden: Float[Tensor, "M C"], targets: Int[Tensor, " M"]
) -> tuple[Float[Tensor, " M"], Bool[Tensor, " M"]]:
    """Return ln P(target) at each position in float64, and whether the target is the argmax."""
    logprobs, greedy = [], []
    rows = max(1, MAX_LOGITS // model.config.vocab_size)
    for part, part_targets in zip(hidden.split(rows), targets.split(rows), strict=True):
        logits = model.logits(part).float()  # [M, V]
        chosen = logits.gather(1, part_targets[:, None])[:, 0]
        logprobs.append((chosen - logits.logsumexp(dim=1)).double())  # ln softmax(logits)[target]
        greedy.append(logits.argmax(dim=1) == part_targets)
    return torch.cat(logprobs), torch.cat(greedy)
