"""Weights in 8 and 4 bits: what is stored, what the products of it are, and what is left alone."""

import pytest
import torch
import torch.nn.functional as F

from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.quantised import (
    GROUP,
    KINDS,
    MANY_ROWS,
    ROWS,
    Int8Linear,
    quantise,
    round_int4,
    round_int8,
)


def matrix(outputs: int, inputs: int) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1))


def model(width: int = 64, feedforward: int = 128, *, tied: bool = True) -> LanguageModel:
    made = LanguageModel(ModelConfig(192, 64, width, 2, 2, feedforward, tied_head=tied))
    initialise(made, torch.Generator().manual_seed(0))
    return made.bfloat16()


def test_no_weight_is_further_off_than_half_a_step_of_its_scale() -> None:
    weight = matrix(64, 96)
    numbers, scales = round_int8(weight)
    off = (numbers * scales[:, None] - weight).abs() / scales[:, None]
    assert (
        off.max() <= 0.75
    )  # a half, and what rounding the scale to bf16 moves the row's largest numbers
    in_groups, steps, offsets = round_int4(weight)
    unpacked = (in_groups.unflatten(1, (-1, GROUP)) - 8) * steps[..., None] + offsets[..., None]
    assert ((unpacked - weight.unflatten(1, (-1, GROUP))).abs() / steps[..., None]).max() <= 0.65


def test_a_row_of_zeros_stays_zero() -> None:
    for bits in KINDS:
        linear = KINDS[bits](torch.zeros(64, 64, dtype=torch.bfloat16), None)
        assert linear(torch.ones(2, 64, dtype=torch.bfloat16)).abs().max() < 1e-9


@pytest.mark.parametrize("rows", [1, 4, ROWS, ROWS + 1, MANY_ROWS + 1])
def test_int8_products_are_those_of_the_unpacked_weights_for_few_and_many_rows(rows: int) -> None:
    linear, x = Int8Linear(matrix(96, 64)), matrix(rows, 64).bfloat16()
    exact = x.float() @ linear.weight.float().T
    assert (linear(x).float() - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize("rows", [1, 33])
def test_int4_products_are_those_of_the_rounded_weights(rows: int) -> None:
    weight, x = matrix(128, 64), matrix(rows, 64).bfloat16()
    numbers, scales, offsets = round_int4(weight)
    unpacked = (numbers.unflatten(1, (-1, GROUP)) - 8) * scales[..., None] + offsets[..., None]
    bias = torch.ones(128, dtype=torch.bfloat16)
    exact = F.linear(x.float(), unpacked.flatten(1), bias.float())
    assert (KINDS["int4"](weight, bias)(x).float() - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize("tied", [True, False])
def test_a_packed_model_says_nearly_what_it_said_and_is_smaller(tied: bool) -> None:
    ids = torch.arange(40)[None]
    whole = model(tied=tied)
    before = whole(ids).float()
    made = quantise(whole, "int8")
    assert made.packed == 2 * 7 + 1 and not made.left
    after = whole(ids).float()
    assert (after - before).abs().max() < 0.05 * before.abs().max()
    assert all(
        part.dtype == torch.int8 for name, part in whole.named_buffers() if name.endswith("numbers")
    )


def test_matrices_of_odd_sizes_stay_as_they_are_and_are_named() -> None:
    odd = model(feedforward=100)
    made = quantise(odd, "int8")
    assert len(made.left) == 2 * 3 and all("feedforward" in name for name in made.left)
    odd(torch.arange(8)[None])


def test_only_bf16_weights_are_packed() -> None:
    with pytest.raises(ConfigError, match="bf16"):
        quantise(model().float(), "int8")
