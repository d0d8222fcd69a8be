"""Estimates for large models on published hardware: days on a number of devices and memory of each,
without the devices.

    days      6 N D operations (Kaplan et al. 2020, section 2.1, plus attention: model/sizes.py)
              over devices x peak x share of peak
    memory    mixed-precision training in bf16: weights and gradients in float32, optimizer state,
              bf16 copies of the weights in use, and activations of one row; DDP holds all of it on
              each device, FSDP shards weights, gradients and optimizer state

First-order estimates: nothing here has run on such machines.
"""

import re
from dataclasses import dataclass

from groundup.errors import ConfigError, did_you_mean
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, StateSize, activation_bytes, state_numbers
from groundup.model.linear_cross_entropy import chunk_tokens
from groundup.model.presets import parse_size, shape_of_size
from groundup.model.sizes import flops_per_token, parameter_count
from groundup.planning.scaling_law import OPTIMAL_TOKENS_PER_PARAMETER
from groundup.train.optimizers.muon import Muon

SIZES = ("124M", "1B", "7B")
VOCABULARY = 32_768
SHARE_OF_PEAK = 0.40
"""Assumed. Published trainings reach such shares (PaLM 0.46: Chowdhery et al. 2022, table 3; Llama
3 405B 0.38 to 0.43: Llama team 2024, table 4).
"""
BF16_BYTES = 2
SECONDS_A_DAY = 86_400
# CUDA context, NCCL buffers and fragmentation of the allocator.
DEVICE_OVERHEAD_BYTES = 2e9


@dataclass(frozen=True)
class Device:
    """One accelerator, from its maker's data sheet."""

    name: str
    flops_per_s: float
    """Peak of dense bf16 matrix products (float32 accumulation)."""
    memory_bytes: float


# NVIDIA's data sheets, without sparsity: A100 (2021), H100 SXM (2023), H200 (2024), L40S (2023),
# Ada architecture white paper's appendix for the RTX 4090 (bf16 with float32 accumulation), Ampere
# GA102 white paper for the RTX 3090; AMD's for the MI300X (2023).
DEVICES = {
    "a100": Device("A100 80 GB", 312e12, 80e9),
    "h100": Device("H100 SXM", 989e12, 80e9),
    "h200": Device("H200", 989e12, 141e9),
    "l40s": Device("L40S", 362e12, 48e9),
    "mi300x": Device("MI300X", 1307e12, 192e9),
    "rtx3090": Device("RTX 3090", 71e12, 24e9),
    "rtx4090": Device("RTX 4090", 165e12, 24e9),
}
NOTES = (
    f"Shapes of --size with a vocabulary of {VOCABULARY:,}; {OPTIMAL_TOKENS_PER_PARAMETER} tokens "
    "per parameter unless --tokens is given.",
    f"Time at {100 * SHARE_OF_PEAK:.0f} % of the devices' bf16 peak, which is assumed, not "
    "measured; recomputation takes a third more.",
    "Memory of each device: float32 weights, gradients and Muon's state, bf16 activations of one "
    "row of context, logits, 2 GB for CUDA.",
    "DDP holds all of it on each device, and bf16 copies of the weights; FSDP shards the first "
    "three. Recomputed: one block's activations at a time.",
)


@dataclass(frozen=True)
class ClusterPlan:
    """One row of the table."""

    size: str
    device: str
    devices: int
    parameters: int
    num_layers: int
    width: int
    context_tokens: int
    tokens: int
    flops: float
    days: float
    ddp_bytes: float
    """Of each device, with all state on each."""
    fsdp_bytes: float
    """Of each device, with sharded state."""
    fsdp_recomputed_bytes: float
    """The same with activation checkpointing."""
    memory_bytes: float
    """Of each device, available."""

    def cells(self) -> dict[str, str]:
        """The cells of a row, by column."""
        return {
            "size": f"{self.size}: {self.num_layers} x {self.width}",
            "parameters": f"{self.parameters / 1e6:,.0f}M",
            "tokens": f"{self.tokens / 1e9:,.1f}B",
            "devices": f"{self.devices} x {DEVICES[self.device].name}",
            "time": _words(self.days),
            "DDP": self._fits(self.ddp_bytes),
            "FSDP": self._fits(self.fsdp_bytes),
            "FSDP, recomputed": self._fits(self.fsdp_recomputed_bytes),
        }

    def _fits(self, needed: float) -> str:
        words = f"{needed / 1e9:,.1f} GB"
        return words if needed <= self.memory_bytes else f"{words}, too much"


def _words(days: float) -> str:
    units = {"days": 1.0, "hours": 1 / 24, "minutes": 1 / 1440}
    name = next((name for name, unit in units.items() if days >= 2 * unit), "minutes")
    count = days / units[name]
    return f"{count:,.0f} {name}" if count >= 10 else f"{count:.1f} {name}"


def parse_machine(text: str) -> tuple[str, int]:
    """("h100", 8) from "h100x8"; one device where the number is missing. Raises ConfigError."""
    words = text.strip().lower()
    if words in DEVICES:
        return words, 1
    kind, _, number = words.rpartition("x")
    if kind not in DEVICES or not re.fullmatch("0*[1-9][0-9]{0,5}", number):
        fix = f"{did_you_mean(kind, DEVICES)} With a number: h100x8."
        raise ConfigError(f"`machine` {text!r} is not a known device.", fix=fix)
    return kind, int(number)


def cluster_plan(size: str, kind: str, count: int, *, tokens: int | None = None) -> ClusterPlan:
    """Days and memory for one size, trained with Muon. Raises ConfigError for a size that can't be
    read.
    """
    shape = shape_of_size(parse_size(size), vocab_size=VOCABULARY)
    parameters, device = parameter_count(shape).total, DEVICES[kind]
    tokens = tokens or OPTIMAL_TOKENS_PER_PARAMETER * parameters
    flops = tokens * flops_per_token(shape, context_tokens=shape.context_tokens).training
    # weights and gradients in float32, and optimizer state
    state = FLOAT32_BYTES * (2.0 * parameters + state_numbers(shape, StateSize(*Muon.state_size)))
    shared = DEVICE_OVERHEAD_BYTES + row_bytes(shape)
    recomputed = DEVICE_OVERHEAD_BYTES + row_bytes(shape, recompute=True)
    sharded = state / count + gathered_bytes(shape)
    return ClusterPlan(
        size=size,
        device=kind,
        devices=count,
        parameters=parameters,
        num_layers=shape.num_layers,
        width=shape.width,
        context_tokens=shape.context_tokens,
        tokens=tokens,
        flops=flops,
        days=flops / (count * device.flops_per_s * SHARE_OF_PEAK) / SECONDS_A_DAY,
        ddp_bytes=shared + state + BF16_BYTES * parameters,
        fsdp_bytes=shared + sharded,
        fsdp_recomputed_bytes=recomputed + sharded,
        memory_bytes=device.memory_bytes,
    )


def gathered_bytes(shape: ModelConfig) -> float:
    """What FSDP gathers at a time, in bf16: two blocks (the current one and the next) and the
    embedding.
    """
    count = parameter_count(shape)
    block = (count.attention + count.feedforward + count.norms) / shape.num_layers
    return BF16_BYTES * (2 * block + count.embedding)


def row_bytes(shape: ModelConfig, *, recompute: bool = False) -> float:
    """Activations of one row of context in bf16, and logits of two chunks in float32
    (`model/footprint.py`).

    `recompute`: with activation checkpointing, the input of each block and the activations of one
    block.
    """
    context = shape.context_tokens
    activations = (
        activation_bytes(shape, batch_size=1, context_tokens=context) * BF16_BYTES / FLOAT32_BYTES
    )
    if recompute:
        activations = (
            BF16_BYTES * shape.num_layers * context * shape.width + activations / shape.num_layers
        )
    return activations + float(
        FLOAT32_BYTES * min(context, 2 * chunk_tokens(shape.vocab_size)) * shape.vocab_size
    )
