"""Who runs next: requests join and leave between steps. Plain Python, no tensors; `batch.py` carries out what `Queue.plan` says.

Each step has a budget of tokens. First come the rows that are being answered, one token each (and the guesses behind it, see `prompt_lookup.py`).
What is left goes to prompts, in pieces, so that a long one does not hold up the answers of others; of several prompts each takes at most
half of what is left, so that a short one behind a long one comes through. New requests are let in by the order of their coming, when there
are pages for their whole prompt.

A row that finds no page for its next token takes those of the youngest row, which goes back to the head of the waiting ones and is
computed again later (its answer so far is then part of its prompt). The oldest row therefore always goes on, and nothing can lock up: what a
single request may need was checked when it was submitted.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.engine.pages import BlockTable, Pages
from groundup.errors import GroundupError, ModelError

# Tokens of a step in which nobody is being answered; larger pieces of a prompt are no faster on a CPU.
STEP_TOKENS = 512
# And where somebody is: a compromise between a short wait for the next token and few passes over the weights.
SHARED_STEP_TOKENS = 128
# A piece of a prompt is not cut smaller than this for fairness.
MIN_PIECE_TOKENS = 16


class QueueFull(GroundupError):
    """As many requests as the queue may hold are waiting."""


@dataclass(eq=False)
class ScheduledRequest:
    """A request as the queue sees it: ids and counts."""

    id: str
    ids: list[int]
    """The prompt and the answer so far; the engine appends."""
    prompt_tokens: int
    max_tokens: int
    """The most tokens that prompt and answer may have together."""
    guesses: list[int] = field(default_factory=list)
    """Guesses of what follows, to be checked in the next step."""
    stored: int = 0
    """Tokens whose keys and values are in the pages."""
    table: BlockTable = field(default_factory=BlockTable)
    order: int = -1
    """Its place in the order of coming; given by the queue."""

    @property
    def pending(self) -> int:
        """Tokens that must go through the model before the next one can be chosen."""
        return len(self.ids) - self.stored


@dataclass(frozen=True)
class ScheduledChunk:
    """A part of one step: the next `count` ids of a job, then its guesses."""

    job: ScheduledRequest
    count: int

    @property
    def tokens(self) -> list[int]:
        """What goes through the model."""
        return self.job.ids[self.job.stored : self.job.stored + self.count] + (self.job.guesses if self.chooses else [])

    @property
    def chooses(self) -> bool:
        """Whether the job's last id is among them, so that the next one can be chosen."""
        return self.count == self.job.pending


class Scheduler:
    """Waiting and running jobs, oldest first.

    `fixed_pieces`: each token is computed in a piece that depends on its own text alone: prompts page by page, answers token by token even when they
    are computed again, and only pages of prompts are shared.
    """

    def __init__(
        self, pages: Pages, *, max_running: int = 32, max_waiting: int = 256, fixed_pieces: bool = False
    ) -> None:
        self.pages, self.fixed_pieces = pages, fixed_pieces
        self.max_running, self.max_waiting = max_running, max_waiting
        self.waiting: list[ScheduledRequest] = []
        self.running: list[ScheduledRequest] = []
        self.preemptions = 0
        self.shared_tokens = 0  # that needed no computing, since the queue began
        self._coming = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.running)

    def submit(self, job: ScheduledRequest) -> None:
        """Take a job into the waiting ones. Raises QueueFull, or ModelError when it could never run."""
        if len(self.waiting) >= self.max_waiting:
            raise QueueFull(f"{len(self.waiting)} requests are waiting already.", fix="Try again later.")
        if self.pages.needed(job.max_tokens) > self.pages.num_pages:
            holds = self.pages.num_pages * self.pages.page_tokens
            raise ModelError(
                f"A prompt and answer of {job.max_tokens:,} tokens do not fit into a cache of {holds:,}.",
                fix="Ask for fewer tokens, or give the cache more memory.",
            )
        job.order = self._coming
        self._coming += 1
        self.waiting.append(job)

    def remove(self, job: ScheduledRequest) -> None:
        """The job is done, or no longer wanted: it leaves, and its pages are anybody's. A job that left before changes nothing."""
        for jobs in (self.waiting, self.running):
            if job in jobs:
                jobs.remove(job)
        self.pages.close(job.table)

    def stored(self, job: ScheduledRequest, num_tokens: int) -> None:
        """Keys and values of the job's first `num_tokens` ids are in its pages now."""
        job.stored = num_tokens
        self.pages.note(job.table, job.ids, min(num_tokens, job.prompt_tokens) if self.fixed_pieces else num_tokens)

    def plan(self) -> list[ScheduledChunk]:
        """What to compute in the next step; empty only when there is nothing to do."""
        work = [ScheduledChunk(job, 1) for job in list(self.running) if self._is_answered(job) and self._has_room(job)]
        taken = sum(len(each.tokens) for each in work)
        budget = max(SHARED_STEP_TOKENS - taken, MIN_PIECE_TOKENS) if work else STEP_TOKENS
        prompts = [job for job in self.running if not self._is_answered(job)]
        while sum(half_each([job.pending for job in prompts], budget)) < budget and self._admit():
            prompts.append(self.running[-1])
        counts = self._pages(prompts, budget) if self.fixed_pieces else shares([job.pending for job in prompts], budget)
        return work + [ScheduledChunk(job, count) for job, count in zip(prompts, counts, strict=True) if count]

    def _is_answered(self, job: ScheduledRequest) -> bool:
        """Whether its next token is one of its answer, not of its prompt."""
        return job.stored >= job.prompt_tokens if self.fixed_pieces else job.pending == 1

    def _pages(self, prompts: Sequence[ScheduledRequest], budget: int) -> list[int]:
        """A whole page of each prompt, or what is left of it, for as many as the budget has pages."""
        size = self.pages.page_tokens
        lucky = max(budget // size, 1)
        return [min(job.prompt_tokens - job.stored, size) if place < lucky else 0 for place, job in enumerate(prompts)]

    def _has_room(self, job: ScheduledRequest) -> bool:
        """Whether the job, running, has pages for its next token and guesses, after younger ones had to make room if need be."""
        if job not in self.running:
            return False  # it made room for an older one a moment ago
        if not self.pages.reserve(job.table, len(job.ids) + len(job.guesses)):
            job.guesses = []
        while not self.pages.reserve(job.table, len(job.ids)):
            youngest = self.running[-1]
            self._preempt(youngest)
            if youngest is job:
                return False
        return True

    def _preempt(self, job: ScheduledRequest) -> None:
        self.running.remove(job)
        self.pages.close(job.table)
        job.stored, job.guesses = 0, []
        insort(self.waiting, job, key=lambda waiting: waiting.order)
        self.preemptions += 1

    def _admit(self) -> bool:
        """Let the next waiting job in, if there is a place, pages for its ids and the token after them, and one more for each that runs."""
        if not self.waiting or len(self.running) >= self.max_running:
            return False
        job = self.waiting[0]
        job.table = self.pages.open(job.ids)
        missing = self.pages.needed(min(len(job.ids) + 1, job.max_tokens)) - len(job.table.pages)
        if missing + len(self.running) > self.pages.available or self._is_being_computed(job):
            self.pages.close(job.table)
            return False
        self.pages.reserve(job.table, min(len(job.ids) + 1, job.max_tokens))
        job.stored = job.table.shared_tokens
        self.shared_tokens += job.stored
        self.running.append(self.waiting.pop(0))
        return True

    def _is_being_computed(self, job: ScheduledRequest) -> bool:
        """Whether a running prompt begins as this one does beyond what is stored: in a few steps that part can be shared."""
        size = self.pages.page_tokens
        end = job.table.shared_tokens + size  # of the first page that is not there yet
        return len(job.ids) > end and any(
            other.stored < end <= other.prompt_tokens and other.ids[:end] == job.ids[:end] for other in self.running
        )


def shares(pending: Sequence[int], budget: int) -> list[int]:
    """How many tokens of each prompt to compute: rounds of `half_each`, until the budget is used or nothing is left to compute.

    >>> shares([400, 30, 10], 128)
    [88, 30, 10]
    """
    counts = [0] * len(pending)
    while sum(counts) < min(budget, sum(pending)):
        missing = [wanted - count for wanted, count in zip(pending, counts, strict=True)]
        counts = [a + b for a, b in zip(counts, half_each(missing, budget - sum(counts)), strict=True)]
    return counts


def half_each(pending: Sequence[int], budget: int) -> list[int]:
    """Up to half of what is left for each in turn.

    >>> half_each([400, 400, 10], 128)
    [64, 32, 10]
    """
    counts = []
    for wanted in pending:
        counts.append(min(wanted, max(budget // 2, min(budget, MIN_PIECE_TOKENS))))
        budget -= counts[-1]
    return counts
