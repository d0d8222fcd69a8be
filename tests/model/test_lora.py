"""Adapters begin as nothing, train alone, and merge into a plain model that gives the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.errors import ConfigError
from groundup.model.heads import LanguageModel
from groundup.model.lora import (
    LoRALinear,
    LoRAWeights,
    add_lora,
    lora_parameters,
    merge_lora,
    remove_lora,
)

ModelOf = Callable[..., LanguageModel]


def adapted(model: LanguageModel, targets: tuple[str, ...] = (), seed: int = 0) -> LanguageModel:
    add_lora(
        model, rank=2, alpha=8.0, generator=torch.Generator().manual_seed(seed), targets=targets
    )
    return model


def adapters(model: LanguageModel) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if ".lora_" in name}


def moved(model: LanguageModel) -> LanguageModel:
    """As after some training: B is no longer zero."""
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(
                torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
                )
                * 0.02
            )
    return model


def test_adapters_begin_as_nothing(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of()
    before = model(ids)
    assert torch.equal(adapted(model)(ids), before)


@pytest.mark.parametrize(
    "choices", [{}, {"feedforward": "gelu", "attention_bias": True, "feedforward_bias": True}]
)
def test_merged_equals_unmerged_and_names_are_plain_again(
    model_of: ModelOf, ids: Tensor, choices: dict[str, object]
) -> None:
    model = model_of(**choices)
    names, before = set(model.state_dict()), model(ids)
    unmerged = moved(adapted(model))(ids)
    assert (unmerged - before).abs().max() > 1e-2
    merge_lora(model)
    assert set(model.state_dict()) == names
    assert not any(isinstance(part, LoRALinear) for part in model.modules())
    torch.testing.assert_close(model(ids), unmerged, atol=1e-5, rtol=1e-5)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_removed_adapters_leave_every_bit_as_it_was(model_of: ModelOf) -> None:
    model = model_of()
    with torch.no_grad():
        model.transformer.block(0).attention.query.weight[
            0
        ] = -0.0  # as quantised weights have them
    before = {name: tensor.clone().view(torch.int32) for name, tensor in model.state_dict().items()}
    remove_lora(moved(adapted(model)))
    after = {name: tensor.view(torch.int32) for name, tensor in model.state_dict().items()}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_correction_equals_the_product_written_out() -> None:
    torch.manual_seed(0)
    base = torch.nn.Linear(6, 5)
    layer = LoRALinear(
        base,
        LoRAWeights.initial(base, rank=3, alpha=6.0, generator=torch.Generator().manual_seed(0)),
    )
    torch.nn.init.normal_(layer.lora_b)
    x = torch.randn(4, 6)
    expected = x @ (base.weight + 2.0 * layer.lora_b @ layer.lora_a).T + base.bias  # alpha / R = 2
    torch.testing.assert_close(layer(x), expected)


def test_only_adapters_are_trained(model_of: ModelOf, ids: Tensor) -> None:
    model = adapted(model_of())
    model(ids).sum().backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == set(adapters(model))
    assert len(lora_parameters(model)) == 3 * 7 * 2  # blocks, matrices, A and B
    assert sum(p.numel() for p in lora_parameters(model)) == sum(
        p.numel() for p in model.parameters() if p.requires_grad
    )


def test_chosen_targets_only(model_of: ModelOf) -> None:
    state = adapters(adapted(model_of(), targets=("query", "down")))
    assert {name.split(".")[-2] for name in state} == {"query", "down"}
    with pytest.raises(ConfigError, match="'gate' is not a matrix"):
        adapted(model_of(feedforward="gelu"), targets=("gate",))


def test_a_seed_gives_the_same_adapters(model_of: ModelOf) -> None:
    first, second, other = (adapters(adapted(model_of(), seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_rank_below_one_and_a_second_adapting_are_refused(model_of: ModelOf) -> None:
    model = model_of()
    with pytest.raises(ConfigError, match=r"at least 1 \(got 0\)"):
        add_lora(model, rank=0, alpha=1.0, generator=torch.Generator())
    with pytest.raises(ConfigError, match="already"):
        adapted(adapted(model))


def test_of_a_model_with_experts_the_attention_alone_is_adapted(
    model_of: ModelOf, ids: Tensor
) -> None:
    model = model_of(num_experts=4, experts_per_token=2)
    names, before = set(model.state_dict()), model(ids)
    names_adapted = {name.split(".")[-2] for name in adapters(adapted(model))}
    assert names_adapted == {"query", "key", "value", "output"}
    assert (moved(model)(ids) - before).abs().max() > 1e-2
    merge_lora(model)
    assert set(model.state_dict()) == names
    with pytest.raises(ConfigError, match="'down'"):
        adapted(model_of(num_experts=4, experts_per_token=2), ("down",))


@pytest.mark.parametrize(("bf16", "most"), [(False, 1e-6), (True, 1e-2)])
def test_a_training_step_has_the_gradients_of_the_formula(bf16: bool, most: float) -> None:
    draw = torch.Generator().manual_seed(3)
    weight, a, b, x, g = (
        torch.randn(*shape, generator=draw)
        for shape in ((48, 64), (4, 64), (48, 4), (2, 9, 64), (2, 9, 48))
    )
    base = torch.nn.Linear(64, 48, bias=False).requires_grad_(False)
    base.weight.copy_(weight)
    adapter = LoRALinear(base, LoRAWeights(a.clone(), b.clone(), 2.0))
    given = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        output = adapter(given)
    assert type(output.grad_fn).__name__ == "FusedLoRABackward"
    output.backward(g.to(output.dtype))
    exact = [tensor.double().requires_grad_() for tensor in (x, a, b)]
    wanted = exact[0] @ weight.double().T + 2.0 * exact[0] @ exact[1].T @ exact[2].T
    wanted.backward(g.double())
    found = (output, given.grad, adapter.lora_a.grad, adapter.lora_b.grad)
    for ours, theirs in zip(found, (wanted, *(tensor.grad for tensor in exact)), strict=True):
        assert ours is not None and theirs is not None
        assert (ours.double() - theirs).norm() < most * theirs.norm()


@pytest.mark.parametrize("shape", [(6,), (0, 6), (2, 0, 6), (2, 3, 6)])
def test_inputs_have_any_number_of_dimensions_as_of_a_linear(shape: tuple[int, ...]) -> None:
    base = torch.nn.Linear(6, 5, bias=False).requires_grad_(False)
    adapter = LoRALinear(base, LoRAWeights(torch.randn(2, 6), torch.randn(5, 2), 2.0))
    x = torch.randn(shape, requires_grad=True)
    output = adapter(x)
    torch.testing.assert_close(output, base(x) + 2.0 * x @ adapter.lora_a.T @ adapter.lora_b.T)
    output.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    expected = (base.weight + 2.0 * adapter.lora_b @ adapter.lora_a).sum(dim=0).expand(shape)
    torch.testing.assert_close(x.grad, expected)


def test_a_frozen_weight_that_was_changed_is_converted_anew() -> None:
    base = torch.nn.Linear(8, 8, bias=False).requires_grad_(False)
    adapter = LoRALinear(base, LoRAWeights(torch.zeros(2, 8), torch.zeros(8, 2), 1.0))
    outputs = []
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs.append(adapter(torch.ones(1, 8)))
        base.weight.mul_(2.0)
    assert torch.equal(outputs[1], 2.0 * outputs[0])
