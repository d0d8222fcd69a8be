"""The Transformer: ids -> embedding -> L blocks -> final norm. [B, T] -> [B, T, C].

One module for every family; the config chooses the parts (Vaswani et al. 2017, decoder only as in GPT-2). It has no head:
`heads.py` puts one on. Where the tokens of a call stand and what they may see is worked out once (`Sight`) and used by all blocks.

Padding: a mask [B, T] marks the real tokens, padding may stand left or right. Positions count real tokens, so that a padded text gives
what it gives alone (transformers agrees when it is handed those positions). What comes out at a padding token has no meaning.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.errors import ModelError
from groundup.model.attention import Attention, padded_mask
from groundup.model.block import Block
from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.norm import NORMS, LayerNorm, RMSNorm
from groundup.model.positions import ADDED_POSITIONS, Rotary, Rotation, count_positions


@dataclass(frozen=True)
class Sight:
    """What the tokens of one call need to know of their place."""

    positions: Int[Tensor, "#B T"]
    """How many real tokens stand before each."""
    rotation: Rotation | None
    """The angles of those positions, with rotary positions only."""
    allowed: Bool[Tensor, "#B 1 T S"] | None
    """Which stored token each may look at; None: all up to itself, nothing padded."""


class Transformer(nn.Module):
    """Embedding, blocks, final norm, all chosen by `config`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        added = ADDED_POSITIONS.get(config.positions)
        self.position_embedding = added(config.width, config.context_tokens) if added else None
        rotates = config.positions == "rope"
        self.rotary = Rotary(config.head_width, base=config.rope_base, scaling=config.rope_scaling) if rotates else None
        self.blocks = nn.ModuleList(build_block(config) for _ in range(config.num_layers))
        self.final_norm = build_norm(config)

    def forward(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None, cache: KVCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """Hidden states after the final norm. With a cache, `ids` are the tokens that follow those it holds, and `mask` is theirs.

        Raises ModelError when the text is longer than the context or the cache.
        """
        sight = self.sight(ids, mask, cache)
        hidden = self._through(self.embed(ids, sight.positions), sight, 0, self.config.num_layers, cache)
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.final_norm(hidden)

    def embed(self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"] | None = None) -> Float[Tensor, "B T C"]:
        """The stream as it enters the first block. `positions` None: 0, 1, 2, ... (they matter to learned and sinusoidal ones only)."""
        hidden = self.embedding(ids)
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
            maps.append(
                block.attention.weights(block.attention_norm(hidden), rotation=sight.rotation, allowed=sight.allowed)
            )
            hidden = block(hidden, rotation=sight.rotation, allowed=sight.allowed)
        return torch.stack(maps)

    def sight(self, tokens: Tensor, mask: Bool[Tensor, "B T"] | None, cache: KVCache | None) -> Sight:
        """Positions, angles and mask for `tokens` [B, T] (ids, or anything of their shape and device)."""
        batch, num_tokens = tokens.shape
        start = self._start(batch, num_tokens, cache)
        real = self._real(mask, num_tokens, cache)
        if real is None:
            positions = torch.arange(start, start + num_tokens, device=tokens.device)[None]  # [1, T]
            return Sight(positions, self._rotation(positions), None)
        positions = count_positions(real, num_tokens)  # [B, T]
        return Sight(positions, self._rotation(positions), padded_mask(real, num_tokens))

    def _start(self, batch: int, num_tokens: int, cache: KVCache | None) -> int:
        if cache is not None:
            cache.require_room(batch, num_tokens)
        start = 0 if cache is None else cache.length
        if start + num_tokens > self.config.context_tokens:
            raise ModelError(
                f"A text of {start + num_tokens} tokens is longer than the model's context of {self.config.context_tokens}.",
                fix="Shorten the text, or take a model with a longer context.",
            )
        return start

    def _real(self, mask: Tensor | None, num_tokens: int, cache: KVCache | None) -> Tensor | None:
        """Marks of all stored tokens, or None where causality alone hides every padding token from every real one."""
        if cache is not None:
            return cache.note_real(mask, num_tokens)
        return None if mask is None or is_right_padded(mask) else mask

    def _rotation(self, positions: Tensor) -> Rotation | None:
        if self.rotary is None:
            return None
        rotation = self.rotary(positions)
        dtype = self.embedding.weight.dtype  # cast once here, not in every block
        return Rotation(rotation.cosine.to(dtype), rotation.sine.to(dtype))

    def _through(self, hidden: Tensor, sight: Sight, first: int, last: int, cache: KVCache | None) -> Tensor:
        for index in range(first, last):
            memory = None if cache is None else cache.layer(index)
            hidden = self.block(index)(hidden, rotation=sight.rotation, allowed=sight.allowed, memory=memory)
        return hidden


def is_right_padded(mask: Bool[Tensor, "B T"]) -> bool:
    """Whether every row is real tokens first and padding after (or none): then no real token could see padding anyway."""
    begins_again = mask[:, 1:] & ~mask[:, :-1]
    return not bool(begins_again.any())


def build_norm(config: ModelConfig) -> RMSNorm | LayerNorm:
    """The norm of the stream that `config` names."""
    return NORMS[config.norm](config.width, eps=config.norm_eps)


def build_block(config: ModelConfig) -> Block:
    """One block of the parts that `config` names."""
    attention = Attention(
        config.width,
        config.num_heads,
        config.num_kv_heads,
        config.head_width,
        bias=config.attention_bias,
        output_bias=config.attention_output_bias,
        query_key_norm_eps=config.norm_eps if config.qk_norm else None,
    )
    feedforward = FEEDFORWARDS[config.feedforward](config.width, config.feedforward_width, bias=config.feedforward_bias)
    return Block(build_norm(config), attention, build_norm(config), feedforward)
