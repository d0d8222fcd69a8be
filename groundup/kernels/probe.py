"""Whether a torch model decodes with the compiled step here: the step runs (`step_check.py`), and
knows the model.
"""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.kernels.module_arrays import kind_of_model, unsupported_model
from groundup.kernels.step_check import BY_STEP, COMPILED_STEP, WITHOUT_NUMBA, has_compiler, why_not
from groundup.kernels.step_shape import MAX_ROWS, UnsupportedModel
from groundup.kernels.step_weights import StepModel
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.heads import LanguageModel
from groundup.progress import Progress


def decodes_with(model: LanguageModel) -> str:
    """What computes the next token when at most 32 answers run."""
    return "torch" if model.decode_step is None else COMPILED_STEP


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
    reason = why_not(described.kind, progress)
    if reason:
        return reason
    from groundup.kernels.decode_step import CompiledStep, let_unpack

    model.decode_step = CompiledStep(described)
    if described.kind.startswith("int"):
        let_unpack(described, model)
    return BY_STEP


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
        self.max_rows = MAX_ROWS[kind_of_model(model)]
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
