"""One step of 1 to 32 tokens on a cache of arrays, by one thread or several, without torch. The
tokens are of as many texts, or some are successive ones of one text.

    step = ArrayStep(StepModel.of_arrays(config, arrays))
    logits = step.after_cache(next_ids, cache)          # [1, V]; ids [1, 1], an `ArrayCache`

The number of threads is torch's where it is loaded, at each call; the results do not depend on it.
Threads besides the caller's are this step's own, made anew after a fork; a step waits for another
Python thread's.
"""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from groundup.errors import ModelError
from groundup.kernels.machine_code import Fixed, MachineCode
from groundup.kernels.step_memory import (
    ABANDONED,
    NewTokens,
    StepCache,
    shared_buffers,
    thread_buffers,
)
from groundup.kernels.step_shape import MAX_ROWS, CacheKind, StepShape, cache_numbers
from groundup.kernels.step_weights import StepModel
from groundup.model.config import ModelConfig
from groundup.model.token_span import stored_width
from groundup.threads import thread_count

Array = np.ndarray
STEP = MachineCode("groundup.kernels.step", "step")
# Buffers of attention are for a multiple of this number of tokens.
TOKENS = 256


class StoredTokens(Protocol):
    """Keys and values [L, B, K, capacity, D] of texts: an `ArrayCache`, or one of torch's."""

    keys: Any
    values: Any
    length: int
    capacity: int

    def require_room(self, batch: int, num_tokens: int) -> None: ...

    def advance(self, num_tokens: int) -> None: ...


class ArrayCache:
    """`model.cache.KVCache` of one text, without torch."""

    def __init__(
        self,
        described: StepModel,
        config: ModelConfig,
        capacity: int,
        kv_cache_dtype: CacheKind = "auto",
    ) -> None:
        numbers = np.dtype(cache_numbers(described.kind, kv_cache_dtype))
        width = stored_width(config, numbers)
        shape = (config.num_layers, 1, config.num_kv_heads, capacity, width)
        self.keys: Array = np.zeros(shape, numbers)
        self.values: Array = np.zeros_like(self.keys)
        self.capacity, self.length = capacity, 0

    def require_room(self, batch: int, num_tokens: int) -> None:
        """Raises ModelError when they don't fit."""
        assert batch == 1, batch
        if self.length + num_tokens > self.capacity:
            raise ModelError(
                f"The cache holds {self.length} of at most {self.capacity} tokens, and {num_tokens} "
                "more do not fit."
            )

    def advance(self, num_tokens: int) -> None:
        self.length += num_tokens

    def shorten(self, length: int) -> None:
        """Forget all tokens after the first `length`, such as drafts that were wrong."""
        assert 0 <= length <= self.length, (length, self.length)
        self.length = length


class ArrayStep:
    def __init__(self, described: StepModel) -> None:
        self.described = described
        self.max_rows = MAX_ROWS[described.kind]
        # in 8 bits, about as fast as torch and the same bits in any company; in 4 bits torch is
        # twice as fast
        self.takes_prompts = described.kind == "int8"
        self._shape, self._weights = Fixed(described.shape), Fixed(described.weights)
        self._kept = threading.local()  # the buffers of a Python thread's last step
        self._calls: WeakKeyDictionary[Any, _StepCall] = WeakKeyDictionary()
        self._workers = _Workers()

    def after_cache(
        self, ids: Array, cache: StoredTokens, positions: Sequence[int] | None = None
    ) -> Array:
        """The logits [L, V] after the new tokens at `positions` (None: all) of ids [B, T], text
        after text. Raises ModelError (full cache).
        """
        texts, new = ids.shape
        cache.require_room(texts, new)
        wanted = tuple(range(texts * new) if positions is None else positions)
        of = (_address(cache.keys), _address(cache.values), texts, new, wanted)
        call = self._calls.get(cache)
        if call is None or call.of != of:
            call = self._calls[cache] = self._call_on(cache, of)
        call.cache.lengths.reshape(texts, new)[:] = np.arange(new) + (cache.length + 1)
        logits = self._logits(ids.reshape(-1), call)
        cache.advance(new)
        return logits

    def _call_on(
        self, cache: StoredTokens, of: tuple[int, int, int, int, tuple[int, ...]]
    ) -> "_StepCall":
        """Its tokens lie one after the other, text after text and head after head."""
        shape, capacity, (_, _, texts, new, wanted) = self.described.shape, cache.capacity, of
        width = cache.keys.shape[-1]
        slots = np.arange(capacity)[None] + np.arange(texts)[:, None] * shape.kv_heads * capacity
        step_cache = StepCache(
            keys=as_array(cache.keys).reshape(-1),
            values=as_array(cache.values).reshape(-1),
            slots=slots.repeat(new, axis=0),
            lengths=np.empty(texts * new, np.int64),
            layer_stride=texts * shape.kv_heads * capacity * width,
            slot_stride=width,
            head_stride=capacity * width,
        )
        return _StepCall(shape, step_cache, wanted, of)

    def after_spans(
        self, ids: Array, store: Any, spans: Sequence[Any], positions: Sequence[int]
    ) -> Array:
        """The same of the `TokenSpan`s of a paged cache (model/cache.py)."""
        ends = [end for span in spans for end in range(span.start + 1, span.stop + 1)]
        capacity = -(-max(ends) // TOKENS) * TOKENS
        of = (_address(store.keys), _address(store.values), len(ends), capacity, tuple(positions))
        call = self._calls.get(store)
        if call is None or call.of != of:
            call = self._calls[store] = self._call_on_pages(store, of)
        size, row = store.page_tokens, 0
        for span in spans:
            tokens = np.arange(span.stop)
            of_span = np.array(span.pages, np.int64)[tokens // size] * size + tokens % size
            call.cache.slots[row : row + span.count, : span.stop] = of_span
            row += span.count
        call.cache.lengths[:] = ends
        return self._logits(ids, call)

    def _call_on_pages(
        self, store: Any, of: tuple[int, int, int, int, tuple[int, ...]]
    ) -> "_StepCall":
        """Its tokens lie in pages; the slots are filled for each step."""
        shape, (_, _, rows, capacity, wanted) = self.described.shape, of
        width = store.keys.shape[-1]
        one_slot = shape.kv_heads * width
        step_cache = StepCache(
            keys=as_array(store.keys).reshape(-1),
            values=as_array(store.values).reshape(-1),
            slots=np.zeros((rows, capacity), np.int64),
            lengths=np.empty(rows, np.int64),
            layer_stride=store.keys.shape[1] * one_slot,
            slot_stride=one_slot,
            head_stride=width,
        )
        return _StepCall(shape, step_cache, wanted, of)

    def _logits(self, ids: Array, call: "_StepCall") -> Array:
        threads, tokens = usable_threads(), call.tokens
        positions = call.cache.lengths - 1
        tokens.hidden[:] = self.described.embed(ids, positions)
        tokens.cosines[:], tokens.sines[:] = self.described.angles(positions)
        rows, room = call.cache.slots.shape
        buffers = self._buffers(rows, room, threads)
        logits = np.empty((len(tokens.wanted), self.described.shape.vocab_size), np.float32)
        fixed = (self._shape, self._weights, *call.fixed, Fixed(logits), buffers.shared)

        def run(thread: int, count: int) -> None:
            own = buffers.own[thread]
            if count != threads:  # the system gave no more threads: alone
                own = self._own_buffers(rows, room, 0, 1)
            STEP(*fixed, own)

        self._workers.run(run, threads, buffers.counter)
        return logits

    def _buffers(self, rows: int, tokens: int, threads: int) -> "_Buffers":
        """With the counter of barriers at zero; the same as before where the sizes are."""
        shape, tokens = self.described.shape, -(-tokens // TOKENS) * TOKENS
        kept: _Buffers | None = getattr(self._kept, "buffers", None)
        if kept is None or kept.sizes != (rows, tokens, threads):
            shared = shared_buffers(shape, rows)
            own = [self._own_buffers(rows, tokens, each, threads) for each in range(threads)]
            sizes = (rows, tokens, threads)
            kept = self._kept.buffers = _Buffers(sizes, shared.counter, Fixed(shared), own)
        kept.counter[:] = 0
        return kept

    def _own_buffers(self, rows: int, tokens: int, thread: int, threads: int) -> Fixed:
        inputs = np.int16 if self.described.kind.startswith("int") else np.float32
        shape = self.described.shape
        return Fixed(thread_buffers(shape, rows, tokens, thread, threads, inputs=inputs))


class _StepCall:
    """What a step reads and writes besides weights and buffers. A later one of the same sizes
    (`of`) on the same cache has the same arrays, with other contents: taking them apart takes as
    long as a small model's layers.
    """

    def __init__(
        self, shape: StepShape, cache: StepCache, wanted: Sequence[int], of: tuple[Any, ...]
    ) -> None:
        rows, self.cache, self.of = len(cache.lengths), cache, of
        hidden = np.empty((rows, shape.width), np.float32)
        cosines, sines = (np.empty((2, rows, shape.head_width // 2), np.float32) for _ in range(2))
        self.tokens = NewTokens(hidden, cosines, sines, np.array(wanted, np.int64))
        self.fixed = (Fixed(cache), Fixed(self.tokens))


@dataclass(frozen=True)
class _Buffers:
    sizes: tuple[int, int, int]
    """Rows, tokens and threads."""
    counter: Array
    """Of the barriers, part of `shared`."""
    shared: Fixed
    own: list[Fixed]
    """Of each thread."""


def usable_threads() -> int:
    """1 where threads can't yield their core (Windows)."""
    if hasattr(os, "sched_yield"):
        return thread_count()
    return 1


def _part(work: Any, thread: int, threads: int, counter: Array) -> None:
    try:
        work(thread, threads)
    except BaseException:
        counter[0] = ABANDONED
        raise


class _Workers:
    """Threads that run a step together with the caller's, one step at a time: two at once could
    wait for one another's.
    """

    def __init__(self) -> None:
        self._fresh()

    def _fresh(self) -> None:
        self._process, self._lock, self._size = os.getpid(), threading.Lock(), 0
        self._pool: ThreadPoolExecutor | None = None

    def run(self, work: Any, threads: int, counter: Array) -> None:
        """work(thread, threads) on each. They meet at barriers with this `counter`: where one fails
        or the caller is interrupted (Ctrl-C), the others do not wait.
        """
        if threads == 1:
            work(0, 1)
            return
        if self._process != os.getpid():
            # after a fork: the threads, and perhaps the lock's owner, are the parent's
            self._fresh()
        with self._lock:
            pool = self._start(threads - 1)
            if pool is None:
                work(0, 1)
                return
            others: list[Future[None]] = []
            try:
                for thread in range(1, threads):
                    others.append(pool.submit(_part, work, thread, threads, counter))
                work(0, threads)
            except BaseException:
                counter[0] = ABANDONED
                raise
            finally:
                for other in others:
                    other.result()

    def _start(self, count: int) -> ThreadPoolExecutor | None:
        """None where the system gives no more: the threads of a step wait for one another."""
        if self._pool is not None and self._size >= count:
            return self._pool
        pool, begin = ThreadPoolExecutor(count, "decode"), threading.Event()
        try:
            waiting = [pool.submit(begin.wait) for _ in range(count)]
        except RuntimeError:
            return None
        finally:
            begin.set()
        for each in waiting:
            each.result()
        self._pool, self._size = pool, count
        return pool


def _address(numbers: Any) -> int:
    """Of an array or a tensor."""
    if isinstance(numbers, np.ndarray):
        return int(numbers.ctypes.data)
    address: int = numbers.data_ptr()
    return address


def as_array(numbers: Any) -> Array:
    """An array as it is; of a tensor its memory."""
    if isinstance(numbers, np.ndarray):
        return numbers
    from groundup.kernels.module_arrays import memory_of

    return memory_of(numbers)
