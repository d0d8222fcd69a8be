"""Parameters and operations computed from the config equal what is counted on real modules."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from groundup.model.attention import use_attention
from groundup.model.attention_steps import window_mask
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import (
    active_parameters,
    flops_per_token,
    forward_flops_per_token,
    parameter_count,
    seen_tokens,
    weight_kinds,
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
    {**GPT2, "feedforward_bias": True, "block": "post"},
    {"qk_norm": "head", "head_width": 16},
    {"qk_norm": "projection", "norm": "layer", "block": "sandwich"},
    {"attention_bias": True, "positions": "sinusoidal"},
]


def counted_kinds(model: torch.nn.Module) -> Counter[tuple[str, tuple[int, ...]]]:
    """How often each name, without the block's number, stands in the model with each shape."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    for name, parameter in model.named_parameters():
        words = name.removeprefix("transformer.").split(".")
        found[".".join(words[2:] if words[0] == "blocks" else words), tuple(parameter.shape)] += 1
    return found


def check_count(config: ModelConfig) -> None:
    with torch.device("meta"):
        model = LanguageModel(config)
    assert {
        (kind.name, kind.shape): kind.count for kind in weight_kinds(config) if kind.count
    } == counted_kinds(model)
    assert parameter_count(config).total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("choices", VARIANTS)
def test_every_weight_has_its_name_shape_and_number(
    config_of: ConfigOf, choices: dict[str, Any]
) -> None:
    check_count(config_of(**choices))


def test_every_weight_of_every_kind_of_model(config_of: ConfigOf, kind: dict[str, Any]) -> None:
    check_count(config_of(**kind))


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_every_preset_equal_counting(name: str) -> None:
    check_count(preset(name))


def test_classifier_parameters_equal_counting(config_of: ConfigOf) -> None:
    config = config_of(tied_head=False)
    assert parameter_count(config, num_labels=3).total == sum(
        p.numel() for p in Classifier(config, 3).parameters()
    )


def test_active_parameters_leave_out_the_experts_that_are_not_chosen(config_of: ConfigOf) -> None:
    few, many = (
        config_of(num_experts=2, experts_per_token=2),
        config_of(num_experts=5, experts_per_token=2),
    )
    assert active_parameters(few) == parameter_count(few).total
    routers = 3 * 3 * 32  # three more rows in each of three blocks
    assert active_parameters(many) == active_parameters(few) + routers
    assert active_parameters(config_of()) == parameter_count(config_of()).total


def counted_flops(model: LanguageModel, num_tokens: int, *, backward: bool = False) -> int:
    """What torch counts of one text by the naive path, where every product is a matrix product."""
    use_attention(model, "naive")
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.zeros(1, num_tokens, dtype=torch.long))
        if backward:
            logits.sum().backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("choices", VARIANTS)
def test_flops_equal_torchs_counter(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    """torch counts every cell of the T x T table that the naive path computes, so that each token sees T."""
    model = LanguageModel(config_of(**choices))
    assert counted_flops(model, 20) == 20 * forward_flops_per_token(model.config, seen_tokens=20.0)


def test_flops_of_every_kind_of_model_equal_torchs_counter(
    config_of: ConfigOf, kind: dict[str, Any]
) -> None:
    """The naive path computes what a window hides, too: that much apart, the counts are the same."""
    config = config_of(**kind)
    flops = flops_per_token(config, context_tokens=20)
    square = config.num_layers * 4 * config.num_heads * config.head_width * 20
    assert counted_flops(LanguageModel(config), 20) == 20 * (
        flops.forward - flops.attention_scores + square
    )


@pytest.mark.parametrize("choices", VARIANTS)
def test_training_takes_three_forward_passes(config_of: ConfigOf, choices: dict[str, Any]) -> None:
    config = config_of(**choices)
    forward = counted_flops(LanguageModel(config), 20)
    assert counted_flops(LanguageModel(config), 20, backward=True) == 3 * forward
    flops = flops_per_token(config, context_tokens=20)
    assert flops.training == 3 * flops.forward


@pytest.mark.parametrize("num_tokens", [1, 3, 4, 9, 24])
def test_a_token_sees_what_the_mask_allows(config_of: ConfigOf, num_tokens: int) -> None:
    config = config_of(window_tokens=4, full_every=2)
    for layer, window in enumerate((4, 0, 4)):
        allowed = window_mask(num_tokens, num_tokens, window).sum().item()
        assert seen_tokens(config, layer, num_tokens) == allowed / num_tokens
    one_by_one = sum(
        forward_flops_per_token(config, seen_tokens=t + 1.0) for t in range(num_tokens)
    )
    assert flops_per_token(config, context_tokens=num_tokens).forward == pytest.approx(
        one_by_one / num_tokens
    )


def test_a_classifier_reads_its_scores_once_a_text(config_of: ConfigOf) -> None:
    assert flops_per_token(config_of(), context_tokens=20, num_labels=3).head == 0
    assert flops_per_token(config_of(), context_tokens=20).head == 2 * 53 * 32
