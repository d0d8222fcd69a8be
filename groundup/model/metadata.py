"""Positions and masks of one call of the Transformer, computed once for all blocks.

Blocks of one model can differ in two ways, their window and whether they have rotary positions
(`config.window_of`, `config.rotates`); blocks that agree in both share one `AttentionMetadata`.

Padding: a mask [B, T] marks the real tokens, padding may be left or right. Positions count real
tokens, so that a padded text gives the same result as alone (transformers agrees when given those
positions). The output at a padding token has no meaning.

Packing: `documents` [B, T] numbers the documents of a row. A token attends to those of its own
document only, and positions restart with each, so that a document gives the same result as alone
(Ding et al. 2024, "Fewer Truncations Improve Language Modeling"). Tokens with the number SHARED, at
the beginning of a row, are read by all its documents, which continue their positions: one prompt
and several answers to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from groundup.errors import ModelError
from groundup.model.attention import EMPTY_METADATA, AttentionMetadata
from groundup.model.attention_steps import padded_mask, window_mask
from groundup.model.cache import Cache, PagedRows, RowGroup
from groundup.model.config import ModelConfig
from groundup.model.positions import (
    RelativeBias,
    Rotary,
    Rotation,
    alibi_bias,
    alibi_slopes,
    count_positions,
    document_positions,
)

# The number of a packed row's first tokens that all of its documents read.
SHARED = -2
# That of what fills a row up.
PADDING = -1


@dataclass(frozen=True)
class ForwardMetadata:
    positions: Int[Tensor, "#B T"]
    """Real tokens before each."""
    by_block: tuple[AttentionMetadata, ...]
    """Blocks of a kind share one object."""


class AttentionKind(NamedTuple):
    """What the attention of two blocks may differ in."""

    window_tokens: int
    rotates: bool


class MetadataBuilder(nn.Module):
    """Has no weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.kinds = [
            AttentionKind(config.window_of(layer), config.rotates(layer))
            for layer in range(config.num_layers)
        ]
        rotating = [kind for kind in self.kinds if kind.rotates]
        self.rotary: Rotary | None = None
        self.window_rotary: Rotary | None = None
        if any(not kind.window_tokens for kind in rotating):
            self.rotary = Rotary(
                config.head_width, base=config.rope_base, scaling=config.rope_scaling
            )
        if any(kind.window_tokens for kind in rotating):
            self.window_rotary = build_window_rotary(config)

    def forward(
        self,
        tokens: Tensor,
        mask: Bool[Tensor, "B T"] | None,
        cache: Cache | None,
        dtype: torch.dtype,
        documents: Int[Tensor, "B T"] | None = None,
        relative: RelativeBias | None = None,
    ) -> ForwardMetadata:
        """For `tokens` [B, T] (ids, or any tensor of that shape and device) after those in `cache`.
        `dtype`: of the residual stream; angles are cast once here. Raises ModelError.
        """
        if cache is not None and not self.config.causal:
            raise ModelError(
                "An encoder attends to later tokens too, so the keys and values of earlier ones "
                "can't be cached.",
                fix="Give it whole texts, without a cache.",
            )
        if documents is not None:
            assert mask is None and cache is None, "packed rows have neither a mask nor a cache"
            assert self.config.causal, "packed rows are for models that predict the next token"
            return self._packed(documents, dtype)
        if isinstance(cache, PagedRows):
            return self._ragged(tokens, cache.groups, dtype)
        batch, num_tokens = tokens.shape
        if cache is None:
            num_keys, real = num_tokens, self._padded(mask)
        else:
            cache.require_room(batch, num_tokens)
            num_keys, real = cache.length + num_tokens, cache.note_real(mask, num_tokens)
        self._require_context(num_keys)
        keys = torch.arange(num_keys, device=tokens.device)[None]  # [1, S]
        if real is not None:
            keys = count_positions(real, num_keys)  # [B, S]
        positions = keys[:, -num_tokens:]
        bias = self._bias(positions, keys, dtype)

        def metadata(kind: AttentionKind) -> AttentionMetadata:
            allowed = self._allowed(kind.window_tokens, num_tokens, keys, real)
            rotation = self._rotation(kind, positions, dtype)
            if relative is None:
                return AttentionMetadata(rotation, allowed, bias)
            learned = relative.between(positions, keys).to(dtype)
            if allowed is not None:  # masked here, once for all blocks
                learned = learned.masked_fill(~allowed, -torch.inf)
            return AttentionMetadata(rotation, bias=learned)

        return self._for_blocks(positions, metadata)

    def _for_blocks(
        self, positions: Tensor, metadata: Callable[[AttentionKind], AttentionMetadata]
    ) -> ForwardMetadata:
        by_kind = {kind: metadata(kind) for kind in dict.fromkeys(self.kinds)}
        return ForwardMetadata(positions, tuple(by_kind[kind] for kind in self.kinds))

    def _padded(self, mask: Tensor | None) -> Tensor | None:
        """None without padding, or where the causal mask hides it all."""
        if mask is None:
            return None
        hidden = is_right_padded(mask) if self.config.causal else bool(mask.all())
        return None if hidden else mask

    def _packed(self, documents: Tensor, dtype: torch.dtype) -> ForwardMetadata:
        """A block mask, and positions that restart with each document (of ALiBi only distances
        count).
        """
        num_tokens, device = documents.shape[1], documents.device
        positions = document_positions(documents)
        places = torch.arange(num_tokens, device=device)[None]
        same = documents[:, None, :, None] == documents[:, None, None, :]  # [B, 1, T, S]
        shared = documents == SHARED
        has_shared = bool(shared.any())
        if has_shared:
            positions = positions + shared.sum(1, keepdim=True) * ~shared
            positions = positions.masked_fill(documents == PADDING, 0)
            same, places = same | shared[:, None, None, :], positions
            self._require_context(int(positions.max()) + 1)
        else:
            self._require_context(num_tokens)
        bias = self._bias(places, places, dtype)

        def metadata(kind: AttentionKind) -> AttentionMetadata:
            window = 0 if has_shared else kind.window_tokens
            seen = window_mask(num_tokens, num_tokens, window, device)
            if has_shared and kind.window_tokens:  # by positions: the documents lie further apart
                distance = positions[:, None, :, None] - positions[:, None, None, :]
                seen = seen & (distance < kind.window_tokens)
            rotation = self._rotation(kind, positions, dtype)
            return AttentionMetadata(rotation, same & seen, bias, packed=True)

        return self._for_blocks(positions, metadata)

    def _ragged(
        self, tokens: Tensor, groups: Sequence[RowGroup], dtype: torch.dtype
    ) -> ForwardMetadata:
        """Rows concatenated in `tokens` [1, N]: one rotation for all, mask and bias for each
        group.
        """
        self._require_context(max(group.stop for group in groups))
        spans = [span for group in groups for span in group.spans]
        listed = [position for span in spans for position in range(span.start, span.stop)]
        positions = torch.tensor([listed], device=tokens.device)  # [1, N]

        def metadata(kind: AttentionKind) -> AttentionMetadata:
            rows = tuple(self._group(kind, group, tokens.device, dtype) for group in groups)
            return AttentionMetadata(self._rotation(kind, positions, dtype), rows=rows)

        return self._for_blocks(positions, metadata)

    def _group(
        self, kind: AttentionKind, group: RowGroup, device: torch.device, dtype: torch.dtype
    ) -> AttentionMetadata:
        """A single new token without ALiBi needs neither mask nor bias."""
        if group.same_start and group.longest == 1 and self.config.positions != "alibi":
            return EMPTY_METADATA
        keys = torch.arange(group.stop, device=device)[None]  # [1, S]
        if group.same_start:
            positions = keys[:, group.spans[0].start :]
            allowed = self._allowed(kind.window_tokens, group.longest, keys, None)
        else:
            starts = [[span.start] for span in group.spans]
            positions = torch.tensor(starts, device=device)  # [rows, 1]
            allowed = seen_keys(positions, keys, kind.window_tokens)
        return AttentionMetadata(None, allowed, self._bias(positions, keys, dtype))

    def _require_context(self, num_tokens: int) -> None:
        if num_tokens > self.config.context_tokens:
            raise ModelError(
                f"A text of {num_tokens} tokens is longer than the model's context of "
                f"{self.config.context_tokens}.",
                fix="Shorten the text, or use a model with a longer context.",
            )

    def _rotation(
        self, kind: AttentionKind, positions: Tensor, dtype: torch.dtype
    ) -> Rotation | None:
        rotary = self.window_rotary if kind.window_tokens else self.rotary
        if rotary is None or not kind.rotates:
            return None
        cosine, sine = rotary(positions)
        return Rotation(cosine.to(dtype), sine.to(dtype))

    def _bias(self, positions: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor | None:
        if self.config.positions != "alibi":
            return None
        slopes = alibi_slopes(self.config.num_heads).to(keys.device)
        return alibi_bias(slopes, positions, keys).to(dtype)

    def _allowed(
        self, window_tokens: int, num_queries: int, keys: Tensor, real: Tensor | None
    ) -> Tensor | None:
        if real is not None:
            return padded_mask(real, num_queries, window_tokens, causal=self.config.causal)
        if num_queries == 1 or not 0 < window_tokens < keys.shape[1]:
            return None
        return window_mask(num_queries, keys.shape[1], window_tokens, keys.device)[None, None]


def build_window_rotary(config: ModelConfig) -> Rotary:
    """Of blocks with a window; their own base is not scaled."""
    if config.window_rope_base > 0:
        return Rotary(config.head_width, base=config.window_rope_base)
    return Rotary(config.head_width, base=config.rope_base, scaling=config.rope_scaling)


def seen_keys(
    positions: Int[Tensor, "rows T"], keys: Int[Tensor, "1 S"], window_tokens: int
) -> Bool[Tensor, "rows 1 T S"]:
    """The keys up to each position, within the window if there is one."""
    distance = positions[:, None, :, None] - keys[:, None, None, :]
    if window_tokens:
        return (distance >= 0) & (distance < window_tokens)
    return distance >= 0


def is_right_padded(mask: Bool[Tensor, "B T"]) -> bool:
    """Padding follows the real tokens in every row: then no real token can attend to it."""
    real_after_padding = mask[:, 1:] & ~mask[:, :-1]
    return not bool(real_after_padding.any())
