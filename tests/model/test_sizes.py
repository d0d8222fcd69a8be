"""Sizes computed from the config equal what is counted on real modules."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from groundup.model.attention import use_attention
from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import (
    activations_per_token,
    cache_bytes,
    forward_flops_per_token,
    parameter_count,
    training_memory,
)

ConfigOf = Callable[..., ModelConfig]
GPT2 = {
    "norm": "layer",
    "positions": "learned",
    "feedforward": "gelu",
    "attention_bias": True,
    "attention_output_bias": True,
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"tied_head": False, "num_kv_heads": 1, "feedforward_bias": True},
    {**GPT2, "feedforward_bias": True, "num_kv_heads": 4},
    {"qk_norm": "head", "head_width": 16},
    {"attention_bias": True, "positions": "sinusoidal"},
]


def on_meta(config: ModelConfig) -> LanguageModel:
    with torch.device("meta"):
        return LanguageModel(config)


def counted(model: torch.nn.Module, *parts: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if any(part in name for part in parts))


def check_count(config: ModelConfig) -> None:
    model, count = on_meta(config), parameter_count(config)
    assert count.total == sum(p.numel() for p in model.parameters())
    assert count.embedding == counted(model, "transformer.embedding")
    assert count.positions == counted(model, "position_embedding")
    assert count.attention == counted(
        model, ".attention.query.", ".attention.key.", ".attention.value.", ".attention.output."
    )
    assert count.feedforward == counted(model, ".feedforward.")
    assert count.norms == counted(model, "_norm.")
    assert count.head == counted(model, "head.")


@pytest.mark.parametrize("choices", VARIANTS)
def test_parameters_by_part_equal_counting(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    check_count(config_of(**choices))


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_every_preset_equal_counting(name: str) -> None:
    check_count(preset(name))


def test_classifier_parameters_equal_counting(config_of: ConfigOf) -> None:
    config = config_of(tied_head=False)
    assert parameter_count(config, num_labels=3).total == sum(p.numel() for p in Classifier(config, 3).parameters())


@pytest.mark.parametrize("choices", VARIANTS)
def test_flops_equal_torchs_counter(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    """torch counts every cell of the T x T table that the naive path computes, so that each token sees T."""
    model = LanguageModel(config_of(**choices))
    use_attention(model, "naive")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 20, dtype=torch.long))
    assert counter.get_total_flops() == 20 * forward_flops_per_token(model.config, seen_tokens=20.0)


def kept_numbers(model: LanguageModel, ids: Tensor) -> float:
    """Float32 numbers per token that autograd keeps of the transformer's forward pass, weights apart."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.transformer(ids)
    assert hidden.requires_grad
    return sum(kept.values()) / 4 / ids.numel()


@pytest.mark.parametrize("choices", VARIANTS)
def test_activations_are_what_autograd_keeps(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    config = config_of(**choices)
    expected = kept_numbers(LanguageModel(config), torch.zeros(8, 24, dtype=torch.long))
    assert activations_per_token(config) == pytest.approx(expected, rel=0.05)


def test_training_memory_by_part(config_of: ConfigOf) -> None:
    config = config_of()
    total = parameter_count(config).total
    memory = training_memory(config, batch_size=2, context_tokens=10)
    assert (memory.weights, memory.gradients, memory.optimizer) == (4 * total, 4 * total, 8 * total)
    assert memory.logits == 3 * 4 * 20 * 53
    assert memory.activations == 4 * 20 * activations_per_token(config)
    assert memory.total == 16 * total + memory.logits + memory.activations
    few = training_memory(config, batch_size=2, context_tokens=10, trained_parameters=100)
    assert memory.total - few.total == 12 * (total - 100)


def test_cache_bytes_equal_the_caches_tensors(config_of: ConfigOf) -> None:
    config = config_of()
    cache = KVCache(config, batch=3, capacity=10, dtype=torch.bfloat16)
    assert cache_bytes(config, batch=3, capacity=10, value_bytes=2) == cache.keys.nbytes + cache.values.nbytes
