"""Where the tokens of a text lie in a paged cache (`cache.PagedStore`), without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.model.config import ModelConfig


@dataclass(frozen=True)
class TokenSpan:
    """The new tokens of one row, after `start` stored ones."""

    pages: Sequence[int]
    """In order: token t is in pages[t // page_tokens]."""
    start: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.count


def stored_width(config: ModelConfig, dtype: Any) -> int:
    """Numbers that the key or value of a head takes: in int8 its scale follows, in 16 bits."""
    return config.head_width + 2 * (dtype.itemsize == 1)


def page_bytes(config: ModelConfig, page_tokens: int, dtype: Any) -> int:
    """`dtype`: of torch or numpy."""
    token_numbers = 2 * config.num_layers * config.num_kv_heads * stored_width(config, dtype)
    size: int = page_tokens * token_numbers * dtype.itemsize
    return size
