"""ModelRunner: what a `BatchEngine` has scheduled -> logits, in passes through the model.

All scheduled tokens, of answers and of prompts, go through the model as one ragged batch
(model/cache.py), or through the compiled step where the model has one. The runner owns the store of
keys and values, proposes draft tokens (prompt_lookup.py) and tunes the number of threads.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute, set_threads
from groundup.engine.scheduler import ScheduledChunk, ScheduledRequest
from groundup.model.cache import PagedStore, TokenSpan
from groundup.model.heads import DecodeStep, LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.quantised import add_torch_order
from groundup.threads import ThreadTuner

# With more running rows than this, verifying draft tokens costs more than it saves: the pass is no
# longer bound by reading weights.
MAX_DRAFTING_ROWS = 2
# Rows of a pass when results must not depend on their number.
EXACT_ROWS = 8


class ModelRunner:
    """`reproducible`: all passes have a fixed shape."""

    def __init__(
        self,
        model: LanguageModel,
        compute: Compute,
        *,
        num_pages: int,
        page_tokens: int,
        reproducible: bool,
    ) -> None:
        self.model, self.compute, self.reproducible = model, compute, reproducible
        # One page more than the scheduler uses: padding rows write to it.
        self._padding = TokenSpan([num_pages], 0, 1)
        self.store = PagedStore(
            model.config, num_pages + 1, page_tokens, compute.device, compute.dtype
        )
        self.store.clear([num_pages])
        counts = compute.thread_counts
        if reproducible:  # by one number of threads, whatever else the machine does
            counts = ()
        self._tuner = ThreadTuner(counts, torch.get_num_threads())
        self._has_torch_order = False
        if reproducible or model.decode_step is None:
            self._add_torch_order()

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
        step, rows = self.model.decode_step, len(running)
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

    def run(self, chunks: Sequence[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """The logits where a token is chosen: at the last id and the draft tokens of each request
        whose last id is in its chunk. By the fastest number of threads for this number of rows;
        passes with prompts or drafts are not timed.
        """
        if not chunks:
            return self._no_logits()
        self._clear_fresh(chunks)
        if len(self._tuner.counts) > 1:
            set_threads(self._tuner.count)
        if self.reproducible:
            return self._run_apart(chunks)
        started = time.perf_counter()
        logits = self._run_together(chunks)
        if all(len(chunk.tokens) == 1 for chunk in chunks):
            self._tuner.told(time.perf_counter() - started, kind=len(chunks))
        return logits

    def _clear_fresh(self, chunks: Sequence[ScheduledChunk]) -> None:
        """Zero the pages that rows start to use."""
        tables = [chunk.request.table for chunk in chunks]
        fresh = [page for table in tables for page in table.fresh]
        if fresh:
            self.store.clear(fresh)
        for table in tables:
            table.fresh.clear()

    def _run_together(self, chunks: Sequence[ScheduledChunk]) -> Float[Tensor, "M V"]:
        positions: list[int] = []
        end = 0
        for chunk in chunks:
            end += len(chunk.tokens)
            if chunk.chooses:
                positions += range(end - 1 - len(chunk.request.drafts), end)
        spans = [_span(chunk) for chunk in chunks]
        return self._pass(spans, [chunk.tokens for chunk in chunks], positions)

    def _run_apart(self, chunks: Sequence[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """Passes of a fixed shape: one chunk of one prompt, or EXACT_ROWS rows, padded."""
        rows: dict[str, Float[Tensor, "1 V"]] = {}
        answers = [chunk for chunk in chunks if chunk.request.is_prefilled]
        for start in range(0, len(answers), EXACT_ROWS):
            part = answers[start : start + EXACT_ROWS]
            missing = EXACT_ROWS - len(part)
            spans = [_span(chunk) for chunk in part] + [self._padding] * missing
            tokens = [chunk.tokens for chunk in part] + [[0]] * missing
            logits = self._pass(spans, tokens, list(range(EXACT_ROWS)))
            ids = [chunk.request.id for chunk in part]
            rows |= dict(zip(ids, logits.split(1), strict=False))
        for chunk in chunks:
            if chunk not in answers:
                last = [chunk.count - 1]
                rows[chunk.request.id] = self._pass([_span(chunk)], [chunk.tokens], last)
        chosen = [rows[chunk.request.id] for chunk in chunks if chunk.chooses]
        return torch.cat(chosen) if chosen else self._no_logits()

    def _pass(
        self, spans: list[TokenSpan], chunks: list[list[int]], positions: list[int]
    ) -> Float[Tensor, "M V"]:
        """Rows as one ragged batch; the logits at `positions`."""
        tokens = [token for chunk in chunks for token in chunk]
        step = self.model.decode_step
        if (
            step is not None
            and not self.reproducible
            and (step.takes_prompts or len(tokens) <= step.max_rows)
        ):
            return self._by_step(step, spans, tokens, positions)
        if all(span.count == 1 for span in spans):
            self._add_torch_order()
        ids = torch.tensor([tokens], device=self.compute.device)
        rows = self.store.rows(spans, separately=self.reproducible)
        with contextlib.ExitStack() as context:
            # Torch's default kernels are faster for a single row only (model/matmul_precision.py).
            if len(tokens) > 1:
                context.enter_context(fast_matmul(self.compute.device))
            hidden = self.model.hidden(ids, cache=rows)[0]  # [N, C]
            if not positions:  # only chunks of unfinished prompts: nothing is chosen
                return self._no_logits()
            return self.model.logits(hidden[positions]).float().cpu()

    def _by_step(
        self, step: DecodeStep, spans: list[TokenSpan], tokens: list[int], positions: list[int]
    ) -> Float[Tensor, "M V"]:
        """As many tokens at a time as the compiled step takes."""
        logits, begin = [], 0
        for part in split_spans(spans, step.max_rows):
            end = begin + sum(span.count for span in part)
            chosen = [position - begin for position in positions if begin <= position < end]
            logits.append(step.after_spans(tokens[begin:end], self.store, part, chosen))
            begin = end
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _add_torch_order(self) -> None:
        """4-bit weights as torch's kernel reads them, from the first step that decodes through
        torch.
        """
        if not self._has_torch_order:
            add_torch_order(self.model)
            self._has_torch_order = True

    def _no_logits(self) -> Float[Tensor, "0 V"]:
        return torch.empty(0, self.model.config.vocab_size)


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


def _span(chunk: ScheduledChunk) -> TokenSpan:
    return TokenSpan(chunk.request.table.pages, chunk.request.stored, len(chunk.tokens))
