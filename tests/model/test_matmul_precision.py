"""The permission to round is given only where it is not used, and only for a while."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from groundup.model import matmul_precision
from groundup.model.attention import sdpa_attention
from groundup.model.matmul_precision import (
    fast_matmul,
    fast_matmul_is_exact,
    matmul_is_fast,
    tensor_core_matmul,
)

CPU = torch.device("cpu")


def test_products_are_as_exact_inside_as_outside() -> None:
    draw = torch.Generator().manual_seed(0)
    for rows, inner, columns in ((1, 576, 1536), (33, 65, 91), (1024, 128, 384), (7, 2000, 3)):
        left, right = (
            torch.randn(rows, inner, generator=draw),
            torch.randn(inner, columns, generator=draw),
        )
        exact = left.double() @ right.double()
        with fast_matmul(CPU):
            got = left @ right
        assert (got - exact).abs().max() < 5e-6 * exact.abs().max()


def test_times_are_taken_again_until_the_two_shortest_agree() -> None:
    for times, shortest, left in (
        ([1.0, 1.4, 9.0], 1.0, 1),
        ([1.0, 9.0, 9.0, 1.1, 5.0], 1.0, 1),
        ([1.0 * 2**n for n in range(9)], 1.0, 1),
    ):
        given = iter(times)
        assert matmul_precision.steady_s(given.__next__) == shortest
        assert len(list(given)) == left
    found = matmul_precision.product_times(16, 4_096, CPU)
    assert found.float32_s > 0 and found.slowdown == found.bf16_s / found.float32_s


def test_the_setting_is_put_back_also_after_an_error() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(ValueError, match="stop"), fast_matmul(CPU):
        assert matmul_is_fast() == fast_matmul_is_exact()
        raise ValueError("stop")
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert not matmul_is_fast()


def test_attention_under_a_mask_goes_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, kernel = [], F.scaled_dot_product_attention

    def watched(*inputs: Any, **choices: Any) -> torch.Tensor:
        settings.append(torch.backends.mkldnn.matmul.fp32_precision)
        return kernel(*inputs, **choices)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    queries, keys = torch.ones(1, 2, 1, 8), torch.ones(1, 1, 5, 8)
    outside = sdpa_attention(queries, keys, keys)
    with fast_matmul(CPU):
        inside, given = (
            sdpa_attention(queries, keys, keys),
            torch.backends.mkldnn.matmul.fp32_precision,
        )
    assert settings[1] == (matmul_precision.ORDINARY if fast_matmul_is_exact() else settings[0])
    assert given == (matmul_precision.ALLOWED if fast_matmul_is_exact() else settings[0])
    torch.testing.assert_close(inside, outside)


def test_other_devices_are_left_alone() -> None:
    with fast_matmul(torch.device("meta")):
        assert not matmul_is_fast()


def test_a_gpu_may_round_inside_a_step_and_nowhere_else() -> None:
    """The setting alone: what it does to products has not been seen here, for want of a GPU."""
    setting = torch.backends.cuda.matmul
    before = setting.fp32_precision
    with tensor_core_matmul(CPU):
        assert setting.fp32_precision == before
    with tensor_core_matmul(torch.device("cuda")):
        assert setting.fp32_precision == "tf32"
    assert setting.fp32_precision == before != "tf32"


def test_a_processor_that_rounds_is_not_given_the_permission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast_matmul_is_exact.cache_clear()
    monkeypatch.setattr(matmul_precision, "_relative_error", lambda size: 2e-3)
    try:
        with fast_matmul(CPU):
            assert not matmul_is_fast()
    finally:
        fast_matmul_is_exact.cache_clear()
