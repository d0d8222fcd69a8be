"""Rows of ids -> class scores of a classifier, or embeddings of an encoder or language model, in
right-padded batches with the same result as alone.

Rows are sorted by length, and batches bounded in tokens. In a causal model no token attends to
later ones, so padding on the right does not change a row; in an encoder it is masked.

An embedding is the average of the last hidden states, normalised. An encoder was trained for this.
A language model was not: similar texts get close vectors, but all vectors lie close together.

A classifier's plain head reads the last token's state after all blocks. The mean over the tokens of
an earlier block's states, which a stacked classifier reads, says more of what a text is about:
pretraining forms the last state to predict a token.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.device import Compute
from groundup.engine.generate import PREFILL_TOKENS
from groundup.model.cache import KVCache
from groundup.model.heads import Classifier, Encoder, LanguageModel, mean_pool
from groundup.model.matmul_precision import fast_matmul
from groundup.model.transformer import Transformer
from groundup.progress import Advance, nothing
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.stacked import Stacked

# Fits a small machine's memory for every model trained here; about enough to saturate two cores.
BATCH_TOKENS = 4096


def batches_by_length(
    lengths: Sequence[int], batch_tokens: int = BATCH_TOKENS
) -> Iterator[list[int]]:
    """Row indices: rows x longest is at most `batch_tokens`, but at least one row. The longest come
    first, so that running out of memory happens at once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad_right(
    rows: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """With id 0, and the mask of real tokens."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device)[None] < lengths[:, None]


def classifier_ids(tokenizer: Tokenizer, text: str, max_tokens: int | None = None) -> list[int]:
    """In training and inference: truncated on the right, never empty."""
    ids = tokenizer.with_bos(tokenizer.encode(text)) or [tokenizer.special.document_end_id]
    return ids[:max_tokens]


def classifier_windows(
    tokenizer: Tokenizer, text: str, max_tokens: int, windows: int
) -> list[list[int]]:
    """A text of over `max_tokens` as up to `windows` windows of about equal length; what is longer
    is cut.
    """
    ids = tokenizer.encode(text)
    room = max_tokens - len(tokenizer.with_bos([]))
    if len(ids) <= room or windows == 1:
        return [classifier_ids(tokenizer, text, max_tokens)]
    ids = ids[: room * windows]
    length = -(-len(ids) // -(-len(ids) // room))
    return [tokenizer.with_bos(ids[start : start + length]) for start in range(0, len(ids), length)]


def pool_windows(scores: Float[Tensor, "W N"], texts: Int[Tensor, " W"]) -> Float[Tensor, "B N"]:
    """The mean of each text's windows; `texts` is the text of each window, in order."""
    counts = texts.bincount()
    if len(counts) == len(scores):  # one window each: the same bits as without a mean
        return scores
    sums = torch.zeros(len(counts), scores.shape[1], dtype=scores.dtype, device=scores.device)
    return sums.index_add(0, texts, scores) / counts[:, None]


@torch.inference_mode()
def class_scores(
    model: Classifier,
    texts: Sequence[Sequence[Sequence[int]]],
    *,
    compute: Compute,
    batch_tokens: int = BATCH_TOKENS,
    advance: Advance = nothing,
) -> Float[Tensor, "texts N"]:
    """Of texts, each a list of windows of ids, on the CPU; `advance` is told how many tokens were
    read.
    """

    def scores(ids: Tensor, mask: Tensor) -> Tensor:
        return model(ids, mask=mask).float()

    return _pooled(scores, (model.score.out_features,), texts, compute, batch_tokens, advance)


def _pooled(
    states: Callable[[Tensor, Tensor], Tensor],
    shape: tuple[int, ...],
    texts: Sequence[Sequence[Sequence[int]]],
    compute: Compute,
    batch_tokens: int,
    advance: Advance,
) -> Tensor:
    """The mean over the windows of each text of what `states` makes of ids and mask."""
    rows = [window for windows in texts for window in windows]
    owners = torch.tensor([index for index, windows in enumerate(texts) for _ in windows])
    result = torch.zeros(len(rows), *shape)
    for batch in batches_by_length([len(row) for row in rows], batch_tokens):
        result[batch] = states(*pad_right([rows[i] for i in batch], compute.device)).cpu()
        advance(sum(len(rows[i]) for i in batch))
    return pool_windows(result.flatten(1), owners).view(len(texts), *shape)


@torch.inference_mode()
def embed(
    model: LanguageModel | Encoder,
    rows: Sequence[Sequence[int]],
    *,
    compute: Compute,
    batch_tokens: int = BATCH_TOKENS,
) -> Float[Tensor, "rows C"]:
    """A vector for each row of ids (at least one each), on the CPU."""
    result = torch.zeros(len(rows), model.config.width)
    for batch in batches_by_length([len(row) for row in rows], batch_tokens):
        if isinstance(model, LanguageModel) and len(rows[batch[0]]) > PREFILL_TOKENS:
            for index in batch:
                *_, result[index] = embed_in_chunks(model, rows[index], compute=compute)
            continue
        ids, mask = pad_right([rows[i] for i in batch], compute.device)
        pool = model.pool if isinstance(model, Encoder) else mean_pool
        result[batch] = pool(model.hidden(ids, mask=mask), mask).cpu()
    return F.normalize(result, dim=-1)


@torch.inference_mode()
def embed_in_chunks(
    model: LanguageModel, row: Sequence[int], *, compute: Compute
) -> Iterator[Float[Tensor, " C"]]:
    """The vector of one long row so far after each chunk, so that the caller can do other work in
    between.
    """
    cache = KVCache(model.config, 1, len(row), compute.device, compute.dtype)
    total = torch.zeros(model.config.width, device=compute.device)
    for start in range(0, len(row), PREFILL_TOKENS):
        chunk = torch.tensor([row[start : start + PREFILL_TOKENS]], device=compute.device)
        with fast_matmul(compute.device):
            total += model.hidden(chunk, cache=cache)[0].float().sum(dim=0)
        yield F.normalize(total, dim=0).cpu()


def truncate_vectors(vectors: Float[Tensor, "rows C"], dimensions: int) -> Float[Tensor, "rows d"]:
    """The first `dimensions` components, normalised again."""
    return F.normalize(vectors[:, :dimensions], dim=-1)


def mean_states(
    transformer: Transformer,
    ids: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    blocks: Sequence[int],
) -> Float[Tensor, "B K C"]:
    """Over the real tokens, after each of `blocks` (ascending)."""
    hidden, done, means = transformer.embed(ids), 0, []
    for block in blocks:
        hidden, done = transformer.run_blocks(hidden, done, block, mask=mask), block
        means.append(mean_state(hidden, mask))
    return torch.stack(means, dim=1)


def mean_state(hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B C"]:
    """Over the real tokens, in float32."""
    sums = torch.einsum("btc,bt->bc", hidden.float(), mask.float())
    return sums / mask.sum(dim=1, keepdim=True)


@torch.inference_mode()
def stacked_scores(
    model: Classifier,
    stacked: Stacked,
    texts: Sequence[str],
    windows: Sequence[Sequence[Sequence[int]]],
    *,
    vectors: Float[Tensor, "texts E"] | None = None,
    compute: Compute,
    advance: Advance = nothing,
) -> Float[Tensor, "texts N"]:
    """Of texts, each with its windows of ids, on the CPU. `vectors`: those of its encoder;
    `advance` is told how many tokens were read.
    """
    shape = len(stacked.blocks), model.config.width

    def means(ids: Tensor, mask: Tensor) -> Tensor:
        return mean_states(model.transformer, ids, mask, stacked.blocks)

    states = torch.zeros(len(texts), *shape)
    if stacked.blocks:
        states = _pooled(means, shape, windows, compute, BATCH_TOKENS, advance)
    return stacked.scores(states, list(texts), vectors).float()
