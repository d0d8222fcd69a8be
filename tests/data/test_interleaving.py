"""The order of the rows of several sources: their shares in any stretch, nothing read twice, a most of rows that holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.batches.mixture import Interleaving

SHARES = st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=12)


def test_the_order_never_changes() -> None:
    """Runs that were begun with an earlier version go on with the same data: these numbers are a promise."""
    assert [Interleaving([2, 1, 1]).at(row)[0] for row in range(12)] == [
        0,
        1,
        0,
        2,
        0,
        1,
        0,
        2,
        0,
        1,
        0,
        2,
    ]
    assert [Interleaving([5, 3, 2], [4, 9, 2]).at(row) for row in range(9)] == [
        *((0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (0, 3), (2, 1), (1, 2))
    ]


@given(SHARES, st.integers(0, 10**12))
def test_no_source_is_ever_two_rows_away_from_its_share(shares: list[float], rows: int) -> None:
    order = Interleaving(shares)
    counts, total = order.counts(rows), sum(order.weights)
    assert sum(counts) == rows
    for count, weight in zip(counts, order.weights, strict=True):
        assert abs(count * total - rows * weight) < 2 * total


@given(SHARES, st.integers(0, 10**9))
def test_each_row_is_the_next_of_its_source(shares: list[float], first: int) -> None:
    order = Interleaving(shares)
    counts = order.counts(first)
    for row in range(first, first + 40):
        source, own = order.at(row)
        assert own == counts[source]
        counts[source] += 1
    assert counts == order.counts(first + 40)


@given(st.lists(st.tuples(st.floats(1e-3, 1.0), st.integers(1, 40)), min_size=1, max_size=8))
def test_a_source_stops_at_its_most_and_the_sequence_begins_again(
    sources: list[tuple[float, int]],
) -> None:
    shares, most = [share for share, _ in sources], [rows for _, rows in sources]
    order = Interleaving(shares, most)
    assert order.length == sum(most)
    counts = [0] * len(sources)
    for row in range(2 * order.length):
        source, own = order.at(row)
        assert own == counts[source]
        counts[source] += 1
        turn = row // order.length
        assert all(count <= (turn + 1) * limit for count, limit in zip(counts, most, strict=True))
        assert counts == order.counts(row + 1)


def test_the_share_of_a_source_that_stops_goes_to_the_others_in_their_proportions() -> None:
    order = Interleaving([6, 3, 1], [30, 10**6, 10**6])
    assert order.counts(50) == [30, 15, 5]
    assert order.counts(50 + 400) == [30, 15 + 300, 5 + 100]


@pytest.mark.parametrize("count", [1, 2, 500])
def test_equal_shares_go_round(count: int) -> None:
    order = Interleaving([1.0] * count)
    assert sorted(order.at(row)[0] for row in range(count)) == list(range(count))
