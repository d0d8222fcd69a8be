"""What a `BatchEngine` has scheduled -> logits: what `ModelRunner` (torch) and `StepRunner` (the
compiled step alone) share. It proposes draft tokens (prompt_lookup.py) and tunes the number of
threads.
"""

import math
import mmap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from groundup.engine.next_token import as_array
from groundup.engine.scheduler import ScheduledChunk, ScheduledRequest
from groundup.model.config import ModelConfig
from groundup.model.token_span import TokenSpan, stored_width
from groundup.threads import ThreadTuner, set_thread_count, thread_count

if TYPE_CHECKING:
    from groundup.kernels.array_step import ArrayStep

# With more running rows than this, verifying draft tokens costs more than it saves: the pass is no
# longer bound by reading weights.
MAX_DRAFTING_ROWS = 2


@runtime_checkable
class PageStore(Protocol):
    """Keys and values [L, tokens, K, D] of pages of `page_tokens` tokens, of arrays or tensors."""

    keys: Any
    values: Any
    page_tokens: int

    def clear(self, pages: Sequence[int]) -> None:
        """Zero pages that a row starts to use."""


class Runner:
    store: PageStore

    def __init__(self, thread_counts: tuple[int, ...]) -> None:
        self._tuner = ThreadTuner(thread_counts, thread_count())

    def propose_drafts(
        self,
        running: Sequence[ScheduledRequest],
        failed: Callable[[ScheduledRequest, Exception], None],
    ) -> None:
        """For the requests in decoding, if few enough run. `failed` is called with a request whose
        lookup has a bug.
        """
        if not 0 < len(running) <= MAX_DRAFTING_ROWS:
            return
        step, rows = self.decode_step, len(running)
        for request in list(running):
            if request.lookup is None or request.pending != 1:
                continue
            most = request.max_tokens - len(request.ids) - 1
            if step is not None:
                most = min(most, step.max_rows // rows - 1)
            try:
                request.drafts = request.lookup.drafts(request.ids)[:most]
            except Exception as error:  # a bug that ends this row alone
                failed(request, error)

    def run(self, chunks: Sequence[ScheduledChunk]) -> Any:
        """The logits [M, V] where a token is chosen: at the last id and the draft tokens of each
        request whose last id is in its chunk. By the fastest number of threads for this number of
        rows; passes with prompts or drafts are not timed.
        """
        self._clear_fresh(chunks)
        if len(self._tuner.counts) > 1:
            set_thread_count(self._tuner.count)
        started = time.perf_counter()
        logits = self._run_together(chunks)
        if all(len(chunk.tokens) == 1 for chunk in chunks):
            self._tuner.told(time.perf_counter() - started, kind=len(chunks))
        return logits

    @property
    def decode_step(self) -> Any:
        """The model's own step (`model.heads.DecodeStep`); None: it has none."""
        raise NotImplementedError

    def _pass(self, spans: list[TokenSpan], chunks: list[list[int]], positions: list[int]) -> Any:
        """Rows as one ragged batch; the logits at `positions`."""
        raise NotImplementedError

    def _clear_fresh(self, chunks: Sequence[ScheduledChunk]) -> None:
        """Zero the pages that rows start to use."""
        tables = [chunk.request.table for chunk in chunks]
        fresh = [page for table in tables for page in table.fresh]
        if fresh:
            self.store.clear(fresh)
        for table in tables:
            table.fresh.clear()

    def _run_together(self, chunks: Sequence[ScheduledChunk]) -> Any:
        positions: list[int] = []
        end = 0
        for chunk in chunks:
            end += len(chunk.tokens)
            if chunk.chooses:
                positions += range(end - 1 - len(chunk.request.drafts), end)
        spans = [span_of(chunk) for chunk in chunks]
        return self._pass(spans, [chunk.tokens for chunk in chunks], positions)

    def _by_step(
        self, step: Any, spans: list[TokenSpan], tokens: list[int], positions: list[int]
    ) -> np.ndarray:
        """As many tokens at a time as the compiled step takes."""
        logits, begin = [], 0
        for part in split_spans(spans, step.max_rows):
            end = begin + sum(span.count for span in part)
            chosen = [position - begin for position in positions if begin <= position < end]
            found = step.after_spans(tokens[begin:end], self.store, part, chosen)
            logits.append(as_array(found))
            begin = end
        return logits[0] if len(logits) == 1 else np.concatenate(logits)


def small_pages(shape: tuple[int, ...], numbers: np.dtype) -> np.ndarray:
    """Zeros in memory that the system gives in its smallest pages. numpy asks for huge ones: the
    first token of a text would wait for 2 MB of every layer.
    """
    size = math.prod(shape) * numbers.itemsize
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, numbers).reshape(shape)


class ArrayPages:
    """`model.cache.PagedStore` without torch; the system commits the memory when it is first
    written.
    """

    def __init__(
        self, config: ModelConfig, num_pages: int, page_tokens: int, numbers: np.dtype
    ) -> None:
        self.page_tokens = page_tokens
        tokens, width = num_pages * page_tokens, stored_width(config, numbers)
        size = (config.num_layers, tokens, config.num_kv_heads, width)
        self.keys, self.values = small_pages(size, numbers), small_pages(size, numbers)

    def clear(self, pages: Sequence[int]) -> None:
        """Zero pages that a row starts to use: 0 times an old value there may be non-finite."""
        for stored in (self.keys, self.values):
            for page in pages:
                stored[:, page * self.page_tokens : (page + 1) * self.page_tokens] = 0


class StepRunner(Runner):
    """All tokens by the compiled step, prompts too."""

    def __init__(
        self,
        step: "ArrayStep",
        config: ModelConfig,
        thread_counts: tuple[int, ...],
        store: ArrayPages,
    ) -> None:
        super().__init__(thread_counts)
        self.step, self.vocab_size, self.store = step, config.vocab_size, store

    @property
    def decode_step(self) -> "ArrayStep":
        return self.step

    def run(self, chunks: Sequence[ScheduledChunk]) -> np.ndarray:
        if not chunks:
            return np.empty((0, self.vocab_size), np.float32)
        found: np.ndarray = super().run(chunks)
        return found

    def _pass(
        self, spans: list[TokenSpan], chunks: list[list[int]], positions: list[int]
    ) -> np.ndarray:
        tokens = [token for chunk in chunks for token in chunk]
        return self._by_step(self.step, spans, tokens, positions)


def split_spans(spans: Sequence[TokenSpan], most: int) -> Iterator[list[TokenSpan]]:
    """In parts of `most` new tokens, the last of fewer.

    >>> spans = [TokenSpan([0], 9, 1), TokenSpan([1], 0, 5)]
    >>> [[(span.start, span.count) for span in part] for part in split_spans(spans, 3)]
    [[(9, 1), (0, 2)], [(2, 3)]]
    """
    part: list[TokenSpan] = []
    room = most
    for span in spans:
        start = span.start
        while start < span.stop:
            count = min(room, span.stop - start)
            part.append(TokenSpan(span.pages, start, count))
            start, room = start + count, room - count
            if room == 0:
                yield part
                part, room = [], most
    if part:
        yield part


def span_of(chunk: ScheduledChunk) -> TokenSpan:
    return TokenSpan(chunk.request.table.pages, chunk.request.stored, len(chunk.tokens))
