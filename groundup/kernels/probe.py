"""Whether this machine decodes with the compiled step: numba is installed, the model is supported,
and a product of known numbers is right.
"""

import importlib.util
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from groundup.errors import install_command
from groundup.kernels.step_weights import (
    FLOATS,
    MAX_ROWS,
    Kind,
    StepModel,
    UnsupportedModel,
    kind_of,
    unsupported_model,
)
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.quantised import quantise
from groundup.operating_system import IS_WINDOWS
from groundup.progress import Progress

WITHOUT_NUMBA = f"the package numba is not installed ({install_command('fast')})"
if IS_WINDOWS:  # calls of machine code that were never tried could end the process
    WITHOUT_NUMBA = "the compiled step was not tried on Windows"
COMPILING = "Compiling the decoding step, once for this machine (about 10 seconds) ..."
# Logits of the probe may differ by this share of the largest: order of summation, the polynomial
# for exp, a key that is rounded to the next bf16.
MAX_ERROR = 1e-2
# This number of tokens is multiplied by four, two and one at a time.
PROBE_TOKENS = 7
# Notes of this process on where code is kept.
_notes: set[str] = set()


def has_compiler() -> bool:
    return not IS_WINDOWS and importlib.util.find_spec("numba") is not None


def decodes_with(model: LanguageModel) -> str:
    """What computes the next token when at most 32 answers run."""
    return "torch" if model.decode_step is None else "compiled step"


def expected_note(precision: str) -> str:
    """What will compute single tokens in this precision, before a model is open."""
    if precision == "float32":  # where torch decodes it, it is only slower
        return ""
    note = "The compiled step decodes up to 32 answers at a time"
    if not has_compiler():
        note += f", but {WITHOUT_NUMBA}"
    return f"{note}."


def use_compiled_step(model: LanguageModel, progress: Progress) -> str:
    """Let the model decode with the compiled step where that works; return a sentence either
    way.
    """
    if not has_compiler():
        return f"Decoding through torch: {WITHOUT_NUMBA}."
    try:
        described = StepModel.of(model)
    except UnsupportedModel as error:
        return f"Decoding through torch: {error}"
    try:
        from groundup.kernels.decode_step import STEP, CompiledStep, let_unpack
        from groundup.kernels.machine_code import UnknownCode, code_folder

        kept = code_folder()
        if kept.note and kept.note not in _notes:
            _notes.add(kept.note)
            progress.say(f"note: {kept.note}")
        STEP.before_compiling = partial(progress.say, COMPILING)
        try:
            error_share = probe_error(described.kind)
        finally:
            STEP.before_compiling = None
    except ImportError as error:  # numba refuses a numpy that is newer than itself
        return f"Decoding through torch: numba can't be loaded ({error})."
    except UnknownCode as error:
        return f"Decoding through torch: {error}"
    if not error_share <= MAX_ERROR:
        return (
            "Decoding through torch: the compiled step is wrong on this processor (by "
            f"{error_share:.2g})."
        )
    model.decode_step = CompiledStep(described, model)
    if described.kind.startswith("int"):
        let_unpack(described, model)
    return "Decoding with the compiled step, up to 32 answers at a time."


def use_step_when_needed(model: LanguageModel, progress: Progress) -> None:
    """Let a model in float32 or 16 bits decode with the compiled step where numba is installed and
    the step knows the model; it is compiled and probed at its first use.
    """
    if has_compiler() and not unsupported_model(model):
        model.decode_step = FirstStep(model, progress)


class FirstStep:
    """Decodes by the compiled step from its first use on, or by torch where that fails."""

    takes_prompts = False

    def __init__(self, model: LanguageModel, progress: Progress) -> None:
        self.max_rows = MAX_ROWS[kind_of(model)]
        # not the model itself, which would then be freed late
        self._model, self._progress = weakref.ref(model), progress
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def after_cache(
        self, ids: Tensor, cache: KVCache, positions: Sequence[int] | None = None
    ) -> Float[Tensor, "L V"]:
        model = self._ready()
        if model.decode_step is not None:
            return model.decode_step.after_cache(ids, cache, positions)
        hidden = model.hidden(ids, cache=cache).flatten(0, 1)
        return model.logits(hidden if positions is None else hidden[list(positions)]).float()

    def after_spans(
        self,
        ids: Sequence[int],
        store: PagedStore,
        spans: Sequence[TokenSpan],
        positions: Sequence[int],
    ) -> Float[Tensor, "L V"]:
        model = self._ready()
        if model.decode_step is not None:
            return model.decode_step.after_spans(ids, store, spans, positions)
        hidden = model.hidden(torch.tensor([list(ids)]), cache=store.rows(spans))[0]
        return model.logits(hidden[list(positions)]).float()

    def _ready(self) -> LanguageModel:
        """The model, whose step is no longer this one."""
        model = self._model()
        assert model is not None
        with self._lock:
            if model.decode_step is self:
                said = use_compiled_step(model, self._progress)
                if model.decode_step is self:
                    model.decode_step = None
                    self._progress.say(said)
        return model


def probe_error(kind: Kind) -> float:
    """The largest error of the logits of a few tokens in a tiny random model, as a share of the
    largest logit.
    """
    from groundup.kernels.decode_step import CompiledStep
    from groundup.kernels.readable_step import readable_step

    with torch.random.fork_rng(devices=[]):
        model = LanguageModel(ModelConfig(64, 8, 64, 1, 2, 64, 1, 64))
    initialise(model, torch.Generator().manual_seed(0), deviation=0.2)
    if kind == "int8" or kind == "int4":
        quantise(model.bfloat16(), kind)
    else:
        model.to(next(dtype for dtype, name in FLOATS.items() if name == kind))
    described, ids = StepModel.of(model), torch.arange(3, 3 + PROBE_TOKENS)
    with torch.inference_mode():
        cache = KVCache(model.config, dtype=described.cache_dtype)
        found = CompiledStep(described, model).after_cache(ids[None], cache).numpy()
        hidden = model.transformer.embedding.weight[ids].float().numpy()
    keys, values = (np.zeros((1, PROBE_TOKENS, 1, 64), np.float32) for _ in range(2))
    expected = np.stack(
        [readable_step(described, row, place, keys, values) for place, row in enumerate(hidden)]
    )
    return float(np.abs(found - expected).max() / np.abs(expected).max())
