"""Rows in lines: nothing is lost, nothing stands there twice."""

from hypothesis import given
from hypothesis import strategies as st

from groundup.engine.score import (
    MIN_SHARED_TOKENS,
    RaggedBatch,
    families,
    ragged_batches,
    shared_tokens,
)

STEM = list(range(MIN_SHARED_TOKENS))
# Rows that begin alike now and then: whole stems of two kinds, and an end of few kinds of tokens.
ROWS = st.lists(
    st.builds(
        lambda stems, end: [token + 100 * kind for kind in stems for token in STEM] + end,
        st.lists(st.integers(0, 1), max_size=2),
        st.lists(st.integers(0, 2), min_size=1, max_size=6),
    ),
    max_size=12,
)


def read(line: RaggedBatch) -> list[list[int]]:
    """The rows of a line, read off its places."""
    return [[line.ids[place] for place in places] for places in line.positions]


@given(ROWS, st.integers(1, 120))
def test_every_row_is_found_again_in_a_line_of_bounded_length(
    rows: list[list[int]], most_tokens: int
) -> None:
    found: dict[int, list[int]] = {}
    for line in ragged_batches(rows, most_tokens):
        assert len(line.ids) <= max(most_tokens, *(len(rows[index]) for index in line.rows))
        assert found.keys().isdisjoint(line.rows)
        found |= dict(zip(line.rows, read(line), strict=True))
    assert found == dict(enumerate(rows))


@given(ROWS)
def test_spans_say_where_the_tokens_of_the_line_belong(rows: list[list[int]]) -> None:
    for line in ragged_batches(rows):
        end = 0
        for span in line.spans:
            assert list(span.pages[span.start :]) == list(range(end, end + span.count))
            end += span.count
        assert end == len(line.ids)


@given(ROWS)
def test_what_is_worth_sharing_stands_there_once(rows: list[list[int]]) -> None:
    for line in ragged_batches(rows):
        whole = [tuple(line.ids[place] for place in span.pages) for span in line.spans]
        assert len(set(whole)) == len(whole)
        new = [
            row[:MIN_SHARED_TOKENS]
            for row, span in zip(whole, line.spans, strict=True)
            if span.start == 0
        ]
        long = [beginning for beginning in new if len(beginning) == MIN_SHARED_TOKENS]
        assert len(set(long)) == len(long)


def test_choices_behind_one_question_stand_together_and_hold_it_once() -> None:
    question = list(range(150))
    [line] = ragged_batches([[*question, *end] for end in ([1, 2, 3], [7], [4, 5, 6, 7], [])])
    assert [(span.start, span.count) for span in line.spans] == [
        (0, 150),
        (150, 1),
        (150, 3),
        (150, 4),
    ]


def test_rows_with_much_in_common_are_a_family_and_the_longest_comes_first() -> None:
    assert families([[9, 9], [9], STEM, [*STEM, 1], [9]]) == [
        [(2, 0), (3, len(STEM))],
        [(0, 0)],
        [(1, 0), (4, 1)],
    ]


def test_little_in_common_is_not_shared_but_a_whole_row_is() -> None:
    assert shared_tokens([1, 2, 3], [1, 2, 4]) == 0
    assert shared_tokens([1, 2, 3], [1, 2, 3]) == 3
    assert shared_tokens([*STEM, 1], [*STEM, 2]) == MIN_SHARED_TOKENS
    assert shared_tokens([], [1]) == 0
