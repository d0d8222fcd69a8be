"""What llama.cpp computes for each of its architectures, as data.

A GGUF file names one architecture. llama.cpp has one fixed compute graph for each, in which metadata set a few numbers; the rest is listed
here field by field. Reading takes from it what the metadata leave out, writing refuses a model that differs.
Source: llama.cpp's `src/models/*.cpp` (`load_arch_hparams`, `graph`), and runs of it in tests/weights.

To add one: an entry here, its families in `GGUF_ARCHITECTURES`, and a variant in tests/weights/tiny_weights.py, which llama.cpp then runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from groundup.model.config import ModelConfig

Parts = Mapping[str, tuple[object, ...]]


@dataclass(frozen=True)
class Windows:
    """How an architecture computes sliding windows, and the defaults of missing metadata."""

    tokens: int = 0
    full_every: int = 0
    rope_base: float = 0.0
    """0: that of the blocks without a window."""
    always: bool = False
    """Files always name a window; "none" is written as one as long as the context."""
    rope_scaled: bool = False
    """RoPE scaling applies in blocks with a window too."""
    own_base: bool = True
    """Blocks with a window may have their own RoPE base."""


@dataclass(frozen=True)
class Architecture:
    """One compute graph of llama.cpp."""

    parts: Parts
    """Field of ModelConfig -> its supported values. A field that is not listed is free, or has a rule of its own (`exportable`)."""
    windows: Windows | None = None
    """None: a sliding window is ignored."""
    softcaps: Mapping[str, float] = field(default_factory=dict)
    """Soft caps and the default of each. One whose default is not 0 can't be left out."""
    heads_fill_width: bool = False
    """The heads together are as wide as the residual stream."""
    shared_width_layers: int = 0
    """A model of this many blocks is taken for the largest of its family, whose scores are divided by sqrt(width / heads)."""
    reads_factors: bool = False
    """Supports Llama 3's RoPE scaling, as a tensor of factors."""
    family: str = ""
    """ModelConfig.family, where it differs from the architecture's name."""

    def score_width(self, config: ModelConfig) -> int:
        """Return the number whose square root divides attention scores."""
        if config.num_layers == self.shared_width_layers:
            return config.width // config.num_heads
        return config.head_width


EITHER = (False, True)
_NO_BIAS: Parts = {"attention_bias": (False,), "attention_output_bias": (False,), "feedforward_bias": (False,)}
_ROTARY: Parts = {
    "norm": ("rms",),
    "block": ("pre",),
    "positions": ("rope",),
    "feedforward": ("swiglu",),
    "qk_norm": ("none",),
    "num_experts": (0,),
    "unrotated_every": (0,),
    "score_softcap": (0.0,),
    "logit_softcap": (0.0,),
    "scaled_embedding": (False,),
    **_NO_BIAS,
}
_GEMMA: Parts = {
    **{name: values for name, values in _ROTARY.items() if name != "logit_softcap"},
    "block": ("sandwich",),
    "feedforward": ("geglu",),
    "scaled_embedding": (True,),
}
_GPT2: Parts = {
    **_ROTARY,
    **dict.fromkeys(_NO_BIAS, (True,)),
    "norm": ("layer",),
    "positions": ("learned",),
    "feedforward": ("gelu",),
}

ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture({**_ROTARY, **dict.fromkeys(_NO_BIAS, EITHER)}, reads_factors=True),
    "smollm3": Architecture({**_ROTARY, "unrotated_every": (4,)}),
    "qwen2": Architecture({**_ROTARY, "attention_bias": EITHER}, heads_fill_width=True),
    "qwen3": Architecture({**_ROTARY, "attention_bias": EITHER, "qk_norm": ("head",)}),
    # The weights of a token's experts always add up to 1 there.
    "qwen3moe": Architecture(
        {key: value for key, value in _ROTARY.items() if key != "num_experts"}
        | {"attention_bias": EITHER, "qk_norm": ("head",), "normalised_router": (True,)},
        family="qwen3_moe",
    ),
    "gemma2": Architecture(
        {name: values for name, values in _GEMMA.items() if name != "score_softcap"} | {"tied_head": (True,)},
        windows=Windows(tokens=4_096, full_every=2, always=True, rope_scaled=True),
        softcaps={"score_softcap": 50.0, "logit_softcap": 30.0},
        shared_width_layers=46,
    ),
    "gemma3": Architecture(
        {**_GEMMA, "qk_norm": ("head",)},
        windows=Windows(full_every=6, rope_base=10_000.0),
        softcaps={"logit_softcap": 0.0},
        shared_width_layers=62,
    ),
    "phi3": Architecture(_ROTARY, heads_fill_width=True),
    "olmo2": Architecture(
        {**_ROTARY, "block": ("output",), "qk_norm": ("projection",), "tied_head": (False,)},
        windows=Windows(full_every=4, own_base=False),
        heads_fill_width=True,
    ),
    "gpt2": Architecture(_GPT2, heads_fill_width=True),
}

# Family of a model -> the architecture that its files name.
GGUF_ARCHITECTURES: dict[str, str] = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "phi3": "phi3",
    "olmo2": "olmo2",
    "smollm3": "smollm3",
    "gpt2": "gpt2",
}
