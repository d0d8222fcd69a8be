"""Tiny models of the model room's tests."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel, initialise

# One of each kind of model that the families here consist of.
GEMMA2: dict[str, Any] = {
    "block": "sandwich",
    "feedforward": "geglu",
    "window_tokens": 4,
    "full_every": 2,
    "score_width": 12,
    "score_softcap": 5.0,
    "logit_softcap": 3.0,
    "scaled_embedding": True,
}
GEMMA3: dict[str, Any] = {
    "block": "sandwich",
    "feedforward": "geglu",
    "qk_norm": "head",
    "window_tokens": 5,
    "full_every": 3,
    "window_rope_base": 100.0,
    "rope_scaling": RopeScaling(8.0, kind="linear"),
}
GPT2: dict[str, Any] = {
    "norm": "layer",
    "positions": "learned",
    "feedforward": "gelu",
    "attention_bias": True,
    "attention_output_bias": True,
    "feedforward_bias": True,
    "num_kv_heads": 4,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": GPT2,
    "qwen3": {"qk_norm": "head", "head_width": 16},
    "sinusoidal": {"positions": "sinusoidal"},
    "no positions": {"positions": "none", "norm": "layer"},
    "multi-query": {"num_kv_heads": 1, "tied_head": False, "feedforward_bias": True},
    "mistral": {"window_tokens": 3},
    "gemma2": GEMMA2,
    "gemma3": GEMMA3,
    "olmo2": {"block": "output", "qk_norm": "projection"},
    "smollm3": {"unrotated_every": 2},
    "alibi": {"positions": "alibi"},
    "alibi window": {"positions": "alibi", "window_tokens": 4, "num_kv_heads": 1},
    "experts": {"num_experts": 4, "experts_per_token": 2},
    "post": {"block": "post", "norm": "layer"},
    "parallel": {"block": "parallel"},
    "yarn": {"rope_scaling": RopeScaling(4.0, kind="yarn", original_context_tokens=16)},
}


def tiny_config(**choices: Any) -> ModelConfig:
    shape: dict[str, Any] = {
        "vocab_size": 53,
        "context_tokens": 24,
        "width": 32,
        "num_layers": 3,
        "num_heads": 4,
        "num_kv_heads": 2,
        "feedforward_width": 48,
    }
    return ModelConfig(**{**shape, **choices})


@pytest.fixture
def config_of() -> Callable[..., ModelConfig]:
    """Builds a tiny config with some fields changed."""
    return tiny_config


@pytest.fixture
def model_of() -> Callable[..., LanguageModel]:
    """Builds a tiny model with random weights large enough to matter."""

    def build(**choices: Any) -> LanguageModel:
        model = LanguageModel(tiny_config(**choices)).eval()
        initialise(model, torch.Generator().manual_seed(5))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(8.0 if parameter.ndim == 2 else 1.0)
        return model

    return build


@pytest.fixture
def ids() -> Tensor:
    """Three rows of 12 ids."""
    return torch.randint(0, 53, (3, 12), generator=torch.Generator().manual_seed(2))


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The choices of one kind of model after the other."""
    choices: dict[str, Any] = request.param
    return choices
