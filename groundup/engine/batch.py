"""BatchEngine: many requests at once, in steps (continuous batching). The scheduler decides what to
compute, the pages where it is stored.

    engine = BatchEngine(open_model("smollm2-135m-instruct", compute), compute)
    engine.submit(Request("a", ids, Sampling(temperature=0), stop_ids))
    while engine.busy:
        for request_id, output in engine.step():
            ...                             # a ChatEvent, or the error that ended the request

In a step all scheduled tokens, of answers and of prompts, go through the model as one ragged batch
(model/paged.py): its weights are read once. Requests join and leave between steps. Each has its own
random numbers and pages, and attends to its own tokens only, so in float32 its text is the same
alone and among others (`generate_ids` is the simple version that tests this one). In int8 all
tokens go through the compiled step, up to 32 at a time: a token's numbers are the same, bit for
bit, in whatever company it is computed.

Not thread-safe: one thread submits, cancels and steps.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute, set_threads
from groundup.engine.events import AnswerFailed, ChatEvent, RankedToken, StepOutput, TokenLogprob
from groundup.engine.generate import require_room
from groundup.engine.next_token import NOT_FINITE, NOT_FINITE_FIX, choose, greedy, seeded_generator
from groundup.engine.pages import Pages, pages_within
from groundup.engine.prompt_lookup import PromptLookup
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.scheduler import ScheduledChunk, ScheduledRequest, Scheduler
from groundup.engine.stream import StreamedAnswer, TextStream
from groundup.errors import ConfigError, GroundupError, ModelError
from groundup.model.heads import DecodeStep, LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.paged import PagedStore, TokenSpan, page_bytes
from groundup.model.quantised import add_torch_order
from groundup.threads import ThreadTuner
from groundup.tokenizer.fast import Tokenizer

# With more running rows than this, verifying draft tokens costs more than it saves: the pass is no
# longer bound by reading weights.
MAX_DRAFTING_ROWS = 2
# Rows of a pass when results must not depend on their number (BatchSettings.reproducible).
EXACT_ROWS = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchSettings:
    """Bounds of one BatchEngine."""

    cache_bytes: int = 2**30
    """Memory for keys and values of running rows, and of finished ones that may be continued."""
    page_tokens: int = 16
    """Tokens of a page; only full pages are shared, so a smaller page shares more and needs more
    bookkeeping.
    """
    max_running: int = 32
    """Requests that run at once."""
    max_waiting: int = 256
    """Requests that may wait; further ones are refused with QueueFull."""
    draft_tokens: int = 0
    """The maximum of draft tokens for one request (prompt_lookup.py); 0: no speculative
    decoding.
    """
    reproducible: bool = False
    """Give the same text alone and among others in every precision, not only in float32: answers
    are computed EXACT_ROWS at a time, padded, prompts page by page (use pages of 64). Slower: a
    single request then costs as much as EXACT_ROWS."""

    def __post_init__(self) -> None:
        if self.reproducible and self.draft_tokens:
            raise ConfigError(
                "reproducible and draft_tokens (--speculate) can't be combined: a pass with draft tokens rounds differently."
            )


class _Running:
    """A running request and the state to choose its next token."""

    def __init__(
        self, request: Request, scheduled: ScheduledRequest, tokenizer: Tokenizer, draft_tokens: int
    ) -> None:
        self.request, self.scheduled, self.tokenizer = request, scheduled, tokenizer
        self.random = seeded_generator(request.sampling.seed)
        start = ChatEvent("", None, len(request.prompt_ids), 0, request.dropped_messages)
        stream = TextStream(tokenizer, request.sampling.stop, request.shown_ids)
        self.answer = StreamedAnswer(
            stream, request.stop_ids, start, logprob_of_end=request.logprob_of_end
        )
        self.lookup = PromptLookup(draft_tokens) if draft_tokens else None

    def choose(self, logits: Float[Tensor, " V"], best: int, best_logit: float) -> int:
        """Return the next token; `best` is the argmax of `logits`. Raises ModelError."""
        sampling, constraint = self.request.sampling, self.request.constraint
        if not sampling.takes_best or constraint is not None:
            allowed = None if constraint is None else constraint.mask()
            return choose(logits, self.scheduled.ids, sampling, self.random, allowed)
        if not math.isfinite(best_logit):
            raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
        return best

    def push(self, token_id: int, logits: Float[Tensor, " V"]) -> Iterator[ChatEvent]:
        """Yield the events of a chosen token."""
        self.scheduled.ids.append(token_id)
        count = self.request.logprobs
        logprob = None if count is None else ranked(logits, token_id, count, self.tokenizer)
        event = self.answer.push(token_id, logprob)
        if event is not None:
            yield event
        constraint = self.request.constraint
        if self.answer.reason is None and constraint is not None:
            constraint.accept(token_id)
            if constraint.finished:
                yield self.answer.end("stop")
        if self.answer.reason is None and len(self.scheduled.ids) >= self.scheduled.max_tokens:
            yield self.answer.end("length")


class BatchEngine:
    """Continues the prompts of many requests with one language model."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        compute: Compute,
        settings: BatchSettings | None = None,
    ) -> None:
        """Raises ConfigError when the settings do not fit the model."""
        self.model, self.tokenizer, self.compute = model, tokenizer, compute
        self.settings = settings = settings or BatchSettings()
        one_page = page_bytes(model.config, settings.page_tokens, compute.dtype)
        if settings.reproducible and model.config.num_experts:
            raise ConfigError(
                "A model with experts can't be reproducible: the rows of an expert depend on all requests."
            )
        most = 2 * settings.max_running * -(-model.config.context_tokens // settings.page_tokens)
        self.pages = Pages(
            min(pages_within(settings.cache_bytes, one_page), most), settings.page_tokens
        )
        self.scheduler = Scheduler(
            self.pages,
            max_running=settings.max_running,
            max_waiting=settings.max_waiting,
            fixed_chunks=settings.reproducible,
        )
        # One page more than the scheduler uses: padding rows write to it.
        num_pages = self.pages.num_pages + 1
        self._padding = TokenSpan([num_pages - 1], 0, 1)
        self._store = PagedStore(
            model.config, num_pages, settings.page_tokens, compute.device, compute.dtype
        )
        self._store.clear([num_pages - 1])
        # A reproducible answer is computed by one number of threads, whatever else the machine
        # does.
        self._tuner = ThreadTuner(
            () if settings.reproducible else compute.thread_counts, torch.get_num_threads()
        )
        self._has_torch_order = False
        if settings.reproducible or model.decode_step is None:
            self._add_torch_order()
        self._running: dict[str, _Running] = {}
        self._empty: list[
            tuple[str, StepOutput]
        ] = []  # answers without tokens, returned by the next step

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._running or self._empty)

    def submit(self, request: Request) -> None:
        """Add a request.

        Raises QueueFull, or ModelError when its prompt has no tokens or leaves no room for an
        answer.
        """
        assert request.id not in self._running, request.id
        num_prompt = len(request.prompt_ids)
        if request.sampling.max_tokens == 0:
            self._empty.append(
                (request.id, ChatEvent("", "length", num_prompt, 0, request.dropped_messages))
            )
            return
        room = require_room(num_prompt, self.model.config.context_tokens)
        room = max(min(room, self.pages.num_pages * self.settings.page_tokens - num_prompt), 1)
        max_tokens = num_prompt + min(room, request.sampling.max_tokens)
        scheduled = ScheduledRequest(request.id, list(request.prompt_ids), num_prompt, max_tokens)
        running = _Running(request, scheduled, self.tokenizer, self.settings.draft_tokens)
        self.scheduler.submit(scheduled)
        self._running[request.id] = running

    def cancel(self, request_id: str) -> None:
        """End a request without further events and free its pages. An unknown id is ignored."""
        running = self._running.pop(request_id, None)
        if running is not None:
            self.scheduler.remove(running.scheduled)

    @torch.inference_mode()
    def step(self) -> list[tuple[str, StepOutput]]:
        """Run one step and choose a token for each request that is ready.

        Returns events, and errors that ended a request.
        """
        outputs, self._empty = self._empty, []
        outputs += self._propose_drafts()
        # Answers before prompts, the longest first: attention groups neighbours of similar length.
        work = sorted(
            self.scheduler.plan(),
            key=lambda each: (each.count > 1, -each.request.stored, each.request.order),
        )
        if not work:
            return outputs
        self._clear_fresh(work)
        if len(self._tuner.counts) > 1:
            set_threads(self._tuner.count)
        logits = self._logits_tuned(work)  # [M, V]
        choices = [(row, *greedy(row)) for row in logits]
        for each in work:
            if each.chooses:
                count = 1 + len(each.request.drafts)
                outputs += [
                    (each.request.id, output)
                    for output in self._advance(each.request, choices[:count])
                ]
                del choices[:count]
            else:
                self.scheduler.mark_stored(each.request, each.request.stored + each.count)
        return outputs

    def _logits_tuned(self, work: list[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """Return logits, computed with the fastest number of threads for so many rows; passes with
        prompts or drafts differ, and are not timed.
        """
        if self.settings.reproducible:
            return self._logits_apart(work)
        started = time.perf_counter()
        logits = self._logits(work)
        if all(len(each.tokens) == 1 for each in work):
            self._tuner.told(time.perf_counter() - started, kind=len(work))
        return logits

    def _propose_drafts(self) -> list[tuple[str, StepOutput]]:
        """Propose draft tokens for the requests in decoding, if few enough run: as many as the
        compiled step takes, where the model has it.

        Returns errors that ended a request.
        """
        running, most = self.scheduler.running, self.settings.draft_tokens
        if not most or not 0 < len(running) <= MAX_DRAFTING_ROWS:
            return []
        if self.model.decode_step is not None:
            most = min(most, self.model.decode_step.max_rows // len(running) - 1)
        failed: list[tuple[str, StepOutput]] = []
        for scheduled in list(running):
            lookup = self._running[scheduled.id].lookup
            if lookup is None or scheduled.pending != 1:
                continue
            try:
                found = lookup.drafts(scheduled.ids)
            except Exception as error:  # a bug that ends this row alone
                failed.append((scheduled.id, self._failed(scheduled, error)))
            else:
                scheduled.drafts = found[: min(most, scheduled.max_tokens - len(scheduled.ids) - 1)]
        return failed

    def _clear_fresh(self, work: list[ScheduledChunk]) -> None:
        tables = [each.request.table for each in work]
        if fresh := [page for table in tables for page in table.fresh]:
            self._store.clear(fresh)
        for table in tables:
            table.fresh.clear()

    def _logits(self, work: list[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """Return the logits of one pass where a token is chosen: at the last id and the draft
        tokens of each request.
        """
        positions: list[int] = []
        end = 0
        for each in work:
            end += len(each.tokens)
            positions += range(end - 1 - len(each.request.drafts), end) if each.chooses else []
        return self._pass([_span(each) for each in work], [each.tokens for each in work], positions)

    def _logits_apart(self, work: list[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """Return the same from passes of a fixed shape: one chunk of one prompt, or EXACT_ROWS
        rows, padded.
        """
        rows: dict[str, Float[Tensor, "1 V"]] = {}
        answers = [each for each in work if each.request.stored >= each.request.prompt_tokens]
        for start in range(0, len(answers), EXACT_ROWS):
            part = answers[start : start + EXACT_ROWS]
            missing = EXACT_ROWS - len(part)
            spans = [*map(_span, part), *[self._padding] * missing]
            logits = self._pass(
                spans, [*(each.tokens for each in part), *[[0]] * missing], list(range(EXACT_ROWS))
            )
            rows |= {each.request.id: row for each, row in zip(part, logits.split(1), strict=False)}
        for each in work:
            if each not in answers:
                rows[each.request.id] = self._pass([_span(each)], [each.tokens], [each.count - 1])
        chosen = [rows[each.request.id] for each in work if each.chooses]
        return torch.cat(chosen) if chosen else torch.empty(0, self.model.config.vocab_size)

    def _pass(
        self, spans: list[TokenSpan], chunks: list[list[int]], positions: list[int]
    ) -> Float[Tensor, "M V"]:
        """Run the rows through the model as one ragged batch; return the logits at `positions` in
        it.
        """
        tokens = [token for chunk in chunks for token in chunk]
        step = None if self.settings.reproducible else self.model.decode_step
        if step is not None and (step.takes_prompts or len(tokens) <= step.max_rows):
            return self._by_step(step, spans, tokens, positions)
        if all(span.count == 1 for span in spans):
            self._add_torch_order()
        ids = torch.tensor([tokens], device=self.compute.device)
        rows = self._store.rows(spans, separately=self.settings.reproducible)
        # Torch's default kernels are faster for a single row only (model/matmul_precision.py).
        with fast_matmul(self.compute.device) if ids.shape[1] > 1 else contextlib.nullcontext():
            hidden = self.model.hidden(ids, cache=rows)[0]  # [N, C]
            if not positions:  # only chunks of unfinished prompts: nothing is chosen
                return torch.empty(0, self.model.config.vocab_size)
            return self.model.logits(hidden[positions]).float().cpu()

    def _by_step(
        self, step: DecodeStep, spans: list[TokenSpan], tokens: list[int], positions: list[int]
    ) -> Float[Tensor, "M V"]:
        """Run the rows through the compiled step, as many tokens at a time as it takes."""
        found, begin = [], 0
        for part in parts_of(spans, step.max_rows):
            end = begin + sum(span.count for span in part)
            chosen = [position - begin for position in positions if begin <= position < end]
            found.append(step.after_spans(tokens[begin:end], self._store, part, chosen))
            begin = end
        return found[0] if len(found) == 1 else torch.cat(found)

    def _add_torch_order(self) -> None:
        """Have 4-bit weights as torch's kernel reads them, from the first step that decodes through
        torch.
        """
        if not self._has_torch_order:
            add_torch_order(self.model)
            self._has_torch_order = True

    def _advance(
        self, scheduled: ScheduledRequest, choices: list[tuple[Tensor, int, float]]
    ) -> Iterator[StepOutput]:
        """Choose the request's next token, and further ones as long as its draft tokens are
        accepted.
        """
        running, drafts = self._running[scheduled.id], scheduled.drafts
        scheduled.drafts, accepted = [], 0
        try:
            for position, (logits, best, best_logit) in enumerate(choices):
                token_id = running.choose(logits, best, best_logit)
                yield from running.push(token_id, logits)
                if (
                    running.answer.reason is not None
                    or position == len(drafts)
                    or drafts[position] != token_id
                ):
                    break
                accepted += 1
            if running.lookup is not None:
                running.lookup.report_accepted(len(drafts), accepted)
        except Exception as error:  # a bug in its sampler or text that ends this row alone
            yield self._failed(scheduled, error)
            return
        self.scheduler.mark_stored(scheduled, len(scheduled.ids) - 1)
        if running.answer.reason is not None:
            self.cancel(scheduled.id)

    def _failed(self, scheduled: ScheduledRequest, error: Exception) -> GroundupError:
        """End a request; return the error for its client, of a bug one without details, which go to
        the log.
        """
        self.cancel(scheduled.id)
        if isinstance(error, GroundupError):
            return error
        log.error("an answer failed, the others go on", exc_info=error)
        return AnswerFailed(
            "internal error: this answer could not be continued; the log has the details"
        )


def parts_of(spans: Sequence[TokenSpan], most: int) -> Iterator[list[TokenSpan]]:
    """Yield the spans in order in parts of `most` new tokens, the last of fewer; a span that is
    longer than what is left of a part is divided.

    >>> [[(span.start, span.count) for span in part] for part in parts_of([TokenSpan([0], 9, 1), TokenSpan([1], 0, 5)], 3)]
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


def _span(work: ScheduledChunk) -> TokenSpan:
    return TokenSpan(work.request.table.pages, work.request.stored, len(work.tokens))


def ranked(
    logits: Float[Tensor, " V"], chosen: int, count: int, tokenizer: Tokenizer
) -> TokenLogprob:
    """Return the chosen token and the `count` most probable ones with their logprobs."""
    logprobs = logits.log_softmax(dim=-1)

    def token(token_id: int) -> RankedToken:
        return RankedToken(token_id, tokenizer.token_bytes(token_id), float(logprobs[token_id]))

    return TokenLogprob(
        token(chosen), tuple(token(each) for each in logprobs.topk(count).indices.tolist())
    )


def generate_answers(
    prompts: Sequence[Sequence[int]],
    model: LanguageModel,
    tokenizer: Tokenizer,
    sampling: Sampling,
    *,
    compute: Compute,
    stop_ids: frozenset[int] = frozenset(),
    done: Callable[[int], None] = lambda answers: None,
) -> list[str]:
    """Return one text for each prompt, in order, as from `generate_ids`. `done` is called with the
    number of newly finished answers.

    Raises ModelError when a prompt fills the context, or the logits are non-finite.
    """
    engine = BatchEngine(model, tokenizer, compute, BatchSettings(max_waiting=len(prompts)))
    for number, prompt in enumerate(prompts):
        engine.submit(Request(str(number), tuple(prompt), sampling, stop_ids))
    texts = [""] * len(prompts)
    while engine.busy:
        for name, outcome in engine.step():
            if isinstance(outcome, GroundupError):
                raise outcome
            texts[int(name)] += outcome.text
            done(int(outcome.finish_reason is not None))
    return texts
