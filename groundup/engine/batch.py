"""BatchEngine: many requests at once, in steps (continuous batching).

    engine = BatchEngine(open_model("smollm2-135m-instruct", compute), compute)
    engine.submit(Request("a", ids, Sampling(temperature=0), stop_ids))
    while engine.busy:
        for request_id, output in engine.step():
            ...                             # a ChatEvent, or the error that ended the request

A step is schedule -> run -> process: `scheduler.py` decides what to compute, `model_runner.py` runs
it through the model as one ragged batch (its weights are read once), `output_processor.py` chooses
the tokens. Each request has its own random numbers and pages, so in float32 its text is the same
alone and among others (`generate_ids` tests this); in int8, where all tokens go through the compiled
step, bit for bit. Not thread-safe: one thread submits, cancels and steps.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groundup.engine.answer_ids import require_room
from groundup.engine.events import FinishReason, StepOutput
from groundup.engine.output_processor import OutputProcessor
from groundup.engine.pages import Pages, pages_within
from groundup.engine.prompt_lookup import PromptLookup
from groundup.engine.request import Request
from groundup.engine.runner import ArrayPages, Runner, StepRunner
from groundup.engine.sampling import Sampling
from groundup.engine.scheduler import ScheduledRequest, Scheduler
from groundup.errors import ConfigError, GroundupError
from groundup.kernels.step_shape import CacheKind, cache_numbers
from groundup.model.config import ModelConfig
from groundup.model.token_span import page_bytes
from groundup.tokenizer.fast import Tokenizer

if TYPE_CHECKING:
    import torch

    from groundup.device import Compute
    from groundup.kernels.array_step import ArrayStep
    from groundup.model.heads import LanguageModel


@dataclass(frozen=True)
class BatchSettings:
    cache_bytes: int = 2**30
    """For keys and values of running rows, and of finished ones that may be continued."""
    page_tokens: int = 8
    """Only full pages are shared: a smaller page shares more and needs more bookkeeping."""
    max_running: int = 32
    max_waiting: int = 256
    """Further requests are refused with QueueFull."""
    draft_tokens: int = 0
    """Of one request, at most (prompt_lookup.py); 0: no speculative decoding."""
    reproducible: bool = False
    """The same text alone and among others in every precision: answers are computed
    `model_runner.EXACT_ROWS` at a time, padded, prompts page by page (use pages of 64). A single
    request then costs as much as EXACT_ROWS.
    """

    kv_cache_dtype: CacheKind = "auto"
    """Of keys and values: int8 where the compiled step alone writes (`with_kv_cache`)."""

    def __post_init__(self) -> None:
        if self.reproducible and self.kv_cache_dtype != "auto":
            raise ConfigError(
                "`reproducible` and `kv_cache_dtype` int8 can't be combined: reproducible answers are "
                "computed by torch."
            )
        if self.reproducible and self.draft_tokens:
            raise ConfigError(
                "`reproducible` and draft tokens (`speculate`) can't be combined: a pass with draft "
                "tokens rounds differently."
            )


class BatchEngine:
    def __init__(
        self,
        model: "LanguageModel",
        tokenizer: Tokenizer,
        compute: "Compute",
        settings: BatchSettings | None = None,
    ) -> None:
        """Raises ConfigError when the settings do not fit the model."""
        from groundup.engine.model_runner import ModelRunner

        settings = settings or BatchSettings()
        if settings.kv_cache_dtype != "auto":
            raise ConfigError("Keys and values in int8 are for the compiled step in int8 alone.")
        if settings.reproducible and model.config.num_experts:
            raise ConfigError(
                "A model with experts can't be reproducible: the rows of an expert depend on all "
                "requests."
            )

        def runner(num_pages: int) -> Runner:
            return ModelRunner(
                model,
                compute,
                num_pages=num_pages,
                page_tokens=settings.page_tokens,
                reproducible=settings.reproducible,
            )

        self._begin(model.config, tokenizer, settings, compute.dtype, runner)

    @classmethod
    def of_step(
        cls,
        step: "ArrayStep",
        config: ModelConfig,
        tokenizer: Tokenizer,
        thread_counts: tuple[int, ...],
        settings: BatchSettings,
    ) -> "BatchEngine":
        """By the compiled step alone, without torch."""
        assert not settings.reproducible  # of torch
        made = cls.__new__(cls)

        def runner(num_pages: int) -> Runner:
            size = settings.page_tokens
            store = ArrayPages(config, num_pages, size, numbers)
            return StepRunner(step, config, thread_counts, store)

        numbers = np.dtype(cache_numbers(step.described.kind, settings.kv_cache_dtype))
        made._begin(config, tokenizer, settings, numbers, runner)
        return made

    def _begin(
        self,
        config: ModelConfig,
        tokenizer: Tokenizer,
        settings: BatchSettings,
        dtype: "torch.dtype | np.dtype",
        runner_of: Callable[[int], Runner],
    ) -> None:
        """`dtype`: of keys and values; `runner_of`: of a number of pages."""
        self.config, self.tokenizer, self.settings = config, tokenizer, settings
        one_page = page_bytes(config, settings.page_tokens, dtype)
        most = 2 * settings.max_running * -(-config.context_tokens // settings.page_tokens)
        num_pages = min(pages_within(settings.cache_bytes, one_page), most)
        self.pages = Pages(num_pages, settings.page_tokens)
        self.scheduler = Scheduler(
            self.pages,
            max_running=settings.max_running,
            max_waiting=settings.max_waiting,
            fixed_chunks=settings.reproducible,
        )
        self.runner = runner_of(num_pages)
        self.outputs = OutputProcessor(tokenizer, self.scheduler)

    @property
    def busy(self) -> bool:
        return self.outputs.pending

    def submit(self, request: Request) -> None:
        """Raises QueueFull, or ModelError when the prompt has no tokens or leaves no room."""
        num_prompt = len(request.prompt_ids)
        if request.sampling.max_tokens == 0:
            self.outputs.add_empty(request)
            return
        room = require_room(num_prompt, self.config.context_tokens)
        room = max(min(room, self.pages.num_pages * self.settings.page_tokens - num_prompt), 1)
        max_tokens = num_prompt + min(room, request.sampling.max_tokens)
        scheduled = ScheduledRequest(request.id, list(request.prompt_ids), num_prompt, max_tokens)
        if self.settings.draft_tokens:
            scheduled.lookup = PromptLookup(self.settings.draft_tokens)
        self.scheduler.submit(scheduled)
        self.outputs.add(request, scheduled)

    def cancel(self, request_id: str) -> None:
        """Without further events. An unknown id is ignored."""
        self.outputs.remove(request_id)

    def step(self) -> list[tuple[str, StepOutput]]:
        """Choose a token for each request that is ready. Returns events, and errors that ended a
        request.
        """
        self.runner.propose_drafts(self.scheduler.running, failed=self.outputs.fail)
        chunks = self.scheduler.schedule()
        logits = self.runner.run(chunks)
        return self.outputs.process(chunks, logits)


def generate_answers(
    prompts: Sequence[Sequence[int]],
    model: "LanguageModel",
    tokenizer: Tokenizer,
    sampling: Sampling,
    *,
    compute: "Compute",
    stop_ids: frozenset[int] = frozenset(),
    done: Callable[[int], None] = lambda answers: None,
) -> list[str]:
    """One text for each prompt, as from `generate_ids`. `done` gets the number of newly finished
    ones. Raises ModelError.
    """
    texts = [""] * len(prompts)
    samplings = [sampling] * len(prompts)
    finished = finished_answers(
        prompts, model, tokenizer, samplings, compute=compute, stop_ids=stop_ids
    )
    for number, text, _ in finished:
        texts[number] = text
        done(1)
    return texts


def finished_answers(
    prompts: Sequence[Sequence[int]],
    model: "LanguageModel",
    tokenizer: Tokenizer,
    samplings: Sequence[Sampling],
    *,
    compute: "Compute",
    stop_ids: frozenset[int] = frozenset(),
) -> Iterator[tuple[int, str, FinishReason]]:
    """Yield the place of a prompt, its text and why that ended, as each is finished. Raises
    ModelError.
    """
    engine = BatchEngine(model, tokenizer, compute, BatchSettings(max_waiting=len(prompts)))
    for number, prompt in enumerate(prompts):
        engine.submit(Request(str(number), tuple(prompt), samplings[number], stop_ids))
    texts = [""] * len(prompts)
    while engine.busy:
        for name, output in engine.step():
            if isinstance(output, GroundupError):
                raise output
            texts[int(name)] += output.text
            if output.finish_reason is not None:
                yield int(name), texts[int(name)], output.finish_reason
