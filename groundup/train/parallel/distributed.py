"""DDP and FSDP: one model trained by many processes, with torch's own implementations.

    ddp      each process has a whole copy and some rows of every batch; gradients are summed during
             the backward pass (Li et al. 2020, "PyTorch Distributed")
    fsdp     each has a shard of every tensor, of its gradient and of the optimizer state; a block's
             weights are gathered when it runs and freed afterwards (Zhao et al. 2023, "PyTorch
             FSDP"; torch's `fully_shard`)

Under fsdp rank 0 keeps the caller's model in the CPU's memory and fills it where it is needed
(`whole`): to evaluate, to write a snapshot, at the end. Left out: models that no single device can
hold.
"""

import contextlib
import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from groundup.train.checkpoint.sharded import restore_shards
from groundup.train.checkpoint.state import Checkpoint, Retention, TrainState, save_shards
from groundup.train.checkpoint.tensors import optimizer_tensors, weight_tensors
from groundup.train.optimizers.built import BuiltOptimizer
from groundup.train.parallel.single_process import SingleProcess
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch, Loss, LossSum

BLOCKS = "blocks"


class LossModule(nn.Module):
    """A loss as a module that contains its model: torch's wrappers hook forward(), and losses call
    other methods.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        part = self._loss(self.model, batch)
        return part.total, part.count


class DDP(SingleProcess):
    """Rank 0's weights are everyone's first, and equal gradients keep them equal."""

    def __init__(self, model: nn.Module, loss: Loss, group: ProcessGroup) -> None:
        super().__init__(model, loss, group)
        self._wrapped = DistributedDataParallel(
            LossModule(model, loss), gradient_as_bucket_view=True
        )

    def loss(self, model: nn.Module, batch: Batch) -> LossSum:
        return LossSum(*self._wrapped(batch))

    def exchange(self, last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if last else self._wrapped.no_sync()


class FSDP(SingleProcess):
    """A second model of the same shape that has a shard of each tensor."""

    def __init__(
        self, model: nn.Module, loss: Loss, group: ProcessGroup, device: torch.device, *, bf16: bool
    ) -> None:
        super().__init__(model, loss, group)
        self._model, self._device = model, device
        self.trained = meta_copy(model)
        self._root = LossModule(self.trained, loss)
        mesh = init_device_mesh(device.type, (group.world,))
        # Blocks' weights travel in bf16, in which their products are made anyway; the stream, the
        # table, the head and all sums stay float32.
        policy = MixedPrecisionPolicy(
            torch.bfloat16 if bf16 else None, torch.float32, cast_forward_inputs=False
        )
        for name, part in list(
            self.trained.named_modules()
        ):  # each block is sharded by itself; all else is one more group
            for block in part.children() if name.split(".")[-1] == BLOCKS else ():
                fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(self._root, mesh=mesh)
        fill_meta_copy(self.trained, model, device)
        self._park()

    def loss(self, model: nn.Module, batch: Batch) -> LossSum:
        return LossSum(*self._root(batch))

    def exchange(self, last: bool) -> AbstractContextManager[Any]:
        root: Any = self._root  # fully_shard made it a module with these two methods
        root.set_requires_gradient_sync(last)
        root.set_is_last_backward(last)
        return nullcontext()

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        self.end()
        try:
            yield
        finally:
            self._park()

    def end(self) -> None:
        if self.group.leads:
            self._model.to(self._device)
        own = weight_tensors(self._model)
        for name, share in weight_tensors(self.trained).items():
            tensor = full_tensor(share)
            if self.group.leads:
                own[name].copy_(tensor)

    def _park(self) -> None:
        """The whole model to the CPU on rank 0; the others do not need it."""
        self._model.to("cpu" if self.group.leads else "meta")

    def save(
        self,
        checkpoints: Path,
        state: TrainState,
        optimizer: BuiltOptimizer,
        random: dict[str, Tensor],
        keep: Retention,
    ) -> None:
        tensors = optimizer_tensors(self.trained, optimizer) | (random if self.group.leads else {})
        save_shards(checkpoints, state, weight_tensors(self.trained), tensors, keep, self.group)

    def restore(self, optimizer: BuiltOptimizer, checkpoint: Checkpoint) -> None:
        restore_shards(self.trained, optimizer, checkpoint.folder)


def meta_copy(model: nn.Module) -> nn.Module:
    """The same modules with parameters that take no memory."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(model, memo)


@torch.no_grad()
def fill_meta_copy(sharded: nn.Module, model: nn.Module, device: torch.device) -> None:
    """Give the sharded copy its shard of the weights, and its buffers, without communication."""
    sharded.to_empty(device=device)
    whole = dict(model.named_parameters())
    for name, parameter in sharded.named_parameters():
        assert isinstance(parameter, DTensor)
        share = distribute_tensor(
            whole[name].detach(), parameter.device_mesh, parameter.placements, src_data_rank=None
        )
        parameter.to_local().copy_(share.to_local())
    for (_, buffer), (_, original) in zip(
        sharded.named_buffers(), model.named_buffers(), strict=True
    ):
        buffer.copy_(original)


def full_tensor(tensor: Tensor) -> Tensor:
    """All processes call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
