"""The queue: everybody gets through, in order, and nobody holds up the others. No model: a step only counts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.engine.pages import Pages
from groundup.engine.scheduler import (
    MIN_CHUNK_TOKENS,
    SHARED_STEP_TOKENS,
    STEP_TOKENS,
    QueueFull,
    ScheduledChunk,
    ScheduledRequest,
    Scheduler,
    share_budget,
)
from groundup.errors import ModelError

PAGE = 4


def queue_of(num_pages: int = 64, *, fixed_chunks: bool = False, **bounds: int) -> Scheduler:
    return Scheduler(Pages(num_pages, PAGE), fixed_chunks=fixed_chunks, **bounds)


def job_of(
    name: str, prompt_tokens: int, answer_tokens: int = 10, first: int = 0
) -> ScheduledRequest:
    ids = [first + n for n in range(prompt_tokens)]
    return ScheduledRequest(name, ids, prompt_tokens, prompt_tokens + answer_tokens)


def carry_out(queue: Scheduler, work: list[ScheduledChunk]) -> list[str]:
    """A step without a model: count what was stored, append a token where one can be chosen, let go who is done."""
    done = []
    for each in work:
        job = each.request
        assert each.count >= 1
        if each.chooses:
            accepted = job.drafts[: len(job.drafts) // 2]
            job.ids += [*accepted, 7]
            queue.mark_stored(job, len(job.ids) - 1)
            job.drafts = []
        else:
            queue.mark_stored(job, job.stored + each.count)
        if len(job.ids) >= job.max_tokens:
            queue.remove(job)
            done.append(job.id)
    return done


def run(queue: Scheduler, steps: int = 10_000) -> list[str]:
    done: list[str] = []
    for _ in range(steps):
        if not (work := queue.schedule()):
            break
        done += carry_out(queue, work)
    return done


def counts(work: list[ScheduledChunk]) -> dict[str, int]:
    return {each.request.id: each.count for each in work}


@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 30), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    ),
    num_pages=st.integers(23, 40),
    seed=st.integers(0, 9),
)
def test_every_request_ends_whatever_the_memory_and_all_pages_come_back(
    sizes: list[tuple[int, int, int]], num_pages: int, seed: int
) -> None:
    """Little memory, requests that come at random moments, guesses, some cancelled: no deadlock, no leak."""
    queue, chance = queue_of(num_pages, max_running=5), random.Random(seed)
    coming = [job_of(str(n), *size) for n, size in enumerate(sizes)]
    done: list[str] = []
    cancelled: list[str] = []
    for _ in range(5000):
        if coming and chance.random() < 0.3:
            queue.submit(coming.pop(0))
        if len(queue) and chance.random() < 0.02:
            job = chance.choice(queue.waiting + queue.running)
            queue.remove(job)
            cancelled.append(job.id)
        for job in queue.running:
            job.drafts = (
                [7] * min(chance.randrange(4), job.max_tokens - len(job.ids) - 1)
                if job.pending == 1
                else []
            )
        work = queue.schedule()
        assert work or not len(queue)
        assert [job.order for job in queue.running] == sorted(job.order for job in queue.running)
        done += carry_out(queue, work)
        if not coming and not len(queue):
            break
    assert sorted(done + cancelled, key=int) == [str(n) for n in range(len(sizes))]
    assert queue.pages.owned == 0


def test_answers_come_first_and_a_long_prompt_in_pieces_beside_them() -> None:
    queue = queue_of(1024)
    queue.submit(job_of("short", 5, 100))
    carry_out(queue, queue.schedule())
    queue.submit(job_of("long", 1000, first=50))
    for _ in range(3):
        work = queue.schedule()
        assert counts(work) == {"short": 1, "long": SHARED_STEP_TOKENS - 1}
        assert work[0].request.id == "short"
        carry_out(queue, work)


def test_a_short_prompt_behind_a_long_one_comes_through() -> None:
    queue = queue_of(1024)
    queue.submit(job_of("long", 2000))
    queue.submit(job_of("short", 30, first=50))
    assert counts(queue.schedule()) == {"long": STEP_TOKENS - 30, "short": 30}


def test_first_come_first_served() -> None:
    queue = queue_of(max_running=1)
    for name in "abc":
        queue.submit(job_of(name, 5, first=10 * ord(name)))
    assert run(queue) == ["a", "b", "c"]


def test_a_full_queue_is_an_error_that_counts() -> None:
    queue = queue_of(max_waiting=2)
    queue.submit(job_of("a", 5))
    queue.submit(job_of("b", 5))
    with pytest.raises(QueueFull, match="2 requests are waiting already"):
        queue.submit(job_of("c", 5))
    assert run(queue) == ["a", "b"]


def test_what_could_never_run_is_refused_with_numbers() -> None:
    with pytest.raises(ModelError, match="101 tokens do not fit into a cache of 100"):
        queue_of(25).submit(job_of("a", 91))


def test_without_memory_the_youngest_makes_room_and_is_computed_again() -> None:
    queue = queue_of(8)  # 32 tokens
    queue.submit(job_of("old", 10, 14))
    queue.submit(job_of("young", 10, 14, first=50))
    old, young = queue.waiting
    while not queue.preemptions:
        carry_out(queue, queue.schedule())
    assert (queue.running, queue.waiting) == ([old], [young])
    assert len(young.ids) > 10  # its answer so far is kept
    assert run(queue) == ["old", "young"]


def test_a_request_that_begins_like_a_running_one_waits_for_the_common_part() -> None:
    queue = queue_of(256)
    queue.submit(job_of("a", 600, 2))
    queue.submit(job_of("b", 600, 2))
    assert counts(queue.schedule()) == {"a": STEP_TOKENS}
    carry_out(queue, queue.schedule())
    assert counts(queue.schedule()) == {"a": 600 - STEP_TOKENS}
    carry_out(queue, queue.schedule())
    work = queue.schedule()
    assert counts(work) == {"a": 1, "b": PAGE}
    assert work[1].request.stored == 596
    assert run(queue) == ["a", "b"]


def test_no_more_run_at_once_than_may() -> None:
    queue = queue_of(max_running=3)
    for n in range(5):
        queue.submit(job_of(str(n), 5, first=50 * n))
    queue.schedule()
    assert len(queue.running) == 3


@given(st.lists(st.integers(1, 700), max_size=40), st.integers(MIN_CHUNK_TOKENS, 512))
def test_shares_use_the_budget_and_no_more(pending: list[int], budget: int) -> None:
    got = share_budget(pending, budget)
    assert sum(got) == min(budget, sum(pending))
    assert all(0 <= count <= wanted for count, wanted in zip(got, pending, strict=True))


def test_fixed_pieces_depend_on_the_text_alone_also_when_it_is_computed_again() -> None:
    """Prompts page by page, answers one by one, with and without others beside and in little memory."""

    def pieces_of_a(*others: ScheduledRequest, num_pages: int) -> list[tuple[int, int]]:
        queue, seen = queue_of(num_pages, fixed_chunks=True), []
        for job in (*others, job_of("a", 10, 8)):
            queue.submit(job)
        while work := queue.schedule():
            seen += [(each.request.stored, each.count) for each in work if each.request.id == "a"]
            carry_out(queue, work)
        assert queue.pages.owned == 0
        return seen

    alone = pieces_of_a(num_pages=64)
    assert alone == [(0, 4), (4, 4), (8, 2), *((stored, 1) for stored in range(10, 17))]
    crowded = pieces_of_a(job_of("b", 9, 13, first=50), job_of("c", 2, 14, first=70), num_pages=8)
    assert len(crowded) > len(alone)  # some of it was computed again
    assert set(crowded) == set(alone)
