"""nanoGPT's recipe for Shakespeare's characters on a CPU, as a plain PyTorch loop: what pretraining here is held against.

From its readme (github.com/karpathy/nanoGPT, "I only have a macbook") and configuration: 4 blocks x 128 of GPT-2's kind without biases and
dropout, 4 heads, context 64, 12 rows a batch, 2,000 steps of AdamW (betas 0.9 and 0.99, weight decay 0.1 on matrices), learning rate 1e-3
after 100 steps of warm-up, a cosine down to 1e-4, gradients clipped to 1, float32, not compiled.
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT, ROWS, WIDTH, LAYERS, HEADS = 64, 12, 128, 4, 4
STEPS, WARMUP, HIGHEST, LOWEST = 2_000, 100, 1e-3, 1e-4
EVALUATION_ROWS = 128


class Block(nn.Module):
    """Attention, then GELU, each behind a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm, self.second_norm = (
            nn.LayerNorm(WIDTH, bias=False),
            nn.LayerNorm(WIDTH, bias=False),
        )
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = (
            nn.Linear(WIDTH, 4 * WIDTH, bias=False),
            nn.Linear(4 * WIDTH, WIDTH, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        parts = self.qkv(self.first_norm(x)).split(WIDTH, dim=2)
        q, k, v = (part.view(rows, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(rows, tokens, WIDTH))
        return x + self.down(F.gelu(self.up(self.second_norm(x))))


class NanoGPT(nn.Module):
    """ids, labels -> mean cross-entropy. The head is the embedding table."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                into_the_stream = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(
                    parameter, 0, 0.02 / math.sqrt(2 * LAYERS) if into_the_stream else 0.02
                )

    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(
            F.linear(self.norm(x), self.tokens.weight).flatten(0, 1), labels.flatten()
        )


@dataclass(frozen=True)
class Ended:
    """What the recipe came to."""

    seconds: float
    """Of the steps and their batches, without the evaluation."""
    nats: float
    """Mean loss a character of the validation text."""


def run(
    train: Tensor, validation: Tensor, vocab_size: int, *, steps: int = STEPS, seed: int = 1337
) -> Ended:
    """The recipe from its first to its last step, on ids of characters."""
    torch.manual_seed(seed)
    model = NanoGPT(vocab_size)
    kinds = [
        [p for p in model.parameters() if p.ndim >= 2],
        [p for p in model.parameters() if p.ndim < 2],
    ]
    groups = [
        {"params": part, "weight_decay": decay}
        for part, decay in zip(kinds, (0.1, 0.0), strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, lr=HIGHEST, betas=(0.9, 0.99))
    started = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        loss = model(*batch(train))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    return Ended(seconds, evaluate(model, validation))


def rate(step: int, steps: int) -> float:
    """The learning rate of a step."""
    if step < WARMUP:
        return HIGHEST * (step + 1) / (WARMUP + 1)
    way = (step - WARMUP) / max(1, steps - WARMUP)
    return LOWEST + 0.5 * (1 + math.cos(math.pi * way)) * (HIGHEST - LOWEST)


def batch(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows from anywhere in the text."""
    starts = torch.randint(len(ids) - CONTEXT, (ROWS,)).tolist()
    rows = torch.stack([ids[start : start + CONTEXT + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def evaluate(model: NanoGPT, ids: Tensor) -> float:
    """Mean loss over the whole validation text, in windows side by side."""
    rows = (len(ids) - 1) // CONTEXT
    inputs, labels = (ids[shift : shift + rows * CONTEXT].view(rows, CONTEXT) for shift in (0, 1))
    pieces = zip(inputs.split(EVALUATION_ROWS), labels.split(EVALUATION_ROWS), strict=True)
    return sum(model(*piece).item() * len(piece[0]) for piece in pieces) / rows
