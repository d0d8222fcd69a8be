"""The Transformer: ids -> embedding -> L blocks -> final norm. [B, T] -> [B, T, C].

One module for every family; the config chooses the parts (Vaswani et al. 2017; decoder only as in
GPT-2, or encoder only as in BERT). `heads.py` adds a head. Positions and masks are computed once
per call for all blocks (`MetadataBuilder`): blocks of one model can differ in two ways, some have a
window, some no rotary positions (`config.sees_all`, `config.rotates`), and each kind of block has
one `AttentionMetadata`.

Padding: a mask [B, T] marks the real tokens, padding may be left or right. Positions count real
tokens, so that a padded text gives the same result as alone (transformers agrees when given those
positions). The output at a padding token has no meaning.

Packing: `documents` [B, T] numbers the documents of a row. A token attends to those of its own
document only, and positions restart with each, so that a document gives the same result as alone
(Ding et al. 2024, "Fewer Truncations Improve Language Modeling").

A block is attention between tokens, then the feed-forward network for each token. Both are added to
the residual stream (He et al. 2016). The arrangements, with f for either part and n for its norm:

    pre        x + f(n(x))        GPT-2, Llama, Qwen, Mistral: the stream itself is never normalised
                                  (Xiong et al. 2020: it trains more easily)
    post       n(x + f(x))        Vaswani et al. 2017, the first GPT: needs a careful warm-up
    output     x + n(f(x))        OLMo 2 (2025): what is added has a bounded norm
    sandwich   x + n'(f(n(x)))    Gemma 2 and 3: both
    parallel   x + attention(n(x)) + feedforward(n(x))        GPT-J, PaLM: one norm, and the two
                                                              parts can run in parallel
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from groundup.errors import ModelError
from groundup.model.attention import EMPTY_METADATA, Attention, AttentionMetadata, LayerCache
from groundup.model.attention_steps import Scoring, padded_mask, window_mask
from groundup.model.config import BlockKind, ModelConfig
from groundup.model.experts import Experts
from groundup.model.feedforward import FEEDFORWARDS, FeedForward, GatedFeedForward
from groundup.model.norm import NORMS, LayerNorm, RMSNorm
from groundup.model.paged import Cache, PagedRows, RowGroup
from groundup.model.positions import (
    ADDED_POSITIONS,
    Rotary,
    Rotation,
    alibi_bias,
    alibi_slopes,
    count_positions,
    document_positions,
)

Norm = RMSNorm | LayerNorm
AttentionKind = tuple[bool, bool]  # (sees all tokens before it, has rotary positions)
BEFORE = ("attention_norm", "feedforward_norm")
AFTER = ("attention_output_norm", "feedforward_output_norm")
NORM_NAMES: dict[BlockKind, tuple[str, ...]] = {
    "pre": BEFORE,
    "post": AFTER,
    "output": AFTER,
    "sandwich": BEFORE + AFTER,
    "parallel": ("attention_norm",),
}


class Block(nn.Module):
    """Attention and feed-forward network on the residual stream; `transformer.build_block` makes
    one, `NORM_NAMES` has the norms of each kind.

    >>> from groundup.model.config import ModelConfig
    >>> tiny = ModelConfig(vocab_size=8, context_tokens=4, width=8, num_layers=1, num_heads=2, feedforward_width=16)
    >>> build_block(tiny, 0)(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        kind: BlockKind,
        attention: Attention,
        feedforward: FeedForward | Experts,
        norms: dict[str, Norm],
    ) -> None:
        """`norms` by name, those of `NORM_NAMES[kind]`."""
        super().__init__()
        assert set(norms) == set(NORM_NAMES[kind]), (kind, set(norms))
        self.kind = kind
        self.attention_norm = norms.get("attention_norm")
        self.attention = attention
        self.attention_output_norm = norms.get("attention_output_norm")
        self.feedforward_norm = norms.get("feedforward_norm")
        self.feedforward = feedforward
        self.feedforward_output_norm = norms.get("feedforward_output_norm")

    def forward(
        self,
        hidden: Float[Tensor, "B T C"],
        metadata: AttentionMetadata = EMPTY_METADATA,
        *,
        layer_cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        attended = self.attention(self.attention_input(hidden), metadata, layer_cache=layer_cache)
        return self.after_attention(hidden, attended)

    def attention_input(self, hidden: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Return the input of the attention."""
        return hidden if self.attention_norm is None else self.attention_norm(hidden)

    def after_attention(
        self, hidden: Float[Tensor, "#B T C"], attended: Float[Tensor, "B T C"]
    ) -> Float[Tensor, "B T C"]:
        """Return the block's output, from its input and the output of the attention."""
        if self.kind == "parallel":
            return hidden + attended + self.feedforward(self.attention_input(hidden))
        hidden = self._added(hidden, attended, self.attention_output_norm)
        normed = hidden if self.feedforward_norm is None else self.feedforward_norm(hidden)
        return self._added(hidden, self.feedforward(normed), self.feedforward_output_norm)

    def _added(self, hidden: Tensor, part: Tensor, norm: Norm | None) -> Tensor:
        if norm is None:
            return hidden + part
        return norm(hidden + part) if self.kind == "post" else hidden + norm(part)


@dataclass(frozen=True)
class ForwardMetadata:
    """Positions and masks of one call."""

    positions: Int[Tensor, "#B T"]
    """The number of real tokens before each."""
    by_block: tuple[AttentionMetadata, ...]
    """For each block; blocks of a kind share one object."""


class MetadataBuilder(nn.Module):
    """Builds the `ForwardMetadata` of a call. Has no weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.kinds = [
            (config.sees_all(layer), config.rotates(layer)) for layer in range(config.num_layers)
        ]
        self.rotary = _rotary(config) if (True, True) in self.kinds else None
        self.window_rotary = _rotary(config, windowed=True) if (False, True) in self.kinds else None

    def forward(
        self,
        tokens: Tensor,
        mask: Bool[Tensor, "B T"] | None,
        cache: Cache | None,
        dtype: torch.dtype,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> ForwardMetadata:
        """Return the metadata for `tokens` [B, T] (ids, or any tensor of that shape and device)
        after those in `cache`. Raises ModelError.

        `dtype` is that of the residual stream: angles are cast once here, not in every block.
        """
        if cache is not None and not self.config.causal:
            raise ModelError(
                "An encoder attends to later tokens too, so the keys and values of earlier ones can't be cached.",
                fix="Give it whole texts, without a cache.",
            )
        if documents is not None:
            assert mask is None and cache is None, (
                "packed rows are for training: without mask or cache"
            )
            assert self.config.causal, "packed rows are for models that predict the next token"
            return self._packed(documents, dtype)
        if isinstance(cache, PagedRows):
            return self._ragged(tokens, cache.groups, dtype)
        batch, num_tokens = tokens.shape
        if cache is None:
            num_keys = num_tokens
            hidden = mask is None or (
                is_right_padded(mask) if self.config.causal else bool(mask.all())
            )
            real = (
                None if hidden else mask
            )  # None: there is no padding, or the causal mask hides it all
        else:
            cache.require_room(batch, num_tokens)
            num_keys, real = cache.length + num_tokens, cache.note_real(mask, num_tokens)
        self._require_context(num_keys)
        keys = torch.arange(num_keys, device=tokens.device)[None]  # [1, S]
        if real is not None:
            keys = count_positions(real, num_keys)  # [B, S]
        positions, built = keys[:, -num_tokens:], {}
        for kind in set(self.kinds):
            rotation, allowed = (
                self._rotation(kind, positions, dtype),
                self._allowed(kind[0], num_tokens, keys, real),
            )
            built[kind] = AttentionMetadata(rotation, allowed, self._bias(positions, keys, dtype))
        return ForwardMetadata(positions, tuple(built[kind] for kind in self.kinds))

    def _packed(self, documents: Tensor, dtype: torch.dtype) -> ForwardMetadata:
        """For packed rows: a block mask, and positions that restart with each document (of ALiBi
        only distances count).
        """
        num_tokens = documents.shape[1]
        self._require_context(num_tokens)
        positions, places = (
            document_positions(documents),
            torch.arange(num_tokens, device=documents.device)[None],
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]  # [B, 1, T, S]
        built = {}
        for kind in set(self.kinds):
            seen = window_mask(
                num_tokens,
                num_tokens,
                0 if kind[0] else self.config.window_tokens,
                documents.device,
            )
            rotation, bias = (
                self._rotation(kind, positions, dtype),
                self._bias(places, places, dtype),
            )
            built[kind] = AttentionMetadata(rotation, same & seen, bias, packed=True)
        return ForwardMetadata(positions, tuple(built[kind] for kind in self.kinds))

    def _ragged(
        self, tokens: Tensor, groups: Sequence[RowGroup], dtype: torch.dtype
    ) -> ForwardMetadata:
        """For a ragged batch, its rows concatenated in `tokens` [1, N]: one rotation for all, mask
        and bias for each group.
        """
        self._require_context(max(group.stop for group in groups))
        listed = [
            position
            for group in groups
            for span in group.spans
            for position in range(span.start, span.stop)
        ]
        positions, built = torch.tensor([listed], device=tokens.device), {}  # [1, N]
        for kind in set(self.kinds):
            rows = tuple(self._group(kind, group, tokens.device, dtype) for group in groups)
            built[kind] = AttentionMetadata(self._rotation(kind, positions, dtype), rows=rows)
        return ForwardMetadata(positions, tuple(built[kind] for kind in self.kinds))

    def _group(
        self, kind: AttentionKind, group: RowGroup, device: torch.device, dtype: torch.dtype
    ) -> AttentionMetadata:
        """Mask and bias of a group of rows. A single new token without ALiBi needs neither."""
        if group.same_start and group.longest == 1 and self.config.positions != "alibi":
            return EMPTY_METADATA
        keys = torch.arange(group.stop, device=device)[None]  # [1, S]
        if group.same_start:
            positions = keys[:, group.spans[0].start :]
            allowed = self._allowed(kind[0], group.longest, keys, None)
        else:
            positions = torch.tensor(
                [[span.start] for span in group.spans], device=device
            )  # [rows, 1]
            allowed = seen_keys(positions, keys, 0 if kind[0] else self.config.window_tokens)
        return AttentionMetadata(None, allowed, self._bias(positions, keys, dtype))

    def _require_context(self, num_tokens: int) -> None:
        if num_tokens > self.config.context_tokens:
            raise ModelError(
                f"A text of {num_tokens} tokens is longer than the model's context of {self.config.context_tokens}.",
                fix="Shorten the text, or use a model with a longer context.",
            )

    def _rotation(
        self, kind: AttentionKind, positions: Tensor, dtype: torch.dtype
    ) -> Rotation | None:
        sees_all, rotates = kind
        rotary = self.rotary if sees_all else self.window_rotary
        return (
            Rotation(*(each.to(dtype) for each in rotary(positions)))
            if rotary is not None and rotates
            else None
        )

    def _bias(self, positions: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor | None:
        if self.config.positions != "alibi":
            return None
        return alibi_bias(alibi_slopes(self.config.num_heads).to(keys.device), positions, keys).to(
            dtype
        )

    def _allowed(
        self, sees_all: bool, num_queries: int, keys: Tensor, real: Tensor | None
    ) -> Tensor | None:
        window = 0 if sees_all else self.config.window_tokens
        if real is not None:
            return padded_mask(real, num_queries, window, causal=self.config.causal)
        if num_queries == 1 or not 0 < window < keys.shape[1]:
            return None
        return window_mask(num_queries, keys.shape[1], window, keys.device)[None, None]


def seen_keys(
    positions: Int[Tensor, "rows T"], keys: Int[Tensor, "1 S"], window_tokens: int
) -> Bool[Tensor, "rows 1 T S"]:
    """Return the mask of the keys up to each position, within the window if there is one."""
    distance = positions[:, None, :, None] - keys[:, None, None, :]
    return (distance >= 0) & (distance < window_tokens) if window_tokens else distance >= 0


def _rotary(config: ModelConfig, *, windowed: bool = False) -> Rotary:
    """Rotary positions of a kind of block; those with a window may have their own base, which is
    not scaled.
    """
    own_base = windowed and config.window_rope_base > 0
    base, scaling = (
        (config.window_rope_base, None) if own_base else (config.rope_base, config.rope_scaling)
    )
    return Rotary(config.head_width, base=base, scaling=scaling)


def is_right_padded(mask: Bool[Tensor, "B T"]) -> bool:
    """Whether padding follows the real tokens in every row (or there is none): then no real token
    can attend to padding.
    """
    real_after_padding = mask[:, 1:] & ~mask[:, :-1]
    return not bool(real_after_padding.any())


class Transformer(nn.Module):
    """Embedding (and its norm), blocks, final norm, all chosen by `config`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        added = ADDED_POSITIONS.get(config.positions)
        self.position_embedding = added(config.width, config.context_tokens) if added else None
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
        """Return hidden states after the final norm. With a cache, `ids` follow the tokens in it,
        and `mask` is for `ids`.

        `documents`: the rows are packed, and no token attends to another document. Raises
        ModelError when the text is longer than the context or the cache.
        """
        metadata = self.metadata(ids, mask, cache, documents)
        hidden = self._through(
            self.embed(ids, metadata.positions), metadata, 0, self.config.num_layers, cache
        )
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.final_norm(hidden)

    def embed(
        self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """Return the input of the first block.

        `positions` (for learned and sinusoidal ones) None: 0, 1, 2, ...
        """
        hidden = self.embedding(ids)
        if self.config.scaled_embedding:  # in the dtype of the stream, as in Gemma
            hidden = hidden * torch.tensor(math.sqrt(self.config.width), dtype=hidden.dtype)
        if self.position_embedding is not None:
            if positions is None:
                positions = torch.arange(ids.shape[1], device=ids.device)[None]
            hidden = hidden + self.position_embedding(positions).to(hidden.dtype)
        return hidden if self.embedding_norm is None else self.embedding_norm(hidden)

    def block(self, index: int) -> Block:
        """Return one block; -1 is the last."""
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
        """Run blocks first .. last-1: `run_blocks(x, 0, L)` equals `run_blocks(run_blocks(x, 0, n),
        n, L)`.

        Used to run frozen lower blocks once and keep their output.
        """
        assert 0 <= first <= last <= self.config.num_layers, (first, last)
        return self._through(hidden, self.metadata(hidden[..., 0], mask, None), first, last, None)

    def attention_maps(
        self, ids: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "L B H T T"]:
        """Return the attention weights of every head of every layer, with the naive
        implementation.
        """
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
        """Return positions, angles and mask for `tokens` [B, T] (ids, or any tensor of that shape
        and device).
        """
        return self.metadata_builder(tokens, mask, cache, self.embedding.weight.dtype, documents)

    def _through(
        self, hidden: Tensor, metadata: ForwardMetadata, first: int, last: int, cache: Cache | None
    ) -> Tensor:
        for index in range(first, last):
            block, block_metadata = self.block(index), metadata.by_block[index]
            if self.recompute and cache is None and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, block_metadata, use_reentrant=False)
            else:
                hidden = block(
                    hidden,
                    block_metadata,
                    layer_cache=None if cache is None else cache.layer(index),
                )
        return hidden


def use_recompute(module: nn.Module, recompute: bool) -> None:
    """Enable or disable activation recomputation in every Transformer of `module`: only the inputs
    of blocks are saved for the backward pass.

    The gradients are bit-identical, with a third more arithmetic and far less memory (Chen et al.
    2016, section 4.1; each block a segment).
    """
    for part in module.modules():
        if isinstance(part, Transformer):
            part.recompute = recompute


def build_norm(config: ModelConfig) -> Norm:
    """Return a norm of the residual stream."""
    return NORMS[config.norm](config.width, eps=config.norm_eps)


def build_block(config: ModelConfig, layer: int) -> Block:
    """Return block `layer`, counted from 0."""
    window = 0 if config.sees_all(layer) else config.window_tokens
    scoring = Scoring(
        config.score_width or config.head_width, config.score_softcap, window, config.causal
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
    """Return the feed-forward part of a block: one network, or experts with a router."""
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
