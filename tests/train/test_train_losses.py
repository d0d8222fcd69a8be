"""The losses count what they should, and nothing else."""

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from groundup.data.batches.loader import Batch
from groundup.device import generator
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.transformer import use_recompute
from groundup.train.steps.losses import next_token_loss

CONFIG = ModelConfig(
    vocab_size=50,
    context_tokens=12,
    width=16,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    feedforward_width=32,
)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    made = LanguageModel(CONFIG)
    initialise(made, generator(0, "weights"))
    return made


def random_batch(rows: int = 3, tokens: int = 12) -> Batch:
    draw = generator(1, "batch")
    return Batch(
        torch.randint(0, 50, (rows, tokens), generator=draw),
        torch.randint(0, 50, (rows, tokens), generator=draw),
    )


def test_the_loss_is_the_summed_surprise_at_every_label(model: LanguageModel) -> None:
    batch = random_batch()
    part = next_token_loss(model, batch)
    logprobs = F.log_softmax(model(batch.ids), dim=-1)
    by_hand = -sum(logprobs[b, t, batch.labels[b, t]].item() for b in range(3) for t in range(12))
    assert part.count == 36
    assert part.total.item() == pytest.approx(by_hand, rel=1e-5)
    assert part.total.item() / 36 == pytest.approx(
        math.log(50), abs=0.1
    )  # a new model knows nothing


def test_masked_labels_count_for_nothing(model: LanguageModel) -> None:
    batch = random_batch()
    labels = batch.labels.clone()
    labels[:, :5] = -100
    part = next_token_loss(model, Batch(batch.ids, labels))
    part.total.backward()
    gradient = model.transformer.embedding.weight.grad
    assert gradient is not None
    ours = gradient.clone()
    model.zero_grad()
    full = F.cross_entropy(
        model(batch.ids).flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
    )
    full.backward()
    assert part.count == 21
    torch.testing.assert_close(part.total, full)
    torch.testing.assert_close(ours, model.transformer.embedding.weight.grad)


def test_padding_changes_no_loss(model: LanguageModel) -> None:
    batch = random_batch(rows=1, tokens=7)
    padded = Batch(
        F.pad(batch.ids, (0, 4)),
        F.pad(batch.labels, (0, 4), value=-100),
        F.pad(torch.ones(1, 7), (0, 4)) > 0,
    )
    alone, beside = next_token_loss(model, batch), next_token_loss(model, padded)
    assert alone.count == beside.count == 7
    torch.testing.assert_close(alone.total, beside.total)


def test_a_batch_without_labels_adds_nothing_and_breaks_nothing(model: LanguageModel) -> None:
    batch = random_batch()
    part = next_token_loss(model, Batch(batch.ids, torch.full_like(batch.labels, -100)))
    part.total.backward()
    assert (part.count, part.total.item()) == (0, 0.0)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_that_says_that_all_its_labels_count_gives_the_same(model: LanguageModel) -> None:
    batch = random_batch()
    said = Batch(batch.ids, batch.labels, all_count=True)
    assert torch.equal(next_token_loss(model, batch).total, next_token_loss(model, said).total)


SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {"qk_norm": "head"},
    "gpt2": {"norm": "layer", "positions": "learned", "feedforward": "gelu", "num_kv_heads": 2},
    "gemma2": {
        "block": "sandwich",
        "feedforward": "geglu",
        "score_softcap": 50.0,
        "logit_softcap": 30.0,
    },
    "window": {"window_tokens": 4},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("recompute", [False, True])
def test_forward_and_backward_never_wait_for_a_number(
    monkeypatch: pytest.MonkeyPatch, shape: str, recompute: bool
) -> None:
    """On a device that has shapes and no numbers (and no autocast), whatever a GPU would be stopped for is an error."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    monkeypatch.setattr(torch, "autocast", lambda *parts, **choices: nullcontext())
    made = LanguageModel(replace(CONFIG, **SHAPES[shape])).to("meta")
    use_recompute(made, recompute)
    ids = torch.zeros(3, 12, dtype=torch.long, device="meta")
    part = next_token_loss(made, Batch(ids, ids, all_count=True))
    part.total.backward()
    assert part.count == 36 and all(p.grad is not None for p in made.parameters())
    with pytest.raises(NotImplementedError):
        next_token_loss(made, Batch(ids, ids))
