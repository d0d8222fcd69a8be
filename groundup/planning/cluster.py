"""What a large model takes on published hardware: days on so many devices and memory of each, without any of them at hand.

    days      6 N D operations (Kaplan et al. 2020, section 2.1, plus attention's part: model/sizes.py) over devices x peak x share of peak
    memory    bf16 training in mixed precision: 4 + 4 bytes of weights and gradients in float32, the optimizer's numbers, bf16 copies of what
              is computed with, and activations of one row; DDP keeps all of it on each device, FSDP parts weights, gradients and optimizer

An estimate of the first order: nothing here has run on such machines.
"""

from dataclasses import dataclass

from groundup.errors import ConfigError, did_you_mean
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, activation_bytes, optimizer_numbers
from groundup.model.linear_cross_entropy import chunk_tokens
from groundup.model.shape_from_size import parse_size, shape_of_size
from groundup.model.sizes import flops_per_token, parameter_count
from groundup.planning.scaling import OPTIMAL_TOKENS_PER_PARAMETER

SIZES = ("124M", "1B", "7B")
VOCABULARY = 32_768
SHARE_OF_PEAK = 0.40
"""Assumed. Published trainings reach such shares (PaLM 0.46: Chowdhery et al. 2022, table 3; Llama 3 405B 0.38 to 0.43: Llama team 2024, table 4)."""
BF16_BYTES = 2
SECONDS_A_DAY = 86_400
# CUDA's own, NCCL's buffers and what the allocator can't use.
DEVICE_OVERHEAD_BYTES = 2e9


@dataclass(frozen=True)
class Device:
    """One accelerator as its maker's data sheet has it."""

    name: str
    flops_per_s: float
    """bf16 matrix products, dense, at peak (float32 accumulation)."""
    memory_bytes: float


# NVIDIA's data sheets, without sparsity: A100 (2021), H100 SXM (2023), H200 (2024), L40S (2023), Ada architecture white paper's appendix for the
# RTX 4090 (bf16 with float32 accumulation), Ampere GA102 white paper for the RTX 3090; AMD's for the MI300X (2023).
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
    f"Shapes of the dial (--size) with {VOCABULARY:,} ids; {OPTIMAL_TOKENS_PER_PARAMETER} tokens a parameter where --tokens says no other.",
    f"Time at {100 * SHARE_OF_PEAK:.0f} % of the devices' bf16 peak, which is assumed, not measured; recomputing takes a third more.",
    "Memory of each device: float32 weights, gradients and Muon's memory, bf16 activations of one row of context, logits, 2 GB of CUDA's own.",
    "DDP has all of it on each device, and bf16 copies of the weights; FSDP parts the first three. Recomputed: activations of one block at a time.",
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
    """Of each device, all state on each."""
    fsdp_bytes: float
    """Of each device, state parted."""
    fsdp_recomputed_bytes: float
    """The same with activation checkpointing."""
    memory_bytes: float
    """What a device has."""

    def cells(self) -> dict[str, str]:
        """For a table for people."""
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
        return f"{needed / 1e9:,.1f} GB" + ("" if needed <= self.memory_bytes else ", too much")


def _words(days: float) -> str:
    for unit, name in ((1.0, "days"), (1 / 24, "hours"), (1 / 1440, "minutes")):
        if days >= 2 * unit or name == "minutes":
            break
    return f"{days / unit:,.0f} {name}" if days >= 10 * unit else f"{days / unit:.1f} {name}"


def parse_machine(text: str) -> tuple[str, int]:
    """("h100", 8) of "h100x8"; one where no number is said. Raises ConfigError."""
    words = text.strip().lower()
    kind, _, number = (words, "x", "1") if words in DEVICES else words.rpartition("x")
    count = int(number) if number.isdecimal() and len(number) < 7 else 0
    if kind not in DEVICES or count < 1:
        raise ConfigError(
            f"--machine {text!r} is no device of the table.",
            fix=f"{did_you_mean(kind, DEVICES)} With a number: h100x8.",
        )
    return kind, count


def cluster_plan(
    size: str, kind: str, count: int, *, tokens: int | None = None, optimizer: str = "muon"
) -> ClusterPlan:
    """Days and memory for one size. Raises ConfigError for a size that can't be read."""
    shape = shape_of_size(parse_size(size), vocab_size=VOCABULARY)
    parameters, device = parameter_count(shape).total, DEVICES[kind]
    tokens = tokens or OPTIMAL_TOKENS_PER_PARAMETER * parameters
    flops = tokens * flops_per_token(shape, context_tokens=shape.context_tokens).training
    state = state_bytes(shape, optimizer)
    kept, kept_recomputed = row_bytes(shape), recomputed_row_bytes(shape)
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
        ddp_bytes=DEVICE_OVERHEAD_BYTES + state + BF16_BYTES * parameters + kept,
        fsdp_bytes=DEVICE_OVERHEAD_BYTES + state / count + gathered_bytes(shape) + kept,
        fsdp_recomputed_bytes=DEVICE_OVERHEAD_BYTES + state / count + gathered_bytes(shape) + kept_recomputed,
        memory_bytes=device.memory_bytes,
    )


def state_bytes(shape: ModelConfig, optimizer: str) -> float:
    """Weights and gradients in float32 and the optimizer's memory."""
    return FLOAT32_BYTES * (2.0 * parameter_count(shape).total + optimizer_numbers(shape, optimizer))


def gathered_bytes(shape: ModelConfig) -> float:
    """What FSDP has whole at a time, in bf16: two blocks (one at work, one on its way) and the table of the words."""
    count = parameter_count(shape)
    block = (count.attention + count.feedforward + count.norms) / shape.num_layers
    return BF16_BYTES * (2 * block + count.embedding)


def row_bytes(shape: ModelConfig) -> float:
    """Activations of one row of context in bf16, with logits of two pieces in float32 (`model/footprint.py`)."""
    kept = activation_bytes(shape, batch_size=1, context_tokens=shape.context_tokens)
    return kept * BF16_BYTES / FLOAT32_BYTES + _logits_bytes(shape)


def recomputed_row_bytes(shape: ModelConfig) -> float:
    """With every block computed again for its backward pass: the stream before each block, and one block's activations."""
    streams = BF16_BYTES * shape.num_layers * shape.context_tokens * shape.width
    kept = activation_bytes(shape, batch_size=1, context_tokens=shape.context_tokens) * BF16_BYTES / FLOAT32_BYTES
    return streams + kept / shape.num_layers + _logits_bytes(shape)


def _logits_bytes(shape: ModelConfig) -> float:
    return float(FLOAT32_BYTES * min(shape.context_tokens, 2 * chunk_tokens(shape.vocab_size)) * shape.vocab_size)
