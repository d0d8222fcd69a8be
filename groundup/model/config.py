"""The config of a model: every choice that `transformer.py` makes, checked once.

Two fields may be left at 0 and are then filled in (`num_kv_heads`, `head_width`), so that a config
is always complete.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from groundup.errors import ConfigError, require
from groundup.model.rope_scaling import RopeScaling

Family = Literal[
    "llama",
    "gpt2",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "mistral",
    "gemma2",
    "gemma3",
    "phi3",
    "olmo2",
    "smollm3",
    "bert",
    "mpnet",
]
Norm = Literal["rms", "layer"]
BlockKind = Literal["pre", "post", "output", "sandwich", "parallel"]
# Names of a block's norms of the inputs of its two parts, and of their outputs (`block.py`).
BEFORE = ("attention_norm", "feedforward_norm")
AFTER = ("attention_output_norm", "feedforward_output_norm")
NORM_NAMES: dict[BlockKind, tuple[str, ...]] = {
    "pre": BEFORE,
    "post": AFTER,
    "output": AFTER,
    "sandwich": BEFORE + AFTER,
    "parallel": ("attention_norm",),
}
QueryKeyNorm = Literal["none", "head", "projection"]
Pooling = Literal["mean", "cls"]
"""Of the hidden states of a text's tokens: their mean, or the first one's."""


@dataclass(frozen=True)
class ModelConfig:
    """Raises ConfigError when the values are inconsistent."""

    vocab_size: int
    """V: ids are 0 .. V-1."""
    context_tokens: int
    """The longest text in tokens."""
    width: int
    """C: components of the residual stream."""
    num_layers: int
    """L: blocks."""
    num_heads: int
    """H: query heads of a block."""
    feedforward_width: int
    """F: inner width of the feed-forward network, or of each expert."""
    num_kv_heads: int = 0
    """K: key/value heads, a divisor of H (grouped-query attention); 0: as many as H."""
    head_width: int = 0
    """D: components of a head; 0: width / num_heads. Qwen3 and Gemma have other values."""
    family: Family = "llama"
    """The file layout of the weights (`weights/names.py`); the fields below determine the
    computation.
    """
    norm: Norm = "rms"
    """RMSNorm (Llama, Qwen) or LayerNorm (GPT-2)."""
    block: BlockKind = "pre"
    """Where the norms are: see `block.py`."""
    causal: bool = True
    """A token attends to those up to itself; false: to the whole text, as in an encoder (BERT)."""
    embedding_norm: bool = False
    """The sum of embedding and positions is normalised before the first block (BERT)."""
    norm_eps: float = 1e-5
    """Added under the square root of the norms; 1e-5 as in Llama and GPT-2."""
    positions: str = "rope"
    """See `positions.py`."""
    relative_buckets: int = 0
    """Buckets of distances of two tokens, for each of which every head adds a learned number to
    the scores (MPNet: 32); 0: none. Only without a causal mask.
    """
    rope_base: float = 10_000.0
    """The slowest rotation's wavelength is about 2 pi times this, in tokens (Su et al. 2021)."""
    rope_scaling: RopeScaling | None = None
    """Blocks with their own base (window_rope_base) are never scaled."""
    unrotated_every: int = 0
    """Every n-th block, counted from 1, has no rotary positions (SmolLM3: 4); 0: all have."""
    window_tokens: int = 0
    """Tokens that a token attends to, itself included (Mistral, Gemma); 0: no window."""
    full_every: int = 0
    """Every n-th block, counted from 1, has no window (Gemma 2: 2, Gemma 3: 6); 0: all have it."""
    window_rope_base: float = 0.0
    """rope_base of the blocks with a window (Gemma 3: 10,000); 0: as the others."""
    score_width: int = 0
    """Scores are divided by its square root (Gemma's query_pre_attn_scalar); 0: head_width."""
    score_softcap: float = 0.0
    """Scores are soft-capped: cap tanh(score / cap) (Gemma 2: 50); 0: no cap."""
    logit_softcap: float = 0.0
    """The same for the logits (Gemma 2: 30); 0: no cap."""
    scaled_embedding: bool = False
    """The embedding is multiplied by sqrt(width) (Vaswani et al. 2017, section 3.4; Gemma)."""
    feedforward: str = "swiglu"
    """SwiGLU (Llama, Qwen), GeGLU (Gemma), GELU (GPT-2) or exact GELU (BERT)."""
    num_experts: int = 0
    """E: experts of a block (Qwen3-MoE); 0: one feed-forward network, no router."""
    experts_per_token: int = 0
    """A: experts that the router chooses for each token."""
    normalised_router: bool = True
    """The weights of the chosen experts sum to 1 (Qwen3-MoE's norm_topk_prob)."""
    attention_bias: bool = False
    """Query, key and value projections have biases (GPT-2, BERT, Qwen2)."""
    attention_output_bias: bool = False
    feedforward_bias: bool = False
    qk_norm: QueryKeyNorm = "none"
    """RMSNorm of queries and keys before rotation: each head (Qwen3, Gemma 3) or the whole
    projection (OLMo 2).
    """
    tied_head: bool = True
    """The output matrix is the embedding matrix (Press & Wolf 2017)."""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        num_kv_heads = self.num_kv_heads or self.num_heads
        head_width = self.head_width or divide_width(self.width, self.num_heads)
        object.__setattr__(self, "num_kv_heads", num_kv_heads)
        object.__setattr__(self, "head_width", head_width)
        self._check_heads()
        self._check_positions()
        self._check_experts()

    def window_of(self, layer: int) -> int:
        """Of block `layer`, counted from 0, in tokens; 0: it has none."""
        if self.full_every and (layer + 1) % self.full_every == 0:
            return 0
        return self.window_tokens

    def sees_all(self, layer: int) -> bool:
        return self.window_of(layer) == 0

    def rotates(self, layer: int) -> bool:
        return self.positions == "rope" and not (
            self.unrotated_every and (layer + 1) % self.unrotated_every == 0
        )

    @property
    def gated(self) -> bool:
        """Whether the feed-forward network has a gate."""
        if self.feedforward == "swiglu":
            return True
        from groundup.model.feedforward import FEEDFORWARDS

        return FEEDFORWARDS[self.feedforward].gated

    @property
    def has_position_table(self) -> bool:
        """Whether each position has a row of weights, which is added to the embedding."""
        if self.positions == "rope":
            return False
        from groundup.model.positions import ADDED_POSITIONS

        added = ADDED_POSITIONS.get(self.positions)
        return added is not None and added.has_table

    def _check_choices(self) -> None:
        """The parts of a Llama are known without the registries, which import torch: their files
        are not read where a model is only decoded by the compiled step (`kernels/`).
        """
        choices: dict[str, tuple[str, ...]] = {
            "family": get_args(Family),
            "norm": get_args(Norm),
            "block": get_args(BlockKind),
            "qk_norm": get_args(QueryKeyNorm),
        }
        if (self.feedforward, self.positions) != ("swiglu", "rope"):
            from groundup.model.feedforward import FEEDFORWARDS
            from groundup.model.positions import ADDED_POSITIONS

            choices["feedforward"] = tuple(FEEDFORWARDS)
            choices["positions"] = ("rope", "alibi", *ADDED_POSITIONS, "none")
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r} is not one of {', '.join(allowed)}."
                )

    def _check_numbers(self) -> None:
        sizes = "vocab_size context_tokens width num_layers num_heads feedforward_width"
        self._require(sizes, lambda value: value >= 1, "at least 1")
        self._require(
            "num_kv_heads head_width", lambda value: value >= 0, "at least 1, or 0 to be filled in"
        )
        counts = "unrotated_every window_tokens full_every score_width relative_buckets"
        self._require(
            f"{counts} num_experts experts_per_token", lambda value: value >= 0, "at least 0"
        )
        bounds = "window_rope_base score_softcap logit_softcap"
        self._require(bounds, lambda value: 0 <= value < math.inf, "0 or a positive number")
        self._require("norm_eps rope_base", lambda value: 0 < value < math.inf, "a positive number")

    def _require(self, names: str, holds: Callable[[float], bool], expected: str) -> None:
        for name in names.split():
            value = getattr(self, name)
            require(holds(value), name, value, expected)

    def _check_heads(self) -> None:
        if self.num_heads % self.num_kv_heads:
            divisors = [str(k) for k in range(1, self.num_heads + 1) if self.num_heads % k == 0]
            raise ConfigError(
                f"{self.num_heads} query heads can't share {self.num_kv_heads} key/value heads "
                f"evenly; num_kv_heads can be {', '.join(divisors)}."
            )

    def _check_positions(self) -> None:
        if self.positions == "rope":
            require_even(
                "head_width", self.head_width, "rotary positions rotate pairs of components"
            )
        else:
            self._check_added_positions()
        for name in ("rope_scaling", "unrotated_every"):
            if getattr(self, name) and self.positions != "rope":
                raise ConfigError(
                    f"{name} is for rotary positions, but positions is {self.positions!r}."
                )
        if self.rope_scaling and self.rope_scaling.kind == "yarn" and self.rope_base < 2:
            raise ConfigError(
                "YaRN takes logarithms to the base rope_base, which must be at least 2 "
                f"(got {self.rope_base})."
            )
        if not self.causal and (self.window_tokens or self.positions == "alibi"):
            raise ConfigError(
                "A model without a causal mask (causal is false) has neither a window nor ALiBi "
                "here.",
                fix="Set window_tokens to 0, and positions to another encoding.",
            )
        if self.relative_buckets % 4 or (self.relative_buckets and self.causal):
            raise ConfigError(
                f"relative_buckets is {self.relative_buckets} and causal {self.causal}: buckets "
                "are a multiple of 4, and only a model without a causal mask has them here.",
                fix="Set relative_buckets to 0 or 32.",
            )
        for name in ("full_every", "window_rope_base"):
            if getattr(self, name) and not self.window_tokens:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, but there is no window (window_tokens is 0)."
                )

    def _check_added_positions(self) -> None:
        from groundup.model.positions import ADDED_POSITIONS

        added = ADDED_POSITIONS.get(self.positions)
        if added and added.in_pairs:
            require_even(
                "width", self.width, f"{self.positions} positions are pairs of a sine and a cosine"
            )

    def _check_experts(self) -> None:
        least = min(self.num_experts, 1)
        if not least <= self.experts_per_token <= self.num_experts:
            raise ConfigError(
                f"experts_per_token must be 1 .. num_experts (got {self.experts_per_token} of "
                f"{self.num_experts})."
            )
        if not self.num_experts:
            return
        from groundup.model.feedforward import FEEDFORWARDS

        if not FEEDFORWARDS[self.feedforward].gated or self.feedforward_bias:
            gated = " or ".join(name for name, network in FEEDFORWARDS.items() if network.gated)
            raise ConfigError(
                "Experts are gated feed-forward networks without biases: feedforward must be "
                f"{gated} and feedforward_bias false."
            )


def require_even(name: str, value: int, reason: str) -> None:
    if value % 2:
        raise ConfigError(
            f"{name} {value} is odd, and {reason}; the nearest are {value - 1} and {value + 1}."
        )


def divide_width(width: int, num_heads: int) -> int:
    """Raises ConfigError with the nearest divisible widths."""
    if width % num_heads:
        below = width // num_heads * num_heads
        nearest = [str(value) for value in (below, below + num_heads) if value > 0]
        verb = {1: "is", 2: "are"}[len(nearest)]
        raise ConfigError(
            f"width {width} is not divisible by {num_heads} heads; the nearest {verb} "
            f"{' and '.join(nearest)}."
        )
    return width // num_heads
