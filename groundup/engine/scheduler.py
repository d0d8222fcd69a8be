"""Scheduler: which requests run in the next step. Plain Python, no tensors; `model_runner.py` runs
what `Scheduler.schedule` returns.

Each step has a budget of tokens. Requests in decoding come first, with one token each (and draft
tokens). The rest goes to prompts (chunked prefill), each at most half of what remains, so that a
short prompt behind a long one makes progress. New requests are admitted in order of arrival, when
there are pages for the entire prompt.

A request without a page for its next token preempts the youngest one, which returns to the front of
the queue and is computed again later. So the oldest request always progresses: no deadlock.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.engine.pages import BlockTable, Pages
from groundup.engine.prompt_lookup import PromptLookup
from groundup.errors import GroundupError, ModelError

# Token budget of a step without decoding requests; larger chunks of a prompt are no faster on a
# CPU.
STEP_TOKENS = 512
# And with decoding requests: a compromise between latency of the next token and few passes over the
# weights.
SHARED_STEP_TOKENS = 128
# The smallest chunk that fairness may reduce a prompt to.
MIN_CHUNK_TOKENS = 16


class QueueFull(GroundupError):
    pass


@dataclass(eq=False)
class ScheduledRequest:
    """A request as the scheduler sees it: ids and counts."""

    id: str
    ids: list[int]
    """Prompt and answer so far."""
    prompt_tokens: int
    max_tokens: int
    """Of prompt and answer together."""
    lookup: PromptLookup | None = None
    """Proposes its draft tokens."""
    drafts: list[int] = field(default_factory=list)
    """To be verified in the next step."""
    stored: int = 0
    """Tokens whose keys and values are in the pages."""
    table: BlockTable = field(default_factory=BlockTable)
    order: int = -1
    """Of arrival."""

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be chosen."""
        return len(self.ids) - self.stored

    @property
    def is_prefilled(self) -> bool:
        return self.stored >= self.prompt_tokens


@dataclass(frozen=True)
class ScheduledChunk:
    """The next `count` ids of a request, then its draft tokens."""

    request: ScheduledRequest
    count: int

    @property
    def tokens(self) -> list[int]:
        request = self.request
        tokens = request.ids[request.stored : request.stored + self.count]
        return tokens + request.drafts if self.chooses else tokens

    @property
    def chooses(self) -> bool:
        """The request's last id is among them, so that the next one can be chosen."""
        return self.count == self.request.pending


class Scheduler:
    """Waiting and running requests, oldest first. `fixed_chunks`: each token is computed in a chunk
    that depends on its own text only: prompts page by page, answers token by token even when they
    are recomputed, and only pages of prompts are shared.
    """

    def __init__(
        self,
        pages: Pages,
        *,
        max_running: int = 32,
        max_waiting: int = 256,
        fixed_chunks: bool = False,
    ) -> None:
        self.pages, self.fixed_chunks = pages, fixed_chunks
        self.max_running, self.max_waiting = max_running, max_waiting
        self.waiting: list[ScheduledRequest] = []
        self.running: list[ScheduledRequest] = []
        self.preemptions = 0
        self.shared_tokens = 0  # tokens found in the prefix cache since the start
        self._next_order = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.running)

    def submit(self, request: ScheduledRequest) -> None:
        """Raises QueueFull, or ModelError when it could never run."""
        if len(self.waiting) >= self.max_waiting:
            raise QueueFull(
                f"{len(self.waiting)} requests are waiting already.", fix="Try again later."
            )
        if self.pages.needed(request.max_tokens) > self.pages.num_pages:
            holds = self.pages.num_pages * self.pages.page_tokens
            raise ModelError(
                f"A prompt and answer of {request.max_tokens:,} tokens do not fit into a cache of "
                f"{holds:,}.",
                fix="Reduce max_tokens, or give the cache more memory.",
            )
        request.order = self._next_order
        self._next_order += 1
        self.waiting.append(request)

    def remove(self, request: ScheduledRequest) -> None:
        """A removed request is ignored."""
        for requests in (self.waiting, self.running):
            if request in requests:
                requests.remove(request)
        self.pages.close(request.table)

    def mark_stored(self, request: ScheduledRequest, num_tokens: int) -> None:
        request.stored = num_tokens
        if self.fixed_chunks:
            num_tokens = min(num_tokens, request.prompt_tokens)
        self.pages.note(request.table, request.ids, num_tokens)

    def schedule(self) -> list[ScheduledChunk]:
        """Empty only when there is nothing to do. Answers come before prompts, the longest first:
        attention groups neighbours of similar length.
        """
        chunks = [
            ScheduledChunk(request, 1)
            for request in list(self.running)
            if self._is_decoding(request) and self._has_room(request)
        ]
        budget = STEP_TOKENS
        if chunks:
            taken = sum(len(chunk.tokens) for chunk in chunks)
            budget = max(SHARED_STEP_TOKENS - taken, MIN_CHUNK_TOKENS)
        prompts = [request for request in self.running if not self._is_decoding(request)]
        while _sum_of_halves(prompts, budget) < budget and self._admit():
            prompts.append(self.running[-1])
        chunks += self._chunks(prompts, budget)
        return sorted(
            chunks,
            key=lambda chunk: (chunk.count > 1, -chunk.request.stored, chunk.request.order),
        )

    def _is_decoding(self, request: ScheduledRequest) -> bool:
        """Its prompt is computed."""
        return request.is_prefilled if self.fixed_chunks else request.pending == 1

    def _chunks(self, prompts: Sequence[ScheduledRequest], budget: int) -> list[ScheduledChunk]:
        """With fixed chunks: one page of each prompt, or its rest, for as many prompts as the
        budget has pages.
        """
        if self.fixed_chunks:
            size = self.pages.page_tokens
            return [
                ScheduledChunk(request, min(request.prompt_tokens - request.stored, size))
                for request in prompts[: max(budget // size, 1)]
                if not request.is_prefilled
            ]
        counts = share_budget([request.pending for request in prompts], budget)
        return [
            ScheduledChunk(request, count)
            for request, count in zip(prompts, counts, strict=True)
            if count
        ]

    def _has_room(self, request: ScheduledRequest) -> bool:
        """It still runs and has pages for its next token, after preempting younger ones if
        necessary.
        """
        if request not in self.running:
            return False  # an older one preempted it in this step
        if not self.pages.reserve(request.table, len(request.ids) + len(request.drafts)):
            request.drafts = []
        while not self.pages.reserve(request.table, len(request.ids)):
            youngest = self.running[-1]
            self._preempt(youngest)
            if youngest is request:
                return False
        return True

    def _preempt(self, request: ScheduledRequest) -> None:
        self.running.remove(request)
        self.pages.close(request.table)
        request.stored, request.drafts = 0, []
        insort(self.waiting, request, key=lambda waiting: waiting.order)
        self.preemptions += 1

    def _admit(self) -> bool:
        """If there are pages for its ids and the next token, and one more for each running
        request.
        """
        if not self.waiting or len(self.running) >= self.max_running:
            return False
        request = self.waiting[0]
        request.table = self.pages.open(request.ids)
        num_tokens = min(len(request.ids) + 1, request.max_tokens)
        missing = self.pages.needed(num_tokens) - len(request.table.pages)
        if missing + len(self.running) > self.pages.available or self._is_being_computed(request):
            self.pages.close(request.table)
            return False
        self.pages.reserve(request.table, num_tokens)
        request.stored = request.table.shared_tokens
        self.shared_tokens += request.stored
        self.running.append(self.waiting.pop(0))
        return True

    def _is_being_computed(self, request: ScheduledRequest) -> bool:
        """A running prompt has a longer common prefix with this one than is stored: in a few steps
        it can be shared.
        """
        size = self.pages.page_tokens
        end = request.table.shared_tokens + size  # of the first page that is not stored yet
        return len(request.ids) > end and any(
            other.stored < end <= other.prompt_tokens and other.ids[:end] == request.ids[:end]
            for other in self.running
        )


def _sum_of_halves(prompts: Sequence[ScheduledRequest], budget: int) -> int:
    return sum(half_each([request.pending for request in prompts], budget))


def share_budget(pending: Sequence[int], budget: int) -> list[int]:
    """Rounds of `half_each` until the budget or the prompts are used up.

    >>> share_budget([400, 30, 10], 128)
    [88, 30, 10]
    """
    missing = list(pending)
    while budget > 0 and any(missing):
        counts = half_each(missing, budget)
        missing = [wanted - count for wanted, count in zip(missing, counts, strict=True)]
        budget -= sum(counts)
    return [wanted - left for wanted, left in zip(pending, missing, strict=True)]


def half_each(pending: Sequence[int], budget: int) -> list[int]:
    """Up to half of the remaining budget for each, in order.

    >>> half_each([400, 400, 10], 128)
    [64, 32, 10]
    """
    counts = []
    for wanted in pending:
        counts.append(min(wanted, max(budget // 2, min(budget, MIN_CHUNK_TOKENS))))
        budget -= counts[-1]
    return counts
