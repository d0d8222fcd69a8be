"""What a shape takes in memory, from its config alone: weights, gradients, optimizer, activations, cache. The tests measure the same.

training_memory(config, batch_size=8, context_tokens=128)   bytes by part at the peak of a step
optimizer_numbers(config, "muon")                           numbers that an optimizer remembers: also what a checkpoint holds of it
activation_bytes(config, batch_size=8, context_tokens=128)  what the forward pass keeps for the backward pass
cache_bytes(config, batch=1, capacity=2048)                 keys and values
weight_bytes(config, "q8_0")                                the weights in one of ENCODINGS
"""

from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from groundup.model.attention_blocks import BLOCKS_UP_TO_TOKENS
from groundup.model.block import NORM_NAMES
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.linear_cross_entropy import piece_places
from groundup.model.sizes import WeightKind, parameter_count, weight_kinds

FLOAT32_BYTES = 4
Encoding = Literal["float32", "bf16", "q8_0"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
# q8_0 (ggml's block_q8_0): 32 numbers of a row as bytes, and one float16 by which they are multiplied.
BLOCK_NUMBERS, BLOCK_BYTES = 32, 34
ROUTER = "feedforward.router.weight"


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step holds at its peak, by part."""

    weights: int
    gradients: int
    optimizer: int
    """What it remembers: see `optimizer_numbers`."""
    activations: int
    """What the blocks keep for the backward pass."""
    logits: int
    """Those of two pieces of the places (see `surprise`): a piece goes when the next is there.

    With a soft cap: of all, also as they were bent, their log-probabilities and gradient.
    """

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
    optimizer: str = "adamw",
) -> TrainingMemory:
    """An estimate of one step in float32 on `batch_size` rows of `context_tokens`; `recompute` as in `activation_bytes`.

    `trained_parameters` None: all of them. Not counted: the process itself and the allocator's slack.
    """
    remembered = optimizer_numbers(config, optimizer) if trained_parameters is None else 2 * trained_parameters
    total = parameter_count(config).total
    trained = total if trained_parameters is None else trained_parameters
    tokens = batch_size * context_tokens
    places = 4 * tokens if config.logit_softcap else min(tokens, 2 * piece_places(config.vocab_size))
    return TrainingMemory(
        weights=FLOAT32_BYTES * total,
        gradients=FLOAT32_BYTES * trained,
        optimizer=FLOAT32_BYTES * remembered,
        activations=activation_bytes(config, batch_size=batch_size, context_tokens=context_tokens, recompute=recompute),
        logits=FLOAT32_BYTES * places * config.vocab_size,
    )


def optimizer_numbers(config: ModelConfig, optimizer: str) -> int:
    """AdamW: two running means for each parameter; SGD one; Muon one for the matrices of the blocks, AdamW's two for the rest.

    The same division as `train.optimizers.is_block_matrix`, on shapes.
    """
    total = parameter_count(config).total
    if optimizer == "sgd":
        return total
    matrices = (kind for kind in weight_kinds(config) if kind.part in ("attention", "feedforward"))
    flat = sum(kind.numbers for kind in matrices if len(kind.shape) == 2 and kind.name != ROUTER)
    return 2 * total - (flat if optimizer == "muon" else 0)


def activation_bytes(config: ModelConfig, *, batch_size: int, context_tokens: int, recompute: bool = False) -> int:
    """What autograd keeps of one forward pass in float32 up to the final norm's result, which the head reads: see the functions below.

    Two things stand apart from the numbers of each token: tables of T x T that all rows share, and the angles of rotary positions.
    With `recompute` (`transformer.use_recompute`) every block keeps its input, and one at a time, in the backward pass, all of it.
    """
    tokens, layers = batch_size * context_tokens, range(config.num_layers)
    blocks = [_block_keeps(config, layer, context_tokens) for layer in layers]
    squares = [_tables(config, layer, batch_size, context_tokens) for layer in layers]
    at_once = max if recompute else sum
    inputs = (config.num_layers - 1) * config.width if recompute else 0
    of_token, tables = at_once(blocks) + inputs + _final_keeps(config), at_once(squares)
    angles = {config.sees_all(layer) for layer in range(config.num_layers) if config.rotates(layer)}
    return FLOAT32_BYTES * (tokens * of_token + len(angles) * 2 * context_tokens * config.head_width) + tables


def _block_keeps(config: ModelConfig, layer: int, context_tokens: int) -> int:
    """Numbers a token that one block keeps, the stream as it comes in counted."""
    return _norms_keep(config) + _attention_keeps(config, layer, context_tokens) + _feedforward_keeps(config)


def _final_keeps(config: ModelConfig) -> int:
    """Numbers a token: what the embedding looks up (a 64-bit id), the stream as the last block leaves it, the final norm and its result."""
    norm = 0 if config.block == "post" else _norm_keeps(config) + config.width
    return 2 + config.width + norm


def _norm_keeps(config: ModelConfig) -> int:
    """Numbers a token of one norm beside its input and its result. RMS: by what it divides; layer: mean and deviation."""
    return 1 if config.norm == "rms" else 2


def _norms_keep(config: ModelConfig) -> int:
    """The norms of one block, and the two places where it reads the stream or a normed copy of it.

    Each norm keeps its input, each matrix what it multiplies. What only gets added to the stream is not kept.
    """
    norm, width = _norm_keeps(config), config.width
    if config.block == "parallel":  # the stream, and the same norm for each of the two parts
        return width + 2 * (norm + width)
    kept_copies = {"pre": 4, "post": 4, "output": 4, "sandwich": 6}[config.block]
    return kept_copies * width + len(NORM_NAMES[config.block]) * norm


def _attention_keeps(config: ModelConfig, layer: int, context_tokens: int) -> int:
    """Queries, keys, values and the mix. The fused kernel keeps one sum of exponentials a head, blocks nothing; neither keeps a table."""
    queries, keys = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    # the inputs of their norms, and by what they are divided: one number a head, or one
    norms = {"none": 0, "head": config.num_heads + config.num_kv_heads, "projection": 2}[config.qk_norm]
    normed = queries + keys + norms if norms else 0
    if config.score_softcap:  # naive: keys and values are repeated for every query head
        return normed + 4 * queries
    fused = context_tokens > BLOCKS_UP_TO_TOKENS or _tables(config, layer, 1, context_tokens) > 0
    return normed + 2 * queries + 2 * keys + (config.num_heads if fused else 0)


def _tables(config: ModelConfig, layer: int, batch_size: int, context_tokens: int) -> int:
    """Bytes of the T x T tables of one block."""
    square = context_tokens**2
    if (
        config.score_softcap
    ):  # of every row and head: the bent scores and the weights; of all: what is masked, a byte each
        return (2 * FLOAT32_BYTES * batch_size * config.num_heads + 1) * square
    if config.positions == "alibi":  # the bias of every head
        return FLOAT32_BYTES * config.num_heads * square
    windowed = not config.sees_all(layer) and config.window_tokens < context_tokens
    return FLOAT32_BYTES * square if windowed else 0  # the kernel turns the mask into numbers


def _feedforward_keeps(config: ModelConfig) -> int:
    """Numbers a token; with experts, those of each chosen one and the way to it and back."""
    network = FEEDFORWARDS[config.feedforward].saved_tensors * config.feedforward_width
    if not config.num_experts:
        return network
    copies = 3 * config.width  # what it is given, its answer, and the answer times its share
    shares = config.experts_per_token + 1 if config.normalised_router else 0
    ways = config.experts_per_token * 7  # three 64-bit numbers of expert or token, and a share
    return config.experts_per_token * (network + copies) + config.num_experts + shares + ways


def cache_bytes(config: ModelConfig, *, batch: int, capacity: int, value_bytes: int = FLOAT32_BYTES) -> int:
    """Bytes of a KVCache: a key and a value for every layer, row, key/value head and token.

    Blocks with a window keep every token, too, though they see the last ones only (see `needed_cache_bytes`).
    """
    return 2 * config.num_layers * batch * config.num_kv_heads * capacity * config.head_width * value_bytes


def needed_cache_bytes(config: ModelConfig, *, batch: int, capacity: int, value_bytes: int = FLOAT32_BYTES) -> int:
    """Bytes of the keys and values that can still be seen behind `capacity` tokens: a cache that forgets could do with these."""
    windows = [
        capacity if config.sees_all(i) else min(capacity, config.window_tokens) for i in range(config.num_layers)
    ]
    return 2 * batch * config.num_kv_heads * sum(windows) * config.head_width * value_bytes


def weight_bytes(config: ModelConfig, encoding: Encoding, *, num_labels: int = 0) -> int:
    """Bytes of all weights: float32 and bf16 as in memory, q8_0 as in a GGUF file of this encoding (without its header)."""
    return sum(kind_bytes(kind, encoding) for kind in weight_kinds(config, num_labels=num_labels))


def kind_bytes(kind: WeightKind, encoding: Encoding) -> int:
    """Of all weights of one kind. In q8_0 vectors, routers and position tables stay float32, and rows of no multiple of 32 float16."""
    if encoding != "q8_0":
        return kind.numbers * (FLOAT32_BYTES if encoding == "float32" else 2)
    if len(kind.shape) == 1 or kind.part == "positions" or kind.name == ROUTER:
        return kind.numbers * FLOAT32_BYTES
    row = kind.shape[-1]
    row_bytes = row // BLOCK_NUMBERS * BLOCK_BYTES if row % BLOCK_NUMBERS == 0 else 2 * row
    return kind.count * prod(kind.shape[:-1]) * row_bytes


def attention_path(config: ModelConfig, context_tokens: int, device: str = "cpu") -> str:
    """Which of `attention.IMPLEMENTATIONS` computes texts of this length on a device ("cpu", "cuda", "mps"), and why, in words."""
    if device == "cuda" and (config.score_softcap or config.positions == "alibi" or config.window_tokens):
        return "flex: FlexAttention, one kernel with the window, cap or penalty compiled into it; no T x T table"
    if config.score_softcap:
        return f"naive: the fused kernel can't bend scores (score_softcap {config.score_softcap:g}), so the T x T tables are kept"
    if config.positions == "alibi":
        return "sdpa, the fused kernel, given a T x T table of what ALiBi takes off each score"
    windowed = sum(bool(_tables(config, layer, 1, context_tokens)) for layer in range(config.num_layers))
    if windowed:
        return f"sdpa, the fused kernel; {windowed} of {config.num_layers} blocks give it a T x T mask for their window"
    if context_tokens <= BLOCKS_UP_TO_TOKENS:
        return "sdpa: blocks of queries on a CPU, the fused kernel elsewhere, causal: no T x T table"
    return "sdpa, the fused kernel, causal: no T x T table"
