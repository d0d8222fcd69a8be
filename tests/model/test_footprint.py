"""Memory computed from the config equals what real modules, caches and autograd hold."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig
from groundup.model.footprint import (
    activation_bytes,
    cache_bytes,
    needed_cache_bytes,
    training_memory,
    weight_bytes,
)
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import chunk_tokens
from groundup.model.sizes import parameter_count

ConfigOf = Callable[..., ModelConfig]
CHOICES: list[dict[str, Any]] = [
    {},
    {"norm": "layer", "feedforward": "gelu", "positions": "learned", "num_kv_heads": 4},
    {"norm": "layer", "block": "sandwich"},
    {"norm": "layer", "block": "parallel"},
    {"block": "post"},
    {"head_width": 16, "attention_bias": True, "feedforward_bias": True},
    {"score_softcap": 5.0},
    {"num_experts": 4, "experts_per_token": 3, "normalised_router": False, "feedforward": "geglu"},
]


def kept_bytes(model: LanguageModel, ids: Tensor) -> int:
    """Bytes of the tensors that autograd keeps of the forward pass, weights apart, and of what the head reads."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        keep(model.transformer(ids))
    return sum(kept.values())


def check_activations(config: ModelConfig) -> None:
    for batch, tokens in ((8, 24), (2, 20)):
        kept = kept_bytes(LanguageModel(config), torch.zeros(batch, tokens, dtype=torch.long))
        assert activation_bytes(config, batch_size=batch, context_tokens=tokens) == pytest.approx(
            kept, rel=0.005
        )


@pytest.mark.parametrize("choices", CHOICES)
def test_activations_are_what_autograd_keeps(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    check_activations(config_of(**choices))


def test_activations_of_every_kind_of_model(config_of: ConfigOf, kind: dict[str, Any]) -> None:
    check_activations(config_of(**kind))


def test_training_memory_by_part(config_of: ConfigOf) -> None:
    config = config_of()
    total = parameter_count(config).total
    memory = training_memory(config, batch_size=2, context_tokens=10)
    assert (memory.weights, memory.gradients, memory.optimizer) == (4 * total, 4 * total, 8 * total)
    assert memory.logits == 4 * 20 * 53
    large = training_memory(config, batch_size=200, context_tokens=1000)
    assert large.logits == 4 * 2 * chunk_tokens(53) * 53 < 4 * 200_000 * 53
    assert memory.activations == activation_bytes(config, batch_size=2, context_tokens=10)
    assert memory.total == 16 * total + memory.logits + memory.activations
    few = training_memory(config, batch_size=2, context_tokens=10, trained_parameters=100)
    assert memory.total - few.total == 12 * (total - 100)
    bent = training_memory(config_of(logit_softcap=5.0), batch_size=2, context_tokens=10)
    assert bent.logits == 4 * memory.logits


def test_cache_bytes_equal_the_caches_tensors(config_of: ConfigOf, kind: dict[str, Any]) -> None:
    config = config_of(**kind)
    cache = KVCache(config, batch=3, capacity=10, dtype=torch.bfloat16)
    assert (
        cache_bytes(config, batch=3, capacity=10, value_bytes=2)
        == cache.keys.nbytes + cache.values.nbytes
    )


def test_a_cache_needs_what_the_windows_show(config_of: ConfigOf) -> None:
    full, windowed = config_of(), config_of(window_tokens=4, full_every=3)
    assert needed_cache_bytes(full, batch=1, capacity=20) == cache_bytes(full, batch=1, capacity=20)
    assert (
        needed_cache_bytes(windowed, batch=1, capacity=20) * 60
        == cache_bytes(windowed, batch=1, capacity=20) * 28
    )


def test_weights_in_memory_equal_their_tensors(config_of: ConfigOf, kind: dict[str, Any]) -> None:
    config = config_of(**kind)
    model = LanguageModel(config)
    assert weight_bytes(config, "float32") == sum(p.nbytes for p in model.parameters())
    assert weight_bytes(config, "bf16") == sum(p.nbytes for p in model.bfloat16().parameters())


def test_q8_0_is_34_bytes_for_32_numbers(config_of: ConfigOf) -> None:
    config = config_of(vocab_size=64, feedforward_width=64, num_layers=1)
    vectors = 3 * 32 * 4
    matrices = parameter_count(config).total - 3 * 32
    assert weight_bytes(config, "q8_0") == vectors + matrices * 34 // 32
    odd = config_of(vocab_size=64, num_layers=1)  # rows of 48 in the narrowing matrix
    assert (
        weight_bytes(odd, "q8_0")
        == vectors + (matrices - 3 * 16 * 32 - 32 * 48) * 34 // 32 + 2 * 32 * 48
    )
