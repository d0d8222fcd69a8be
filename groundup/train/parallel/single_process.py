"""The work of a training step in one process: forward, backward, saving and restoring. The base of the strategies DDP and FSDP (`distributed.py`).

A loss is a sum over the tokens of a batch, so gradients add up over rows, batches and processes alike. torch divides what it adds up by the number of
processes; the loop knows (`shares`) and divides by so much less. With several batches a step they are exchanged once, with the last.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.train.checkpoint.state import Checkpoint, TrainState, read_weights, save_checkpoint
from groundup.train.checkpoint.tensors import (
    OPTIMIZER,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    weight_tensors,
)
from groundup.train.interrupts import Interrupts
from groundup.train.optimizers import Optimizers, trainable
from groundup.train.parallel.process_group import ProcessGroup
from groundup.train.step import Batch, Loss, LossSum, Summed, gradient_norm, require_supervised, sum_gradients


class SingleProcess:
    """One process."""

    def __init__(self, model: nn.Module, loss: Loss, group: ProcessGroup) -> None:
        self.trained: nn.Module = model
        """The model whose parameters the optimizer changes."""
        self.group = group
        self._loss = loss

    @property
    def shares(self) -> int:
        """The gradient that a backward pass leaves is that of all rows divided by this."""
        return self.group.world

    def loss(self, model: nn.Module, batch: Batch) -> LossSum:
        """Of this process's rows."""
        return self._loss(model, batch)

    def sum_gradients(
        self, batches: Sequence[Batch], interrupts: Interrupts, device: torch.device, *, bf16: bool
    ) -> tuple[Summed, float]:
        """Forward and backward. The loss over all processes, and the length of the gradient as rank 0 has it: all decide alike by it.

        What any process was told to stop by, all agree on here. Raises DataError when nothing is supervised.
        """
        own = sum_gradients(self.trained, batches, self.loss, device=device, bf16=bf16, exchange=self.exchange)
        length = gradient_norm(trainable(self.trained).values())
        of_all = self.group.gather([own.nats, float(own.count), length, float(interrupts.received)])  # [ranks, 4]
        interrupts.agree(int(of_all[:, 3].max()))
        nats, count = of_all[:, :2].sum(dim=0).tolist()
        require_supervised(int(count))
        return Summed(nats, int(count)), float(of_all[0, 2])

    def exchange(self, last: bool) -> AbstractContextManager[Any]:
        """Around forward and backward pass of a batch: gradients are exchanged with the last one of a step."""
        return nullcontext()

    def whole(self) -> AbstractContextManager[Any]:
        """Inside, the caller's model on rank 0 has the weights as they are now. All processes enter it together."""
        return nullcontext()

    def end(self) -> None:
        """Leave the caller's model with the last weights, on rank 0. All processes come here together."""

    def save(
        self,
        checkpoints: Path,
        state: TrainState,
        optimizer: Optimizers,
        random: dict[str, Tensor],
        *,
        keep: int,
        needed: Collection[int],
    ) -> None:
        """Write a checkpoint. All processes come here together. Raises DiskError."""
        if self.group.leads:
            tensors = {**optimizer_tensors(self.trained, optimizer), **random}
            save_checkpoint(checkpoints, state, weight_tensors(self.trained), tensors, keep=keep, needed=needed)

    def restore(self, optimizer: Optimizers, checkpoint: Checkpoint) -> None:
        """Put weights and the optimizer's memory back. Raises FormatError."""
        restore_weights(self.trained, read_weights(checkpoint.folder), checkpoint.folder)
        restore_optimizer(self.trained, optimizer, checkpoint.tensors(OPTIMIZER))
