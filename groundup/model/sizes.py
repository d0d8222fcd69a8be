"""What a shape costs, from its config alone: parameters, arithmetic, memory. The tests count the same on real modules.

parameter_count(preset("gpt2")).total                     124439808
forward_flops_per_token(config, seen_tokens=1024)         multiplications and additions, each one
training_memory(config, batch_size=8, context_tokens=128) bytes by part
cache_bytes(config, batch=1, capacity=2048)               bytes of keys and values
"""

from dataclasses import dataclass

from groundup.model.block import NORM_NAMES
from groundup.model.config import ModelConfig

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ParameterCount:
    """Numbers that are learned, by part."""

    embedding: int
    positions: int
    attention: int
    feedforward: int
    norms: int
    head: int
    """0 where the head is tied to the embedding."""

    @property
    def total(self) -> int:
        return self.embedding + self.positions + self.attention + self.feedforward + self.norms + self.head


def parameter_count(config: ModelConfig, *, num_labels: int = 0) -> ParameterCount:
    """Parameters of a LanguageModel, or of a Classifier where `num_labels` is above 0."""
    untied_head = 0 if config.tied_head else config.vocab_size * config.width
    return ParameterCount(
        embedding=config.vocab_size * config.width,
        positions=config.context_tokens * config.width if config.positions == "learned" else 0,
        attention=config.num_layers * (_attention_matrices(config) + _attention_biases(config)),
        feedforward=config.num_layers * (_feedforward_matrices(config) + _feedforward_biases(config)),
        norms=_norms(config),
        head=num_labels * config.width if num_labels else untied_head,
    )


def forward_flops_per_token(config: ModelConfig, *, seen_tokens: float) -> float:
    """Floating-point operations for one token's logits, when it looks at `seen_tokens` (itself counted).

    A matrix of n numbers costs 2 n a token. Attention adds 2 H D for the score and 2 H D for the mix of every token seen: on average
    (T + 1) / 2 in a causal window of T; literature that counts a full square (Chowdhery et al. 2022, appendix B) takes T.
    Norms, softmax and the like, about a hundredth, are left out. Training costs three times as much: the backward pass is two.
    """
    matrices = (
        config.num_layers * (_attention_matrices(config) + _feedforward_matrices(config))
        + config.vocab_size * config.width
    )
    looking = config.num_layers * 2 * config.num_heads * config.head_width * seen_tokens  # multiply-adds: Q K^T and A V
    return 2 * (matrices + looking)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step holds at its peak, by part."""

    weights: int
    gradients: int
    optimizer: int
    """AdamW's two moments."""
    activations: int
    """What the blocks keep for the backward pass."""
    logits: int
    """Logits, their log-probabilities and their gradient."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def training_memory(
    config: ModelConfig, *, batch_size: int, context_tokens: int, trained_parameters: int | None = None
) -> TrainingMemory:
    """An estimate of one step in float32 on `batch_size` rows of `context_tokens`.

    `trained_parameters` None: all of them. Not counted: the process itself and the allocator's slack.
    """
    total = parameter_count(config).total
    trained = total if trained_parameters is None else trained_parameters
    tokens = batch_size * context_tokens
    return TrainingMemory(
        weights=FLOAT32_BYTES * total,
        gradients=FLOAT32_BYTES * trained,
        optimizer=2 * FLOAT32_BYTES * trained,
        activations=FLOAT32_BYTES * tokens * activations_per_token(config),
        logits=3 * FLOAT32_BYTES * tokens * config.vocab_size,
    )


def activations_per_token(config: ModelConfig) -> int:
    """Numbers kept per token for the backward pass of the blocks and the final norm, with the fused attention."""
    heads, kv_heads = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    norm = (3 if config.norm == "rms" else 2) * config.width  # its input, (RMS: the input divided,) its output
    queries_keys_norm = 2 * (heads + kv_heads) if config.qk_norm != "none" else 0  # inputs, and inputs divided
    attention = (
        2 * heads + 2 * kv_heads + config.num_heads
    )  # queries, mix; keys, values; one sum of exponentials a head
    feedforward = (
        4 if config.feedforward != "gelu" else 2
    ) * config.feedforward_width  # gate, bent gate, up, product; or up, bent
    return config.num_layers * (2 * norm + queries_keys_norm + attention + feedforward) + norm


def cache_bytes(config: ModelConfig, *, batch: int, capacity: int, value_bytes: int = FLOAT32_BYTES) -> int:
    """Bytes of a KVCache: a key and a value for every layer, row, key/value head and token."""
    return 2 * config.num_layers * batch * config.num_kv_heads * capacity * config.head_width * value_bytes


def _attention_matrices(config: ModelConfig) -> int:
    return (
        2 * config.width * config.head_width * (config.num_heads + config.num_kv_heads)
    )  # query and output; key and value


def _attention_biases(config: ModelConfig) -> int:
    inner = config.head_width * (config.num_heads + 2 * config.num_kv_heads) if config.attention_bias else 0
    return inner + (config.width if config.attention_output_bias else 0)


def _feedforward_matrices(config: ModelConfig) -> int:
    return (3 if config.feedforward != "gelu" else 2) * config.width * config.feedforward_width


def _feedforward_biases(config: ModelConfig) -> int:
    widened = 2 if config.feedforward != "gelu" else 1
    return widened * config.feedforward_width + config.width if config.feedforward_bias else 0


def _norms(config: ModelConfig) -> int:
    of_stream = (2 if config.norm == "layer" else 1) * config.width  # weight, and LayerNorm's bias
    counted = {"none": 0, "head": 2, "projection": config.num_heads + config.num_kv_heads}
    of_heads = counted[config.qk_norm] * config.head_width
    final = 0 if config.block == "post" else of_stream
    return config.num_layers * (len(NORM_NAMES[config.block]) * of_stream + of_heads) + final
