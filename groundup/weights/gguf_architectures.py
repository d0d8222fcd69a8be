"""What llama.cpp computes for each of its architectures, as data; and which models it therefore
runs, decided by their config alone.

llama.cpp has one fixed compute graph for each architecture, in which metadata set a few numbers.
Reading takes from here what the metadata leave out, writing refuses a model that differs; but where
an architecture has no sliding window, the file's context is shortened to the window, within which
both compute the same. Source: llama.cpp's `src/models/*.cpp` (`load_arch_hparams`, `graph`), and
runs of it in tests/weights.

To add one: an entry here, its families in `GGUF_ARCHITECTURES`, and a variant in
tests/weights/tiny_weights.py, which llama.cpp then runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from groundup.model.config import ModelConfig
from groundup.weights.hf_config import shown
from groundup.weights.hf_families import FAMILIES

Parts = Mapping[str, tuple[object, ...]]


@dataclass(frozen=True)
class GGUFWindows:
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
class GGUFArchitecture:
    parts: Parts
    """Field of ModelConfig -> supported values; a field not listed is free, or has a rule in
    `gguf_reason`.
    """
    windows: GGUFWindows | None = None
    """None: a sliding window is ignored."""
    softcaps: Mapping[str, float] = field(default_factory=dict)
    """Soft caps and the default of each. One whose default is not 0 can't be left out."""
    heads_fill_width: bool = False
    shared_width_layers: int = 0
    """A model of this many blocks is the largest of its family: scores are divided by sqrt(width /
    heads).
    """
    reads_factors: bool = False
    """Supports Llama 3's RoPE scaling, as a tensor of factors."""
    family: str = ""
    """ModelConfig.family, where it differs from the architecture's name."""

    def score_width(self, config: ModelConfig) -> int:
        """The number whose square root divides attention scores."""
        if config.num_layers == self.shared_width_layers:
            return config.width // config.num_heads
        return config.head_width


EITHER = (False, True)
_NO_BIAS: Parts = {
    "attention_bias": (False,),
    "attention_output_bias": (False,),
    "feedforward_bias": (False,),
}
# Fields that the rules of `gguf_reason` check.
_BY_RULE = ("window_tokens", "full_every", "window_rope_base", "score_width")


def _parts(family: str, **changes: tuple[object, ...]) -> Parts:
    """What the family's class in transformers has too, without biases, and with the `changes`."""
    fixed = {
        name: (value,) for name, value in FAMILIES[family].parts.items() if name not in _BY_RULE
    }
    return {**fixed, **_NO_BIAS, **changes}


ARCHITECTURES: dict[str, GGUFArchitecture] = {
    "llama": GGUFArchitecture(
        _parts("llama", **dict.fromkeys(_NO_BIAS, EITHER)), reads_factors=True
    ),
    "smollm3": GGUFArchitecture(_parts("smollm3", unrotated_every=(4,))),
    "qwen2": GGUFArchitecture(_parts("qwen2", attention_bias=EITHER), heads_fill_width=True),
    "qwen3": GGUFArchitecture(_parts("qwen3", attention_bias=EITHER)),
    # The weights of a token's experts always add up to 1 there.
    "qwen3moe": GGUFArchitecture(
        _parts("qwen3_moe", attention_bias=EITHER, normalised_router=(True,)), family="qwen3_moe"
    ),
    "gemma2": GGUFArchitecture(
        _parts("gemma2", tied_head=(True,)),
        windows=GGUFWindows(tokens=4_096, full_every=2, always=True, rope_scaled=True),
        softcaps={"score_softcap": 50.0, "logit_softcap": 30.0},
        shared_width_layers=46,
    ),
    "gemma3": GGUFArchitecture(
        _parts("gemma3"),
        windows=GGUFWindows(full_every=6, rope_base=10_000.0),
        softcaps={"logit_softcap": 0.0},
        shared_width_layers=62,
    ),
    "phi3": GGUFArchitecture(_parts("phi3"), heads_fill_width=True),
    "olmo2": GGUFArchitecture(
        _parts("olmo2", tied_head=(False,)),
        windows=GGUFWindows(full_every=4, own_base=False),
        heads_fill_width=True,
    ),
    "gpt2": GGUFArchitecture(
        _parts("gpt2", **dict.fromkeys(_NO_BIAS, (True,))), heads_fill_width=True
    ),
}

# Family of a model -> the architecture that its files name.
GGUF_ARCHITECTURES: dict[str, str] = {
    architecture.family or name: name for name, architecture in ARCHITECTURES.items()
} | {
    "mistral": "llama",
}


def gguf_reason(config: ModelConfig) -> str | None:
    """Why llama.cpp can't run this model, as one sentence; None: it can."""
    name = GGUF_ARCHITECTURES.get(config.family, "")
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        return f"llama.cpp runs {', '.join(ARCHITECTURES)}, and none of them is {config.family!r}."
    for part, values in architecture.parts.items():
        if getattr(config, part) not in values:
            supported = " or ".join(map(shown, values))
            return f"llama.cpp's {name} has {part} {supported}; this model has {shown(getattr(config, part))}."
    rules = (_softcaps, _heads, _scale, _rope_scaling, _windows)
    reason = next((reason for rule in rules if (reason := rule(config, architecture))), None)
    return reason and f"llama.cpp's {name} {reason}."


def _softcaps(config: ModelConfig, architecture: GGUFArchitecture) -> str | None:
    missing = next(
        (name for name, cap in architecture.softcaps.items() if cap and not getattr(config, name)),
        None,
    )
    return missing and f"always has a {missing}; this model has none"


def _heads(config: ModelConfig, architecture: GGUFArchitecture) -> str | None:
    all_heads = config.num_heads * config.head_width
    if architecture.heads_fill_width and all_heads != config.width:
        return f"needs heads as wide together as the residual stream, {config.width}; this model's are {all_heads}"
    if config.family == "gpt2" and config.num_kv_heads != config.num_heads:
        return f"has as many key/value heads as query heads, {config.num_heads}; this model has {config.num_kv_heads}"
    return None


def _scale(config: ModelConfig, architecture: GGUFArchitecture) -> str | None:
    expected, found = architecture.score_width(config), config.score_width or config.head_width
    if expected != found:
        return f"divides attention scores by the square root of {expected}; this model has score_width {found}"
    return None


def _rope_scaling(config: ModelConfig, architecture: GGUFArchitecture) -> str | None:
    scaling = config.rope_scaling
    if scaling and scaling.kind == "llama3" and not architecture.reads_factors:
        return "has no RoPE scaling of kind 'llama3', only 'linear' and 'yarn'"
    supported, betas = (32.0, 1.0), scaling and (scaling.beta_fast, scaling.beta_slow)
    if scaling and scaling.kind == "yarn" and betas != supported:
        return f"has YaRN with beta_fast and beta_slow {supported} only; this model has {betas}"
    return None


def _windows(config: ModelConfig, architecture: GGUFArchitecture) -> str | None:
    if not config.window_tokens or config.full_every == 1:
        return None
    windows = architecture.windows or GGUFWindows(rope_scaled=True, own_base=False)
    if not windows.own_base and config.window_rope_base not in (0, config.rope_base):
        return f"has one RoPE base for all blocks; this model's blocks with a window have window_rope_base {config.window_rope_base:g}"
    scaling = config.rope_scaling
    if scaling and windows.rope_scaled != (config.window_rope_base == 0):
        applies = {True: "applies", False: "does not apply"}[windows.rope_scaled]
        return f"{applies} RoPE scaling in blocks with a window, unlike this model"
    if scaling and scaling.attention_factor and windows.own_base and not windows.rope_scaled:
        return "applies YaRN's attention factor in blocks with a window too, unlike this model"
    return None


def as_llamacpp_runs(config: ModelConfig) -> ModelConfig:
    """The config for a GGUF file: a window that llama.cpp would ignore becomes the context
    length.
    """
    architecture = ARCHITECTURES[GGUF_ARCHITECTURES[config.family]]
    if not config.window_tokens or (architecture.windows and config.full_every != 1):
        return config
    context_tokens = config.context_tokens
    if config.full_every != 1:
        context_tokens = min(context_tokens, config.window_tokens)
    return replace(
        config, context_tokens=context_tokens, window_tokens=0, full_every=0, window_rope_base=0.0
    )
