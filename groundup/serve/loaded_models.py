"""Models in memory: loaded at the first request, kept for a while after the last answer, and
unloaded when another model needs the memory.

    async with loaded_models.lease(base, info, keep_alive_s) as loaded: ...
            not unloaded while in use

Loading runs in a thread beside the worker, so answers of other models continue meanwhile. Adapters
of one base have its weights in common: each is a model of its own modules around the same tensors,
with a cache of its own.
"""

import asyncio
import contextlib
import functools
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.engine import Engine
from groundup.engine.grammar import Grammars
from groundup.engine.kv_cache import NOT_BY_STEP, refused_kv_cache, with_kv_cache
from groundup.engine.step_engine import (
    WEIGHT_BYTES,
    StepEngine,
    is_written_by_step,
    open_step_engine,
    starts_without_torch,
)
from groundup.errors import GroundupError
from groundup.kernels.step_shape import unsupported_cache
from groundup.model.token_span import page_bytes
from groundup.operating_system import release_memory
from groundup.progress import Progress, Silent
from groundup.serve.model_registry import ModelInfo, determinism_note
from groundup.serve.requests import RequestError
from groundup.serve.worker import ModelSession, Worker, in_own_thread
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.verify import ADAPTER_WEIGHTS, verify_covered

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.engine.precision import PrecisionChoice
    from groundup.weights.model_format import OpenModel

log = logging.getLogger(__name__)


@dataclass(eq=False)
class OpenBase:
    """Weights in memory, in the precision of the server: of a model, and of the adapters around
    them.
    """

    engine: Engine


@dataclass(frozen=True)
class OpenedAhead:
    """Weights that are opened before a request asks for them."""

    of: "tuple[Path, PrecisionChoice]"
    engine: "Future[Engine]"
    begun_at: float = field(default_factory=time.monotonic)


@dataclass
class LoadedModel:
    """A model in memory."""

    info: ModelInfo
    engine: Engine
    session: ModelSession | None
    """None for a classifier, which generates nothing."""
    size_bytes: int
    base: OpenBase
    base_bytes: int
    """Of `size_bytes`, those that it has in common with other models of the same base."""
    users: int = 0
    keep_s: float = 0.0
    used_at: float = field(default_factory=time.monotonic)

    @property
    def opened(self) -> "OpenModel":
        """With torch, which opens it the first time where only the compiled step has it."""
        return self.engine.opened

    def tokenizer(self, template: str = "") -> Tokenizer:
        """Return its tokenizer, with another chat template if one is given."""
        own = self.engine.tokenizer
        if template:
            return own.with_template(template)
        return own

    @functools.cached_property
    def grammars(self) -> Grammars:
        """The factory of constraints for this model's answers. Raises MissingExtra."""
        return Grammars(self.engine.tokenizer, self.info.config.vocab_size)

    @property
    def expires_in_s(self) -> float:
        """Seconds until it is unloaded, unless it is used again."""
        return max(0.0, self.used_at + self.keep_s - time.monotonic())


def weights_path(info: ModelInfo) -> Path:
    """Return where the weights of a model lie, of an adapter those of its base."""
    return (info.base or info.path).resolve()


def _with_adapter(base: Engine, folder: Path) -> Engine:
    """The model of an adapter, around the weights of its base."""
    from groundup.model.lora import shared_copy
    from groundup.model.quantised import add_torch_order
    from groundup.weights.adapter import with_adapter

    opened = base.opened
    verify_covered(folder)
    add_torch_order(opened.model)  # once for all adapters, which decode through torch
    opened = with_adapter(replace(opened, model=shared_copy(opened.model)), folder, merge=False)
    return Engine(opened, base.compute)


class LoadedModels:
    """All models in memory, by the base name of the model."""

    def __init__(
        self,
        worker: Worker,
        compute: "Compute | Callable[[], Compute]",
        precision: "PrecisionChoice | None",
        *,
        keep_alive_s: float,
        memory_bytes: int,
        settings: BatchSettings,
        device: str = "",
    ) -> None:
        """`compute`: a function where torch is imported by the first model that needs it, which
        `device` decides (`step_engine.starts_without_torch`). `precision`: None: of each model the
        default (`precision_of`). `keep_alive_s`: the default for requests; `memory_bytes`: the
        limit of all weights and caches together.
        """
        self.worker = worker
        self._compute, self.precision = compute, precision
        self.by_step = starts_without_torch(device) and not settings.reproducible
        self.keep_alive_s = keep_alive_s
        self.memory_bytes = memory_bytes
        self.settings = settings
        self._loaded: dict[str, LoadedModel] = {}
        self._bases: weakref.WeakValueDictionary[tuple[Path, "PrecisionChoice"], OpenBase] = (
            weakref.WeakValueDictionary()
        )
        self._loading = asyncio.Lock()
        self._ahead: OpenedAhead | None = None
        self.progress: Progress = Silent()
        """It is told what a model waits for when it is opened, such as a compiler."""

    @functools.cached_property
    def compute(self) -> "Compute":
        return self._compute() if callable(self._compute) else self._compute

    def is_by_step(self, path: Path) -> bool:
        """Whether a model is opened by the compiled step alone, without torch."""
        return self.by_step and self.precision in (None, "int8") and is_written_by_step(path)

    def open_ahead(self, info: ModelInfo) -> None:
        """Begin to open the weights that the first request will most likely ask for, in a thread
        beside the server's own start, where the compiled step has them without torch. They are
        dropped after the default keep-alive time if nobody asks.
        """
        path, asked = weights_path(info), self._sizes(info)[0]
        if not self.is_by_step(path) or not self.keep_alive_s or asked > self.memory_bytes:
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        opened = thread.submit(self._open_weights, path, "int8")
        self._ahead = OpenedAhead((path, "int8"), opened)
        thread.shutdown(wait=False)

    def precision_of(self, info: ModelInfo) -> "PrecisionChoice":
        """Return the precision of a model: what was asked for, else int8 where that is the default;
        around adapters float32.
        """
        if self.precision is not None:
            return self.precision
        if info.base is not None or self.settings.reproducible:
            return "float32"
        if self.is_by_step(info.path):
            return "int8"
        from groundup.engine.precision import default_precision

        if default_precision(info.path, self.compute) == "int8":
            return "int8"
        return "float32"

    def require_kv_cache(self, info: ModelInfo) -> None:
        """Raise ConfigError where a model's keys and values can't be kept in int8."""
        if info.kind != "language":
            return
        reason = unsupported_cache(info.config)
        if info.base is not None or self.precision_of(info) != "int8":
            reason = NOT_BY_STEP
        if reason:
            raise refused_kv_cache(info.path, reason)

    def determinism_note(self, info: ModelInfo) -> str:
        """Whether a model's answers depend on concurrent requests, in one sentence."""
        return determinism_note(self.precision_of(info), reproducible=self.settings.reproducible)

    def decodes_with(self, base: str) -> str | None:
        """Return what computes a model's tokens when few answers run, "compiled step" or "torch";
        None: it is not in memory, or writes no text.
        """
        loaded = self._loaded.get(base)
        if loaded is None or loaded.info.kind != "language":
            return None
        if self.settings.reproducible:
            return "torch"
        return loaded.engine.decodes_with

    def current(self) -> dict[str, LoadedModel]:
        """Return the models in memory now."""
        return dict(self._loaded)

    @contextlib.asynccontextmanager
    async def lease(
        self, base: str, info: ModelInfo, keep_alive_s: float | None
    ) -> AsyncIterator[LoadedModel]:
        """Hold a model in memory for as long as the block runs.

        Raises RequestError: 500 when loading fails, 503 without enough memory.
        """
        loaded = self._loaded.get(base)
        if loaded is None:
            async with self._loading:
                loaded = self._loaded.get(base) or await self._load(base, info)
        loaded.users += 1
        loaded.keep_s = self.keep_alive_s
        if keep_alive_s is not None:
            loaded.keep_s = keep_alive_s
        try:
            yield loaded
        finally:
            loaded.users -= 1
            loaded.used_at = time.monotonic()
            self.unload_expired()
            if not any(each.users for each in self._loaded.values()):
                release_memory()

    def unload(self, base: str) -> None:
        """Unload a model, at once or after its running answers."""
        if base in self._loaded:
            self._loaded[base].keep_s = 0.0
            self.unload_expired()

    def unload_expired(self) -> None:
        """Unload unused models whose keep-alive time is over.

        Called after each use and periodically.
        """
        for base, loaded in self.current().items():
            if loaded.users == 0 and loaded.expires_in_s == 0:
                del self._loaded[base]
        ahead = self._ahead
        if ahead is not None and time.monotonic() - ahead.begun_at > self.keep_alive_s:
            self._ahead = None

    async def watch(self, every_s: float = 1.0) -> None:
        """Unload expired models periodically, without end."""
        while True:
            await asyncio.sleep(every_s)
            self.unload_expired()

    def _sizes(self, info: ModelInfo) -> tuple[int, int]:
        """Return the bytes of a model in memory, and of those the ones that it has in common with
        others of its base.
        """
        base_bytes = int(WEIGHT_BYTES[self.precision_of(info)] * info.parameters)
        size_bytes = base_bytes
        if info.base is not None:
            size_bytes += (info.path / ADAPTER_WEIGHTS).stat().st_size
        if info.kind == "language":  # and the keys and values of a `BatchEngine`
            rows = 2 * self.settings.max_running
            numbers: type = np.float32
            if self.settings.kv_cache_dtype == "int8":
                numbers = np.int8
            full = rows * page_bytes(info.config, info.config.context_tokens, np.dtype(numbers))
            size_bytes += min(self.settings.cache_bytes, full)
        return size_bytes, base_bytes

    async def _load(self, base: str, info: ModelInfo) -> LoadedModel:
        precision, (size_bytes, base_bytes) = self.precision_of(info), self._sizes(info)
        needed_bytes = size_bytes
        if (weights_path(info), precision) in self._bases:
            needed_bytes -= base_bytes
        self._make_room(needed_bytes)
        try:
            engine, weights, batch_engine = await in_own_thread(
                functools.partial(self._open_model, info)
            )
        except (GroundupError, OSError, MemoryError) as error:
            log.error("%s could not be loaded: %s", base, error)
            raise RequestError(
                f'model "{base}" could not be loaded; the server\'s log says why', status=500
            ) from error
        session = None
        if batch_engine is not None:
            session = ModelSession(batch_engine, self.worker)
        loaded = LoadedModel(info, engine, session, size_bytes, weights, base_bytes)
        self._loaded[base] = loaded
        return loaded

    def _open_model(self, info: ModelInfo) -> tuple[Engine, OpenBase, BatchEngine | None]:
        """Return the model, the weights that it may have in common with others, and of a language
        model its BatchEngine.

        Raises GroundupError, OSError.
        """
        path, precision = weights_path(info), self.precision_of(info)
        base = self._bases.get((path, precision))
        if base is None:
            base = OpenBase(self._open_base(path, precision))
            self._bases[path, precision] = base
        engine = base.engine
        if info.base is not None:
            engine = _with_adapter(engine, info.path)
        if isinstance(engine, StepEngine):
            return engine, base, engine.batch(self.settings)
        from groundup.model.heads import LanguageModel

        tokenizer = engine.tokenizer
        if not isinstance(engine.opened.model, LanguageModel):
            return engine, base, None
        batch = BatchEngine(engine.opened.model, tokenizer, engine.compute, self.settings)
        return engine, base, batch

    def _open_base(self, path: Path, precision: "PrecisionChoice") -> Engine:
        ahead = self._ahead
        if ahead is not None and ahead.of == (path, precision):
            self._ahead = None
            return ahead.engine.result()
        return self._open_weights(path, precision)

    def _open_weights(self, path: Path, precision: "PrecisionChoice") -> Engine:
        def whole() -> "tuple[OpenModel, Compute]":
            from groundup.engine.precision import open_in, open_to_write

            if self.precision is None and precision != "float32":
                return open_to_write(path, self.compute, progress=self.progress)
            return open_in(precision, path, self.compute, progress=self.progress)

        if precision == "int8" and self.is_by_step(path):
            engine = open_step_engine(path, whole, progress=self.progress)
            if engine is not None:
                return with_kv_cache(engine, self.settings.kv_cache_dtype, self.progress)
        return with_kv_cache(Engine(*whole()), self.settings.kv_cache_dtype, self.progress)

    def _used_bytes(self) -> int:
        """Return the memory of all loaded models, with weights that several have in common counted
        once.
        """
        models = list(self._loaded.values())
        once = {id(each.base): each.base_bytes for each in models}
        return sum(each.size_bytes - each.base_bytes for each in models) + sum(once.values())

    def _make_room(self, needed_bytes: int) -> None:
        """Unload the least recently used models until `needed_bytes` fit.

        Raises RequestError (503), at once where they never fit.
        """
        if needed_bytes > self.memory_bytes:
            raise RequestError(
                f"this model needs {needed_bytes / 1e9:.2g} GB of memory, weights and cache "
                f"together, and models may take {self.memory_bytes / 1e9:.2g} GB here: "
                "start the server with a higher --memory-gb, or with --precision int8",
                status=503,
            )
        idle = sorted(
            (each.used_at, base) for base, each in self._loaded.items() if each.users == 0
        )
        while self._used_bytes() + needed_bytes > self.memory_bytes:
            if not idle:
                raise RequestError(
                    "no memory for this model while others are in use; try again later", status=503
                )
            del self._loaded[idle.pop(0)[1]]
