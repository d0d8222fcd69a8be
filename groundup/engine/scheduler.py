"""Scheduler: which requests run in the next step. Plain Python, no tensors; `batch.py` executes
what `Scheduler.plan` returns.

Each step has a budget of tokens. Requests in decoding come first, with one token each (and draft
tokens, see `prompt_lookup.py`). The rest goes to prompts (chunked prefill), so that a long prompt
does not delay the answers of others; each prompt takes at most half of the remaining budget, so
that a short prompt behind a long one makes progress. New requests are admitted in order of arrival,
when there are pages for the entire prompt.

A request without a page for its next token preempts the youngest one, which returns to the front of
the queue and is computed again later (its answer so far is then part of its prompt). So the oldest
request always progresses, and no deadlock is possible: `submit` refuses a request that could never
fit.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.engine.pages import BlockTable, Pages
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
    """The maximum of waiting requests is reached."""


@dataclass(eq=False)
class ScheduledRequest:
    """A request as the scheduler sees it: ids and counts."""

    id: str
    ids: list[int]
    """The prompt and the answer so far; the engine appends."""
    prompt_tokens: int
    max_tokens: int
    """The maximum length of prompt and answer together."""
    drafts: list[int] = field(default_factory=list)
    """Draft tokens, to be verified in the next step."""
    stored: int = 0
    """The number of tokens whose keys and values are in the pages."""
    table: BlockTable = field(default_factory=BlockTable)
    order: int = -1
    """Its position in the order of arrival; set by the scheduler."""

    @property
    def pending(self) -> int:
        """The number of tokens to compute before the next one can be chosen."""
        return len(self.ids) - self.stored


@dataclass(frozen=True)
class ScheduledChunk:
    """A part of one step: the next `count` ids of a request, then its draft tokens."""

    request: ScheduledRequest
    count: int

    @property
    def tokens(self) -> list[int]:
        """The ids to run through the model."""
        return self.request.ids[self.request.stored : self.request.stored + self.count] + (
            self.request.drafts if self.chooses else []
        )

    @property
    def chooses(self) -> bool:
        """Whether the request's last id is among them, so that the next one can be chosen."""
        return self.count == self.request.pending


class Scheduler:
    """Waiting and running requests, oldest first.

    `fixed_chunks`: each token is computed in a chunk that depends on its own text only: prompts
    page by page, answers token by token even when they are recomputed, and only pages of prompts
    are shared.
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
        """Add a waiting request. Raises QueueFull, or ModelError when it could never run."""
        if len(self.waiting) >= self.max_waiting:
            raise QueueFull(
                f"{len(self.waiting)} requests are waiting already.", fix="Try again later."
            )
        if self.pages.needed(request.max_tokens) > self.pages.num_pages:
            holds = self.pages.num_pages * self.pages.page_tokens
            raise ModelError(
                f"A prompt and answer of {request.max_tokens:,} tokens do not fit into a cache of {holds:,}.",
                fix="Reduce max_tokens, or give the cache more memory.",
            )
        request.order = self._next_order
        self._next_order += 1
        self.waiting.append(request)

    def remove(self, request: ScheduledRequest) -> None:
        """Remove a finished or cancelled request and return its pages.

        A removed request is ignored.
        """
        for requests in (self.waiting, self.running):
            if request in requests:
                requests.remove(request)
        self.pages.close(request.table)

    def mark_stored(self, request: ScheduledRequest, num_tokens: int) -> None:
        """Record that keys and values of the request's first `num_tokens` ids are in its pages."""
        request.stored = num_tokens
        self.pages.note(
            request.table,
            request.ids,
            min(num_tokens, request.prompt_tokens) if self.fixed_chunks else num_tokens,
        )

    def plan(self) -> list[ScheduledChunk]:
        """Return what to compute in the next step; empty only when there is nothing to do."""
        work = [
            ScheduledChunk(request, 1)
            for request in list(self.running)
            if self._is_answered(request) and self._has_room(request)
        ]
        taken = sum(len(each.tokens) for each in work)
        budget = max(SHARED_STEP_TOKENS - taken, MIN_CHUNK_TOKENS) if work else STEP_TOKENS
        prompts = [request for request in self.running if not self._is_answered(request)]
        while (
            sum(half_each([request.pending for request in prompts], budget)) < budget
            and self._admit()
        ):
            prompts.append(self.running[-1])
        counts = (
            self._pages(prompts, budget)
            if self.fixed_chunks
            else shares([request.pending for request in prompts], budget)
        )
        return work + [
            ScheduledChunk(request, count)
            for request, count in zip(prompts, counts, strict=True)
            if count
        ]

    def _is_answered(self, request: ScheduledRequest) -> bool:
        """Whether its prompt is computed, so that it is decoding."""
        return (
            request.stored >= request.prompt_tokens if self.fixed_chunks else request.pending == 1
        )

    def _pages(self, prompts: Sequence[ScheduledRequest], budget: int) -> list[int]:
        """Return one page of each prompt, or its rest, for as many prompts as the budget has
        pages.
        """
        size = self.pages.page_tokens
        num_chosen = max(budget // size, 1)
        return [
            min(request.prompt_tokens - request.stored, size) if position < num_chosen else 0
            for position, request in enumerate(prompts)
        ]

    def _has_room(self, request: ScheduledRequest) -> bool:
        """Whether the request still runs and has pages for its next token, after preempting younger
        ones if necessary.
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
        """Admit the next waiting request, if there are pages for its ids and the next token, and
        one more for each running request.
        """
        if not self.waiting or len(self.running) >= self.max_running:
            return False
        request = self.waiting[0]
        request.table = self.pages.open(request.ids)
        missing = self.pages.needed(min(len(request.ids) + 1, request.max_tokens)) - len(
            request.table.pages
        )
        if missing + len(self.running) > self.pages.available or self._is_being_computed(request):
            self.pages.close(request.table)
            return False
        self.pages.reserve(request.table, min(len(request.ids) + 1, request.max_tokens))
        request.stored = request.table.shared_tokens
        self.shared_tokens += request.stored
        self.running.append(self.waiting.pop(0))
        return True

    def _is_being_computed(self, request: ScheduledRequest) -> bool:
        """Whether a running prompt has a longer common prefix with this one than is stored: in a
        few steps it can be shared.
        """
        size = self.pages.page_tokens
        end = request.table.shared_tokens + size  # of the first page that is not stored yet
        return len(request.ids) > end and any(
            other.stored < end <= other.prompt_tokens and other.ids[:end] == request.ids[:end]
            for other in self.running
        )


def shares(pending: Sequence[int], budget: int) -> list[int]:
    """Return the number of tokens to compute of each prompt: rounds of `half_each` until the budget
    or the prompts are used up.

    >>> shares([400, 30, 10], 128)
    [88, 30, 10]
    """
    counts = [0] * len(pending)
    while sum(counts) < min(budget, sum(pending)):
        missing = [wanted - count for wanted, count in zip(pending, counts, strict=True)]
        counts = [
            a + b for a, b in zip(counts, half_each(missing, budget - sum(counts)), strict=True)
        ]
    return counts


def half_each(pending: Sequence[int], budget: int) -> list[int]:
    """Return up to half of the remaining budget for each, in order.

    >>> half_each([400, 400, 10], 128)
    [64, 32, 10]
    """
    counts = []
    for wanted in pending:
        counts.append(min(wanted, max(budget // 2, min(budget, MIN_CHUNK_TOKENS))))
        budget -= counts[-1]
    return counts
