"""Muon is what its readable version computes; each optimizer takes the parameters that are its own."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from groundup.config import build_config, to_plain
from groundup.data.batches.loader import Batch
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.footprint import StateSize, state_numbers
from groundup.model.heads import LanguageModel, initialise
from groundup.model.lora import add_lora
from groundup.model.matmul_precision import ProductTimes
from groundup.train.checkpoint.tensors import optimizer_tensors, restore_optimizer
from groundup.train.optimizers.adamw import AdamW
from groundup.train.optimizers.built import BuiltOptimizer, parameter_groups, trainable
from groundup.train.optimizers.known import OPTIMIZERS
from groundup.train.optimizers.muon import Muon
from groundup.train.optimizers.muon_variant import POLYNOMIALS, MuonVariant
from groundup.train.optimizers.optimizer import Optimizer
from groundup.train.optimizers.stacked_muon import (
    StackedMuon,
    muon_step,
    orthogonalise,
    rescale_rows,
)
from groundup.train.steps.config import FitConfig, TrainPrecision, pretraining_config
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.precision import decide_muon

SHAPE = ModelConfig(60, 16, 32, 2, 2, 48, positions="learned", attention_bias=True)
RATES = {"momentum": 0.95, "weight_decay": 0.3, "rate": 0.02}
SETTINGS: dict[str, Any] = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.3}
MUON = FitConfig(steps=3, optimizer=Muon(weight_decay=0.3))


def random_matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("polynomial", POLYNOMIALS)
@pytest.mark.parametrize(("rows", "columns"), [(48, 32), (32, 48), (32, 32), (1, 32)])
def test_orthogonalising_keeps_directions_and_evens_their_lengths(
    rows: int, columns: int, polynomial: str
) -> None:
    matrix, spread = random_matrix(rows, columns), {"jordan": 0.5, "polar-express": 0.15}
    u, lengths, v = torch.linalg.svd(matrix, full_matrices=False)
    # U^T X V: only its diagonal has numbers
    within = u.T @ orthogonalise(matrix, polynomial=polynomial) @ v.T
    kept = within.diagonal()[lengths > 0.05 * lengths.norm()]
    assert (kept - 1).abs().max() < spread[polynomial]
    torch.testing.assert_close(within, torch.diag(within.diagonal()), atol=2e-4, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(48, 32), (32, 48), (32, 32)])
def test_torchs_muon_is_the_readable_one_but_for_its_bfloat16(rows: int, columns: int) -> None:
    weight = nn.Parameter(random_matrix(rows, columns))
    readable, state = weight.detach().clone(), zero_state(weight)
    optimizer = torch.optim.Muon([weight], **SETTINGS)
    for step in range(1, 4):
        weight.grad = random_matrix(rows, columns, seed=step)
        before = weight.detach().clone()
        optimizer.step()
        readable, state = muon_step(readable, weight.grad, state, **RATES)
        torch.testing.assert_close(
            optimizer.state[weight]["momentum_buffer"],
            state["momentum_buffer"],
            rtol=1e-5,
            atol=1e-6,
        )
        moved = (weight - before).norm()
        assert (
            weight - readable
        ).norm() < 0.02 * step * moved  # 8 bits of a number, through fifteen products


def zero_state(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "momentum_buffer": torch.zeros(weight.shape),
        "row_square": torch.zeros(len(weight), 1),
    }


def test_rows_of_muons_updates_are_equally_long_over_time_and_the_whole_as_long_as_before() -> None:
    direction = random_matrix(6, 4) * torch.tensor([[1.0], [1.0], [10.0], [1.0], [1.0], [0.1]])
    square = torch.zeros(6, 1)
    for _ in range(3):  # what the first steps lack of the mean is the same for all
        rescaled, square = rescale_rows(direction, square, 0.9)
        lengths = rescaled.norm(dim=1)
        torch.testing.assert_close(lengths, torch.full((6,), direction.norm() / 6**0.5))
    louder = direction * torch.tensor([[2.0], [1.0], [1.0], [1.0], [1.0], [1.0]])
    rescaled, _ = rescale_rows(louder, square, 0.9)
    assert rescaled.norm(dim=1).argmax() == 0 and not torch.isnan(rescaled).any()
    torch.testing.assert_close(rescaled.norm(), louder.norm())


EXACT = [
    MuonVariant(),
    MuonVariant("polar-express"),
    MuonVariant(row_beta=0.9),
    MuonVariant(equal_rows=True),
    MuonVariant(cautious_decay=True),
    MuonVariant("polar-express", 0.9, True),
]
# Rounded to 8 bits small directions change their signs, and with them which weights decay.
ROUNDED = [each for each in EXACT if not each.cautious_decay]


@pytest.mark.parametrize(
    ("dtype", "variant"),
    [(torch.float32, each) for each in EXACT] + [(torch.bfloat16, each) for each in ROUNDED],
    ids=str,
)
def test_stacked_muon_is_the_readable_one_and_goes_on_from_torchs_momentum(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, variant: MuonVariant
) -> None:
    monkeypatch.setattr("groundup.train.optimizers.stacked_muon.STACKED_NUMBERS", 48 * 32)
    shapes = [
        *[(48, 32)] * 3,
        (32, 48),
        (32, 32),
        *[(48, 33)] * 2,
    ]  # the last two are too large for a stack
    weights = [
        nn.Parameter(random_matrix(*shape, seed=number)) for number, shape in enumerate(shapes)
    ]
    readable = [(weight.detach().clone(), zero_state(weight)) for weight in weights]
    optimizer: torch.optim.Optimizer = StackedMuon(
        weights, dtype=dtype, variant=variant, **SETTINGS
    )
    for step in range(1, 4):
        before = [weight.detach().clone() for weight in weights]
        for number, weight in enumerate(weights):
            weight.grad = random_matrix(*weight.shape, seed=10 * step + number)
        if step == 2:
            weights[2].grad = None  # leaves weight and momentum as they are
        optimizer.step()
        for number, (weight, old) in enumerate(zip(weights, before, strict=True)):
            if weight.grad is None:
                assert torch.equal(weight, old)
                continue
            readable[number] = muon_step(
                readable[number][0], weight.grad, readable[number][1], variant=variant, **RATES
            )
            error, moved = (weight - readable[number][0]).norm(), (weight - old).norm()
            assert error < (1e-4 if dtype == torch.float32 else 0.02) * step * moved
            momentum = optimizer.state[weight]["momentum_buffer"]
            torch.testing.assert_close(
                momentum, readable[number][1]["momentum_buffer"], rtol=1e-5, atol=1e-6
            )
    other = torch.optim.Muon(weights, **SETTINGS)
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(
        other.state[weights[0]]["momentum_buffer"], optimizer.state[weights[0]]["momentum_buffer"]
    )


@pytest.mark.parametrize(
    ("has_bf16", "said", "slowdown", "expected"),
    [
        (True, "auto", 0.5, "bf16"),
        (False, "auto", 0.5, "float32"),  # a processor that has none is not asked
        (True, "auto", 20.0, "float32"),  # one that says it has, and emulates
        (False, "bf16", 20.0, "bf16"),
        (True, "float32", 0.5, "float32"),
    ],
)
def test_muon_is_in_float32_where_bf16_is_emulated_unless_the_config_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    has_bf16: bool,
    said: TrainPrecision,
    slowdown: float,
    expected: str,
) -> None:
    monkeypatch.setattr(
        "groundup.train.steps.precision.product_times", lambda *_: ProductTimes(1.0, slowdown)
    )
    compute, model = Compute(torch.device("cpu"), native_bf16=has_bf16), model_of()
    config = MUON.with_fields({"optimizer.precision": said})
    decided = decide_muon(config, model, compute=compute)
    assert decided.precision == expected
    dtypes = [
        part.dtype
        for part in decided.closed(config).optimizer.build(model).parts
        if isinstance(part, StackedMuon)
    ]
    assert dtypes == [torch.float32 if expected == "float32" else torch.bfloat16]
    assert decide_muon(FitConfig(steps=1), model, compute=compute).precision is None


def model_of(config: ModelConfig = SHAPE) -> LanguageModel:
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(1))
    return model


def owners(model: nn.Module, optimizer: BuiltOptimizer) -> dict[str, str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(p)]: type(part).__name__
        for part in optimizer.parts
        for g in part.param_groups
        for p in g["params"]
    }


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_all_else() -> None:
    model = model_of(replace(SHAPE, tied_head=False))
    found = owners(model, MUON.optimizer.build(model))
    assert set(found) == set(dict(model.named_parameters()))
    parts = ("query", "key", "value", "output", "gate", "up", "down")
    expected = {
        n for n in found if ".blocks." in n and n.endswith(".weight") and n.split(".")[-2] in parts
    }
    assert {name for name, owner in found.items() if owner == "StackedMuon"} == expected and len(
        expected
    ) == 14
    assert {
        "head.weight",
        "transformer.embedding.weight",
        "transformer.position_embedding.weight",
    } <= set(found)


def test_routers_and_stacked_experts_are_adamws() -> None:
    model = model_of(replace(SHAPE, num_experts=4, experts_per_token=2))
    found = owners(model, MUON.optimizer.build(model))
    experts = {name: owner for name, owner in found.items() if ".feedforward." in name}
    assert len(experts) == 8 and set(experts.values()) == {"AdamW"}
    assert sum(owner == "StackedMuon" for owner in found.values()) == 8


def test_muon_serves_adapters_of_frozen_blocks_and_needs_a_matrix() -> None:
    model = model_of()
    add_lora(model, rank=4, alpha=8.0, generator=torch.Generator().manual_seed(0))
    assert set(owners(model, MUON.optimizer.build(model)).values()) == {"StackedMuon"}
    with pytest.raises(ConfigError, match="no matrix in a block"):
        MUON.optimizer.build(nn.Linear(3, 3))


def test_learning_rates_rise_and_fall_together() -> None:
    optimizer = MUON.with_fields(
        {"optimizer.learning_rate": 0.004, "optimizer.matrix_learning_rate": 0.02}
    ).optimizer.build(model_of())
    optimizer.set_rate(0.001)  # a quarter
    rates = {
        type(part).__name__: [group["lr"] for group in part.param_groups]
        for part in optimizer.parts
    }
    assert rates == {"StackedMuon": [pytest.approx(0.005)], "AdamW": [0.001, 0.001]}


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_every_optimizer_learns_and_its_memory_comes_back_by_name(name: str) -> None:
    model = model_of()
    optimizer = MUON.with_fields(
        {"optimizer": {"name": name, "learning_rate": 0.01}}
    ).optimizer.build(model)
    text = torch.arange(17).repeat(4, 1)
    batch, losses = Batch(text[:, :-1], text[:, 1:]), []
    for _ in range(12):
        loss = next_token_loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.9 * losses[0]
    kept = optimizer_tensors(model, optimizer)
    keys = {"adamw": {"exp_avg", "exp_avg_sq", "step"}, "sgd": {"momentum_buffer"}}
    assert {key.split(".")[-1] for key in kept} == keys.get(name, keys["adamw"] | keys["sgd"])
    other = MUON.with_fields({"optimizer": name}).optimizer.build(model)
    assert optimizer_tensors(model, other) == {}
    restore_optimizer(model, other, kept)
    again = optimizer_tensors(model, other)
    assert set(again) == set(kept) and all(torch.equal(again[key], kept[key]) for key in kept)


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen et al. 2023): steps along the sign of one running mean."""

    name: str = "lion"
    learning_rate: float = 3e-4
    beta1: float = 0.9
    state_size: ClassVar[tuple[int, int]] = (1, 1)

    def build(self, model: nn.Module) -> BuiltOptimizer:
        return BuiltOptimizer(
            [LionSteps(parameter_groups(trainable(model).values(), model, self.weight_decay))]
        )


class LionSteps(torch.optim.Optimizer):
    def __init__(self, groups: Any) -> None:
        super().__init__(groups, {"lr": 3e-4})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 0.1)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * mean.sign())


def test_a_further_optimizer_is_one_class_and_is_counted_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPTIMIZERS, "lion", Lion)
    config = pretraining_config(3, {"optimizer": {"name": "lion", "beta1": 0.8}})
    assert config.optimizer == Lion(beta1=0.8)
    assert build_config(FitConfig, to_plain(config)) == config
    with pytest.raises(ConfigError, match=r"Unknown field 'fit.optimizer.beta2'"):
        pretraining_config(3, {"optimizer": {"name": "lion", "beta2": 0.8}})
    sizes = [StateSize(*kind.state_size) for kind in (Lion, Muon, AdamW)]
    lion, muon, adamw = (state_numbers(SHAPE, size) for size in sizes)
    assert lion < muon < adamw == 2 * lion
    model = model_of()
    optimizer = config.optimizer.build(model)
    optimizer.set_rate(0.003)
    text = torch.arange(17).repeat(4, 1)
    batch, losses = Batch(text[:, :-1], text[:, 1:]), []
    for _ in range(6):
        found = next_token_loss(model, batch)
        found.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(found.total.item())
    assert losses[-1] < losses[0]
    kept = optimizer_tensors(model, optimizer)
    assert {name.split(".")[-1] for name in kept} == {"mean"}
