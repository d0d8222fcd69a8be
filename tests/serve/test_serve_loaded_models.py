"""Models in memory: how long they stay, and who leaves when there is no room."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import pytest
import torch
from small_models import save_classifier, save_language

from groundup.device import Compute
from groundup.engine.batch import BatchSettings
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.serve.loaded_models import ComputeSettings, LoadedModels
from groundup.serve.model_info import ModelInfo, read_model_info
from groundup.serve.requests import FOREVER_S, RequestError
from groundup.serve.worker import Worker

Tested = Callable[[LoadedModels, dict[str, ModelInfo]], Awaitable[None]]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelInfo]:
    folder = tmp_path_factory.mktemp("models")
    made = {"a": save_language(folder / "a"), "b": save_language(folder / "b"), "sorter": save_classifier(folder / "s")}
    return {name: read_model_info(path) for name, path in made.items()}


def checked(test: Tested, facts: dict[str, ModelInfo], memory_bytes: int = 2**40, keep_alive_s: float = 300.0) -> None:
    async def run() -> None:
        worker = Worker(8)
        compute = Compute(torch.device("cpu"))
        residents = LoadedModels(
            worker,
            ComputeSettings("float32", compute),
            keep_alive_s=keep_alive_s,
            memory_bytes=memory_bytes,
            settings=BatchSettings(),
        )
        await test(residents, facts)
        worker.close()

    asyncio.run(run())


async def use(residents: LoadedModels, name: str, facts: dict[str, ModelInfo], keep_s: float | None = None) -> int:
    async with residents.lease(name, facts[name], keep_s) as resident:
        return resident.size_bytes


def test_a_model_is_loaded_once_and_stays_as_long_as_was_said_last(facts: dict[str, ModelInfo]) -> None:
    async def test(residents: LoadedModels, facts: dict[str, ModelInfo]) -> None:
        await use(residents, "a", facts)
        first = residents.held()["a"]
        await use(residents, "a", facts, FOREVER_S)
        assert residents.held()["a"] is first and first.expires_in_s == FOREVER_S
        await use(residents, "a", facts, 0)
        assert residents.held() == {}
        await use(residents, "a", facts, 0.05)
        await asyncio.sleep(0.1)
        residents.put_out_expired()
        assert residents.held() == {}

    checked(test, facts)


def test_the_model_unused_longest_makes_room(facts: dict[str, ModelInfo]) -> None:
    async def test(residents: LoadedModels, facts: dict[str, ModelInfo]) -> None:
        size_bytes = await use(residents, "a", facts)
        residents.memory_bytes = 2 * size_bytes
        await use(residents, "b", facts)
        await use(residents, "a", facts)
        await use(residents, "sorter", facts)
        assert residents.held().keys() == {"a", "sorter"}

    checked(test, facts)


def test_a_model_at_work_is_never_put_out(facts: dict[str, ModelInfo]) -> None:
    async def test(residents: LoadedModels, facts: dict[str, ModelInfo]) -> None:
        async with residents.lease("a", facts["a"], None) as resident:
            residents.memory_bytes = resident.size_bytes
            with pytest.raises(RequestError) as refused:
                await use(residents, "b", facts)
            assert refused.value.status == 503
            residents.put_out("a")
            assert residents.held().keys() == {"a"}
        assert residents.held() == {}

    checked(test, facts)


def test_a_model_beyond_the_bound_is_refused_in_words_and_puts_nothing_out(facts: dict[str, ModelInfo]) -> None:
    async def test(residents: LoadedModels, facts: dict[str, ModelInfo]) -> None:
        residents.memory_bytes = await use(residents, "sorter", facts)
        with pytest.raises(RequestError, match=r"needs .* GB .*--memory-gb") as refused:
            await use(residents, "a", facts)
        assert refused.value.status == 503
        assert residents.held().keys() == {"sorter"}

    checked(test, facts)


def test_weights_are_gone_as_soon_as_a_model_is_put_out(facts: dict[str, ModelInfo]) -> None:
    async def test(residents: LoadedModels, facts: dict[str, ModelInfo]) -> None:
        async with residents.lease("a", facts["a"], 0) as resident:
            weights = weakref.ref(resident.opened.model)
            assert resident.desk is not None
            answers = await resident.desk.open([Request("1", (1, 2), Sampling(max_tokens=3))])
            async for _ in answers:
                pass
            del resident, answers
        for _ in range(100):  # the desk's last step may still be ending
            await asyncio.sleep(0.02 if weights() else 0)
        assert weights() is None

    gc.disable()  # nothing may wait for the collector
    try:
        checked(test, facts)
    finally:
        gc.enable()
