"""Packed rows: a document gives what it gives alone, in every kind of model, and another document in its row changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.model import attention_blocks
from groundup.model.attention import use_attention
from groundup.model.attention_blocks import causal_attention, masked_attention
from groundup.model.attention_steps import Scoring, naive_attention, window_mask
from groundup.model.heads import LanguageModel
from groundup.model.positions import document_positions
from groundup.model.transformer import use_recompute
from groundup.train.steps.losses import add_balance, next_token_loss

ModelOf = Callable[..., LanguageModel]
# Three rows of 12: lengths of their documents; what is left is padding.
ROWS = ((12,), (5, 6, 1), (3, 4))


@pytest.fixture
def documents() -> Tensor:
    rows = [[number for number, length in enumerate(row) for _ in range(length)] for row in ROWS]
    return torch.tensor([row + [-1] * (12 - len(row)) for row in rows])


def spans() -> list[tuple[int, slice]]:
    """The row and place of each document."""
    return [
        (at, slice(sum(row[:n]), sum(row[: n + 1])))
        for at, row in enumerate(ROWS)
        for n in range(len(row))
    ]


@pytest.mark.parametrize("implementation", ["sdpa", "naive"])
def test_each_document_gives_what_it_gives_alone_in_every_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], documents: Tensor, implementation: str
) -> None:
    model = model_of(**kind)
    use_attention(model, implementation)
    packed = model(ids, documents=documents)
    assert packed.isfinite().all()
    for row, span in spans():
        alone = model(ids[row : row + 1, span])
        torch.testing.assert_close(packed[row, span], alone[0], atol=1e-4, rtol=1e-4)


def test_another_document_in_the_row_changes_no_bit_in_any_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], documents: Tensor
) -> None:
    """The middle document of the second row, with others before and after it."""
    model, changed = model_of(**kind), ids.clone()
    changed[1, :5], changed[1, 11:] = (ids[1, :5] + 7) % 53, 3
    packed, other = (model(each, documents=documents) for each in (ids, changed))
    assert torch.equal(packed[1, 5:11], other[1, 5:11])
    assert not torch.equal(packed[1, :5], other[1, :5])
    assert not torch.equal(
        model(ids)[1, 5:11], model(changed)[1, 5:11]
    )  # which windows do not promise


def test_the_gradient_of_packed_rows_is_that_of_all_documents_in_every_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], documents: Tensor
) -> None:
    model = model_of(**kind)
    labels = torch.where(documents >= 0, ids.roll(1, 1), IGNORED_LABEL)
    whole, count = gradient(model, [Batch(ids, labels, documents=documents)])
    use_recompute(model, True)
    again, _ = gradient(model, [Batch(ids, labels, documents=documents)])
    assert torch.equal(whole, again)
    use_recompute(model, False)
    each = [Batch(ids[r : r + 1, s], labels[r : r + 1, s], all_count=True) for r, s in spans()]
    one_by_one, tokens = gradient(model, each)
    assert count == tokens == 12 + 12 + 7
    torch.testing.assert_close(whole, one_by_one, atol=1e-3 * float(whole.abs().max()), rtol=1e-3)


def gradient(model: LanguageModel, batches: list[Batch]) -> tuple[Tensor, int]:
    model.zero_grad()
    parts = [next_token_loss(model, batch) for batch in batches]
    torch.stack([part.total for part in parts]).sum().backward()
    found = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(found), sum(part.count for part in parts)


def test_padding_is_not_balanced_over_experts(
    model_of: ModelOf, ids: Tensor, documents: Tensor
) -> None:
    model = model_of(num_experts=4, experts_per_token=2)
    labels = torch.where(documents >= 0, ids, IGNORED_LABEL)
    other = ids.where(documents >= 0, 9)
    for loss in (next_token_loss, add_balance(next_token_loss, 1.0)):
        found = []
        for each in (ids, other):
            model.zero_grad()
            loss(model, Batch(each, labels, documents=documents)).total.backward()
            found.append(
                torch.cat(
                    [
                        p.grad.flatten()
                        for p in model.transformer.blocks.parameters()
                        if p.grad is not None
                    ]
                )
            )
        torch.testing.assert_close(
            *found, atol=1e-5, rtol=1e-4
        )  # other sizes of the experts' products


def test_positions_restart_with_each_document(documents: Tensor) -> None:
    assert document_positions(documents)[1:].tolist() == [
        [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 0],
        [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4],
    ]


@pytest.mark.parametrize("tokens", [2, 64, 65, 200, 1100])
@pytest.mark.parametrize("window", [0, 7])
def test_blocks_with_a_mask_equal_the_naive_formula_forward_and_backward(
    tokens: int, window: int
) -> None:
    """Six query heads that share two key/value heads; documents begin anywhere, also inside a block."""
    g = torch.Generator().manual_seed(tokens)
    queries, keys, values = (
        torch.randn(2, heads, tokens, 8, generator=g).requires_grad_() for heads in (6, 2, 2)
    )
    numbers = (torch.rand(2, tokens, generator=g) < 0.03).cumsum(dim=1)
    allowed = (numbers[:, None, :, None] == numbers[:, None, None, :]) & window_mask(
        tokens, tokens, window
    )
    fast = masked_attention(queries, keys, values, 0.25, allowed)
    slow = naive_attention(queries, keys, values, allowed, scoring=Scoring(16))
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    weights, given = torch.linspace(-1, 1, fast.numel()).view(fast.shape), (queries, keys, values)
    for a, b in zip(
        torch.autograd.grad(fast, given, weights),
        torch.autograd.grad(slow, given, weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_keys_of_earlier_documents_are_skipped() -> None:
    allowed = torch.block_diag(*(torch.ones(100, 100) for _ in range(3))).bool().tril()[None]
    seen = [tile.seen for tile in attention_blocks.tiles(torch.zeros(2, 1, 300, 4), allowed)]
    assert seen == [slice(0, 64), slice(0, 128), slice(100, 192), slice(100, 256), slice(200, 300)]


def test_one_document_in_a_row_is_plain_causal_attention() -> None:
    queries, keys, values = (
        torch.randn(1, 2, 70, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)
    )
    masked = masked_attention(queries, keys, values, 0.3, window_mask(70, 70, 0)[None, None])
    torch.testing.assert_close(
        masked, causal_attention(queries, keys, values, 0.3), rtol=1e-5, atol=1e-6
    )
