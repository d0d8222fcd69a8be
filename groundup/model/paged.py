"""Keys and values of many rows in one store of pages, and rows of different length in one call.

A page holds the keys and values of a fixed number of tokens in every layer. Which page belongs to whom is decided elsewhere
(`engine/pages.py`); here the Transformer writes new tokens into the pages that it is told and reads the old ones back:

    store = PagedStore(model.config, num_pages=64, page_tokens=16)
    rows = store.rows([Span(pages=[3, 4], start=20, count=1), Span(pages=[9], start=0, count=5)])
    model(ids, cache=rows)          # ids [1, 6]: the one new token of the first row, then the five of the second

The rows stand one after the other in a single line of N tokens, so that no matrix sees padding: products, norms and positions treat each
token alone anyway. Attention takes the line group by group: neighbours with one new token each and about as many stored ones, or with about as many
new tokens behind equally many stored ones, are padded to the longest and attended to together; every other row by itself. All new keys and values are
stored before any query looks, so a row may have pages that another row of the same call fills (`engine/ragged_batch.py` is built on that).
Idea of the pages: Kwon et al. 2023 (PagedAttention, arXiv:2309.06180), section 4.

A row by itself whose pages follow one another in the store is read where it lies; else pages are first copied together (`index_select`), which
costs little for short texts and up to half of the attention again for long ones (docs/log.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.model.attention import Attending, AttentionMetadata
from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig

# Rows of up to so many tokens (those with one new token), or so many new ones, are attended to together whatever their lengths: a call of its own
# costs more than the padding.
SHORT_TOKENS, SHORT_NEW_TOKENS = 256, 64
# Longer ones only where the shortest has this share of the longest's tokens.
ALIKE_SHARE = 3 / 4
# Stored tokens that are copied together for one call at most, padding included: 50 MB of SmolLM2's keys.
MAX_STORED_TOKENS = 2**16


@dataclass(frozen=True)
class TokenSpan:
    """The new tokens of one row: they stand at positions start .. start + count - 1, behind `start` stored ones."""

    pages: Sequence[int]
    """The row's pages in order: token t is in pages[t // page_tokens]."""
    start: int
    count: int

    @property
    def stop(self) -> int:
        """Tokens that the row has with the new ones."""
        return self.start + self.count


@dataclass(frozen=True)
class RowGroup:
    """Rows whose attention is computed in one call, the shorter ones padded at their end."""

    spans: tuple[TokenSpan, ...]

    @property
    def count(self) -> int:
        """New tokens of all."""
        return sum(span.count for span in self.spans)

    @property
    def longest(self) -> int:
        """New tokens of the row that has most."""
        return max(span.count for span in self.spans)

    @property
    def stop(self) -> int:
        """Tokens of the longest row."""
        return max(span.stop for span in self.spans)

    @property
    def starts_alike(self) -> bool:
        """Whether all new tokens stand behind equally many stored ones: then padding is later than whatever is real, and causality hides it."""
        return len({span.start for span in self.spans}) == 1


class PagedStore:
    """Keys and values of num_pages x page_tokens tokens: room is asked for once, and the system gives it page by page as it is first written."""

    def __init__(
        self,
        config: ModelConfig,
        num_pages: int,
        page_tokens: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        passing: bool = False,
    ) -> None:
        """`passing`: for one call only, with nothing to go on from; each layer then writes where the one before it wrote."""
        self.page_tokens = page_tokens
        shape = (1 if passing else config.num_layers, num_pages * page_tokens, config.num_kv_heads, config.head_width)
        self.keys, self.values = (
            torch.empty(shape, device=device, dtype=dtype).expand(config.num_layers, -1, -1, -1) for _ in range(2)
        )  # [L, P page_tokens, K, D] each

    def clear(self, pages: Sequence[int]) -> None:
        """Zeros into pages that a row begins to use. Rows are read to the end of a page, and 0 times what another row left there may be no number."""
        index = torch.tensor(pages, dtype=torch.long, device=self.keys.device)
        for stored in (self.keys, self.values):
            stored.unflatten(1, (-1, self.page_tokens)).index_fill_(1, index, 0)

    def rows(self, spans: Sequence[TokenSpan], *, each_alone: bool = False) -> "PagedRows":
        """What the Transformer takes as the cache of one call. `each_alone`: every row's attention by itself, never beside others' padding."""
        groups = tuple(RowGroup((span,)) for span in spans) if each_alone else grouped(spans)
        return PagedRows(self, groups)


def page_bytes(config: ModelConfig, page_tokens: int, dtype: torch.dtype) -> int:
    """Memory of one page: keys and values of its tokens in every layer."""
    return 2 * config.num_layers * page_tokens * config.num_kv_heads * config.head_width * dtype.itemsize


class PagedRows:
    """The rows of one call: where their new tokens go, and where their old ones are."""

    def __init__(self, store: PagedStore, groups: tuple[RowGroup, ...]) -> None:
        self.store, self.groups = store, groups
        device = store.keys.device
        spans = [span for group in groups for span in group.spans]
        self.slots = torch.tensor([slot for span in spans for slot in self._slots(span)], device=device)  # [N]
        self.stored = [self._stored(group, device) for group in groups]
        self.real = [_real(group, device) for group in groups]

    def layer(self, index: int) -> "PagedLayerCache":
        """The memory of one block."""
        return PagedLayerCache(self, index)

    def advance(self, num_tokens: int) -> None:
        """Nothing to count here: the spans say where every row stands."""

    def _slots(self, span: TokenSpan) -> list[int]:
        size, pages = self.store.page_tokens, span.pages
        return [pages[t // size] * size + t % size for t in range(span.start, span.stop)]

    def _stored(self, group: RowGroup, device: torch.device) -> slice | Int[Tensor, "rows P"]:
        """Where the tokens of a group are: a slice of the store for one row whose pages follow one another, else the pages of each row."""
        size = self.store.page_tokens
        tables = [list(span.pages[: -(-span.stop // size)]) for span in group.spans]
        if len(tables) == 1 and is_run(tables[0]):
            return slice(tables[0][0] * size, tables[0][0] * size + group.stop)
        longest = max(map(len, tables))
        return torch.tensor([table + table[-1:] * (longest - len(table)) for table in tables], device=device)


def grouped(spans: Sequence[TokenSpan]) -> tuple[RowGroup, ...]:
    """Neighbours that suit one another together; every other row alone."""
    groups: list[list[TokenSpan]] = []
    for span in spans:
        if groups and suits(span, groups[-1]):
            groups[-1].append(span)
        else:
            groups.append([span])
    return tuple(RowGroup(tuple(group)) for group in groups)


def suits(span: TokenSpan, group: Sequence[TokenSpan]) -> bool:
    """Whether to attend to one more row in the same call as a group: it must be possible, and cost less than a call of its own.

    Compared with the group's first row: so give rows in the order of their lengths.
    """
    first = group[0]
    if (len(group) + 1) * max(first.stop, span.stop) > MAX_STORED_TOKENS:
        return False
    if first.count == span.count == 1:
        return alike(first.stop, span.stop, SHORT_TOKENS)
    return (
        min(first.count, span.count) > 1
        and first.start == span.start
        and alike(first.count, span.count, SHORT_NEW_TOKENS)
    )


def alike(size: int, other: int, short: int) -> bool:
    """Whether both are short, or near one another."""
    return max(size, other) <= short or min(size, other) >= ALIKE_SHARE * max(size, other)


def is_run(pages: Sequence[int]) -> bool:
    """Whether each page is the next one of the store.

    >>> is_run([4, 5, 6]), is_run([4, 6])
    (True, False)
    """
    return all(page == first for first, page in enumerate(pages, pages[0]))


@dataclass(frozen=True)
class PagedLayerCache:
    """One layer's part of the call, as `attention.Memory`."""

    call: PagedRows
    index: int

    def attend(
        self,
        attention: Attending,
        queries: Float[Tensor, "1 H N D"],
        keys: Float[Tensor, "1 K N D"],
        values: Float[Tensor, "1 K N D"],
        place: AttentionMetadata,
    ) -> Float[Tensor, "1 H N D"]:
        """Store the new tokens of all rows, then each row's queries with that row's keys and values."""
        store = self.call.store
        stored_keys, stored_values = store.keys[self.index], store.values[self.index]  # [P page_tokens, K, D]
        stored_keys.index_copy_(0, self.call.slots, keys[0].transpose(0, 1).to(stored_keys.dtype))
        stored_values.index_copy_(0, self.call.slots, values[0].transpose(0, 1).to(stored_values.dtype))
        mixed = []
        counts = [group.count for group in self.call.groups]
        for index, (asking, own) in enumerate(zip(queries.split(counts, dim=2), place.rows, strict=True)):
            real = self.call.real[index]
            rows = _one_a_row(asking, self.call.groups[index], real)
            seen_keys, seen_values = self._read(stored_keys, index), self._read(stored_values, index)
            mixed.append(_in_line(attention(rows, seen_keys, seen_values, own.allowed, own.bias), real))
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=2)

    def _read(self, stored: Float[Tensor, "slots K D"], index: int) -> Float[Tensor, "rows K S D"]:
        where, stop = self.call.stored[index], self.call.groups[index].stop
        if isinstance(where, slice):
            return stored[where].transpose(0, 1)[None]  # [S, K, D] -> [1, K, S, D]
        pages = stored.view(-1, self.call.store.page_tokens * stored.shape[1], stored.shape[2])
        taken = pages.index_select(0, where.flatten())  # [rows P, page_tokens K, D]
        return taken.view(len(where), -1, *stored.shape[1:])[:, :stop].transpose(1, 2)


def _real(group: RowGroup, device: torch.device) -> Int[Tensor, " N"] | None:
    """Where the new tokens of a group stand when each row is padded to the longest; None where no row is."""
    longest = group.longest
    if group.count == longest * len(group.spans):
        return None
    places = [row * longest + place for row, span in enumerate(group.spans) for place in range(span.count)]
    return torch.tensor(places, device=device)


def _one_a_row(
    asking: Float[Tensor, "1 H N D"], group: RowGroup, real: Int[Tensor, " N"] | None
) -> Float[Tensor, "rows H T D"]:
    """The queries of a group, row by row."""
    rows = len(group.spans)
    if real is not None:
        padded = asking.new_zeros(1, asking.shape[1], rows * group.longest, asking.shape[3])
        asking = padded.index_copy_(2, real, asking)
    return asking if rows == 1 else asking.unflatten(2, (rows, -1))[0].transpose(0, 1)


def _in_line(mixed: Float[Tensor, "rows H T D"], real: Int[Tensor, " N"] | None) -> Float[Tensor, "1 H N D"]:
    """The rows of a group one after the other again, without padding."""
    line = mixed if len(mixed) == 1 else mixed.transpose(0, 1).flatten(1, 2)[None]
    return line if real is None else line.index_select(2, real)


Cache = KVCache | PagedRows
"""What a Transformer can go on from: rows of one length, or of many."""
