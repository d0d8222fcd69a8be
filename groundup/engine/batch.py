"""BatchEngine: many requests at once, in steps. The queue says what to compute, the pages where it is kept, the model computes it.

    engine = BatchEngine(open_model("smollm2-135m-instruct", compute), compute)
    engine.submit(Request("a", ids, Sampling(temperature=0), stop_ids))
    while engine.busy:
        for request_id, outcome in engine.step():
            ...                             # a ChatEvent, or the error that ended the request

In a step all tokens that are due, of answers and of prompts, go through the model in one line (model/paged.py): its weights are read once for all of
them. Requests join and leave between steps. Each has its own random numbers, its own place in the pages, and looks at its own tokens only;
in float32 its text is therefore the same alone and among others (`generate_ids` is the obvious version, and the test of this one).

Not for several threads: one thread submits, cancels and steps.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.answer import Answer
from groundup.engine.events import ChatEvent, RankedToken, TokenLogprob
from groundup.engine.generate import require_room
from groundup.engine.pages import Pages, pages_within
from groundup.engine.prompt_lookup import PromptLookup
from groundup.engine.request import Request
from groundup.engine.sampling import NOT_FINITE, NOT_FINITE_FIX, choose, seeded_generator
from groundup.engine.scheduler import ScheduledChunk, ScheduledRequest, Scheduler
from groundup.engine.stream import TextStream
from groundup.errors import ConfigError, GroundupError, ModelError
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.paged import PagedStore, TokenSpan, page_bytes
from groundup.tokenizer.fast import Tokenizer

StepOutput = ChatEvent | GroundupError
# Beside more running rows than this, checking guesses costs more than it saves: the pass is no longer bound by reading weights.
GUESSING_ROWS = 2
# Rows of a pass when it must not matter how many there are (BatchSettings.reproducible).
EXACT_ROWS = 8


@dataclass(frozen=True)
class BatchSettings:
    """Bounds of one BatchEngine."""

    cache_bytes: int = 2**30
    """Memory for keys and values, of running rows and of ended ones that may be gone on with."""
    page_tokens: int = 16
    """Tokens of a page; whole pages are shared, so a smaller one shares more and costs more bookkeeping."""
    max_running: int = 32
    """Requests that are computed at once."""
    max_waiting: int = 256
    """Requests that may wait; one more is refused with QueueFull."""
    guess_tokens: int = 0
    """The most tokens that are guessed ahead for one request (lookup.py); 0: none."""
    reproducible: bool = False
    """The same text alone and among others in every precision, not only in float32: answers are computed by EXACT_ROWS together, padded,
    prompts page by page (so take pages of 64). Slower: a request alone then costs what EXACT_ROWS do."""

    def __post_init__(self) -> None:
        if self.reproducible and self.guess_tokens:
            raise ConfigError(
                "reproducible and guess_tokens exclude one another: a pass with guesses rounds differently."
            )


class _Running:
    """One request on its way: what was asked for, and what it needs to choose its next token."""

    def __init__(self, request: Request, job: ScheduledRequest, tokenizer: Tokenizer, guess_tokens: int) -> None:
        self.request, self.job, self.tokenizer = request, job, tokenizer
        self.random = seeded_generator(request.sampling.seed)
        start = ChatEvent("", None, len(request.prompt_ids), 0, request.dropped_messages)
        stream = TextStream(tokenizer, request.sampling.stop, request.shown_ids)
        self.answer = Answer(stream, request.stop_ids, start)
        self.lookup = PromptLookup(guess_tokens) if guess_tokens else None

    @property
    def takes_the_best(self) -> bool:
        """Whether its next token is the most probable one, with nothing else to look at."""
        sampling = self.request.sampling
        return sampling.temperature == 0 and not sampling.penalises and self.request.constraint is None

    def choose(self, logits: Float[Tensor, " V"], best: int, best_logit: float) -> int:
        """The next token, the best of `logits` being known. Raises ModelError."""
        if not self.takes_the_best:
            constraint = self.request.constraint
            allowed = None if constraint is None else constraint.mask()
            return choose(logits, self.job.ids, self.request.sampling, self.random, allowed)
        if not math.isfinite(best_logit):
            raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
        return best

    def push(self, token_id: int, logits: Float[Tensor, " V"]) -> Iterator[ChatEvent]:
        """The events that a chosen token makes."""
        self.job.ids.append(token_id)
        wanted = self.request.logprobs
        logprob = None if wanted is None else ranked(logits, token_id, wanted, self.tokenizer)
        event = self.answer.push(token_id, logprob)
        if event is not None:
            yield event
        constraint = self.request.constraint
        if self.answer.reason is None and constraint is not None:
            constraint.accept(token_id)
            if constraint.finished:
                yield self.answer.end("stop")
        if self.answer.reason is None and len(self.job.ids) >= self.job.max_tokens:
            yield self.answer.end("length")


class BatchEngine:
    """Continues the prompts of many requests with one language model."""

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, compute: Compute, settings: BatchSettings | None = None
    ) -> None:
        """Raises ConfigError when the settings do not suit the model."""
        self.model, self.tokenizer, self.compute = model, tokenizer, compute
        self.settings = settings = settings or BatchSettings()
        one_page = page_bytes(model.config, settings.page_tokens, compute.dtype)
        if settings.reproducible and model.config.num_experts:
            raise ConfigError(
                "A model with experts can't be reproducible: how many rows an expert gets depends on all of them."
            )
        most = 2 * settings.max_running * -(-model.config.context_tokens // settings.page_tokens)
        self.pages = Pages(min(pages_within(settings.cache_bytes, one_page), most), settings.page_tokens)
        self.queue = Scheduler(
            self.pages,
            max_running=settings.max_running,
            max_waiting=settings.max_waiting,
            fixed_pieces=settings.reproducible,
        )
        # One page more than are given out: padding rows write there.
        num_pages = self.pages.num_pages + 1
        self._padding = TokenSpan([num_pages - 1], 0, 1)
        self._store = PagedStore(model.config, num_pages, settings.page_tokens, compute.device, compute.dtype)
        self._store.clear([num_pages - 1])
        self._turns: dict[str, _Running] = {}
        self._empty: list[tuple[str, StepOutput]] = []  # answers of no tokens, due with the next step

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._turns or self._empty)

    def submit(self, request: Request) -> None:
        """Take a request. Raises QueueFull, or ModelError when its prompt has no tokens or leaves no room for an answer."""
        assert request.id not in self._turns, request.id
        num_prompt = len(request.prompt_ids)
        room = require_room(num_prompt, self.model.config.context_tokens)
        room = max(min(room, self.pages.num_pages * self.settings.page_tokens - num_prompt), 1)
        max_tokens = num_prompt + min(room, request.sampling.max_tokens)
        job = ScheduledRequest(request.id, list(request.prompt_ids), num_prompt, max_tokens)
        turn = _Running(request, job, self.tokenizer, self.settings.guess_tokens)
        if request.sampling.max_tokens == 0:
            self._empty.append((request.id, turn.answer.end("length")))
            return
        self.queue.submit(job)
        self._turns[request.id] = turn

    def cancel(self, request_id: str) -> None:
        """Nobody wants this answer any more: it makes no further events, and its pages are free. An id that is not known changes nothing."""
        turn = self._turns.pop(request_id, None)
        if turn is not None:
            self.queue.remove(turn.job)

    @torch.inference_mode()
    def step(self) -> list[tuple[str, StepOutput]]:
        """Compute what is due and choose a token for each request that is ready. Gives the events, and errors that ended a request."""
        outcomes, self._empty = self._empty, []
        self._guess()
        # Answers before prompts, the longest first: neighbours of about the same length are attended to together.
        work = sorted(self.queue.plan(), key=lambda each: (each.count > 1, -each.job.stored, each.job.order))
        if not work:
            return outcomes
        self._clear_fresh(work)
        logits = self._logits_apart(work) if self.settings.reproducible else self._logits(work)  # [M, V]
        best_logits, best = logits.max(dim=-1)
        choices = list(zip(logits, best.tolist(), best_logits.tolist(), strict=True))
        for each in work:
            if each.chooses:
                count = 1 + len(each.job.guesses)
                outcomes += [(each.job.id, outcome) for outcome in self._advance(each.job, choices[:count])]
                del choices[:count]
            else:
                self.queue.stored(each.job, each.job.stored + each.count)
        return outcomes

    def _guess(self) -> None:
        """Have the requests that are being answered look ahead, where few enough run."""
        for job in self.queue.running if len(self.queue.running) <= GUESSING_ROWS else ():
            lookup = self._turns[job.id].lookup
            if lookup is not None and job.pending == 1:
                job.guesses = lookup.guesses(job.ids)[: job.max_tokens - len(job.ids) - 1]

    def _clear_fresh(self, work: list[ScheduledChunk]) -> None:
        tables = [each.job.table for each in work]
        if fresh := [page for table in tables for page in table.fresh]:
            self._store.clear(fresh)
        for table in tables:
            table.fresh.clear()

    def _logits(self, work: list[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """One pass of all tokens; the logits of the places where a token is chosen: each job's last id and its guesses."""
        places: list[int] = []
        end = 0
        for each in work:
            end += len(each.tokens)
            places += range(end - 1 - len(each.job.guesses), end) if each.chooses else []
        return self._pass([_span(each) for each in work], [each.tokens for each in work], places)

    def _logits_apart(self, work: list[ScheduledChunk]) -> Float[Tensor, "M V"]:
        """The same in passes whose shape does not depend on who else runs: a piece of one prompt, or EXACT_ROWS rows, padded."""
        rows: dict[str, Float[Tensor, "1 V"]] = {}
        answers = [each for each in work if each.job.stored >= each.job.prompt_tokens]
        for start in range(0, len(answers), EXACT_ROWS):
            part = answers[start : start + EXACT_ROWS]
            missing = EXACT_ROWS - len(part)
            spans = [*map(_span, part), *[self._padding] * missing]
            logits = self._pass(spans, [*(each.tokens for each in part), *[[0]] * missing], list(range(EXACT_ROWS)))
            rows |= {each.job.id: row for each, row in zip(part, logits.split(1), strict=False)}
        for each in work:
            if each not in answers:
                rows[each.job.id] = self._pass([_span(each)], [each.tokens], [each.count - 1])
        chosen = [rows[each.job.id] for each in work if each.chooses]
        return torch.cat(chosen) if chosen else torch.empty(0, self.model.config.vocab_size)

    def _pass(self, spans: list[TokenSpan], pieces: list[list[int]], places: list[int]) -> Float[Tensor, "M V"]:
        """The rows through the model in one line; logits of the tokens at `places` in it."""
        ids = torch.tensor([[token for piece in pieces for token in piece]], device=self.compute.device)
        rows = self._store.rows(spans, separately=self.settings.reproducible)
        # One row is the one case in which torch's ordinary way is the quicker (model/matmul_precision.py).
        with fast_matmul(self.compute.device) if ids.shape[1] > 1 else contextlib.nullcontext():
            hidden = self.model.hidden(ids, cache=rows)[0]  # [N, C]
            return self.model.logits(hidden[places]).float().cpu()

    def _advance(self, job: ScheduledRequest, choices: list[tuple[Tensor, int, float]]) -> Iterator[StepOutput]:
        """Choose the job's next token, and the ones after it as long as its guesses turn out right."""
        turn, guesses = self._turns[job.id], job.guesses
        job.guesses, right = [], 0
        try:
            for place, (logits, best, best_logit) in enumerate(choices):
                token_id = turn.choose(logits, best, best_logit)
                yield from turn.push(token_id, logits)
                if turn.answer.reason is not None or place == len(guesses) or guesses[place] != token_id:
                    break
                right += 1
        except GroundupError as error:
            yield error
            self.cancel(job.id)
            return
        self.queue.stored(job, len(job.ids) - 1)
        if turn.lookup is not None:
            turn.lookup.checked(len(guesses), right)
        if turn.answer.reason is not None:
            self.cancel(job.id)


def _span(work: ScheduledChunk) -> TokenSpan:
    return TokenSpan(work.job.table.pages, work.job.stored, len(work.tokens))


def ranked(logits: Float[Tensor, " V"], chosen: int, count: int, tokenizer: Tokenizer) -> TokenLogprob:
    """The chosen token and the `count` most probable ones with their logprobs."""
    logprobs = logits.log_softmax(dim=-1)

    def token(token_id: int) -> RankedToken:
        return RankedToken(token_id, tokenizer.token_bytes(token_id), float(logprobs[token_id]))

    return TokenLogprob(token(chosen), tuple(token(each) for each in logprobs.topk(count).indices.tolist()))
