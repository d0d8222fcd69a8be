"""How rotary positions are stretched to a longer context (`positions.py` computes them). Nothing
here imports torch: configs are read without it.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from groundup.errors import ConfigError

ScalingKind = Literal["llama3", "linear", "yarn"]


@dataclass(frozen=True)
class RopeScaling:
    """Rotary positions stretched to a longer context than they were first trained for."""

    factor: float
    """How many times longer the slow rotations are made."""
    low_freq_factor: float = 1.0
    """llama3: wavelengths above original_context_tokens / this are stretched by the whole factor.
    """
    high_freq_factor: float = 4.0
    """llama3: wavelengths below original_context_tokens / this are left alone; in between the two
    are mixed.
    """
    original_context_tokens: int = 8_192
    """llama3 and yarn: tokens of context before stretching."""
    kind: ScalingKind = "llama3"
    """Llama 3.1's mix by wavelength, one factor for all (linear: Chen et al. 2023), or YaRN (Peng
    et al. 2023).
    """
    beta_fast: float = 32.0
    """yarn: rotations of at least this many turns within the original context are left alone."""
    beta_slow: float = 1.0
    """yarn: those of at most this many turns are stretched by the whole factor."""
    attention_factor: float = 0.0
    """yarn: queries and keys are multiplied by this; 0: 0.1 ln(factor) + 1, as the paper found."""

    def __post_init__(self) -> None:
        kinds, low, high = get_args(ScalingKind), self.low_freq_factor, self.high_freq_factor
        if self.kind not in kinds:
            raise ConfigError(f"rope_scaling kind {self.kind!r} is not one of {', '.join(kinds)}.")
        if self.factor < 1 or not 0 < low < high or self.original_context_tokens < 1:
            raise ConfigError(
                f"rope_scaling needs factor >= 1 (got {self.factor}), 0 < low_freq_factor < "
                f"high_freq_factor (got {low} and {high}) and original_context_tokens >= 1 "
                f"(got {self.original_context_tokens})."
            )
        if not 0 < self.beta_slow < self.beta_fast or self.attention_factor < 0:
            raise ConfigError(
                f"rope_scaling needs 0 < beta_slow < beta_fast (got {self.beta_slow} and "
                f"{self.beta_fast}) and attention_factor >= 0 (got {self.attention_factor})."
            )


def attention_factor(scaling: RopeScaling | None) -> float:
    """YaRN's factor of queries and keys, which sharpens the attention over a longer context (eq.
    22).
    """
    if scaling is None or scaling.kind != "yarn":
        return 1.0
    return scaling.attention_factor or 0.1 * math.log(scaling.factor) + 1.0
