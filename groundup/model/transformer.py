"""The Transformer: ids -> embedding -> L blocks -> final norm. [B, T] -> [B, T, C].

One module for every family; the config chooses the parts (Vaswani et al. 2017; decoder only as in
GPT-2, or encoder only as in BERT). `block.py` has a block, `metadata.py` the positions and masks of
a call, with padding and packed documents; `heads.py` adds a head.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from groundup.model.block import Block, build_block, build_norm
from groundup.model.cache import Cache
from groundup.model.config import ModelConfig
from groundup.model.metadata import ForwardMetadata, MetadataBuilder
from groundup.model.positions import ADDED_POSITIONS, AddedPositions, RelativeBias


class Transformer(nn.Module):
    """Embedding (and its norm), blocks, final norm, all chosen by `config`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        self.shares: Sequence[float] | None = None
        """Of what each block adds, in training; 0: it is not computed. None: all of it."""
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding: AddedPositions | None = None
        if config.positions in ADDED_POSITIONS:
            added = ADDED_POSITIONS[config.positions]
            self.position_embedding = added(config.width, config.context_tokens)
        self.relative_bias: RelativeBias | None = None
        if config.relative_buckets:
            self.relative_bias = RelativeBias(config.relative_buckets, config.num_heads)
        self.embedding_norm = build_norm(config) if config.embedding_norm else None
        self.metadata_builder = MetadataBuilder(config)
        self.blocks = nn.ModuleList(
            build_block(config, layer) for layer in range(config.num_layers)
        )
        self.final_norm = nn.Identity() if config.block == "post" else build_norm(config)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        *,
        mask: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Hidden states after the final norm. With a cache, `ids` follow the tokens in it, and
        `mask` is for `ids`. `documents`: the rows are packed. Raises ModelError when the text is
        longer than the context or the cache.
        """
        metadata = self.metadata(ids, mask, cache, documents)
        hidden = self.embed(ids, metadata.positions)
        hidden = self._through(hidden, metadata, 0, self.config.num_layers, cache)
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.final_norm(hidden)

    def embed(
        self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """The input of the first block. `positions` (for learned and sinusoidal ones) None: 0, 1,
        2, ...
        """
        hidden = self.embedding(ids)
        if self.config.scaled_embedding:  # in the dtype of the stream, as in Gemma
            hidden = hidden * torch.tensor(math.sqrt(self.config.width), dtype=hidden.dtype)
        if self.position_embedding is not None:
            if positions is None:
                positions = torch.arange(ids.shape[1], device=ids.device)[None]
            hidden = hidden + self.position_embedding(positions).to(hidden.dtype)
        if self.embedding_norm is not None:
            hidden = self.embedding_norm(hidden)
        return hidden

    def block(self, index: int) -> Block:
        block = self.blocks[index]
        assert isinstance(block, Block)
        return block

    def run_blocks(
        self,
        hidden: Float[Tensor, "B T C"],
        first: int,
        last: int,
        *,
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Blocks first .. last-1: to run frozen lower blocks once and keep their output."""
        assert 0 <= first <= last <= self.config.num_layers, (first, last)
        return self._through(hidden, self.metadata(hidden[..., 0], mask, None), first, last, None)

    def attention_maps(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "L B H T T"]:
        """The weights of every head of every layer, by the naive implementation."""
        metadata = self.metadata(ids, mask, None)
        hidden, maps = self.embed(ids, metadata.positions), []
        for index in range(self.config.num_layers):
            block = self.block(index)
            block_metadata = metadata.by_block[index]
            maps.append(block.attention.weights(block.attention_input(hidden), block_metadata))
            hidden = block(hidden, block_metadata)
        return torch.stack(maps)

    def metadata(
        self,
        tokens: Tensor,
        mask: Bool[Tensor, "B T"] | None,
        cache: Cache | None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> ForwardMetadata:
        dtype = self.embedding.weight.dtype
        return self.metadata_builder(tokens, mask, cache, dtype, documents, self.relative_bias)

    def _through(
        self, hidden: Tensor, metadata: ForwardMetadata, first: int, last: int, cache: Cache | None
    ) -> Tensor:
        shares = None
        if self.training:
            shares = self.shares
        for index in range(first, last):
            block, block_metadata = self.block(index), metadata.by_block[index]
            if shares is not None and shares[index] != 1:
                if shares[index]:
                    added = block(hidden, block_metadata) - hidden
                    hidden = hidden + shares[index] * added
                continue
            if cache is not None:
                hidden = block(hidden, block_metadata, layer_cache=cache.layer(index))
            elif self.recompute and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, block_metadata, use_reentrant=False)
            else:
                hidden = block(hidden, block_metadata)
        return hidden


def use_recompute(module: nn.Module, recompute: bool) -> None:
    """Whether only the inputs of blocks are saved for the backward pass: bit-identical gradients,
    with a third more arithmetic and far less memory (Chen et al. 2016, section 4.1).
    """
    for part in module.modules():
        if isinstance(part, Transformer):
            part.recompute = recompute
