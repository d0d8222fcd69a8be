"""Rows of different length in one call, in pages, give what each row gives alone: for every kind of model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.attention import use_attention
from groundup.model.cache import PagedStore, TokenSpan, group_spans, is_contiguous, page_bytes
from groundup.model.heads import LanguageModel

ModelOf = Callable[..., LanguageModel]
PAGE = 4
# Two rows in the pages that they own: one in a run, one scattered.
TABLES = ([2, 3, 4], [7, 0, 5])


def fed(model: LanguageModel, ids: Tensor, steps: list[tuple[int, int]]) -> list[Tensor]:
    """Logits of the first two rows of `ids`, fed together: at each step so many tokens of the one and of the other."""
    store = PagedStore(model.config, num_pages=8, page_tokens=PAGE)
    store.keys.fill_(torch.nan)  # what others left
    store.values.fill_(torch.nan)
    store.clear([page for table in TABLES for page in table])
    starts, logits = [0, 0], ([], [])
    for counts in steps:
        rows = [row for row in (0, 1) if counts[row]]
        spans = [TokenSpan(TABLES[row], starts[row], counts[row]) for row in rows]
        line = torch.cat([ids[row, starts[row] : starts[row] + counts[row]] for row in rows])[None]
        out = model(line, cache=store.rows(spans))[0].split([span.count for span in spans])
        for row, piece in zip(rows, out, strict=True):
            starts[row] += len(piece)
            logits[row].append(piece)
    return [torch.cat(pieces) for pieces in logits]


@pytest.mark.parametrize("implementation", ["sdpa", "naive"])
def test_rows_of_different_length_give_what_each_gives_alone(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], implementation: str
) -> None:
    model = model_of(**kind)
    use_attention(model, implementation)
    # chunks of a long prompt beside single tokens, a row that joins late and one that pauses
    together = fed(model, ids, [(5, 0), (1, 3), (1, 1), (1, 1), (2, 1), (0, 4), (1, 1), (1, 1)])
    for row, logits in enumerate(together):
        torch.testing.assert_close(
            logits, model(ids[row : row + 1, : len(logits)])[0], atol=2e-4, rtol=2e-4
        )


@pytest.mark.parametrize("implementation", ["sdpa", "naive"])
def test_rows_that_share_a_beginning_give_in_one_call_what_each_gives_alone(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], implementation: str
) -> None:
    """Pages of one token, which all blocks use one after the other; the last two rows begin with five tokens that the first one stores."""
    model = model_of(**kind)
    use_attention(model, implementation)
    rows = [
        ids[0, :8],
        ids[1, :6],
        torch.cat([ids[0, :5], ids[1, 6:10]]),
        torch.cat([ids[0, :5], ids[2, :2]]),
    ]
    slots = [list(range(8)), list(range(8, 14)), [*range(5), *range(14, 18)], [*range(5), 18, 19]]
    starts = [0, 0, 5, 5]
    spans = [
        TokenSpan(pages, start, len(pages) - start)
        for pages, start in zip(slots, starts, strict=True)
    ]
    line = torch.cat([row[start:] for row, start in zip(rows, starts, strict=True)])[None]
    store = PagedStore(model.config, num_pages=20, page_tokens=1, single_use=True)
    call = store.rows(spans)
    logits = model(line, cache=call)[0]
    assert [len(group.spans) for group in call.groups] == [
        2,
        2,
    ]  # of 8 and 6, of 4 and 2 new tokens
    for row, places in zip(rows, slots, strict=True):
        torch.testing.assert_close(logits[places], model(row[None])[0], atol=2e-4, rtol=2e-4)


def test_tokens_written_again_replace_the_first_ones(model_of: ModelOf, ids: Tensor) -> None:
    """As when guesses were wrong: the next call simply starts earlier."""
    model = model_of()
    store = PagedStore(model.config, num_pages=8, page_tokens=PAGE)
    model(ids[1:2, :9], cache=store.rows([TokenSpan(TABLES[0], 0, 9)]))
    model(ids[:1, :6], cache=store.rows([TokenSpan(TABLES[0], 0, 6)]))
    after = model(ids[:1, 6:8], cache=store.rows([TokenSpan(TABLES[0], 6, 2)]))
    torch.testing.assert_close(after[0], model(ids[:1, :8])[0, 6:], atol=1e-4, rtol=1e-4)


def test_a_row_longer_than_the_context_is_refused(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of()
    store = PagedStore(model.config, num_pages=8, page_tokens=PAGE)
    with pytest.raises(ModelError, match="25 tokens is longer than the model's context of 24"):
        model(ids[:1, :1], cache=store.rows([TokenSpan(list(range(7)), 24, 1)]))


def test_the_bytes_of_a_page_are_those_of_the_store(model_of: ModelOf) -> None:
    config = model_of().config
    store = PagedStore(config, num_pages=3, page_tokens=PAGE, dtype=torch.bfloat16)
    assert 3 * page_bytes(config, PAGE, torch.bfloat16) == store.keys.nbytes + store.values.nbytes


def test_rows_are_attended_to_together_where_causality_hides_the_padding_or_a_mask_is_cheap() -> (
    None
):
    def sizes(*spans: tuple[int, int]) -> list[int]:
        """How many rows of (start, count) stand in each group."""
        return [
            len(group.spans)
            for group in group_spans([TokenSpan([], start, count) for start, count in spans])
        ]

    assert sizes((3, 1), (200, 1), (7, 1)) == [3]  # one new token each, short
    assert sizes((1000, 1), (800, 1), (300, 1)) == [2, 1]  # or alike
    assert sizes((9, 5), (9, 64), (9, 2)) == [3]  # they start alike and are short
    assert sizes((9, 5), (8, 5)) == [1, 1]
    assert sizes((9, 1), (9, 5)) == [1, 1]
    assert sizes((0, 300), (0, 260), (0, 100)) == [2, 1]
    assert sizes(*[(9000, 1)] * 8) == [7, 1]  # bounded in what is copied together


def test_a_run_is_pages_that_follow_one_another() -> None:
    assert is_contiguous([7]) and is_contiguous([0, 1, 2])
    assert not is_contiguous([1, 0]) and not is_contiguous([0, 1, 3])
