"""Keys and values of earlier tokens in int8 (`kernels/step_attention.py`), where the compiled step
writes a model's answers in int8 alone, prompts too.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from groundup.engine.engine import Engine
from groundup.engine.step_engine import StepEngine
from groundup.errors import ConfigError
from groundup.kernels.step_check import why_not
from groundup.kernels.step_shape import CacheKind, unsupported_cache
from groundup.progress import Progress, Silent

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.kernels.array_step import ArrayStep
    from groundup.weights.model_format import OpenModel

NOT_BY_STEP = "its answers are not written in int8 by the compiled step"


def refused_kv_cache(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"Keys and values of {path} can't be kept in int8: {reason}.",
        fix="Use `precision` int8, or leave `kv_cache_dtype` out.",
    )


def with_kv_cache(engine: Engine, kind: CacheKind, progress: Progress | None = None) -> Engine:
    """The engine with keys and values of this kind; of a classifier or an encoder, which keeps
    none, as it is. Raises ConfigError where they can't be.
    """
    if kind == "auto":
        return engine
    if isinstance(engine, StepEngine):
        step: ArrayStep | None = engine.step
    elif engine.opened.kind == "language":  # of torch, around the same arrays
        step = getattr(engine.language_model().decode_step, "arrays", None)
    else:
        return engine
    if step is None or not step.takes_prompts:
        raise refused_kv_cache(engine.path, NOT_BY_STEP)
    reason = unsupported_cache(engine.config)
    reason = reason or why_not(step.described.kind, progress or Silent(), kind)
    if reason:
        raise refused_kv_cache(engine.path, reason.removesuffix("."))

    def whole() -> "tuple[OpenModel, Compute]":
        return engine.opened, engine.compute

    return StepEngine(
        engine.path,
        engine.config,
        engine.tokenizer,
        step,
        whole,
        draft_tokens=engine.draft_tokens,
        kv_cache_dtype=kind,
    )
