"""Gradients of a compiled step against those of one that is not, for one kind of model after the other: prints the largest difference of each.

A process of its own: the checker of shapes and torch.compile do not agree.
"""

import sys
from typing import Any

import torch

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.transformer import use_recompute
from groundup.train.pretrain import pretraining_loss
from groundup.train.steps.compiled import compile_loss, repeatable
from groundup.train.steps.config import FitConfig
from groundup.train.steps.step import sum_gradients

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "context_tokens": 24,
    "width": 32,
    "num_layers": 2,
    "num_heads": 4,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama recomputed": {},
    "qwen3 bf16": {"qk_norm": "head"},
    "gpt2": {"norm": "layer", "positions": "learned", "feedforward": "gelu", "num_kv_heads": 4},
    "gemma2": {
        "block": "sandwich",
        "feedforward": "geglu",
        "window_tokens": 4,
        "score_softcap": 5.0,
        "logit_softcap": 3.0,
    },
    "alibi": {"positions": "alibi"},
    "llama packed": {},
    "gpt2 packed bf16": {
        "norm": "layer",
        "positions": "learned",
        "feedforward": "gelu",
        "num_kv_heads": 4,
    },
    "alibi window packed": {"positions": "alibi", "window_tokens": 4},
    "experts": {"num_experts": 4, "experts_per_token": 2},
}


def largest_difference(kind: str) -> float:
    """Of all gradients, as a share of the largest gradient."""
    shape = ModelConfig(**{**SHAPE, "num_kv_heads": 2, "feedforward_width": 48, **KINDS[kind]})
    model = LanguageModel(shape)
    initialise(model, torch.Generator().manual_seed(0))
    use_recompute(model, kind.endswith("recomputed"))
    ids = torch.randint(0, 300, (4, 24), generator=torch.Generator().manual_seed(1))
    batch = packed(ids) if "packed" in kind else Batch(ids, ids, None, True)
    loss, found = pretraining_loss(shape, FitConfig(1)), []
    for made in (loss, compile_loss(loss)):
        model.zero_grad()
        with repeatable(made is not loss, ids.device):
            sum_gradients(model, [batch], made, device=ids.device, bf16=kind.endswith("bf16"))
        found.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    return float((found[0] - found[1]).abs().max() / found[0].abs().max())


def packed(ids: torch.Tensor) -> Batch:
    """Documents of several lengths, and padding at the end of two rows."""
    documents = (torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) < 0.2).cumsum(
        dim=1
    )
    documents[1:3, 20:] = -1
    return Batch(ids, ids.where(documents >= 0, IGNORED_LABEL), documents=documents)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for kind in sys.argv[1:] or KINDS:
        print(f"{kind}: {largest_difference(kind):.1e}", flush=True)
