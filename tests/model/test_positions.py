"""Each position scheme against its formula, and against the property it is for."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from groundup.model.config import RopeScaling
from groundup.model.heads import LanguageModel
from groundup.model.positions import (
    LearnedPositions,
    Rotary,
    SinusoidalPositions,
    count_positions,
    rotary_frequencies,
    rotate,
)


def test_rotation_equals_multiplying_complex_numbers() -> None:
    """Su et al. 2021, eq. 12: the pair (x_i, x_{i + D/2}) as one complex number, times e^(i m theta)."""
    x = torch.randn(2, 7, 3, 8, generator=torch.Generator().manual_seed(0))
    turned = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(
        torch.ones(7, 1, 4), torch.arange(7.0)[:, None, None] * rotary_frequencies(8, 100.0)
    )
    expected = torch.cat([turned.real, turned.imag], dim=-1)
    torch.testing.assert_close(rotate(x, Rotary(8, base=100.0)(torch.arange(7)[None])), expected)


def test_rotary_scores_depend_on_distance_only() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(1, 1, 1, 16, generator=generator), torch.randn(1, 1, 1, 16, generator=generator)
    rotary = Rotary(16)

    def score(of_query: int, of_key: int) -> float:
        turned_query, turned_key = (
            rotate(x, rotary(torch.tensor([[place]]))) for x, place in ((query, of_query), (key, of_key))
        )
        return float((turned_query * turned_key).sum())

    for place in (1, 17, 400):
        assert score(place + 5, place) == pytest.approx(score(5, 0), abs=1e-4)
    assert score(6, 0) != pytest.approx(score(5, 0), abs=1e-2)


def test_rotation_keeps_lengths_and_position_zero() -> None:
    x = torch.randn(1, 9, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, Rotary(8)(torch.arange(9)[None]))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, 0], x[:, 0])


def test_stretched_frequencies_equal_transformers() -> None:
    scaling = RopeScaling(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_tokens=8192)
    theirs = LlamaConfig(
        hidden_size=2048,
        num_attention_heads=32,
        max_position_embeddings=131072,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](theirs, torch.device("cpu"))
    ours = rotary_frequencies(64, 500_000.0, scaling)
    torch.testing.assert_close(ours, expected, atol=0, rtol=1e-6)
    plain = rotary_frequencies(64, 500_000.0)
    assert torch.equal(ours[0], plain[0])  # the fastest is kept
    torch.testing.assert_close(ours[-1], plain[-1] / 32)  # the slowest is stretched in full


def test_sinusoidal_rows_equal_the_formula() -> None:
    rows = SinusoidalPositions(width=6, context_tokens=10)(torch.arange(10)[None])[0]
    for place in range(10):
        for pair in range(3):
            angle = place / 10_000 ** (2 * pair / 6)
            assert rows[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert rows[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_rows_of_one_distance_are_equally_similar() -> None:
    rows = SinusoidalPositions(width=32, context_tokens=64)(torch.arange(64)[None])[0]
    torch.testing.assert_close((rows[5:] * rows[:-5]).sum(dim=-1), (rows[5] @ rows[0]).expand(59), atol=1e-4, rtol=0)


def test_learned_rows_are_looked_up() -> None:
    learned = LearnedPositions(width=4, context_tokens=8)
    assert torch.equal(learned(torch.tensor([[3, 0]]))[0], learned.weight[[3, 0]])


@pytest.mark.parametrize(
    ("positions", "order_matters"), [("none", False), ("rope", True), ("learned", True), ("sinusoidal", True)]
)
def test_order_is_known_through_positions(
    model_of: Callable[..., LanguageModel], ids: Tensor, positions: str, order_matters: bool
) -> None:
    """One block without positions is a bag of words for its last token; with any scheme it is not."""
    model = model_of(positions=positions, num_layers=1)
    swapped = ids[:, [1, 0, *range(2, 12)]]
    same = torch.allclose(model(ids)[:, -1], model(swapped)[:, -1], atol=1e-5)
    assert same is not order_matters


def test_positions_count_real_tokens() -> None:
    real = torch.tensor([[False, False, True, True], [True, True, False, False], [True, False, True, True]])
    assert count_positions(real, 4).tolist() == [[0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 2]]
    assert count_positions(real, 1).tolist() == [[1], [1], [2]]


def test_frequencies_survive_meta_and_casts() -> None:
    with torch.device("meta"):
        rotary = Rotary(8, base=100.0)
    expected = rotary_frequencies(8, 100.0)
    assert torch.equal(rotary.frequencies, expected)
    assert torch.equal(rotary.to("meta").to_empty(device="cpu").frequencies, expected)
    assert torch.equal(rotary.to(torch.bfloat16).to(torch.float32).frequencies, expected)
    assert not rotary.state_dict()
