"""Ablation: remove one head or one block, and measure how much the loss on a text rises.

    with ablate_head(model, block=4, head=2): ...   without that head's output, inside the `with`
    with skip_block(model, 4): ...                  without the block
    with without_rotation(model, 4): ...            without its rotary positions
    table = ablation(model, tokenizer, text)        every head and every block in turn

A head writes to the residual stream through its own columns of the output projection. Their input
is replaced by its "mean" over the text, the default: later blocks rely on the constant part, whose
absence would change the loss as well (Wang et al. 2022, arXiv:2211.00593, section 2.2); the mean
includes later tokens, so a change slightly below zero has no meaning. Or by "zero" (Michel et al.
2019, arXiv:1905.10650). Heads are removed one at a time: of two that do the same, neither seems to
be needed
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.engine.score import token_logprobs
from groundup.errors import DataError, ModelError
from groundup.lab.hooks import changed
from groundup.lab.stream import (
    block_index,
    document_ids,
    head_index,
    require_language_model,
    require_tokenizer,
    run_from,
    stream,
)
from groundup.lab.values import AblationTable, HeadChange
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

Fill = Literal["mean", "zero"]
SHOWN = 5
DECIMALS = 5
FILLS: dict[Fill, str] = {"mean": "its mean over the text", "zero": "zeros"}


def ablate_head(
    model: Model, block: int, head: int, *, fill: Fill = "mean"
) -> AbstractContextManager[Model]:
    """Remove one head, both numbers counted from 1, until the `with` ends.

    For texts without padding and, unless it is filled with "zero", without a cache. Raises
    ModelError.
    """
    return silenced(model, block_index(model, block), [head_index(model, head)], fill)


@contextmanager
def skip_block(model: Model, block: int) -> Iterator[Model]:
    """Skip one block, counted from 1, until the `with` ends. Without a cache. Raises ModelError."""
    part = model.transformer.block(block_index(model, block))
    handle = part.register_forward_hook(lambda _, inputs, __: inputs[0])
    try:
        yield model
    finally:
        handle.remove()


@contextmanager
def without_rotation(model: Model, block: int) -> Iterator[Model]:
    """Leave the queries and keys of one block, counted from 1, unrotated until the `with` ends: its
    heads do not know how far away a token is. Raises ModelError where it rotates none.
    """
    index = block_index(model, block)
    if not model.config.rotates(index):
        raise ModelError(
            f"Block {block} rotates no queries and keys: the positions of this model are "
            f"{model.config.positions!r}.",
            fix="Take a block with rotary positions.",
        )

    def unrotated(_: nn.Module, inputs: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return inputs, {**named, "metadata": replace(named["metadata"], rotation=None)}

    attention = model.transformer.block(index).attention
    handle = attention.register_forward_pre_hook(unrotated, with_kwargs=True)
    try:
        yield model
    finally:
        handle.remove()


def silenced(
    model: Model, index: int, heads: Sequence[int], fill: Fill
) -> AbstractContextManager[Model]:
    """Remove head `heads[r]` of block `index` in row r of a batch (one head: in every row)."""
    if fill not in get_args(Fill):
        raise DataError(
            f"A head can't be replaced by {fill!r}.", fix=f"Use one of {', '.join(get_args(Fill))}."
        )

    def remove(found: Float[Tensor, "B T H D"]) -> Float[Tensor, "B T H D"]:
        mixed = found.clone()
        rows = torch.arange(mixed.shape[0], device=mixed.device)
        chosen = torch.tensor(heads, device=mixed.device).expand(mixed.shape[0])
        if fill == "zero":
            mixed[rows, :, chosen] = 0.0
        else:
            mixed[rows, :, chosen] = (
                mixed[rows, :, chosen].mean(dim=1, keepdim=True).expand(-1, mixed.shape[1], -1)
            )
        return mixed

    return changed(model, "head", index + 1, remove)


def ablation(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    fill: Fill = "mean",
    progress: Progress | None = None,
) -> AblationTable:
    """Measure how the loss on `text` changes without each head and each block, in nats per token;
    more is worse.

    The errors are standard errors of the mean change over the tokens. Raises DataError (no text),
    ModelError.
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    states = list(stream(model.transformer, rows))
    whole = _losses(model, states[-1][None], rows)  # [1, T - 1]
    num_layers = model.config.num_layers
    heads, blocks = [], []
    with (progress or Silent()).track(
        "ablation", num_layers * (num_layers + 1) / 2, "blocks"
    ) as advance:
        for index in range(num_layers):
            without = _without_heads(model, states[index], index, fill, rows)
            heads.append([_change(row - whole[0]) for row in without])
            past = run_from(model, states[index][None], index + 1)
            blocks.append(_change(_losses(model, past, rows)[0] - whole[0]))
            advance(num_layers - index, f"block {index + 1} of {num_layers}")
    caption = (
        f"The input of the output projection from one head is replaced by {FILLS[fill]}, one "
        "head at a time; blocks are skipped as a whole. Change of the mean loss over "
        f"{len(rows) - 1} tokens of text against the whole model, in nats per token: above "
        "zero, the text is predicted worse without it."
    )
    return {
        "text": text,
        "num_tokens": len(rows) - 1,
        "loss": round(float(whole.mean()), DECIMALS),
        "fill": fill,
        "heads": [[change for change, _ in row] for row in heads],
        "heads_error": [[error for _, error in row] for row in heads],
        "blocks": [change for change, _ in blocks],
        "blocks_error": [error for _, error in blocks],
        "most": _most(heads),
        "caption": caption,
    }


def _without_heads(
    model: LanguageModel, state: Float[Tensor, "T C"], index: int, fill: Fill, rows: Sequence[int]
) -> Float[Tensor, "H predicted"]:
    """The losses without each head of one block.

    The blocks below it run once; the heads are rows of a batch.
    """
    together = max(1, BATCH_TOKENS // len(rows))
    losses = []
    for heads in torch.arange(model.config.num_heads).split(together):
        with silenced(model, index, heads.tolist(), fill):
            final = run_from(model, state.expand(len(heads), -1, -1), index)
        losses.append(_losses(model, final, rows))
    return torch.cat(losses)


@torch.no_grad()
def _losses(
    model: LanguageModel, state: Float[Tensor, "B T C"], rows: Sequence[int]
) -> Float[Tensor, "B predicted"]:
    """Return -ln P of each token after the first, in float64 on the CPU, from the residual
    stream after the last block.
    """
    hidden = model.transformer.final_norm(state[:, :-1]).flatten(0, 1)
    targets = torch.tensor(rows[1:], device=hidden.device).repeat(len(state))
    return -token_logprobs(model, hidden, targets)[0].view(len(state), -1).cpu()


def _change(difference: Float[Tensor, " predicted"]) -> tuple[float, float]:
    """The mean over the tokens and its standard error (0 for one token)."""
    error = 0.0
    if len(difference) > 1:
        error = float(difference.std()) / len(difference) ** 0.5
    return round(float(difference.mean()), DECIMALS), round(error, DECIMALS)


def _most(heads: Sequence[Sequence[tuple[float, float]]]) -> list[HeadChange]:
    found: list[HeadChange] = [
        {"block": block, "head": head, "change": change, "error": error}
        for block, row in enumerate(heads, start=1)
        for head, (change, error) in enumerate(row, start=1)
    ]
    return sorted(found, key=lambda entry: -entry["change"])[:SHOWN]
