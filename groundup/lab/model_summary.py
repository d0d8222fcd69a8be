"""The parameters, FLOPs and memory of a model, part by part, from its config alone: the figures
beside the drawing of `architecture`.

anatomy(config, context_tokens=1024, batch_size=1) -> Anatomy; `to_plain` makes it JSON
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from groundup.errors import ConfigError
from groundup.lab.architecture import Architecture
from groundup.model.config import ModelConfig
from groundup.model.footprint import (
    ENCODINGS,
    Encoding,
    TrainingMemory,
    attention_path,
    cache_bytes,
    kind_bytes,
    needed_cache_bytes,
    training_memory,
)
from groundup.model.sizes import Flops, active_parameters, flops_per_token, weight_kinds
from groundup.weights.gguf_architectures import gguf_reason
from groundup.weights.hf_config import hf_reason

NAMES = {"feedforward": "feed-forward"}


@dataclass(frozen=True)
class PartCost:
    part: str
    parameters: int
    share: float
    """Of all parameters."""
    flops: float
    """Of one token, forward pass."""
    bytes: dict[Encoding, int]
    """Size of its weights in each of ENCODINGS."""


@dataclass(frozen=True)
class Anatomy:
    """All figures that `groundup model show` prints."""

    parts: tuple[PartCost, ...]
    total: PartCost
    active_parameters: int
    """Those used for one token: of the experts only the selected ones."""
    flops: Flops
    context_tokens: int
    batch_size: int
    cache_bytes: dict[str, int]
    """For one text of `context_tokens`, in float32 and bf16."""
    needed_cache_bytes: int
    """The same in float32, if blocks with a sliding window dropped keys and values outside of
    it.
    """
    training: TrainingMemory
    """For a step on `batch_size` rows of `context_tokens`, in float32."""
    attention: str
    gguf: str | None
    """Why no GGUF can be written; None: one can be written."""
    hugging_face: str | None


def anatomy(
    config: ModelConfig, *, context_tokens: int = 0, batch_size: int = 1, num_labels: int = 0
) -> Anatomy:
    """Compute all figures. `context_tokens` 0: the whole context. `num_labels`: of a classifier.

    Raises ConfigError for a text beyond the context.
    """
    context_tokens = context_tokens or config.context_tokens
    if context_tokens > config.context_tokens:
        raise ConfigError(
            f"The model's context is {config.context_tokens:,} tokens, {context_tokens:,} were "
            "asked for.",
            fix=f"Use a context of at most {config.context_tokens} tokens.",
        )
    flops = flops_per_token(config, context_tokens=context_tokens, num_labels=num_labels)
    parts = _parts(config, flops, num_labels)
    training = training_memory(config, batch_size=batch_size, context_tokens=context_tokens)
    gguf = gguf_reason(config)
    if num_labels:  # the scores of a text take almost no memory
        training = replace(training, logits=4 * batch_size * num_labels)
        gguf = "llama.cpp has no head for classes."
    return Anatomy(
        parts=parts,
        total=_total(parts),
        active_parameters=active_parameters(config, num_labels=num_labels),
        flops=flops,
        context_tokens=context_tokens,
        batch_size=batch_size,
        cache_bytes={
            name: cache_bytes(config, batch=1, capacity=context_tokens, value_bytes=size)
            for name, size in {"float32": 4, "bf16": 2}.items()
        },
        needed_cache_bytes=needed_cache_bytes(config, batch=1, capacity=context_tokens),
        training=training,
        attention=attention_path(config, context_tokens),
        gguf=gguf,
        hugging_face=hf_reason(config),
    )


def _parts(config: ModelConfig, flops: Flops, num_labels: int) -> tuple[PartCost, ...]:
    """The model's parts in the order of the forward pass; attention scores and their mix are a
    part without weights.
    """
    kinds = list(weight_kinds(config, num_labels=num_labels))
    whole = sum(kind.numbers for kind in kinds)
    work = {"attention": flops.attention, "feedforward": flops.feedforward, "head": flops.head}
    rows = []
    for part in dict.fromkeys(kind.part for kind in kinds):
        own = [kind for kind in kinds if kind.part == part]
        numbers = sum(kind.numbers for kind in own)
        sizes = {
            encoding: sum(kind_bytes(kind, encoding) for kind in own) for encoding in ENCODINGS
        }
        rows.append(
            PartCost(NAMES.get(part, part), numbers, numbers / whole, work.get(part, 0.0), sizes)
        )
        if part == "attention":
            rows.append(
                PartCost(
                    "scores and mix", 0, 0.0, flops.attention_scores, dict.fromkeys(ENCODINGS, 0)
                )
            )
    return tuple(rows)


def _total(parts: tuple[PartCost, ...]) -> PartCost:
    sizes = {encoding: sum(part.bytes[encoding] for part in parts) for encoding in ENCODINGS}
    return PartCost(
        "all", sum(p.parameters for p in parts), 1.0, sum(p.flops for p in parts), sizes
    )


def to_plain(found: Anatomy, picture: Architecture) -> dict[str, Any]:
    plain = asdict(found)
    plain["flops"] |= {"forward": found.flops.forward, "training": found.flops.training}
    plain["training"]["total"] = found.training.total
    reasons = {name: plain.pop(name) for name in ("gguf", "hugging_face")}
    plain["exportable"] = {
        name: {"possible": reason is None, "reason": reason} for name, reason in reasons.items()
    }
    return plain | {"architecture": asdict(picture)}
