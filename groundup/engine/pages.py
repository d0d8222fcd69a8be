"""The paged KV cache: which row owns which page of keys and values (Kwon et al. 2023,
arXiv:2309.06180, section 4). Plain bookkeeping; the tensors are in `model/cache.py`.

A full page is identified by its content: the SHA-256 of its tokens and all before them. A row with
the same prefix shares such a page (prefix caching). A page without an owner is kept for the next
turn of its conversation until its memory is needed: the least recently used is evicted first, the
end of a text before its beginning. The hash is cryptographic because a collision would expose one
user's text to another (CVE-2025-25183 was Python's `hash` used for this).
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.errors import ConfigError

# Without free pages, this share of all pages is evicted at once, so that free pages are contiguous.
EVICTED_SHARE = 1 / 16


@dataclass(eq=False)
class BlockTable:
    """The pages of one row: token t is in pages[t // page_tokens]."""

    pages: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Of its first pages, as far as they are full and registered."""
    fresh: list[int] = field(default_factory=list)
    """With old content; the caller clears them and empties this list."""
    shared_tokens: int = 0
    """First tokens that were stored when it was opened."""


class Pages:
    def __init__(self, num_pages: int, page_tokens: int) -> None:
        self.num_pages, self.page_tokens = num_pages, page_tokens
        self._owners = [0] * num_pages
        self._digest_of: dict[int, bytes] = {}  # the pages with known content
        self._page_of: dict[bytes, int] = {}
        self._kept: dict[int, None] = {}  # least recently used first
        self._free = set(range(num_pages))

    @property
    def available(self) -> int:
        return len(self._free) + len(self._kept)

    @property
    def owned(self) -> int:
        """A shared one counts once."""
        return self.num_pages - self.available

    @property
    def kept(self) -> int:
        """Without an owner, reusable."""
        return len(self._kept)

    def needed(self, num_tokens: int) -> int:
        return -(-num_tokens // self.page_tokens)

    def open(self, ids: Sequence[int]) -> BlockTable:
        """For a row that begins with `ids`, sharing known pages; at least one token is left to
        compute.
        """
        table, digest = BlockTable(), b""
        for start in range(0, len(ids) - self.page_tokens, self.page_tokens):
            digest = chain_digest(digest, ids[start : start + self.page_tokens])
            page = self._page_of.get(digest)
            if page is None:
                break
            self._kept.pop(page, None)
            self._owners[page] += 1
            table.pages.append(page)
            table.digests.append(digest)
        table.shared_tokens = len(table.pages) * self.page_tokens
        return table

    def reserve(self, table: BlockTable, num_tokens: int) -> bool:
        """Pages for `num_tokens` tokens in total. False, and none taken, when there are not
        enough.
        """
        missing = self.needed(num_tokens) - len(table.pages)
        if missing > self.available:
            return False
        for _ in range(missing):
            page = self._take(table)
            self._owners[page] = 1
            table.pages.append(page)
            table.fresh.append(page)
        return True

    def note(self, table: BlockTable, ids: Sequence[int], num_stored: int) -> None:
        """The row's first `num_stored` tokens are stored and equal `ids`: its full pages can now be
        shared.
        """
        for index in range(len(table.digests), num_stored // self.page_tokens):
            start = index * self.page_tokens
            before = table.digests[-1] if index else b""
            digest = chain_digest(before, ids[start : start + self.page_tokens])
            table.digests.append(digest)
            # else another row registered it first: this copy stays private
            if digest not in self._page_of:
                self._page_of[digest] = table.pages[index]
                self._digest_of[table.pages[index]] = digest

    def close(self, table: BlockTable) -> None:
        """The row's beginning is evicted last, as it is the most likely to be reused."""
        for page in reversed(table.pages):
            self._owners[page] -= 1
            if self._owners[page] == 0:
                if page in self._digest_of:
                    self._kept[page] = None
                else:
                    self._free.add(page)
        for known in (table.pages, table.digests, table.fresh):
            known.clear()

    def _take(self, table: BlockTable) -> int:
        """The page after the table's last if that is free (contiguous pages are read without a
        copy), else one followed by free pages.
        """
        if not self._free:
            least_recent = list(self._kept)[: max(1, int(self.num_pages * EVICTED_SHARE))]
            for kept in least_recent:
                del self._kept[kept], self._page_of[self._digest_of.pop(kept)]
                self._free.add(kept)
        if table.pages and table.pages[-1] + 1 in self._free:
            page = table.pages[-1] + 1
        else:
            page = page_of_new_row(self._free)
        self._free.remove(page)
        return page


def chain_digest(before: bytes, ids: Sequence[int]) -> bytes:
    """The hash of a page's tokens and of all before them."""
    return hashlib.sha256(before + array("q", ids).tobytes()).digest()


def page_of_new_row(free: set[int]) -> int:
    """The middle of the longest run of free pages, or page 0 where that run begins there.

    >>> page_of_new_row({0, 1, 2, 3, 7}), page_of_new_row({4, 5, 6, 7, 9})
    (0, 6)
    """
    firsts = sorted(page for page in free if page - 1 not in free)
    lasts = sorted(page for page in free if page + 1 not in free)
    first, last = max(zip(firsts, lasts, strict=True), key=lambda run: run[1] - run[0])
    if first == 0:
        return 0
    return first + (last + 1 - first) // 2


def pages_within(budget_bytes: int, page_bytes: int) -> int:
    """Raises ConfigError when there is not even one."""
    if budget_bytes < page_bytes:
        raise ConfigError(
            f"A cache of {budget_bytes:,} bytes does not hold one page of this model, which takes "
            f"{page_bytes:,}.",
            fix="Give the cache more memory.",
        )
    return budget_bytes // page_bytes
