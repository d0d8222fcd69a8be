"""OutputProcessor: the logits of a step -> the next tokens of its requests, as events with text.

A request whose sampler, constraint or text fails ends alone, with an error; the others go on.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from groundup.engine.events import AnswerFailed, ChatEvent, RankedToken, StepOutput, TokenLogprob
from groundup.engine.next_token import (
    NOT_FINITE,
    NOT_FINITE_FIX,
    SeededGenerator,
    as_array,
    choose,
    greedy,
)
from groundup.engine.request import Request
from groundup.engine.sampling import Array, largest
from groundup.engine.scheduler import ScheduledChunk, ScheduledRequest, Scheduler
from groundup.engine.stream import StreamedAnswer, TextStream
from groundup.errors import GroundupError, ModelError
from groundup.tokenizer.fast import Tokenizer

log = logging.getLogger(__name__)


class PositionLogits(NamedTuple):
    logits: Array
    best: int
    best_logit: float


class RunningAnswer:
    def __init__(self, request: Request, scheduled: ScheduledRequest, tokenizer: Tokenizer) -> None:
        self.request, self.scheduled, self.tokenizer = request, scheduled, tokenizer
        self.random = SeededGenerator(request.sampling.seed)
        start = ChatEvent("", None, len(request.prompt_ids), 0, request.dropped_messages)
        sampling = request.sampling
        stream = TextStream(tokenizer, sampling.stop, request.shown_ids, sampling.ends)
        self.answer = StreamedAnswer(
            stream, request.stop_ids, start, logprob_of_end=request.logprob_of_end
        )

    def choose(self, candidates: PositionLogits) -> int:
        """Raises ModelError."""
        sampling, constraint = self.request.sampling, self.request.constraint
        if constraint is not None:
            allowed = constraint.mask()
        elif sampling.takes_best:
            if not math.isfinite(candidates.best_logit):
                raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
            return candidates.best
        else:
            allowed = None
        return choose(candidates.logits, self.scheduled.ids, sampling, self.random, allowed)

    def push(self, token_id: int, logits: Array) -> Iterator[ChatEvent]:
        self.scheduled.ids.append(token_id)
        logprob = None
        if self.request.logprobs is not None:
            logprob = rank_tokens(logits, token_id, self.request.logprobs, self.tokenizer)
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


class OutputProcessor:
    def __init__(self, tokenizer: Tokenizer, scheduler: Scheduler) -> None:
        self.tokenizer, self.scheduler = tokenizer, scheduler
        self.running: dict[str, RunningAnswer] = {}
        self._outputs: list[tuple[str, StepOutput]] = []

    @property
    def pending(self) -> bool:
        """An answer runs, or an output was not yet returned."""
        return bool(self.running or self._outputs)

    def add(self, request: Request, scheduled: ScheduledRequest) -> None:
        """A request that the scheduler has accepted."""
        assert request.id not in self.running, request.id
        self.running[request.id] = RunningAnswer(request, scheduled, self.tokenizer)

    def add_empty(self, request: Request) -> None:
        """A request that may have no token."""
        event = ChatEvent("", "length", len(request.prompt_ids), 0, request.dropped_messages)
        self._outputs.append((request.id, event))

    def remove(self, request_id: str) -> None:
        """An unknown id is ignored."""
        running = self.running.pop(request_id, None)
        if running is not None:
            self.scheduler.remove(running.scheduled)

    def fail(self, scheduled: ScheduledRequest, error: Exception) -> None:
        """A bug's details go to the log only."""
        self.remove(scheduled.id)
        if not isinstance(error, GroundupError):
            log.error("an answer failed, the others go on", exc_info=error)
            error = AnswerFailed(
                "internal error: this answer could not be continued; the log has the details"
            )
        self._outputs.append((scheduled.id, error))

    def process(
        self, chunks: Sequence[ScheduledChunk], logits: Any
    ) -> list[tuple[str, StepOutput]]:
        """Choose the next token of every chunk that ends with its request's last id, by the logits
        [M, V], an array or a tensor.
        """
        candidates = [PositionLogits(row, *greedy(row)) for row in as_array(logits)]
        for chunk in chunks:
            request = chunk.request
            if chunk.chooses:
                count = 1 + len(request.drafts)
                self._continue(request, candidates[:count])
                del candidates[:count]
            else:
                self.scheduler.mark_stored(request, request.stored + chunk.count)
        outputs, self._outputs = self._outputs, []
        return outputs

    def _continue(self, scheduled: ScheduledRequest, candidates: Sequence[PositionLogits]) -> None:
        """The next token, and further ones as long as draft tokens are accepted."""
        running, drafts = self.running[scheduled.id], scheduled.drafts
        scheduled.drafts, accepted = [], 0
        try:
            for draft, each in zip([*drafts, None], candidates, strict=True):
                token_id = running.choose(each)
                for event in running.push(token_id, each.logits):
                    self._outputs.append((scheduled.id, event))
                if running.answer.reason is not None or token_id != draft:
                    break
                accepted += 1
            if scheduled.lookup is not None:
                scheduled.lookup.report_accepted(len(drafts), accepted)
        except Exception as error:  # a bug in its sampler or text that ends this row alone
            self.fail(scheduled, error)
            return
        self.scheduler.mark_stored(scheduled, len(scheduled.ids) - 1)
        if running.answer.reason is not None:
            self.remove(scheduled.id)


def rank_tokens(logits: Any, chosen: int, count: int, tokenizer: Tokenizer) -> TokenLogprob:
    """The chosen token and the `count` most probable ones with their logprobs, by the logits [V],
    an array or a tensor.
    """
    values = as_array(logits).astype(np.float64)
    values -= values.max()
    logprobs = (values - math.log(np.exp(values).sum())).astype(np.float32)

    def token(token_id: int) -> RankedToken:
        return RankedToken(token_id, tokenizer.token_bytes(token_id), float(logprobs[token_id]))

    best = largest(logprobs, count)
    best = best[np.argsort(-logprobs[best], kind="stable")]
    return TokenLogprob(token(chosen), tuple(map(token, best.tolist())))
