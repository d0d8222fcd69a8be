"""ModelRunner: what a `BatchEngine` has scheduled -> logits, in passes through the model.

All scheduled tokens, of answers and of prompts, go through the model as one ragged batch
(model/cache.py), or through the compiled step where the model has one. The runner owns the store of
keys and values; what it shares with the runner without torch is in `runner.py`.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.runner import Runner, span_of
from groundup.engine.scheduler import ScheduledChunk
from groundup.model.cache import PagedStore, TokenSpan
from groundup.model.heads import DecodeStep, LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.quantised import add_torch_order

# Rows of a pass when results must not depend on their number.
EXACT_ROWS = 8


class ModelRunner(Runner):
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
        self.store: PagedStore = PagedStore(
            model.config, num_pages + 1, page_tokens, compute.device, compute.dtype
        )
        self.store.clear([num_pages])
        counts = compute.thread_counts
        if reproducible:  # by one number of threads, whatever else the machine does
            counts = ()
        super().__init__(counts)
        self._has_torch_order = False
        if reproducible or model.decode_step is None:
            self._add_torch_order()

    @property
    def decode_step(self) -> DecodeStep | None:
        return self.model.decode_step

    @torch.inference_mode()
    def run(self, chunks: Sequence[ScheduledChunk]) -> Any:
        if not chunks:
            return self._no_logits()
        if not self.reproducible:
            return super().run(chunks)
        self._clear_fresh(chunks)
        return self._run_apart(chunks)

    def _run_apart(self, chunks: Sequence[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """Passes of a fixed shape: one chunk of one prompt, or EXACT_ROWS rows, padded."""
        rows: dict[str, Float[Tensor, "1 V"]] = {}
        answers = [chunk for chunk in chunks if chunk.request.is_prefilled]
        for start in range(0, len(answers), EXACT_ROWS):
            part = answers[start : start + EXACT_ROWS]
            missing = EXACT_ROWS - len(part)
            spans = [span_of(chunk) for chunk in part] + [self._padding] * missing
            tokens = [chunk.tokens for chunk in part] + [[0]] * missing
            logits = self._pass(spans, tokens, list(range(EXACT_ROWS)))
            ids = [chunk.request.id for chunk in part]
            rows |= dict(zip(ids, logits.split(1), strict=False))
        for chunk in chunks:
            if chunk not in answers:
                last = [chunk.count - 1]
                rows[chunk.request.id] = self._pass([span_of(chunk)], [chunk.tokens], last)
        chosen = [rows[chunk.request.id] for chunk in chunks if chunk.chooses]
        return torch.cat(chosen) if chosen else self._no_logits()

    def _pass(self, spans: list[TokenSpan], chunks: list[list[int]], positions: list[int]) -> Any:
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

    def _add_torch_order(self) -> None:
        """4-bit weights as torch's kernel reads them, from the first step that decodes through
        torch.
        """
        if not self._has_torch_order:
            add_torch_order(self.model)
            self._has_torch_order = True

    def _no_logits(self) -> Float[Tensor, "0 V"]:
        return torch.empty(0, self.model.config.vocab_size)
