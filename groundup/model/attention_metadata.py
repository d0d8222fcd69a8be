"""Positions and masks of one forward call, computed once for all blocks.

Blocks of one model can differ in two ways: some have a window, some no rotary positions (`config.sees_all`, `config.rotates`). Each kind of
block has one `AttentionMetadata`. Padding: a mask [B, T] marks the real tokens; positions count only those, so that a padded text gives the
same result as alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from groundup.errors import ModelError
from groundup.model.attention import EMPTY_METADATA, AttentionMetadata
from groundup.model.attention_steps import padded_mask, window_mask
from groundup.model.config import ModelConfig
from groundup.model.paged import Cache, PagedRows, RowGroup
from groundup.model.positions import Rotary, Rotation, alibi_bias, alibi_slopes, count_positions

AttentionKind = tuple[bool, bool]  # (sees all tokens before it, has rotary positions)


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
        self.kinds = [(config.sees_all(layer), config.rotates(layer)) for layer in range(config.num_layers)]
        self.rotary = _rotary(config) if (True, True) in self.kinds else None
        self.window_rotary = _rotary(config, windowed=True) if (False, True) in self.kinds else None

    def forward(
        self, tokens: Tensor, mask: Bool[Tensor, "B T"] | None, cache: Cache | None, dtype: torch.dtype
    ) -> ForwardMetadata:
        """Return the metadata for `tokens` [B, T] (ids, or any tensor of that shape and device) after those in `cache`. Raises ModelError.

        `dtype` is that of the residual stream: angles are cast once here, not in every block.
        """
        if isinstance(cache, PagedRows):
            return self._ragged(tokens, cache.groups, dtype)
        batch, num_tokens = tokens.shape
        if cache is None:
            num_keys = num_tokens
            real = None if mask is None or is_right_padded(mask) else mask  # else the causal mask hides all padding
        else:
            cache.require_room(batch, num_tokens)
            num_keys, real = cache.length + num_tokens, cache.note_real(mask, num_tokens)
        self._require_context(num_keys)
        keys = torch.arange(num_keys, device=tokens.device)[None]  # [1, S]
        if real is not None:
            keys = count_positions(real, num_keys)  # [B, S]
        positions, built = keys[:, -num_tokens:], {}
        for kind in set(self.kinds):
            rotation, allowed = self._rotation(kind, positions, dtype), self._allowed(kind[0], num_tokens, keys, real)
            built[kind] = AttentionMetadata(rotation, allowed, self._bias(positions, keys, dtype))
        return ForwardMetadata(positions, tuple(built[kind] for kind in self.kinds))

    def _ragged(self, tokens: Tensor, groups: Sequence[RowGroup], dtype: torch.dtype) -> ForwardMetadata:
        """For a ragged batch, its rows concatenated in `tokens` [1, N]: one rotation for all, mask and bias for each group."""
        self._require_context(max(group.stop for group in groups))
        listed = [position for group in groups for span in group.spans for position in range(span.start, span.stop)]
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
            positions = torch.tensor([[span.start] for span in group.spans], device=device)  # [rows, 1]
            allowed = seen_keys(positions, keys, 0 if kind[0] else self.config.window_tokens)
        return AttentionMetadata(None, allowed, self._bias(positions, keys, dtype))

    def _require_context(self, num_tokens: int) -> None:
        if num_tokens > self.config.context_tokens:
            raise ModelError(
                f"A text of {num_tokens} tokens is longer than the model's context of {self.config.context_tokens}.",
                fix="Shorten the text, or take a model with a longer context.",
            )

    def _rotation(self, kind: AttentionKind, positions: Tensor, dtype: torch.dtype) -> Rotation | None:
        sees_all, rotates = kind
        rotary = self.rotary if sees_all else self.window_rotary
        return Rotation(*(each.to(dtype) for each in rotary(positions))) if rotary is not None and rotates else None

    def _bias(self, positions: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor | None:
        if self.config.positions != "alibi":
            return None
        return alibi_bias(alibi_slopes(self.config.num_heads).to(keys.device), positions, keys).to(dtype)

    def _allowed(self, sees_all: bool, num_queries: int, keys: Tensor, real: Tensor | None) -> Tensor | None:
        window = 0 if sees_all else self.config.window_tokens
        if real is not None:
            return padded_mask(real, num_queries, window)
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
    """Rotary positions of a kind of block; those with a window may have their own base, which is not scaled."""
    own_base = windowed and config.window_rope_base > 0
    base, scaling = (config.window_rope_base, None) if own_base else (config.rope_base, config.rope_scaling)
    return Rotary(config.head_width, base=base, scaling=scaling)


def is_right_padded(mask: Bool[Tensor, "B T"]) -> bool:
    """Whether padding follows the real tokens in every row (or there is none): then no real token can attend to padding."""
    real_after_padding = mask[:, 1:] & ~mask[:, :-1]
    return not bool(real_after_padding.any())
