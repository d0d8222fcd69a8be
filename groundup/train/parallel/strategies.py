"""The strategy by which the processes of a run share the work of a step: SingleProcess, DDP or
FSDP. `fit()` trains with any of them.
"""

from dataclasses import replace

import torch
from torch import nn

from groundup.device import Compute
from groundup.train.parallel.single_process import SingleProcess
from groundup.train.steps.config import FitConfig, TrainPrecision
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Loss


def build_strategy(
    model: nn.Module,
    loss: Loss,
    config: FitConfig,
    precision: TrainPrecision,
    group: ProcessGroup,
    compute: Compute,
) -> SingleProcess:
    """Return the strategy that `config.parallel` names where torchrun started this process, else
    SingleProcess.
    """
    if group.patient is None:
        return SingleProcess(model, loss, group)
    from groundup.train.parallel.distributed import DDP, FSDP

    if config.parallel == "ddp":
        return DDP(model, loss, group)
    return FSDP(model, loss, group, compute.device, bf16=precision == "bf16")


def initial_compute(config: FitConfig, group: ProcessGroup, compute: Compute) -> Compute:
    """Where the caller should make its model: one that will be sharded need not lie whole on every
    GPU before.
    """
    if config.parallel == "fsdp" and group.patient is not None:
        return Compute(torch.device("cpu"))
    return compute


def precision_probe_config(config: FitConfig, compute: Compute) -> FitConfig:
    """The config by which the precision is decided: bf16 for a model that will be sharded, as it
    may not fit on one GPU to be measured.
    """
    if config.parallel == "fsdp" and compute.device.type == "cuda" and config.precision == "auto":
        return replace(config, precision="bf16")
    return config
