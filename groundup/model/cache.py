"""The KV cache: keys and values of earlier tokens do not change, so they are computed once and
stored.

    cache = KVCache(model.config, batch=1, capacity=64)
    model(prompt_ids, cache=cache)           # prefill: all tokens of the prompt at once
    model(next_id, cache=cache)              # decode: one token per call, same logits as from the
                                             # whole text

All rows of a `KVCache` have the same `length`; shorter ones are padded. The paged cache has the
keys and values of rows of different length in one store (PagedAttention, Kwon et al. 2023,
arXiv:2309.06180, section 4). A page holds those of a fixed number of tokens in every layer;
`engine/pages.py` assigns pages to rows:

    store = PagedStore(model.config, num_pages=64, page_tokens=16)
    rows = store.rows([TokenSpan(pages=[3, 4], start=20, count=1), TokenSpan(pages=[9], start=0,
        count=5)])
    model(ids, cache=rows)          # ids [1, 6]: the one new token of the first row, then the five
                                    # of the second

The rows are concatenated to N tokens without padding, since products, norms and positions treat
each token independently. Attention takes groups of adjacent rows of similar length, padded to the
longest; every other row by itself. All new keys and values are stored before any query is computed,
so rows may share pages that are filled in the same call. A single row with contiguous pages is read
in place; otherwise the pages are first gathered, which costs little for short texts and up to half
of the attention again for long ones (docs/log.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.attention import AttentionFunction, AttentionMetadata, LayerCache
from groundup.model.config import ModelConfig
from groundup.model.token_span import TokenSpan
from groundup.model.token_span import page_bytes as page_bytes

# Rows of at most this many tokens (with one new token), or this many new ones, are grouped whatever
# their lengths: a separate call costs more than the padding.
SHORT_TOKENS, SHORT_NEW_TOKENS = 256, 64
# Longer rows only where the shortest has this share of the longest's tokens.
SIMILAR_SHARE = 3 / 4
# The most stored tokens gathered for one call, padding included: 50 MB of SmolLM2's keys.
MAX_STORED_TOKENS = 2**16


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
        """`capacity` in tokens; None: the model's context. Raises ModelError when it exceeds
        that.
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
        """Store the new tokens after `length`, then attend to all. No gradient flows through the
        cache.
        """
        end = self.length + keys.shape[2]
        for stored, new in ((self.keys, keys), (self.values, values)):
            stored[index, :, :, self.length : end] = new.detach()
        keys, values = self.keys[index, :, :, :end], self.values[index, :, :, :end]  # [B, K, S, D]
        return attention(queries, keys, values, metadata.allowed, metadata.bias)

    def require_room(self, batch: int, num_tokens: int) -> None:
        """Raise ModelError when they don't fit, or the batch size differs."""
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
        """Record which of the new tokens are real (None: all). Return the marks of all S tokens, or
        None.
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
        """When all layers have written: a failed call leaves the cache unchanged."""
        self.length += num_tokens

    def shorten(self, length: int) -> None:
        """Forget all tokens after the first `length`, such as drafts that were wrong."""
        assert 0 <= length <= self.length, (length, self.length)
        self.length = length


@dataclass(frozen=True)
class RowGroup:
    """Rows with attention in one call, the shorter ones padded on the right."""

    spans: tuple[TokenSpan, ...]

    @property
    def count(self) -> int:
        return sum(span.count for span in self.spans)

    @property
    def longest(self) -> int:
        """New tokens of a row, at most."""
        return max(span.count for span in self.spans)

    @property
    def stop(self) -> int:
        return max(span.stop for span in self.spans)

    @property
    def same_start(self) -> bool:
        """Then padding comes after all real tokens, and the causal mask hides it."""
        return len({span.start for span in self.spans}) == 1


class PagedStore:
    """Keys and values of num_pages x page_tokens tokens; the system commits the memory when it is
    first written.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_pages: int,
        page_tokens: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        single_use: bool = False,
    ) -> None:
        """`single_use`: for one call without stored tokens; all layers then share the memory of
        one.
        """
        self.page_tokens = page_tokens
        layers = config.num_layers
        stored = 1 if single_use else layers
        shape = (stored, num_pages * page_tokens, config.num_kv_heads, config.head_width)
        self.keys, self.values = (
            torch.empty(shape, device=device, dtype=dtype).expand(layers, -1, -1, -1)
            for _ in range(2)
        )  # [L, P page_tokens, K, D] each

    def clear(self, pages: Sequence[int]) -> None:
        """Zero pages that a row starts to use: 0 times an old value there may be non-finite."""
        index = torch.tensor(pages, dtype=torch.long, device=self.keys.device)
        for stored in (self.keys, self.values):
            stored.unflatten(1, (-1, self.page_tokens)).index_fill_(1, index, 0)

    def rows(self, spans: Sequence[TokenSpan], *, separately: bool = False) -> "PagedRows":
        """`separately`: the attention of every row by itself, without padding."""
        if separately:
            return PagedRows(self, tuple(RowGroup((span,)) for span in spans))
        return PagedRows(self, group_spans(spans))


class PagedRows:
    def __init__(self, store: PagedStore, groups: tuple[RowGroup, ...]) -> None:
        self.store, self.groups = store, groups
        device = store.keys.device
        size, spans = store.page_tokens, [span for group in groups for span in group.spans]
        slots = [
            span.pages[t // size] * size + t % size
            for span in spans
            for t in range(span.start, span.stop)
        ]
        self.slots = torch.tensor(slots, device=device)  # [N]
        self.stored = [self._stored(group, device) for group in groups]
        self.real = [_real(group, device) for group in groups]

    def layer(self, index: int) -> LayerCache:
        return partial(self.attend, index)

    def advance(self, num_tokens: int) -> None:
        """The spans have the lengths of the rows."""

    def attend(
        self,
        index: int,
        attention: AttentionFunction,
        queries: Float[Tensor, "1 H N D"],
        keys: Float[Tensor, "1 K N D"],
        values: Float[Tensor, "1 K N D"],
        metadata: AttentionMetadata,
    ) -> Float[Tensor, "1 H N D"]:
        """Store the new tokens of all rows, then each row's queries attend to that row's."""
        stored = self.store.keys[index], self.store.values[index]  # [P page_tokens, K, D] each
        for numbers, new in zip(stored, (keys, values), strict=True):
            numbers.index_copy_(0, self.slots, new[0].transpose(0, 1).to(numbers.dtype))
        mixed = []
        new_queries = queries.split([group.count for group in self.groups], dim=2)
        layouts = zip(self.groups, self.stored, self.real, strict=True)
        for (group, where, real), new, own in zip(layouts, new_queries, metadata.rows, strict=True):
            seen_keys, seen_values = (self._read(numbers, where, group.stop) for numbers in stored)
            rows = attention(_pad(new, group, real), seen_keys, seen_values, own.allowed, own.bias)
            mixed.append(_unpad(rows, real))
        if len(mixed) == 1:
            return mixed[0]
        return torch.cat(mixed, dim=2)

    def _read(
        self, stored: Float[Tensor, "slots K D"], where: slice | Tensor, stop: int
    ) -> Float[Tensor, "rows K S D"]:
        if isinstance(where, slice):
            return stored[where].transpose(0, 1)[None]  # [S, K, D] -> [1, K, S, D]
        pages = stored.view(-1, self.store.page_tokens * stored.shape[1], stored.shape[2])
        taken = pages.index_select(0, where.flatten())  # [rows P, page_tokens K, D]
        return taken.view(len(where), -1, *stored.shape[1:])[:, :stop].transpose(1, 2)

    def _stored(self, group: RowGroup, device: torch.device) -> slice | Int[Tensor, "rows P"]:
        """A slice of the store for one row with contiguous pages, else the pages of each row."""
        size = self.store.page_tokens
        tables = [list(span.pages[: -(-span.stop // size)]) for span in group.spans]
        if len(tables) == 1 and is_contiguous(tables[0]):
            return slice(tables[0][0] * size, tables[0][0] * size + group.stop)
        longest = max(map(len, tables))
        padded = [table + table[-1:] * (longest - len(table)) for table in tables]
        return torch.tensor(padded, device=device)


def group_spans(spans: Sequence[TokenSpan]) -> tuple[RowGroup, ...]:
    """Adjacent rows that fit together; every other row is a group of its own."""
    groups: list[list[TokenSpan]] = []
    for span in spans:
        if groups and fits_group(span, groups[-1]):
            groups[-1].append(span)
        else:
            groups.append([span])
    return tuple(RowGroup(tuple(group)) for group in groups)


def fits_group(span: TokenSpan, group: Sequence[TokenSpan]) -> bool:
    """Possible, and cheaper than a separate call. Rows should be sorted by length."""
    first = group[0]
    if (len(group) + 1) * max(first.stop, span.stop) > MAX_STORED_TOKENS:
        return False
    if first.count == span.count == 1:
        return similar_length(first.stop, span.stop, SHORT_TOKENS)
    return (
        min(first.count, span.count) > 1
        and first.start == span.start
        and similar_length(first.count, span.count, SHORT_NEW_TOKENS)
    )


def similar_length(size: int, other: int, short: int) -> bool:
    """Both short, or differing by at most a quarter."""
    return max(size, other) <= short or min(size, other) >= SIMILAR_SHARE * max(size, other)


def is_contiguous(pages: Sequence[int]) -> bool:
    """Whether each page follows the one before.

    >>> is_contiguous([4, 5, 6]), is_contiguous([4, 6])
    (True, False)
    """
    return all(page == first for first, page in enumerate(pages, pages[0]))


def _real(group: RowGroup, device: torch.device) -> Int[Tensor, " N"] | None:
    """The indices of a group's new tokens when each row is padded; None without padding."""
    longest = group.longest
    if group.count == longest * len(group.spans):
        return None
    places = [
        row * longest + place for row, span in enumerate(group.spans) for place in range(span.count)
    ]
    return torch.tensor(places, device=device)


def _pad(
    queries: Float[Tensor, "1 H N D"], group: RowGroup, real: Int[Tensor, " N"] | None
) -> Float[Tensor, "rows H T D"]:
    rows = len(group.spans)
    if real is not None:
        padded = queries.new_zeros(1, queries.shape[1], rows * group.longest, queries.shape[3])
        queries = padded.index_copy_(2, real, queries)
    if rows == 1:
        return queries
    return queries.unflatten(2, (rows, -1))[0].transpose(0, 1)


def _unpad(
    mixed: Float[Tensor, "rows H T D"], real: Int[Tensor, " N"] | None
) -> Float[Tensor, "1 H N D"]:
    if len(mixed) > 1:
        mixed = mixed.transpose(0, 1).flatten(1, 2)[None]
    return mixed if real is None else mixed.index_select(2, real)


Cache = KVCache | PagedRows
