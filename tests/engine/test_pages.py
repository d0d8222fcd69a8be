"""Pages: nobody's page is somebody's, nothing is lost, what begins alike is shared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from groundup.engine.pages import BlockTable, Pages, page_of_new_row, pages_within
from groundup.errors import ConfigError

PAGE = 4
# Few different tokens, so that texts often begin alike.
TEXTS = st.lists(st.integers(0, 1), min_size=1, max_size=30)


class PagesMachine(RuleBasedStateMachine):
    """Rows open, grow, are noted and close in any order; a model of what each page holds is kept beside."""

    @initialize(num_pages=st.integers(1, 12))
    def begin(self, num_pages: int) -> None:
        self.pages = Pages(num_pages, PAGE)
        self.rows: list[tuple[BlockTable, list[int]]] = []
        self.content: dict[
            int, tuple[int, ...]
        ] = {}  # page -> all tokens up to its end, as last written

    @rule(ids=TEXTS)
    def open(self, ids: list[int]) -> None:
        table = self.pages.open(ids)
        assert table.shared_tokens == len(table.pages) * PAGE < len(ids)
        for index, page in enumerate(table.pages):
            assert self.content[page] == tuple(ids[: (index + 1) * PAGE]), (
                "shared, but not the same beginning"
            )
        if not self.pages.reserve(table, len(ids)):
            self.pages.close(table)
            return
        for index in range(table.shared_tokens // PAGE, len(ids) // PAGE):
            self.content[table.pages[index]] = tuple(ids[: (index + 1) * PAGE])
        self.pages.note(table, ids, len(ids))
        self.rows.append((table, ids))

    @rule(row=st.integers(0, 99), token=st.integers(0, 1))
    def grow(self, row: int, token: int) -> None:
        if not self.rows:
            return
        table, ids = self.rows[row % len(self.rows)]
        if self.pages.reserve(table, len(ids) + 1):
            ids.append(token)
            if len(ids) % PAGE == 0:
                self.content[table.pages[-1]] = tuple(ids)
            self.pages.note(table, ids, len(ids))
        else:
            assert self.pages.available == 0

    @rule(row=st.integers(0, 99))
    def close(self, row: int) -> None:
        if self.rows:
            table, _ = self.rows.pop(row % len(self.rows))
            self.pages.close(table)

    @invariant()
    def no_page_is_owned_twice_unless_shared(self) -> None:
        holders: dict[int, list[tuple[int, ...]]] = {}
        for table, ids in self.rows:
            assert len(table.pages) == self.pages.needed(len(ids))
            for index, page in enumerate(table.pages):
                holders.setdefault(page, []).append(tuple(ids[: (index + 1) * PAGE]))
        for texts in holders.values():
            assert len(texts) == 1 or (len(set(texts)) == 1 and len(texts[0]) % PAGE == 0)
        assert self.pages.owned == len(holders)
        assert 0 <= self.pages.available <= self.pages.num_pages

    def teardown(self) -> None:
        for table, _ in getattr(self, "rows", []):
            self.pages.close(table)
        if hasattr(self, "pages"):
            assert self.pages.available == self.pages.num_pages


TestPages = PagesMachine.TestCase
TestPages.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def filled(pages: Pages, ids: list[int]) -> BlockTable:
    table = pages.open(ids)
    assert pages.reserve(table, len(ids))
    pages.note(table, ids, len(ids))
    return table


def test_the_next_turn_of_a_conversation_finds_its_full_pages() -> None:
    pages = Pages(8, PAGE)
    first = list(range(10))
    table = filled(pages, first)
    taken = list(table.pages)
    pages.close(table)
    assert pages.kept == 2
    again = pages.open([*first, 77, 78])
    assert again.pages == taken[:2]
    assert again.shared_tokens == 8


def test_at_least_one_token_is_left_to_compute() -> None:
    pages = Pages(8, PAGE)
    pages.close(filled(pages, list(range(8))))
    assert pages.open(list(range(8))).shared_tokens == 4


def test_a_text_that_differs_early_shares_nothing_behind_the_difference() -> None:
    pages = Pages(8, PAGE)
    pages.close(filled(pages, [1] * 12))
    assert pages.open([1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1]).shared_tokens == 4


def test_the_longest_unused_goes_first_and_the_end_of_a_text_before_its_beginning() -> None:
    pages = Pages(6, PAGE)
    for text in ([1] * 12, [2] * 12):
        pages.close(filled(pages, text))
    pages.close(pages.open([1] * 13))  # used again: now the youngest
    table = filled(pages, [3] * 8)  # needs two pages, so the older text loses its end
    assert pages.open([2] * 13).shared_tokens == 4
    assert pages.open([1] * 13).shared_tokens == 12
    assert len(table.pages) == 2


def test_nothing_is_taken_when_there_is_not_enough() -> None:
    pages = Pages(2, PAGE)
    table = BlockTable()
    assert not pages.reserve(table, 9)
    assert (table.pages, pages.available) == ([], 2)


@given(rows=st.integers(1, 4))
def test_rows_that_grow_side_by_side_lie_in_runs(rows: int) -> None:
    pages = Pages(64, PAGE)
    tables = [BlockTable() for _ in range(rows)]
    for num_tokens in range(1, 8 * PAGE):
        for table in tables:
            pages.reserve(table, num_tokens)
    for table in tables:
        assert table.pages == list(range(table.pages[0], table.pages[0] + 8))


def test_a_new_row_begins_where_most_is_free() -> None:
    assert page_of_new_row({5}) == 5
    assert page_of_new_row({0, 1, 10, 11, 12, 13}) == 12


def test_a_budget_that_pays_for_no_page_is_refused() -> None:
    assert pages_within(1000, 300) == 3
    with pytest.raises(
        ConfigError, match="299 bytes does not hold one page of this model, which takes 300"
    ):
        pages_within(299, 300)
