"""The work of a training step in one process: forward, backward, saving and restoring. The base of
the strategies DDP and FSDP (`distributed.py`), whose processes call its methods together.

A loss is a sum over the tokens of a batch, so gradients add up over rows, batches and processes
alike. torch divides the sum over processes by their number, which the loop takes into account
(`shares`). With several batches a step gradients are exchanged once, with the last.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.train.checkpoint.state import (
    Checkpoint,
    Retention,
    TrainState,
    read_weights,
    save_checkpoint,
)
from groundup.train.checkpoint.tensors import (
    OPTIMIZER,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    weight_tensors,
)
from groundup.train.optimizers.built import BuiltOptimizer, trainable
from groundup.train.steps.interrupts import Interrupts
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import (
    Batch,
    Loss,
    LossSum,
    Summed,
    gradient_norm,
    require_supervised,
    sum_gradients,
)


class SingleProcess:
    def __init__(self, model: nn.Module, loss: Loss, group: ProcessGroup) -> None:
        self.trained: nn.Module = model
        """The model whose parameters the optimizer changes."""
        self.group = group
        self._loss = loss

    @property
    def shares(self) -> int:
        """By how much torch divides the gradient of all rows in a backward pass."""
        return self.group.world

    def loss(self, model: nn.Module, batch: Batch) -> LossSum:
        return self._loss(model, batch)

    def sum_gradients(
        self, batches: Sequence[Batch], interrupts: Interrupts, device: torch.device, *, bf16: bool
    ) -> tuple[Summed, float]:
        """The loss over all processes, and the gradient norm of rank 0, by which all decide alike.
        Here all agree on a signal that any received. Raises DataError.
        """
        own = sum_gradients(
            self.trained, batches, self.loss, device=device, bf16=bf16, exchange=self.exchange
        )
        norm = gradient_norm(trainable(self.trained).values())
        of_all = self.group.gather(
            [own.nats, float(own.count), norm, float(interrupts.received)]
        )  # [ranks, 4]
        interrupts.agree(int(of_all[:, 3].max()))
        nats, count = of_all[:, :2].sum(dim=0).tolist()
        require_supervised(int(count))
        return Summed(nats, int(count), own.figures), float(of_all[0, 2])

    def exchange(self, last: bool) -> AbstractContextManager[Any]:
        """A context around the passes of a batch."""
        return nullcontext()

    def whole(self) -> AbstractContextManager[Any]:
        """Inside, the caller's model on rank 0 has the present weights."""
        return nullcontext()

    def end(self) -> None:
        """Put the last weights into the caller's model on rank 0."""

    def save(
        self,
        checkpoints: Path,
        state: TrainState,
        optimizer: BuiltOptimizer,
        random: dict[str, Tensor],
        keep: Retention,
    ) -> None:
        """Raises DiskError."""
        if self.group.leads:
            tensors = {**optimizer_tensors(self.trained, optimizer), **random}
            save_checkpoint(checkpoints, state, weight_tensors(self.trained), tensors, keep)

    def restore(self, optimizer: BuiltOptimizer, checkpoint: Checkpoint) -> None:
        """Raises FormatError."""
        restore_weights(self.trained, read_weights(checkpoint.folder), checkpoint.folder)
        restore_optimizer(self.trained, optimizer, checkpoint.tensors(OPTIMIZER))
