"""Ablation: take one head or one block away, and see how much worse the text is predicted. What costs much is needed for this text.

    with ablate_head(model, block=4, head=2): ...        the model without that head's message, inside the `with` only
    with skip_block(model, block=4): ...                 the stream passes block 4 by
    table = ablation(model, tokenizer, text)             every head and every block in turn: change of the loss in nats a token

A head writes into the stream through its own columns of the output projection. What it hands them is replaced, in two ways:

    "mean"   by its mean over the text: the head still says what it always says, but no longer what depends on the token. The default:
             blocks behind it are used to that constant part, and its absence would be a second damage (Wang et al. 2022,
             arXiv:2211.00593, section 2.2). The mean looks at later tokens too, so that a change a little below zero says nothing.
    "zero"   by nothing, as if its columns were zero (Michel et al. 2019, arXiv:1905.10650).

One at a time: two heads that do the same work look dispensable both, as each stands in for the other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.engine.padding import BATCH_TOKENS
from groundup.engine.score import token_logprobs
from groundup.errors import DataError
from groundup.lab.request import block_index, head_index, require_language_model, require_tokenizer
from groundup.lab.stream import document_ids, stream
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer

Fill = Literal["mean", "zero"]
SHOWN = 5
DECIMALS = 5
CAPTIONS = {
    "mean": "What a head hands to its block's output projection is replaced by its mean over the text",
    "zero": "What a head hands to its block's output projection is replaced by zeros",
}


@contextmanager
def ablate_head(
    model: LanguageModel | Classifier, block: int, head: int, *, fill: Fill = "mean"
) -> Iterator[LanguageModel | Classifier]:
    """The model with one head silenced, both counted from 1; whole again behind the `with`. Texts without padding, no cache. Raises ModelError."""
    with _silenced(model, block_index(model, block), [head_index(model, head)], fill):
        yield model


@contextmanager
def skip_block(model: LanguageModel | Classifier, block: int) -> Iterator[LanguageModel | Classifier]:
    """The model with one block, counted from 1, left out: the stream goes past it. No cache. Raises ModelError."""
    part = model.transformer.block(block_index(model, block))
    handle = part.register_forward_hook(lambda _, inputs, __: inputs[0])
    try:
        yield model
    finally:
        handle.remove()


@contextmanager
def _silenced(model: LanguageModel | Classifier, index: int, heads: Sequence[int], fill: Fill) -> Iterator[None]:
    """Row r of a batch loses head `heads[r]` of block `index` (one head: every row loses it)."""
    if fill not in get_args(Fill):
        raise DataError(f"A head can't be replaced by {fill!r}.", fix=f"Take one of {', '.join(get_args(Fill))}.")
    attention = model.transformer.block(index).attention
    handle = attention.output.register_forward_pre_hook(_replacing(heads, attention.head_width, fill))
    try:
        yield
    finally:
        handle.remove()


def _replacing(
    heads: Sequence[int], head_width: int, fill: Fill
) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
    """A hook before the output projection: its input [B, T, H D] with one head's D columns replaced in each row."""

    def replace(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        mixed = inputs[0].unflatten(-1, (-1, head_width)).clone()  # [B, T, H, D]
        rows = torch.arange(mixed.shape[0], device=mixed.device)
        chosen = torch.tensor(heads, device=mixed.device).expand(mixed.shape[0])
        if fill == "zero":
            mixed[rows, :, chosen] = 0.0
        else:
            mixed[rows, :, chosen] = mixed[rows, :, chosen].mean(dim=1, keepdim=True).expand(-1, mixed.shape[1], -1)
        return (mixed.flatten(2),)

    return replace


def ablation(
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    fill: Fill = "mean",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """How the loss on `text` changes without each head and each block, in nats a token; more is worse.

    {"loss", "num_tokens", "fill", "heads": L rows of H, "heads_error", "blocks": L, "blocks_error", "most": the heads that matter most}.
    The errors are standard errors of the mean change over the tokens. Raises DataError (no text), ModelError.
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    states = list(stream(model.transformer, rows))
    whole = _losses(model, states[-1][None], rows)  # [1, T - 1]
    num_layers, num_heads = model.config.num_layers, model.config.num_heads
    heads, blocks = [], []
    with (progress or Silent()).track("ablation", num_layers * (num_layers + 1) / 2, "blocks") as advance:
        for index in range(num_layers):
            without = _without_heads(model, states[index], index, fill, rows)
            heads.append([_change(row - whole[0]) for row in without])
            past = _onwards(model, states[index][None], index + 1)
            blocks.append(_change(_losses(model, past, rows)[0] - whole[0]))
            advance(num_layers - index, f"block {index + 1} of {num_layers}")
    assert all(len(row) == num_heads for row in heads)
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
        "caption": _caption(fill, len(rows) - 1),
    }


def _without_heads(
    model: LanguageModel, state: Float[Tensor, "T C"], index: int, fill: Fill, rows: Sequence[int]
) -> Float[Tensor, "H predicted"]:
    """Losses without each head of one block. What is below it runs once for all; heads go together as rows of a batch."""
    together = max(1, BATCH_TOKENS // len(rows))
    losses = []
    for heads in torch.arange(model.config.num_heads).split(together):
        with _silenced(model, index, heads.tolist(), fill):
            final = _onwards(model, state.expand(len(heads), -1, -1), index)
        losses.append(_losses(model, final, rows))
    return torch.cat(losses)


@torch.no_grad()
def _onwards(model: LanguageModel, state: Float[Tensor, "B T C"], first: int) -> Float[Tensor, "B T C"]:
    return model.transformer.run_blocks(state, first, model.config.num_layers)


@torch.no_grad()
def _losses(model: LanguageModel, state: Float[Tensor, "B T C"], rows: Sequence[int]) -> Float[Tensor, "B predicted"]:
    """-ln P of each token behind the first, in float64 on the CPU, from the stream after the last block."""
    hidden = model.transformer.final_norm(state[:, :-1]).flatten(0, 1)
    targets = torch.tensor(rows[1:], device=hidden.device).repeat(len(state))
    return -token_logprobs(model, hidden, targets)[0].view(len(state), -1).cpu()


def _change(difference: Float[Tensor, " predicted"]) -> tuple[float, float]:
    """Mean over the tokens and its standard error (0 for one token)."""
    error = float(difference.std()) / len(difference) ** 0.5 if len(difference) > 1 else 0.0
    return round(float(difference.mean()), DECIMALS), round(error, DECIMALS)


def _most(heads: Sequence[Sequence[tuple[float, float]]]) -> list[dict[str, Any]]:
    """The heads whose absence costs most, the first of them first."""
    found = [
        {"block": block, "head": head, "change": change, "error": error}
        for block, row in enumerate(heads, start=1)
        for head, (change, error) in enumerate(row, start=1)
    ]
    return sorted(found, key=lambda entry: -entry["change"])[:SHOWN]


def _caption(fill: str, num_tokens: int) -> str:
    return (
        f"{CAPTIONS[fill]}, one head at a time; a block is left out whole. Change of the mean loss over {num_tokens} tokens of text "
        "against the whole model, in nats a token: above zero, the text is predicted worse without it."
    )
