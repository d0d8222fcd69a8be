"""One row in float32 by oneDNN's inner product, as on processors of AMD: `F.linear` is the test."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.model import linear as products
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.linear import FastLinear, linear
from groundup.model.lora import add_lora
from groundup.model.matmul_precision import fast_matmul
from groundup.model.quantised import dequantise, quantise

CPU = torch.device("cpu")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A processor whose product of one row is slow; how many went the other way since asked."""
    taken, product = [0], torch.ops.mkldnn._linear_pointwise

    class Counting:
        @staticmethod
        def _linear_pointwise(*arguments: object) -> Tensor:
            taken[0] += 1
            out = product(*arguments)
            assert isinstance(out, Tensor)
            return out

    def count() -> int:
        found, taken[0] = taken[0], 0
        return found

    monkeypatch.setattr(products, "one_row_is_slow", lambda: True)
    monkeypatch.setattr(products, "LEAST_WEIGHTS", 64)
    monkeypatch.setattr(torch.ops, "mkldnn", Counting, raising=True)
    return count


@torch.no_grad()
def test_one_row_is_as_exact_as_torch(counted: Callable[[], int]) -> None:
    draw = torch.Generator().manual_seed(0)
    for outputs, inputs in ((576, 576), (1536, 576), (4096, 65), (3, 90_001)):
        weight = torch.randn(outputs, inputs, generator=draw)
        bias = torch.randn(outputs, generator=draw)
        for shape in ((inputs,), (1, inputs), (1, 1, inputs)):
            x = torch.randn(shape, generator=draw)
            exact = F.linear(x.double(), weight.double(), bias.double())
            with fast_matmul(CPU):  # where rounding is allowed because nothing rounds
                allowed = linear(x, weight, bias)
            for found in (linear(x, weight, bias), linear(x, weight) + bias, allowed):
                assert found.shape == exact.shape and found.dtype == torch.float32
                assert (found - exact).abs().max() < 2e-6 * inputs**0.5 * exact.abs().max()
            assert counted() == 3


def test_all_else_goes_through_torch(counted: Callable[[], int]) -> None:
    module, x = FastLinear(16, 8), torch.ones(1, 16)
    with torch.no_grad():
        assert torch.equal(
            module(torch.ones(2, 16)), F.linear(torch.ones(2, 16), module.weight, module.bias)
        )
        module(torch.ones(0, 16))
        linear(torch.ones(1, 9), torch.ones(7, 9))  # too small
        linear(x.bfloat16(), module.weight.bfloat16())
        linear(x.double(), module.weight.double())
        with torch.autocast("cpu", torch.bfloat16):
            assert module(x).dtype == torch.bfloat16
        linear(x.to("meta"), module.weight.to("meta"))
    module(x).sum().backward()
    assert module.weight.grad is not None and bool((module.weight.grad == 1).all())
    assert counted() == 0


@torch.no_grad()  # checked shapes wrap the generator inside its own inference mode
def test_a_model_decodes_the_same_tokens(counted: Callable[[], int]) -> None:
    compute, sampling = Compute(CPU), Sampling(temperature=0, max_tokens=24)
    for experts in (0, 4):
        config = ModelConfig(
            96, 64, 32, 2, 4, 48, 2, 8, num_experts=experts, experts_per_token=min(experts, 2)
        )
        model = LanguageModel(config)
        initialise(model, torch.Generator().manual_seed(1), deviation=0.3)
        written = list(generate_ids(model, [3, 1, 4], sampling, (), compute=compute))
        assert counted() > 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "one_row_is_slow", lambda: False)
            expected = list(generate_ids(model, [3, 1, 4], sampling, (), compute=compute))
        assert counted() == 0
        assert written == expected and len(set(expected)) > 3


def test_adapted_and_unpacked_matrices_take_the_same_product(counted: Callable[[], int]) -> None:
    config = ModelConfig(64, 8, 64, 1, 2, 64, 1, 64)
    adapted, unpacked = LanguageModel(config), LanguageModel(config).bfloat16()
    add_lora(adapted, rank=2, alpha=4.0, generator=torch.Generator().manual_seed(0))
    quantise(unpacked, "int8")
    dequantise(unpacked, torch.float32)
    for model in (adapted, unpacked):
        with torch.no_grad():
            model(torch.tensor([[5]]))
        assert counted() == 8  # seven of the block and the head


def test_it_is_chosen_by_the_processor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in (("AMD EPYC 9B45", True), ("Intel Xeon", False), ("", False)):
        products.one_row_is_slow.cache_clear()
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda name=name: {"cpu_name": name}, raising=False
        )
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
        assert products.one_row_is_slow() == expected
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    products.one_row_is_slow.cache_clear()
    assert not products.one_row_is_slow()
    products.one_row_is_slow.cache_clear()
