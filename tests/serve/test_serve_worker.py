"""The one thread that owns the models: who is let in, who is taken out, and what a bug in a step does."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import torch
from small_models import save_language

from groundup.device import Compute
from groundup.engine.batch import BatchEngine
from groundup.engine.events import AnswerFailed, ChatEvent, FinishReason
from groundup.engine.output_processor import PositionLogits, RunningAnswer
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.serve.openai.completions import TextCompletion
from groundup.serve.requests import GenerateRequest, RequestError, TextPrompt
from groundup.serve.streaming import RequestTimer, stream_bytes
from groundup.serve.worker import ModelSession, StepOutput, Worker, in_own_thread
from groundup.weights.model_io import OpenModel, open_model

COMPUTE = Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    return open_model(save_language(tmp_path_factory.mktemp("model") / "tiny"), COMPUTE)


class Stumbling(BatchEngine):
    """An engine with a bug that shows once."""

    stumbles = True

    def step(self) -> list[tuple[str, StepOutput]]:
        if self.stumbles:
            self.stumbles = False
            raise ZeroDivisionError("/a/path/of/this/machine")
        return super().step()


def at_desk(
    opened: OpenModel,
    test: Callable[[ModelSession], Awaitable[None]],
    kind: type[BatchEngine] = BatchEngine,
) -> None:
    async def run() -> None:
        worker = Worker(max_answers=3)
        await test(ModelSession(kind(opened.model, opened.require_tokenizer(), COMPUTE), worker))  # type: ignore[arg-type]
        worker.close()

    asyncio.run(run())


def jobs(opened: OpenModel, count: int = 1, max_tokens: int = 8) -> Sequence[Request]:
    prompt = tuple(opened.require_tokenizer().encode("To be"))
    sampling = Sampling(temperature=0, max_tokens=max_tokens)
    return [
        Request(f"{id(opened)}-{torch.randint(10**9, ()).item()}", prompt, sampling)
        for _ in range(count)
    ]


async def text_of(session: ModelSession, wanted: Sequence[Request]) -> list[str]:
    texts = [""] * len(wanted)
    async for index, event in await session.open(wanted):
        texts[index] += event.text
    return texts


def test_answers_at_one_desk_are_the_same_together_and_alone(opened: OpenModel) -> None:
    async def test(session: ModelSession) -> None:
        [alone] = await text_of(session, jobs(opened))
        assert alone and await text_of(session, jobs(opened, 3)) == [alone] * 3
        assert session.worker.num_answers == 0

    at_desk(opened, test)


def test_more_jobs_than_allowed_are_refused_and_those_at_work_go_on(opened: OpenModel) -> None:
    async def test(session: ModelSession) -> None:
        answers = await session.open(jobs(opened, 2))
        with pytest.raises(RequestError, match="busy") as refused:
            await session.open(jobs(opened, 2))
        assert refused.value.status == 503
        assert [event async for _, event in answers][-1].finish_reason == "length"
        session.worker.stopping = True
        with pytest.raises(RequestError, match="stopping"):
            await session.open(jobs(opened))

    at_desk(opened, test)


def test_closed_answers_leave_the_engine_and_their_places(opened: OpenModel) -> None:
    async def test(session: ModelSession) -> None:
        answers = await session.open(jobs(opened, 3, max_tokens=200))
        async for _ in answers:
            break
        answers.close()
        assert session.worker.num_answers == 0
        engine = session.engine
        assert isinstance(engine, BatchEngine)
        await session.worker.run(lambda: None)  # after what was before it in the thread
        assert not engine.busy

    at_desk(opened, test)


def test_a_bug_in_a_step_ends_its_answers_in_words_and_the_next_are_given(
    opened: OpenModel, logged: io.StringIO
) -> None:
    async def test(session: ModelSession) -> None:
        with pytest.raises(RequestError, match="internal server error") as failed:
            await text_of(session, jobs(opened, 2))
        assert failed.value.status == 500 and "/a/path" not in failed.value.message
        assert "ZeroDivisionError" in logged.getvalue()
        assert session.worker.num_answers == 0
        assert await text_of(session, jobs(opened))

    at_desk(opened, test, Stumbling)


def test_a_bug_in_the_sampler_of_one_of_eight_clients_ends_that_ones_answer(
    opened: OpenModel, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    choose, [bad, *others] = RunningAnswer.choose, [jobs(opened) for _ in range(8)]

    def stumble(running: RunningAnswer, candidates: PositionLogits) -> int:
        if running.request is bad[0] and len(running.scheduled.ids) == len(bad[0].prompt_ids) + 3:
            raise ZeroDivisionError("/a/path/of/this/machine")
        return choose(running, candidates)

    async def test(session: ModelSession) -> None:
        session.worker.max_answers = 8
        [alone] = await text_of(session, jobs(opened))
        monkeypatch.setattr(RunningAnswer, "choose", stumble)
        failed, *given = await asyncio.gather(
            *(text_of(session, each) for each in (bad, *others)), return_exceptions=True
        )
        assert isinstance(failed, AnswerFailed) and "path" not in failed.message
        assert "ZeroDivisionError" in logged.getvalue()
        assert given == [[alone]] * 7
        assert session.worker.num_answers == 0 and not session.engine.busy

    at_desk(opened, test)


def test_other_work_finds_its_place_between_two_steps(opened: OpenModel) -> None:
    async def test(session: ModelSession) -> None:
        answers = await session.open(jobs(opened, max_tokens=200))
        assert await session.worker.run(lambda: Path("x").name) == "x"
        assert session.worker.num_answers == 1  # the answer is still at work
        answers.close()

    at_desk(opened, test)


def test_a_thread_beside_the_worker_ends_with_its_work() -> None:
    """One that stayed would keep OpenMP threads, and slow those of the worker."""
    used = asyncio.run(in_own_thread(threading.current_thread))
    used.join(timeout=120)
    assert used is not threading.current_thread() and not used.is_alive()


def test_what_the_work_raises_comes_out_and_who_gives_up_does_not_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_own_thread(lambda: 1 // 0))

    released = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_own_thread(lambda: released.wait(120)), timeout=0.01)
        assert not released.is_set()
        released.set()

    asyncio.run(give_up())


class ReadyEvents:
    """An `EventStream` whose next event is there, or not yet."""

    count = 1

    def __init__(self, texts: str, waits_before: str) -> None:
        self.timer, self.last_events = RequestTimer(), dict[int, ChatEvent]()
        self.texts, self.waits_before, self.read = texts, waits_before, 0

    @property
    def has_more(self) -> bool:
        left = self.texts[self.read :]
        return bool(left) and left[0] not in self.waits_before

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        for count, text in enumerate(self.texts, 1):
            self.read = count
            reason: FinishReason | None = "stop" if count == len(self.texts) else None
            event = ChatEvent(text, reason, 3, count)
            if reason:
                self.last_events[0] = event
            yield 0, event


def test_events_that_are_there_together_are_written_in_one_piece_of_the_same_bytes() -> None:
    def pieces(waits_before: str) -> list[bytes]:
        async def read() -> list[bytes]:
            found = stream_bytes(ReadyEvents("abcd", waits_before), translator)
            return [piece async for piece in found if piece]

        return asyncio.run(read())

    request = GenerateRequest("tiny", (TextPrompt("x"),), stream=True)
    translator = TextCompletion(request, id="cmpl-1", created=1)
    alone, together = pieces("abcd"), pieces("c")
    assert (len(alone), len(together), len(pieces(""))) == (4, 2, 1)
    assert b"".join(alone) == b"".join(together) and together[0] == alone[0] + alone[1]
