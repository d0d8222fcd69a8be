"""Activations computed anew in the backward pass: the same gradients, whatever the parts of the model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from groundup.data.batches.loader import Batch
from groundup.device import generator
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.transformer import use_recompute
from groundup.train.steps.losses import next_token_loss


@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_are_the_same_bit_for_bit(
    config_of: Callable[..., ModelConfig], kind: dict[str, Any], bf16: bool
) -> None:
    model = LanguageModel(config_of(**kind))
    initialise(model, generator(0, "weights"))
    ids = torch.randint(0, 53, (3, 20), generator=generator(0, "ids"))
    found = []
    for recompute in (False, True):
        use_recompute(model, recompute)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            next_token_loss(model, Batch(ids, ids)).total.backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(kept, anew) for kept, anew in zip(*found, strict=True))


def test_what_is_computed_without_gradients_is_not_kept_for_computing_anew(
    config_of: Callable[..., ModelConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LanguageModel(config_of())
    use_recompute(model, True)
    monkeypatch.setattr("groundup.model.transformer.checkpoint", None)
    with torch.no_grad():
        assert model(torch.zeros(1, 4, dtype=torch.long)).shape == (1, 4, 53)
