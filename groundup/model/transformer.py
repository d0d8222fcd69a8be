"""The Transformer: ids -> embedding -> L blocks -> final norm. [B, T] -> [B, T, C].

One module for every family; the config chooses the parts (Vaswani et al. 2017, decoder only as in GPT-2). It has no head:
`heads.py` puts one on. Where the tokens of a call stand and what they may see is worked out once (`places.ForwardMetadata`) and used by all blocks.

Padding: a mask [B, T] marks the real tokens, padding may stand left or right. Positions count real tokens, so that a padded text gives
what it gives alone (transformers agrees when it is handed those positions). What comes out at a padding token has no meaning.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from groundup.model.attention import Attention
from groundup.model.attention_metadata import ForwardMetadata, MetadataBuilder
from groundup.model.attention_steps import Scoring
from groundup.model.block import NORM_NAMES, Block
from groundup.model.config import ModelConfig
from groundup.model.experts import Experts
from groundup.model.feedforward import FEEDFORWARDS, FeedForward, GatedFeedForward
from groundup.model.norm import NORMS, LayerNorm, RMSNorm
from groundup.model.paged import Cache
from groundup.model.positions import ADDED_POSITIONS


class Transformer(nn.Module):
    """Embedding, blocks, final norm, all chosen by `config`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        added = ADDED_POSITIONS.get(config.positions)
        self.position_embedding = added(config.width, config.context_tokens) if added else None
        self.places = MetadataBuilder(config)
        self.blocks = nn.ModuleList(build_block(config, layer) for layer in range(config.num_layers))
        self.final_norm = nn.Identity() if config.block == "post" else build_norm(config)

    def forward(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "B T C"]:
        """Hidden states after the final norm. With a cache, `ids` are the tokens that follow those it holds, and `mask` is theirs.

        Raises ModelError when the text is longer than the context or the cache.
        """
        sight = self.sight(ids, mask, cache)
        hidden = self._through(self.embed(ids, sight.positions), sight, 0, self.config.num_layers, cache)
        if cache is not None:
            cache.advance(ids.shape[1])
        normed: Tensor = self.final_norm(hidden)
        return normed

    def embed(self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"] | None = None) -> Float[Tensor, "B T C"]:
        """The stream as it enters the first block. `positions` None: 0, 1, 2, ... (they matter to learned and sinusoidal ones only)."""
        hidden = self.embedding(ids)
        if self.config.scaled_embedding:
            hidden = hidden * torch.tensor(
                math.sqrt(self.config.width), dtype=hidden.dtype
            )  # in the stream's own precision, as Gemma
        if self.position_embedding is None:
            return hidden
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        return hidden + self.position_embedding(positions).to(hidden.dtype)

    def block(self, index: int) -> Block:
        """One block; -1 is the last."""
        block = self.blocks[index]
        assert isinstance(block, Block)
        return block

    def run_blocks(
        self, hidden: Float[Tensor, "B T C"], first: int, last: int, *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """The stream through blocks first .. last-1: `run_blocks(x, 0, L)` is `run_blocks(run_blocks(x, 0, n), n, L)`.

        Lower blocks that stay frozen can so be run once, and their output kept.
        """
        assert 0 <= first <= last <= self.config.num_layers, (first, last)
        return self._through(hidden, self.sight(hidden[..., 0], mask, None), first, last, None)

    def attention_maps(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "L B H T T"]:
        """How much each token looks at each, in every head of every layer, by the naive path."""
        sight = self.sight(ids, mask, None)
        hidden, maps = self.embed(ids, sight.positions), []
        for index in range(self.config.num_layers):
            block = self.block(index)
            place = sight.by_block[index]
            maps.append(block.attention.weights(block.attention_input(hidden), place))
            hidden = block(hidden, place)
        return torch.stack(maps)

    def sight(self, tokens: Tensor, mask: Bool[Tensor, "B T"] | None, cache: Cache | None) -> ForwardMetadata:
        """Positions, angles and mask for `tokens` [B, T] (ids, or anything of their shape and device)."""
        sight: ForwardMetadata = self.places(tokens, mask, cache, self.embedding.weight.dtype)
        return sight

    def _through(self, hidden: Tensor, sight: ForwardMetadata, first: int, last: int, cache: Cache | None) -> Tensor:
        for index in range(first, last):
            block, place = self.block(index), sight.by_block[index]
            if self.recompute and cache is None and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, place, use_reentrant=False)
            else:
                hidden = block(hidden, place, memory=None if cache is None else cache.layer(index))
        return hidden


def use_recompute(module: nn.Module, recompute: bool) -> None:
    """Whether every Transformer inside `module` keeps only what enters its blocks, and computes the rest anew in the backward pass.

    The same gradients, bit for bit, for a third more arithmetic and far less memory (Chen et al. 2016, section 4.1; each block a segment).
    """
    for part in module.modules():
        if isinstance(part, Transformer):
            part.recompute = recompute


def build_norm(config: ModelConfig) -> RMSNorm | LayerNorm:
    """The norm of the stream that `config` names."""
    return NORMS[config.norm](config.width, eps=config.norm_eps)


def build_block(config: ModelConfig, layer: int) -> Block:
    """Block `layer`, counted from 0, of the parts that `config` names."""
    scoring = Scoring(
        config.score_width or config.head_width,
        config.score_softcap,
        0 if config.sees_all(layer) else config.window_tokens,
    )
    attention = Attention(
        config.width,
        config.num_heads,
        config.num_kv_heads,
        config.head_width,
        bias=config.attention_bias,
        output_bias=config.attention_output_bias,
        query_key_norm=config.qk_norm,
        norm_eps=config.norm_eps,
        scoring=scoring,
    )
    norms = {name: build_norm(config) for name in NORM_NAMES[config.block]}
    return Block(config.block, attention, build_feedforward(config), norms)


def build_feedforward(config: ModelConfig) -> FeedForward | Experts:
    """The feed-forward part of a block: one network, or experts with a router."""
    kind = FEEDFORWARDS[config.feedforward]
    if not config.num_experts:
        return kind(config.width, config.feedforward_width, bias=config.feedforward_bias)
    assert issubclass(kind, GatedFeedForward)
    return Experts(
        config.width,
        config.feedforward_width,
        num_experts=config.num_experts,
        experts_per_token=config.experts_per_token,
        kind=kind,
        normalised=config.normalised_router,
    )
