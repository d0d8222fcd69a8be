"""Memory of a model, from its config: weights, gradients, optimizer state, activations, KV cache.
The tests measure the same.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from groundup.model.attention_blocks import BLOCKS_UP_TO_TOKENS
from groundup.model.block import NORM_NAMES
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.linear_cross_entropy import chunk_tokens
from groundup.model.sizes import WeightKind, parameter_count, weight_kinds

FLOAT32_BYTES = 4
Encoding = Literal["float32", "bf16", "q8_0"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
# q8_0 (ggml's block_q8_0): 32 numbers of a row as bytes, and one float16 as their scale.
BLOCK_NUMBERS, BLOCK_BYTES = 32, 34
ROUTER = "feedforward.router.weight"


@dataclass(frozen=True)
class StateSize:
    """Numbers of state that an optimizer keeps for each parameter."""

    block_matrix: int = 2
    """Of the matrices of blocks."""
    rest: int = 2


ADAMW_STATE = StateSize()


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step at its peak."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    """Of two chunks of tokens (`linear_cross_entropy`); with a soft cap of all, four times."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def training_memory(
    config: ModelConfig,
    *,
    batch_size: int,
    context_tokens: int,
    trained_parameters: int | None = None,
    recompute: bool = False,
    state: StateSize = ADAMW_STATE,
) -> TrainingMemory:
    """One step in float32. `trained_parameters` None: all. Not counted: the process itself and the
    allocator's overhead.
    """
    total, tokens = parameter_count(config).total, batch_size * context_tokens
    trained, numbers = total, state_numbers(config, state)
    if trained_parameters is not None:  # adapters: none of them is a matrix of the model's own
        trained, numbers = trained_parameters, state.rest * trained_parameters
    logit_rows = min(tokens, 2 * chunk_tokens(config.vocab_size))
    if config.logit_softcap:
        logit_rows = 4 * tokens
    return TrainingMemory(
        weights=FLOAT32_BYTES * total,
        gradients=FLOAT32_BYTES * trained,
        optimizer=FLOAT32_BYTES * numbers,
        activations=activation_bytes(
            config, batch_size=batch_size, context_tokens=context_tokens, recompute=recompute
        ),
        logits=FLOAT32_BYTES * logit_rows * config.vocab_size,
    )


def state_numbers(config: ModelConfig, state: StateSize) -> int:
    """Matrices of blocks: as in `train.optimizers.muon.is_block_matrix`."""
    total = parameter_count(config).total
    parts = (kind for kind in weight_kinds(config) if kind.part in ("attention", "feedforward"))
    flat = sum(kind.numbers for kind in parts if len(kind.shape) == 2 and kind.name != ROUTER)
    return state.block_matrix * flat + state.rest * (total - flat)


def activation_bytes(
    config: ModelConfig, *, batch_size: int, context_tokens: int, recompute: bool = False
) -> int:
    """What autograd saves in one float32 forward pass up to the final norm's output. Besides the
    numbers per token there are T x T tensors shared by all rows, and the angles of rotary
    positions. With `recompute` every block saves its input, and one at a time everything.
    """
    layers = range(config.num_layers)
    others = _norms_saved(config) + _feedforward_saved(config)
    blocks = [_attention_saved(config, layer, context_tokens) + others for layer in layers]
    squares = [_square_bytes(config, layer, batch_size, context_tokens) for layer in layers]
    if recompute:
        per_token = max(blocks) + (config.num_layers - 1) * config.width
        square_bytes = max(squares)
    else:
        per_token, square_bytes = sum(blocks), sum(squares)
    per_token += 2 + config.width  # the 64-bit id for the embedding, the output of the last block
    if config.block != "post":  # the final norm and its output
        per_token += _norm_saved(config) + config.width
    angles = {config.sees_all(layer) for layer in layers if config.rotates(layer)}
    numbers = batch_size * context_tokens * per_token
    numbers += len(angles) * 2 * context_tokens * config.head_width
    return FLOAT32_BYTES * numbers + square_bytes


def _norm_saved(config: ModelConfig) -> int:
    """Per token. RMSNorm: the divisor; LayerNorm: mean and standard deviation."""
    return {"rms": 1, "layer": 2}[config.norm]


def _norms_saved(config: ModelConfig) -> int:
    """Per token, of one block: each norm saves its input, each matrix what it multiplies. What is
    only added to the stream is not saved.
    """
    norm, width = _norm_saved(config), config.width
    if config.block == "parallel":  # the stream, and the same norm for each of the two parts
        return width + 2 * (norm + width)
    copies = {"pre": 4, "post": 4, "output": 4, "sandwich": 6}[config.block]
    return copies * width + len(NORM_NAMES[config.block]) * norm


def _attention_saved(config: ModelConfig, layer: int, context_tokens: int) -> int:
    """Per token: queries, keys, values and the output. The fused kernel also saves one log-sum-exp
    per head.
    """
    queries, keys = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    # the inputs of their norms and the divisors: one number per head, or one
    norms = {"none": 0, "head": config.num_heads + config.num_kv_heads, "projection": 2}[
        config.qk_norm
    ]
    normed = 0
    if norms:
        normed = queries + keys + norms
    if config.score_softcap:  # naive: keys and values are repeated for every query head
        return normed + 4 * queries
    saved = normed + 2 * queries + 2 * keys
    if context_tokens > BLOCKS_UP_TO_TOKENS or _square_bytes(config, layer, 1, context_tokens):
        return saved + config.num_heads
    return saved


def _square_bytes(config: ModelConfig, layer: int, batch_size: int, context_tokens: int) -> int:
    """Of the T x T tensors of one block."""
    square = context_tokens**2
    if config.score_softcap:
        # per row and head: the capped scores and the weights; once: the mask, in bytes
        return (2 * FLOAT32_BYTES * batch_size * config.num_heads + 1) * square
    if config.positions == "alibi" or config.relative_buckets:  # the bias of every head
        return FLOAT32_BYTES * config.num_heads * square
    if 0 < config.window_of(layer) < context_tokens:
        return FLOAT32_BYTES * square  # the kernel converts the mask to floats
    return 0


def _feedforward_saved(config: ModelConfig) -> int:
    """Per token; with experts, of each chosen one and the routing."""
    network = FEEDFORWARDS[config.feedforward].saved_tensors * config.feedforward_width
    if not config.num_experts:
        return network
    copies = 3 * config.width  # its input, its output, and the weighted output
    routing = 7  # three 64-bit indices and a weight
    saved = config.experts_per_token * (network + copies + routing) + config.num_experts
    if config.normalised_router:
        saved += config.experts_per_token + 1
    return saved


def cache_bytes(
    config: ModelConfig, *, batch: int, capacity: int, value_bytes: int = FLOAT32_BYTES
) -> int:
    """Of a KVCache; an encoder has none. Blocks with a window store every token, too."""
    return _cache_bytes(config, config.num_layers * capacity, batch * value_bytes)


def needed_cache_bytes(
    config: ModelConfig, *, batch: int, capacity: int, value_bytes: int = FLOAT32_BYTES
) -> int:
    """Of the keys and values still in the window after `capacity` tokens: a rolling cache would
    need only these.
    """
    windows = (config.window_of(layer) or capacity for layer in range(config.num_layers))
    tokens = sum(min(capacity, window) for window in windows)
    return _cache_bytes(config, tokens, batch * value_bytes)


def _cache_bytes(config: ModelConfig, tokens: int, value_bytes: int) -> int:
    """`tokens`: summed over the blocks."""
    return int(config.causal) * 2 * config.num_kv_heads * config.head_width * tokens * value_bytes


def weight_bytes(config: ModelConfig, encoding: Encoding, *, num_labels: int = 0) -> int:
    """float32 and bf16 as in memory, q8_0 as in a GGUF file (without its header)."""
    return sum(kind_bytes(kind, encoding) for kind in weight_kinds(config, num_labels=num_labels))


def kind_bytes(kind: WeightKind, encoding: Encoding) -> int:
    """In q8_0 vectors, routers and position tables stay float32; rows not divisible by 32,
    float16.
    """
    stays = len(kind.shape) == 1 or kind.part == "positions" or kind.name == ROUTER
    if encoding == "float32" or (encoding == "q8_0" and stays):
        return kind.numbers * FLOAT32_BYTES
    if encoding == "bf16" or kind.shape[-1] % BLOCK_NUMBERS:
        return kind.numbers * 2
    return kind.numbers // BLOCK_NUMBERS * BLOCK_BYTES


def attention_path(
    config: ModelConfig, context_tokens: int, device: str = "cpu", *, packing: bool = False
) -> str:
    """Which of `attention.IMPLEMENTATIONS` computes texts of this length on a device, and why."""
    alibi, layers = config.positions == "alibi", range(config.num_layers)
    windowed = sum(0 < config.window_of(layer) < context_tokens for layer in layers)
    if device == "cuda" and (config.score_softcap or alibi or config.window_tokens or packing):
        return (
            "flex: FlexAttention, one kernel with the window, cap or bias compiled into it; "
            "no T x T tensor"
        )
    if not config.causal:
        return (
            "sdpa, the fused kernel, every token with every other: no T x T tensor, but a mask "
            "where texts are padded"
        )
    if config.score_softcap:
        return (
            f"naive: the fused kernel has no soft cap (score_softcap {config.score_softcap:g}), "
            "so T x T tensors are stored"
        )
    if alibi:
        return "sdpa, the fused kernel, with the T x T bias of ALiBi"
    if packing:
        return (
            "sdpa: on a CPU in blocks of queries without the keys of other documents; a T x T "
            "mask for each row"
        )
    if windowed:
        return (
            f"sdpa, the fused kernel; {windowed} of {config.num_layers} blocks need a T x T mask "
            "for their window"
        )
    if context_tokens <= BLOCKS_UP_TO_TOKENS:
        return (
            "sdpa: blocks of queries on a CPU, the fused kernel elsewhere, causal: no T x T tensor"
        )
    return "sdpa, the fused kernel, causal: no T x T tensor"
