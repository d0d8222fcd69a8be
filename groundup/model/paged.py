"""Keys and values of many rows in one store of pages, and rows of different length in one call.

A page holds the keys and values of a fixed number of tokens in every layer. Which page belongs to whom is decided elsewhere
(`engine/pages.py`); here the Transformer writes new tokens into the pages that it is told and reads the old ones back:

    store = PagedStore(model.config, num_pages=64, page_tokens=16)
    rows = store.rows([Span(pages=[3, 4], start=20, count=1), Span(pages=[9], start=0, count=5)])
    model(ids, cache=rows)          # ids [1, 6]: the one new token of the first row, then the five of the second

The rows stand one after the other in a single line of N tokens, so that nothing is padded: matrices, norms and positions treat each token
alone anyway, and attention is called row by row. A row's attention is therefore computed from the same numbers in the same order whoever
its neighbours are. Idea of the pages: Kwon et al. 2023 (PagedAttention, arXiv:2309.06180), section 4.

Pages that follow one another in the store are read where they lie; others are first copied together (`index_select`), which
costs little for short texts and up to half of the attention again for long ones (docs/log.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.model.attention import Attending, Place
from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig


@dataclass(frozen=True)
class Span:
    """The new tokens of one row: they stand at positions start .. start + count - 1, behind `start` stored ones."""

    pages: Sequence[int]
    """The row's pages in order: token t is in pages[t // page_tokens]."""
    start: int
    count: int

    @property
    def stop(self) -> int:
        """Tokens that the row has with the new ones."""
        return self.start + self.count


class PagedStore:
    """Keys and values of num_pages x page_tokens tokens: memory is taken once (the system gives it when it is first written)."""

    def __init__(
        self,
        config: ModelConfig,
        num_pages: int,
        page_tokens: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.page_tokens = page_tokens
        shape = (config.num_layers, num_pages * page_tokens, config.num_kv_heads, config.head_width)
        self.keys = torch.empty(shape, device=device, dtype=dtype)  # [L, P page_tokens, K, D]
        self.values = torch.empty(shape, device=device, dtype=dtype)

    def rows(self, spans: Sequence[Span]) -> "PagedRows":
        """What the Transformer takes as the cache of one call."""
        return PagedRows(self, tuple(spans))


def page_bytes(config: ModelConfig, page_tokens: int, dtype: torch.dtype) -> int:
    """Memory of one page: keys and values of its tokens in every layer."""
    return 2 * config.num_layers * page_tokens * config.num_kv_heads * config.head_width * dtype.itemsize


class PagedRows:
    """The rows of one call: where their new tokens go, and where their old ones are."""

    def __init__(self, store: PagedStore, spans: tuple[Span, ...]) -> None:
        self.store, self.spans = store, spans
        device = store.keys.device
        self.slots = torch.tensor([slot for span in spans for slot in self._slots(span)], device=device)  # [N]
        self.stored = [self._stored(span, device) for span in spans]

    def layer(self, index: int) -> "PagedMemory":
        """The memory of one block."""
        return PagedMemory(self, index)

    def advance(self, num_tokens: int) -> None:
        """Nothing to count here: the spans say where every row stands."""

    def _slots(self, span: Span) -> list[int]:
        size, pages = self.store.page_tokens, span.pages
        return [pages[t // size] * size + t % size for t in range(span.start, span.stop)]

    def _stored(self, span: Span, device: torch.device) -> slice | Int[Tensor, " P"]:
        """The tokens of the row in the store: a slice where its pages follow one another, else the pages."""
        size = self.store.page_tokens
        pages = span.pages[: -(-span.stop // size)]
        if is_run(pages):
            return slice(pages[0] * size, pages[0] * size + span.stop)
        return torch.tensor(pages, device=device)


def is_run(pages: Sequence[int]) -> bool:
    """Whether each page is the next one of the store.

    >>> is_run([4, 5, 6]), is_run([4, 6])
    (True, False)
    """
    return all(page == first for first, page in enumerate(pages, pages[0]))


@dataclass(frozen=True)
class PagedMemory:
    """One layer's part of the call, as `attention.Memory`."""

    call: PagedRows
    index: int

    def attend(
        self,
        attention: Attending,
        queries: Float[Tensor, "1 H N D"],
        keys: Float[Tensor, "1 K N D"],
        values: Float[Tensor, "1 K N D"],
        place: Place,
    ) -> Float[Tensor, "1 H N D"]:
        """Store the new tokens of all rows, then each row's queries with that row's keys and values."""
        store = self.call.store
        stored_keys, stored_values = store.keys[self.index], store.values[self.index]  # [P page_tokens, K, D]
        stored_keys.index_copy_(0, self.call.slots, keys[0].transpose(0, 1).to(stored_keys.dtype))
        stored_values.index_copy_(0, self.call.slots, values[0].transpose(0, 1).to(stored_values.dtype))
        mixed = []
        counts = [span.count for span in self.call.spans]
        for row, (asking, own) in enumerate(zip(queries.split(counts, dim=2), place.rows, strict=True)):
            seen = (self._read(stored, row) for stored in (stored_keys, stored_values))
            mixed.append(attention(asking, *seen, own.allowed, own.bias))
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=2)

    def _read(self, stored: Float[Tensor, "slots K D"], row: int) -> Float[Tensor, "1 K S D"]:
        where, stop = self.call.stored[row], self.call.spans[row].stop
        if isinstance(where, slice):
            taken = stored[where]
        else:
            pages = stored.view(-1, self.call.store.page_tokens, *stored.shape[1:])
            taken = pages.index_select(0, where).flatten(0, 1)[:stop]
        return taken.transpose(0, 1)[None]  # [S, K, D] -> [1, K, S, D]


Cache = KVCache | PagedRows
"""What a Transformer can go on from: rows of one length, or of many."""
