"""Tiny models of the model room's tests."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise


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
