"""A plan: what a pretraining run will cost in parameters, tokens, memory, disk and minutes, and the loss to expect. Its text: `plan_text.py`."""

from dataclasses import dataclass
from typing import Any

from groundup.data.shards import ShardSet
from groundup.device import peak_memory_bytes
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, attention_path, optimizer_numbers, training_memory
from groundup.model.sizes import parameter_count
from groundup.planning.forecast import Expected
from groundup.planning.measure import OVERHEAD_SHARE, Candidate, Measured
from groundup.train.config import EVALUATIONS, FitConfig, OptimizerName
from groundup.train.pretrain import snapshot_bytes
from groundup.weights.gguf_architectures import gguf_reason
from groundup.weights.hf_config import hf_reason

# What the first step on a CPU adds for good: code pages, threads' stacks, buffers of the matrix kernels (docs/log.md).
FIRST_STEP_BYTES = 60e6


@dataclass(frozen=True)
class Plan:
    """The figures of a run before it begins."""

    parameters: int
    steps: int
    tokens: int
    """Tokens the model will read, repeats counted."""
    data_tokens: int
    """Tokens of the train split."""
    memory_bytes: int
    """Peak of this process, an estimate."""
    disk_bytes: int
    """The run folder at the end."""
    step_s: float | None
    """None: not measured."""
    evaluation_s: float = 0.0
    evaluations: int = EVALUATIONS + 1
    """The first and the last among them."""
    attention: str = ""
    """Which attention kernel is used, and why."""
    gguf: str | None = None
    """Why the model can't be written as GGUF; None: it can."""
    hugging_face: str | None = None
    """Why no class of transformers has it; None: one does."""
    num_layers: int = 0
    width: int = 0
    context_tokens: int = 0
    batch_tokens: int = 0
    """Tokens of one step."""
    learning_rate: float = 0.0
    optimizer: OptimizerName = "adamw"
    typical_document_tokens: int = 0
    """0: unknown."""
    expected: Expected | None = None
    """Loss at the end; None: no forecast."""
    reasons: tuple[str, ...] = ()
    """Why this model: what else was measured, and the loss expected of it."""

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    @property
    def epochs(self) -> float:
        """How often the text is read."""
        return self.tokens / self.data_tokens

    @property
    def minutes(self) -> float | None:
        """Wall time, where a step was measured."""
        if self.step_s is None:
            return None
        return (self.steps * self.step_s * (1 + OVERHEAD_SHARE) + self.evaluations * self.evaluation_s) / 60

    @property
    def tokens_per_s(self) -> float | None:
        """In the steps alone, where one was measured."""
        return self.batch_tokens / self.step_s if self.step_s else None

    def figures(self) -> dict[str, Any]:
        """The figures that are compared with the run's own when it is finished (`train/monitor/plan_vs_actual.py`)."""
        expected = self.expected
        return {
            "minutes": self.minutes,
            "memory_bytes": self.memory_bytes,
            "tokens_per_s": self.tokens_per_s,
            "bits_per_byte": expected and expected.bits_per_byte,
            "bits_per_byte_range": [expected.low, expected.high] if expected else None,
        }


def make_plan(shards: ShardSet, candidate: Candidate, measured: Measured | None = None, *, device: str = "cpu") -> Plan:
    """The plan of a run of `candidate.fit.steps` steps on a device ("cpu", "cuda", "mps"), without a forecast."""
    shape, fit = candidate.shape, candidate.fit
    return Plan(
        parameters=candidate.parameters,
        steps=fit.steps,
        tokens=fit.steps * candidate.step_tokens,
        data_tokens=max(1, shards.num_tokens("train")),
        memory_bytes=peak_bytes(shape, fit, measured, device=device),
        disk_bytes=disk_bytes(shape, fit),
        step_s=measured.step_s if measured else None,
        evaluation_s=measured.evaluation_s if measured else 0.0,
        evaluations=1 + -(-fit.steps // fit.evaluation_interval),
        attention=attention_path(shape, shape.context_tokens, device),
        gguf=gguf_reason(shape),
        hugging_face=hf_reason(shape),
        num_layers=shape.num_layers,
        width=shape.width,
        context_tokens=shape.context_tokens,
        batch_tokens=candidate.step_tokens,
        learning_rate=fit.learning_rate,
        optimizer=fit.optimizer,
    )


def peak_bytes(shape: ModelConfig, fit: FitConfig, measured: Measured | None, *, device: str) -> int:
    """Peak memory: of a GPU what the training holds there, on a CPU also the program and what it held before."""
    training = training_memory(
        shape,
        batch_size=fit.batch_size,
        context_tokens=shape.context_tokens,
        recompute=fit.recompute,
        optimizer=fit.optimizer,
    ).total
    if device == "cuda":
        return training
    if measured is None:
        return training + peak_memory_bytes()
    return max(peak_memory_bytes(), int(measured.program_bytes + FIRST_STEP_BYTES + training))


def disk_bytes(shape: ModelConfig, fit: FitConfig) -> int:
    """The run folder at the end: the last checkpoints and the best, each with weights and optimizer state, the model, snapshots."""
    weights = parameter_count(shape).total
    checkpoint = weights + optimizer_numbers(shape, fit.optimizer)
    kept = FLOAT32_BYTES * ((fit.keep_checkpoints + 1) * checkpoint + weights)
    return kept + len(fit.snapshot_steps) * snapshot_bytes(shape)
