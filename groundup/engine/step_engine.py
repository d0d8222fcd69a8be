"""StepEngine: writes answers by the compiled step alone, from packed weights in 8 bits, without
torch, whose import takes longer than the first token.

    engine = open_step_engine(path, whole)      # None: torch opens the model

What else an `Engine` is asked for opens the model with torch (`whole`). The ids are those of
`generate_ids` in int8, which is the test.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.engine.answer_ids import answer_ids, require_room
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.engine import Engine
from groundup.engine.request import Constraint
from groundup.engine.sampling import Sampling
from groundup.errors import FormatError, ModelError
from groundup.kernels.step_check import COMPILED_STEP, has_compiler, why_not
from groundup.kernels.step_shape import CacheKind, is_packed_whole, unsupported_part
from groundup.kernels.step_weights import StepModel
from groundup.model.config import ModelConfig
from groundup.operating_system import may_have_gpu, processor_line
from groundup.progress import Progress, Silent
from groundup.threads import ThreadTuner, prepare, thread_count, thread_counts, tuned_threads
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.weights.hf_config import read_hf_config
from groundup.weights.hf_files import folder_texts
from groundup.weights.packed_files import (
    keeps_packed,
    made_of,
    note_unchanged,
    packed_bits,
    packed_folder,
    read_arrays,
    refusal,
    verify_kept,
)
from groundup.weights.verify import covered

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.kernels.array_step import ArrayStep
    from groundup.weights.model_format import OpenModel

# Said where the default precision is not float32.
WRITTEN_IN = (
    "Answers are written in {precision}, the default on this machine; precision float32 is exact."
)
# Bytes of a weight, scales included: used to estimate the memory of a model.
WEIGHT_BYTES: dict[str, float] = {
    "float32": 4.0,
    "bf16": 2.0,
    "int8": 1.5,
    "int4": 1.25,
    "auto": 4.0,
}
# Opens the model with torch, in the same precision.
Whole = Callable[[], "tuple[OpenModel, Compute]"]


def tuned_counts() -> tuple[int, ...]:
    """The numbers of threads that may be tried; (): the number stays as it is."""
    return thread_counts(thread_count()) if prepare(say=lambda late: None).tuned else ()


class StepDecoder:
    """One text on the compiled step."""

    def __init__(
        self, step: "ArrayStep", config: ModelConfig, capacity: int, kv_cache_dtype: CacheKind
    ) -> None:
        from groundup.kernels.array_step import ArrayCache

        self.step = step
        self.cache = ArrayCache(step.described, config, capacity, kv_cache_dtype)
        self.tuner = ThreadTuner(tuned_counts(), thread_count())

    @property
    def length(self) -> int:
        return self.cache.length

    def shorten(self, length: int) -> None:
        self.cache.shorten(length)

    def prefill(self, ids: Sequence[int]) -> Any:
        size = self.step.max_rows
        for start in range(0, len(ids), size):
            part = np.array([ids[start : start + size]])
            logits = self.step.after_cache(part, self.cache, [part.shape[1] - 1])
        return logits

    def decode(self, ids: Sequence[int]) -> Any:
        """On the number of threads measured to be fastest: the logits do not depend on it."""
        with tuned_threads(self.tuner, is_timed=len(ids) == 1):  # with drafts it takes longer
            return self.step.after_cache(np.array([ids]), self.cache)


class StepEngine(Engine):
    """Without torch until something asks for more than an answer."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        tokenizer: Tokenizer,
        step: "ArrayStep",
        whole: Whole,
        *,
        draft_tokens: int = 0,
        kv_cache_dtype: CacheKind = "auto",
    ) -> None:
        self._path, self._config, self._tokenizer = path, config, tokenizer
        self.step, self._open_whole, self.draft_tokens = step, whole, draft_tokens
        self.kv_cache_dtype = kv_cache_dtype
        self._opened_whole: tuple[OpenModel, Compute] | None = None
        self._lock = threading.Lock()

    @property
    def _whole(self) -> "tuple[OpenModel, Compute]":
        with self._lock:
            if self._opened_whole is None:
                self._opened_whole = self._open_whole()
        return self._opened_whole

    @property
    def opened(self) -> "OpenModel":
        return self._whole[0]

    @property
    def compute(self) -> "Compute":
        return self._whole[1]

    @property
    def config(self) -> ModelConfig:
        return self._config

    @property
    def path(self) -> Path:
        return self._path

    @property
    def chats(self) -> bool:
        if self.path.is_dir():
            return folder_texts(self.path).chats
        return super().chats

    @property
    def decodes_with(self) -> str:
        return COMPILED_STEP

    def require_text(self) -> None:
        pass

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    def batch(self, settings: BatchSettings) -> BatchEngine:
        """Many answers at once, by the same step."""
        return BatchEngine.of_step(self.step, self.config, self.tokenizer, tuned_counts(), settings)

    def _ids(
        self, prompt_ids: list[int], sampling: Sampling, constraint: Constraint | None
    ) -> Iterator[int]:
        room = require_room(len(prompt_ids), self.config.context_tokens)
        limit = min(sampling.max_tokens, room)
        return answer_ids(
            lambda: StepDecoder(
                self.step, self.config, len(prompt_ids) + limit, self.kv_cache_dtype
            ),
            prompt_ids,
            limit,
            sampling,
            self.tokenizer.special.stop_ids,
            constraint=constraint,
            draft_tokens=min(self.draft_tokens, self.step.max_rows - 1),
        )


def starts_without_torch(device: str) -> bool:
    """Whether `select_compute(device)` is a CPU with bf16, as far as can be told without torch, and
    torch is not loaded yet. False too where torch is told to compute as on an older CPU.
    """
    told = any(os.environ.get(name) for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"))
    if "torch" in sys.modules or told or not has_compiler():
        return False
    is_cpu = device == "cpu" or (device == "auto" and not may_have_gpu())
    return is_cpu and "bf16" in processor_line("flags", "Features")


def is_written_by_step(path: Path) -> bool:
    """Whether `open_step_engine` opens a folder, unless its weights are damaged."""
    try:
        return has_compiler() and _is_kept(path) and is_decoded_in_int8(read_hf_config(path).config)
    except (FormatError, ModelError):
        return False


def is_decoded_in_int8(config: ModelConfig) -> bool:
    """The compiled step knows the architecture, every matrix is of a size that is packed, and what
    int8 costs was measured for models of this kind.
    """
    return config.norm == "rms" and not unsupported_part(config) and is_packed_whole(config, "int8")


def open_step_engine(
    path: Path, whole: Whole, *, draft_tokens: int = 0, progress: Progress | None = None
) -> StepEngine | None:
    """Of a folder whose packed weights in int8 are kept and whole, where the compiled step decodes
    them here; None: open it with torch, which says why where something is wrong.
    """
    now_s = time.time()
    try:
        if not (has_compiler() and _is_kept(path)):
            return None
        config = read_hf_config(path).config
        if not is_decoded_in_int8(config):
            return None
        tokenizer = Tokenizer.load(path).without_ids_from(config.vocab_size)
        if tokenizer.vocab_size > config.vocab_size:
            return None
        found = covered(path)
        assert found is not None  # `keeps_packed`
        unchanged = verify_kept(path, "int8", found)
        described = StepModel.of_arrays(config, read_arrays(path, "int8", made_of(found)))
        if not described.fits(config) or why_not(described.kind, progress or Silent()):
            return None
    except (FormatError, ModelError, OSError, KeyError, ValueError):
        return None
    if not unchanged:
        note_unchanged(path, "int8", now_s)
    from groundup.kernels.array_step import ArrayStep

    return StepEngine(
        path, config, tokenizer, ArrayStep(described), whole, draft_tokens=draft_tokens
    )


def _is_kept(path: Path) -> bool:
    """Packed weights beside the model's own, which no other user can have written."""
    if not (path.is_dir() and (path / TOKENIZER_FILE).is_file() and keeps_packed(path, "int8")):
        return False
    folder = packed_folder(path, "int8")
    return packed_bits(path) is None and folder.is_dir() and not refusal(folder)
