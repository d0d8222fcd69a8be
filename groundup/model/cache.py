"""The KV cache: keys and values of earlier tokens do not change, so they are computed once and
stored.

    cache = KVCache(model.config, batch=1, capacity=64)
    model(prompt_ids, cache=cache)           # prefill: all tokens of the prompt at once
    model(next_id, cache=cache)              # decode: one token per call, same logits as from the
                                             whole text

Memory is allocated once, for `capacity` tokens per row. All rows have the same `length`; shorter
ones are padded, with marks of the real tokens. `attend` (per layer) writes after `length`, and
`advance` moves `length` when all layers have written, so that a failed call leaves the cache
unchanged. `model/paged.py` is the cache for rows of different lengths.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.attention import AttentionFunction, AttentionMetadata, LayerCache
from groundup.model.config import ModelConfig


class KVCache:
    """Keys and values of up to `capacity` tokens in every layer: 2 L B K capacity D numbers."""

    def __init__(
        self,
        config: ModelConfig,
        batch: int = 1,
        capacity: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`capacity` in tokens; None: the model's context.

        Raises ModelError when it exceeds the context.
        """
        if capacity is None:
            capacity = config.context_tokens
        if not 0 < capacity <= config.context_tokens:
            raise ModelError(
                f"A cache of {capacity} tokens does not suit a model with a context of "
                f"{config.context_tokens}."
            )
        self.capacity = capacity
        shape = (config.num_layers, batch, config.num_kv_heads, self.capacity, config.head_width)
        self.keys, self.values = (torch.zeros(shape, device=device, dtype=dtype) for _ in range(2))
        self.length = 0
        self._real: Tensor | None = None  # [B, capacity]; None while no token was padding

    def layer(self, index: int) -> LayerCache:
        """Return the cache of one block."""
        return partial(self.attend, index)

    def attend(
        self,
        index: int,
        attention: AttentionFunction,
        queries: Float[Tensor, "B H T D"],
        keys: Float[Tensor, "B K T D"],
        values: Float[Tensor, "B K T D"],
        metadata: AttentionMetadata,
    ) -> Float[Tensor, "B H T D"]:
        """Store the new tokens of layer `index`, then let their queries attend to all stored ones.

        No gradient flows through the cache.
        """
        end = self.length + keys.shape[2]
        for stored, new in ((self.keys, keys), (self.values, values)):
            stored[index, :, :, self.length : end] = new.detach()
        keys, values = self.keys[index, :, :, :end], self.values[index, :, :, :end]  # [B, K, S, D]
        return attention(queries, keys, values, metadata.allowed, metadata.bias)

    def require_room(self, batch: int, num_tokens: int) -> None:
        """Raise ModelError when `num_tokens` more don't fit, or the batch size differs."""
        if batch != self.keys.shape[1]:
            raise ModelError(f"The cache was made for {self.keys.shape[1]} rows and got {batch}.")
        if self.length + num_tokens > self.capacity:
            raise ModelError(
                f"The cache holds {self.length} of at most {self.capacity} tokens, and {num_tokens} "
                "more do not fit."
            )

    def note_real(
        self, new: Bool[Tensor, "B T"] | None, num_tokens: int
    ) -> Bool[Tensor, "B S"] | None:
        """Record which of the new tokens are real (None: all).

        Return the marks of all S tokens, or None where all are real.
        """
        end = self.length + num_tokens
        if new is not None and self._real is None and not bool(new.all()):
            shape = new.shape[0], self.capacity
            self._real = torch.ones(shape, dtype=torch.bool, device=new.device)
        if self._real is None:
            return None
        if new is None:
            self._real[:, self.length : end] = True
        else:
            self._real[:, self.length : end] = new
        return self._real[:, :end]

    def advance(self, num_tokens: int) -> None:
        """Add the tokens that every layer has now stored to `length`."""
        self.length += num_tokens

    def shorten(self, length: int) -> None:
        """Forget all tokens after the first `length`, such as drafts that were wrong."""
        assert 0 <= length <= self.length, (length, self.length)
        self.length = length
