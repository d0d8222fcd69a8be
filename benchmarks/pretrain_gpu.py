"""On one GPU: a training step in bf16, ours against a plain compiled loop, as tokens per second and as a share of the GPU's peak.

Not run by us so far: no GPU was to be had. Skipped where there is none.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import Contender, Row, Skipped, compare
from plain_llama import PlainLlama
from spine_training import new_model

from groundup.data.batches.loader import Batch
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.train.optimizers.built import trainable
from groundup.train.steps.config import pretraining_config
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.step import average_and_clip, sum_gradients
from groundup.weights.model_io import save_model

SIZES = {
    "124M": ModelConfig(50_304, 1_024, 768, 12, 12, 2_048),
    "350M": ModelConfig(50_304, 1_024, 1_024, 24, 16, 2_816),
}
ROWS = 16


def gpu_rows(rounds: int, quick: bool) -> Iterator[Row]:
    """Both sizes. Raises Skipped where there is no GPU."""
    if not torch.cuda.is_available():
        raise Skipped("this machine has no GPU that CUDA knows.")
    for name, config in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            save_model(new_model(config), Path(folder))
            ids = torch.randint(config.vocab_size, (ROWS, config.context_tokens + 1), device="cuda")
            batch = Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
            contenders = [
                Contender("groundup", ours(config, batch), batch.ids.numel()),
                Contender("plain PyTorch, compiled", plain(Path(folder), batch), batch.ids.numel()),
            ]
            flops = (
                6 * parameter_count(config).total
            )  # a token, forward and backward, attention left out
            yield from compare(
                f"step, {name}, bf16, {flops / 1e9:.1f} GFLOP a token",
                "tokens/s",
                contenders,
                rounds=rounds,
            )


def ours(config: ModelConfig, batch: Batch) -> Callable[[], object]:
    """The parts that fit() puts together for a step, compiled."""
    model = new_model(config).cuda()
    compiled = torch.compile(model)
    fitting = pretraining_config(1, {"optimizer": "adamw"})
    optimizer, parameters = fitting.optimizer.build(model), list(trainable(model).values())

    def step() -> None:
        optimizer.zero_grad()
        summed = sum_gradients(
            compiled, [batch], next_token_loss, device=batch.ids.device, bf16=True
        )
        average_and_clip(parameters, summed.count, fitting.stability.clip_norm)
        optimizer.step()
        torch.cuda.synchronize()

    return step


def plain(folder: Path, batch: Batch) -> Callable[[], object]:
    """A plain model in a plain loop, compiled."""
    model = PlainLlama(folder).cuda()
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(compiled(batch.ids).flatten(0, 1), batch.labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch.cuda.synchronize()

    return step
