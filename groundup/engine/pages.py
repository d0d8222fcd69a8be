"""Who owns which page of keys and values: plain bookkeeping, no tensors (those are `model/paged.py`'s).

A page holds `page_tokens` tokens. A row takes pages as it grows and gives them back when it ends. A full page is known by its content: the
SHA-256 of its tokens and of everything before them. Another row that begins with the same tokens shares such a page instead of computing it again,
and a page that nobody owns any more is kept for the next turn of its conversation until its memory is needed: then the longest unused goes first,
the end of a text before its beginning.

    free      nobody's, content of no use
    owned     by one row, or by several that begin alike
    kept      nobody's, content known: can be shared again, or taken

A cryptographic hash, because a collision would hand one reader another's text (CVE-2025-25183 was Python's `hash` used for this).
Idea: Kwon et al. 2023 (arXiv:2309.06180), section 4.
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.errors import ConfigError

# When memory has run out, this share of all pages is given up at once, so that what is freed lies together.
GIVEN_UP_SHARE = 1 / 16


@dataclass(eq=False)
class BlockTable:
    """The pages of one row: its token t is in pages[t // page_tokens]."""

    pages: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Of its first pages, as far as they are full and were noted."""
    fresh: list[int] = field(default_factory=list)
    """Pages that were taken, not shared, and whose old content is still there; whoever clears them empties this list."""
    shared_tokens: int = 0
    """How many of its first tokens were there already when it was opened."""


class Pages:
    """`num_pages` pages of `page_tokens` tokens, and who owns them."""

    def __init__(self, num_pages: int, page_tokens: int) -> None:
        self.num_pages, self.page_tokens = num_pages, page_tokens
        self._owners = [0] * num_pages
        self._digest_of: dict[int, bytes] = {}  # the pages whose content is known
        self._page_of: dict[bytes, int] = {}
        self._kept: dict[int, None] = {}  # in the order in which they were last used, the oldest first
        self._free = set(range(num_pages))

    @property
    def available(self) -> int:
        """Pages that can be taken: free and kept ones."""
        return len(self._free) + len(self._kept)

    @property
    def owned(self) -> int:
        """Pages that belong to rows; a shared one counts once."""
        return self.num_pages - self.available

    @property
    def kept(self) -> int:
        """Pages that nobody owns and whose content can be used again."""
        return len(self._kept)

    def needed(self, num_tokens: int) -> int:
        """How many pages so many tokens take."""
        return -(-num_tokens // self.page_tokens)

    def open(self, ids: Sequence[int]) -> BlockTable:
        """A table for a row that begins with `ids`: with the known pages of its beginning, but at least one token is left to compute."""
        table, digest = BlockTable(), b""
        for start in range(0, len(ids) - self.page_tokens, self.page_tokens):
            digest = chained(digest, ids[start : start + self.page_tokens])
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
        """Give the row pages for `num_tokens` tokens in all. False, and nothing taken, when there are not enough."""
        missing = self.needed(num_tokens) - len(table.pages)
        if missing > self.available:
            return False
        for _ in range(missing):
            page = self._take(table.pages[-1] + 1 if table.pages else None)
            self._owners[page] = 1
            table.pages.append(page)
            table.fresh.append(page)
        return True

    def note(self, table: BlockTable, ids: Sequence[int], num_stored: int) -> None:
        """Say that the row's first `num_stored` tokens are stored and are `ids`: its full pages can be shared from now on."""
        for index in range(len(table.digests), num_stored // self.page_tokens):
            start = index * self.page_tokens
            digest = chained(table.digests[-1] if index else b"", ids[start : start + self.page_tokens])
            table.digests.append(digest)
            if digest not in self._page_of:  # else another row was quicker: this copy stays the row's own
                self._page_of[digest] = table.pages[index]
                self._digest_of[table.pages[index]] = digest

    def close(self, table: BlockTable) -> None:
        """The row gives all its pages back. Its beginning is the last to be given up, as it is the likeliest to be wanted again."""
        for page in reversed(table.pages):
            self._owners[page] -= 1
            if self._owners[page] == 0:
                if page in self._digest_of:
                    self._kept[page] = None
                else:
                    self._free.add(page)
        for known in (table.pages, table.digests, table.fresh):
            known.clear()

    def _take(self, wanted: int | None) -> int:
        """A free page: the wanted one if it is free (pages in a run are read without a copy), else one with room to grow behind it."""
        if not self._free:
            self._give_up(max(1, int(self.num_pages * GIVEN_UP_SHARE)))
        page = wanted if wanted is not None and wanted in self._free else roomiest(self._free)
        self._free.remove(page)
        return page

    def _give_up(self, count: int) -> None:
        """Forget the kept pages that were not used for longest."""
        for page in list(self._kept)[:count]:
            del self._kept[page], self._page_of[self._digest_of.pop(page)]
            self._free.add(page)


def chained(before: bytes, ids: Sequence[int]) -> bytes:
    """What a page is known by: the hash of its tokens and of all before them."""
    return hashlib.sha256(before + array("q", ids).tobytes()).digest()


def roomiest(free: set[int]) -> int:
    """Where to begin a new row: in the middle of the longest run of free pages, or at its start where that is the start of the store.

    >>> roomiest({0, 1, 2, 3, 7}), roomiest({4, 5, 6, 7, 9})
    (0, 6)
    """
    best_start, best_length, start, last = 0, 0, 0, -2
    for page in sorted(free):
        start = page if page != last + 1 else start
        if page - start + 1 > best_length:
            best_start, best_length = start, page - start + 1
        last = page
    return best_start + best_length // 2 if best_start else 0


def pages_within(budget_bytes: int, page_bytes: int) -> int:
    """How many pages a budget pays for. Raises ConfigError when it pays for none."""
    if budget_bytes < page_bytes:
        raise ConfigError(
            f"A cache of {budget_bytes:,} bytes does not hold one page of this model, which takes {page_bytes:,}.",
            fix="Give the cache more memory.",
        )
    return budget_bytes // page_bytes
