"""Models in memory: loaded at the first request, kept for a while after the last answer, and unloaded when another model needs the memory.

    async with loaded_models.lease(base, info, keep_alive_s) as loaded: ...       not unloaded while in use

Loading runs in a thread beside the worker, so answers of other models continue meanwhile.
"""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.engine import Engine
from groundup.engine.grammar import Grammars
from groundup.engine.precision import WEIGHT_BYTES, PrecisionChoice, open_in
from groundup.errors import GroundupError
from groundup.model.footprint import cache_bytes
from groundup.model.heads import LanguageModel
from groundup.serve.model_registry import ModelInfo, determinism_note
from groundup.serve.requests import FOREVER_S, RequestError
from groundup.serve.worker import ModelSession, Worker, in_own_thread
from groundup.weights.model_io import OpenModel

log = logging.getLogger(__name__)


@dataclass
class LoadedModel:
    """A model in memory."""

    info: ModelInfo
    opened: OpenModel
    engine: Engine
    session: ModelSession | None
    """None for a classifier, which generates nothing."""
    size_bytes: int
    users: int = 0
    keep_s: float = 0.0
    used_at: float = field(default_factory=time.monotonic)

    @functools.cached_property
    def grammars(self) -> Grammars:
        """The factory of constraints for this model's answers. Raises MissingExtra."""
        return Grammars(self.opened.require_tokenizer(), self.info.config.vocab_size)

    @property
    def expires_in_s(self) -> float:
        """Seconds until it is unloaded, unless it is used again."""
        return FOREVER_S if self.keep_s == FOREVER_S else max(0.0, self.used_at + self.keep_s - time.monotonic())


class LoadedModels:
    """All models in memory, by the base name of the model."""

    def __init__(
        self,
        worker: Worker,
        compute: Compute,
        precision: PrecisionChoice,
        *,
        keep_alive_s: float,
        memory_bytes: int,
        settings: BatchSettings,
    ) -> None:
        """`keep_alive_s`: the default for requests; `memory_bytes`: the limit of all weights and caches together."""
        self.worker = worker
        self.compute, self.precision = compute, precision
        self.keep_alive_s = keep_alive_s
        self.memory_bytes = memory_bytes
        self.settings = settings
        self._loaded: dict[str, LoadedModel] = {}
        self._loading = asyncio.Lock()

    @property
    def determinism_note(self) -> str:
        """Whether answers depend on concurrent requests, in one sentence."""
        return determinism_note(self.precision, reproducible=self.settings.reproducible)

    def current(self) -> dict[str, LoadedModel]:
        """Return the models in memory now."""
        return dict(self._loaded)

    @contextlib.asynccontextmanager
    async def lease(self, base: str, info: ModelInfo, keep_alive_s: float | None) -> AsyncIterator[LoadedModel]:
        """Hold a model in memory for as long as the block runs. Raises RequestError: 500 when loading fails, 503 without enough memory."""
        loaded = self._loaded.get(base)
        if loaded is None:
            async with self._loading:
                loaded = self._loaded.get(base) or await self._load(base, info)
        loaded.users += 1
        loaded.keep_s = self.keep_alive_s if keep_alive_s is None else keep_alive_s
        try:
            yield loaded
        finally:
            loaded.users -= 1
            loaded.used_at = time.monotonic()
            self.unload_expired()

    def unload(self, base: str) -> None:
        """Unload a model, at once or after its running answers."""
        if base in self._loaded:
            self._loaded[base].keep_s = 0.0
            self.unload_expired()

    def unload_expired(self) -> None:
        """Unload unused models whose keep-alive time is over. Called after each use and periodically."""
        for base, loaded in self.current().items():
            if loaded.users == 0 and loaded.expires_in_s == 0:
                del self._loaded[base]

    async def watch(self, every_s: float = 1.0) -> None:
        """Unload expired models periodically, without end."""
        while True:
            await asyncio.sleep(every_s)
            self.unload_expired()

    async def _load(self, base: str, info: ModelInfo) -> LoadedModel:
        size_bytes = int(WEIGHT_BYTES[self.precision] * info.parameters)
        if info.kind == "language":  # and at most so many keys and values in a `BatchEngine`
            rows = 2 * self.settings.max_running
            full = cache_bytes(info.config, batch=rows, capacity=info.config.context_tokens)
            size_bytes += min(self.settings.cache_bytes, full)
        self._make_room(size_bytes)
        try:
            opened, compute, batch_engine = await in_own_thread(functools.partial(self._open_model, info))
        except (GroundupError, OSError, MemoryError) as error:
            log.error("%s could not be loaded: %s", base, error)
            raise RequestError(f'model "{base}" could not be loaded; the server\'s log says why', status=500) from error
        session = None if batch_engine is None else ModelSession(batch_engine, self.worker)
        loaded = LoadedModel(info, opened, Engine(opened, compute), session, size_bytes)
        self._loaded[base] = loaded
        return loaded

    def _open_model(self, info: ModelInfo) -> tuple[OpenModel, Compute, BatchEngine | None]:
        """Return the model and, for a language model, its BatchEngine. Raises GroundupError, OSError."""
        opened, compute = open_in(self.precision, info.path, self.compute)
        tokenizer = opened.require_tokenizer()
        if not isinstance(opened.model, LanguageModel):
            return opened, compute, None
        return opened, compute, BatchEngine(opened.model, tokenizer, compute, self.settings)

    def _make_room(self, needed_bytes: int) -> None:
        """Unload the least recently used models until `needed_bytes` fit. Raises RequestError (503), at once where they never fit."""
        if needed_bytes > self.memory_bytes:
            raise RequestError(
                f"this model needs {needed_bytes / 1e9:.2g} GB of memory, weights and cache together, and models may take "
                f"{self.memory_bytes / 1e9:.2g} GB here: start the server with a higher --memory-gb, or with --precision int8",
                status=503,
            )
        idle = sorted((each.used_at, base) for base, each in self._loaded.items() if each.users == 0)
        while sum(each.size_bytes for each in self._loaded.values()) + needed_bytes > self.memory_bytes:
            if not idle:
                raise RequestError("no memory for this model while others are in use; try again later", status=503)
            del self._loaded[idle.pop(0)[1]]
