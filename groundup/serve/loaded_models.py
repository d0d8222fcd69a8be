"""Models in memory: loaded when first asked for, kept for a while after the last answer, and put out when another needs the room.

    async with residents.lease(named, facts, keep_alive_s) as resident: ...       in use: it stays

Loading runs beside the worker, so answers of other models go on meanwhile.
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
from groundup.serve.model_info import ModelInfo
from groundup.serve.promises import determinism_note
from groundup.serve.requests import FOREVER_S, RequestError
from groundup.serve.worker import ModelSession, Worker, in_own_thread
from groundup.weights.model_io import OpenModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComputeSettings:
    """In which numbers models answer, and where."""

    wish: PrecisionChoice
    compute: Compute


@dataclass
class LoadedModel:
    """A model in memory."""

    facts: ModelInfo
    opened: OpenModel
    engine: Engine
    desk: ModelSession | None
    """None: a classifier, which writes nothing."""
    size_bytes: int
    users: int = 0
    keep_s: float = 0.0
    used_at: float = field(default_factory=time.monotonic)

    @functools.cached_property
    def grammars(self) -> Grammars:
        """Makes constraints for its answers. Raises MissingExtra."""
        return Grammars(self.opened.require_tokenizer(), self.facts.config.vocab_size)

    @property
    def expires_in_s(self) -> float:
        """Seconds until it is put out if nobody asks again."""
        return FOREVER_S if self.keep_s == FOREVER_S else max(0.0, self.used_at + self.keep_s - time.monotonic())


class LoadedModels:
    """All models in memory, by the name of the model itself."""

    def __init__(
        self,
        worker: Worker,
        numbers: ComputeSettings,
        *,
        keep_alive_s: float,
        memory_bytes: int,
        settings: BatchSettings,
    ) -> None:
        """`keep_alive_s` holds where a request says nothing; `memory_bytes` is what weights and caches may take together."""
        self.worker = worker
        self.numbers = numbers
        self.keep_alive_s = keep_alive_s
        self.memory_bytes = memory_bytes
        self.settings = settings
        self._held: dict[str, LoadedModel] = {}
        self._loading = asyncio.Lock()

    @property
    def promise(self) -> str:
        """What holds for every answer."""
        return determinism_note(self.numbers.wish, reproducible=self.settings.reproducible)

    def held(self) -> dict[str, LoadedModel]:
        """What is in memory now."""
        return dict(self._held)

    @contextlib.asynccontextmanager
    async def lease(self, base: str, facts: ModelInfo, keep_alive_s: float | None) -> AsyncIterator[LoadedModel]:
        """A model for as long as the block runs. Raises RequestError: 500 when it can't be loaded, 503 when there is no room."""
        resident = self._held.get(base)
        if resident is None:
            async with self._loading:
                resident = self._held.get(base) or await self._load(base, facts)
        resident.users += 1
        resident.keep_s = self.keep_alive_s if keep_alive_s is None else keep_alive_s
        try:
            yield resident
        finally:
            resident.users -= 1
            resident.used_at = time.monotonic()
            self.put_out_expired()

    def put_out(self, base: str) -> None:
        """Unload a model, at once or after the answers at work."""
        if base in self._held:
            self._held[base].keep_s = 0.0
            self.put_out_expired()

    def put_out_expired(self) -> None:
        """Unload what nobody uses and whose time is over. Called after each use and now and then."""
        for base, resident in self.held().items():
            if resident.users == 0 and resident.expires_in_s == 0:
                del self._held[base]

    async def watch(self, every_s: float = 1.0) -> None:
        """Put out what expires, for ever."""
        while True:
            await asyncio.sleep(every_s)
            self.put_out_expired()

    async def _load(self, base: str, facts: ModelInfo) -> LoadedModel:
        size_bytes = int(WEIGHT_BYTES[self.numbers.wish] * facts.parameters) + self._cache_bytes(facts)
        self._make_room(size_bytes)
        try:
            opened, compute, runner = await in_own_thread(functools.partial(self._opened, facts))
        except (GroundupError, OSError, MemoryError) as error:
            log.error("%s could not be loaded: %s", base, error)
            raise RequestError(f'model "{base}" could not be loaded; the server\'s log says why', status=500) from error
        desk = None if runner is None else ModelSession(runner, self.worker)
        resident = LoadedModel(facts, opened, Engine(opened, compute), desk, size_bytes)
        self._held[base] = resident
        return resident

    def _opened(self, facts: ModelInfo) -> tuple[OpenModel, Compute, BatchEngine | None]:
        """The model and what writes its answers. Raises GroundupError, OSError."""
        opened, compute = open_in(self.numbers.wish, facts.path, self.numbers.compute)
        tokenizer = opened.require_tokenizer()
        if not isinstance(opened.model, LanguageModel):
            return opened, compute, None
        return opened, compute, BatchEngine(opened.model, tokenizer, compute, self.settings)

    def _cache_bytes(self, facts: ModelInfo) -> int:
        """What keys and values may take at most; a `BatchEngine` takes no more than this."""
        if facts.kind == "classifier":
            return 0
        all_rows = 2 * self.settings.max_running
        whole = cache_bytes(facts.config, batch=all_rows, capacity=facts.config.context_tokens)
        return min(self.settings.cache_bytes, whole)

    def _make_room(self, needed_bytes: int) -> None:
        """Put out the models unused longest until there is room. Raises RequestError, 503; nothing is put out for what has no room at all."""
        if needed_bytes > self.memory_bytes:
            raise RequestError(
                f"this model needs {needed_bytes / 1e9:.2g} GB of memory, weights and cache together, and models may take "
                f"{self.memory_bytes / 1e9:.2g} GB here: start the server with a higher --memory-gb, or with --precision int8",
                status=503,
            )
        idle = sorted((each.used_at, base) for base, each in self._held.items() if each.users == 0)
        while sum(each.size_bytes for each in self._held.values()) + needed_bytes > self.memory_bytes:
            if not idle:
                raise RequestError("no memory for this model while others are at work; try again later", status=503)
            del self._held[idle.pop(0)[1]]
