"""The shape of a model: every choice that `transformer.py` makes, checked once, with numbers in the refusal.

A config holds no weights and computes nothing but its own consistency. Two fields may be left at 0 and are then
filled in (`num_kv_heads`, `head_width`), so that a config one can read is always complete.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from groundup.errors import ConfigError

Family = Literal["llama", "gpt2", "qwen2", "qwen3", "mistral"]
Norm = Literal["rms", "layer"]
Positions = Literal["rope", "learned", "sinusoidal", "none"]
FeedForwardKind = Literal["swiglu", "gelu"]


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3's stretching of rotary positions to a longer context (Llama 3.1 release, `rope_type: llama3`)."""

    factor: float
    """How many times longer the slow rotations are made."""
    low_freq_factor: float
    """Wavelengths above original_context_tokens / this are stretched by the whole factor."""
    high_freq_factor: float
    """Wavelengths below original_context_tokens / this are left alone; in between the two are mixed."""
    original_context_tokens: int
    """Tokens of context before stretching."""

    def __post_init__(self) -> None:
        if self.factor < 1 or not 0 < self.low_freq_factor < self.high_freq_factor or self.original_context_tokens < 1:
            raise ConfigError(
                f"rope_scaling needs factor >= 1 (got {self.factor}), 0 < low_freq_factor < high_freq_factor "
                f"(got {self.low_freq_factor} and {self.high_freq_factor}) and original_context_tokens >= 1 (got {self.original_context_tokens})."
            )


@dataclass(frozen=True)
class ModelConfig:
    """One Transformer. Raises ConfigError when the numbers don't fit each other."""

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
    """F: components between the two matrices of the feed-forward part."""
    num_kv_heads: int = 0
    """K: key/value heads, a divisor of H (grouped-query attention); 0: as many as H (multi-head attention)."""
    head_width: int = 0
    """D: components of a head; 0: width / num_heads. Only Qwen3-like models choose it freely."""
    family: Family = "llama"
    """Whose file layout the model is written in (`weights/names.py`); the parts below are what is computed."""
    norm: Norm = "rms"
    """RMSNorm (Llama, Qwen) or LayerNorm (GPT-2)."""
    norm_eps: float = 1e-5
    """Added under the square root of the norms; 1e-5 as in Llama and GPT-2."""
    positions: Positions = "rope"
    """How tokens know their place."""
    rope_base: float = 10_000.0
    """The slowest rotation's wavelength is about 2 pi times this, in tokens; 10,000 as in Su et al. 2021."""
    rope_scaling: RopeScaling | None = None
    """Llama 3's stretching; None: plain."""
    feedforward: FeedForwardKind = "swiglu"
    """SwiGLU (Llama, Qwen) or GELU (GPT-2)."""
    attention_bias: bool = False
    """Query, key and value projections have biases (GPT-2, Qwen2)."""
    attention_output_bias: bool = False
    """The attention's output projection has a bias (GPT-2)."""
    feedforward_bias: bool = False
    """The feed-forward projections have biases (GPT-2)."""
    qk_norm: bool = False
    """Queries and keys are RMS-normalised per head before they are rotated (Qwen3)."""
    tied_head: bool = True
    """The output matrix is the embedding table itself (Press & Wolf 2017)."""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_counts()
        object.__setattr__(self, "num_kv_heads", self.num_kv_heads or self.num_heads)
        object.__setattr__(self, "head_width", self.head_width or divided(self.width, self.num_heads))
        self._check_heads()
        self._check_positions()

    def _check_choices(self) -> None:
        choices = {"family": Family, "norm": Norm, "positions": Positions, "feedforward": FeedForwardKind}
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} {getattr(self, name)!r} is not one of {', '.join(get_args(kind))}.")

    def _check_counts(self) -> None:
        for name in ("vocab_size", "context_tokens", "width", "num_layers", "num_heads", "feedforward_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1 (got {getattr(self, name)}).")
        for name in ("num_kv_heads", "head_width"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 1, or 0 to be filled in (got {getattr(self, name)}).")
        for name in ("norm_eps", "rope_base"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be a positive number (got {getattr(self, name)}).")

    def _check_heads(self) -> None:
        if self.num_heads % self.num_kv_heads:
            divisors = [str(k) for k in range(1, self.num_heads + 1) if self.num_heads % k == 0]
            shared = f"{self.num_heads} query heads can't share {self.num_kv_heads} key/value heads evenly"
            raise ConfigError(f"{shared}; num_kv_heads can be {', '.join(divisors)}.")

    def _check_positions(self) -> None:
        if self.positions == "rope":
            require_even("head_width", self.head_width, "rotary positions turn pairs of components")
        if self.positions == "sinusoidal":
            require_even("width", self.width, "sinusoidal positions are pairs of a sine and a cosine")
        if self.rope_scaling is not None and self.positions != "rope":
            raise ConfigError(f"rope_scaling stretches rotary positions, but positions is {self.positions!r}.")


def require_even(name: str, value: int, reason: str) -> None:
    """Raises ConfigError when `value` is odd."""
    if value % 2:
        raise ConfigError(f"{name} {value} is odd, and {reason}; the nearest are {value - 1} and {value + 1}.")


def divided(width: int, num_heads: int) -> int:
    """Width of one head when `width` is shared out evenly. Raises ConfigError with the nearest widths that can be."""
    if width % num_heads:
        below = width // num_heads * num_heads
        nearest = [str(value) for value in (below, below + num_heads) if value > 0]
        are = "the nearest are" if len(nearest) == 2 else "the nearest is"
        raise ConfigError(f"width {width} is not divisible by {num_heads} heads; {are} {' and '.join(nearest)}.")
    return width // num_heads
