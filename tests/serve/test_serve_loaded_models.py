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
from groundup.kernels.probe import has_compiler
from groundup.serve.loaded_models import LoadedModels
from groundup.serve.model_registry import ModelInfo, read_model_info
from groundup.serve.requests import FOREVER_S, RequestError
from groundup.serve.worker import Worker

Tested = Callable[[LoadedModels, dict[str, ModelInfo]], Awaitable[None]]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelInfo]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "a": save_language(folder / "a"),
        "b": save_language(folder / "b"),
        "sorter": save_classifier(folder / "s"),
    }
    return {name: read_model_info(path) for name, path in made.items()}


def checked(
    test: Tested, info: dict[str, ModelInfo], memory_bytes: int = 2**40, keep_alive_s: float = 300.0
) -> None:
    async def run() -> None:
        worker = Worker(8)
        compute = Compute(torch.device("cpu"))
        loaded_models = LoadedModels(
            worker,
            compute,
            "float32",
            keep_alive_s=keep_alive_s,
            memory_bytes=memory_bytes,
            settings=BatchSettings(),
        )
        await test(loaded_models, info)
        worker.close()

    asyncio.run(run())


async def use(
    loaded_models: LoadedModels, name: str, info: dict[str, ModelInfo], keep_s: float | None = None
) -> int:
    async with loaded_models.lease(name, info[name], keep_s) as loaded:
        return loaded.size_bytes


def test_a_model_is_loaded_once_and_stays_as_long_as_was_said_last(
    info: dict[str, ModelInfo],
) -> None:
    async def test(loaded_models: LoadedModels, info: dict[str, ModelInfo]) -> None:
        await use(loaded_models, "a", info)
        first = loaded_models.current()["a"]
        decoder = "compiled step" if has_compiler() else "torch"
        assert (loaded_models.decodes_with("a"), loaded_models.decodes_with("b")) == (decoder, None)
        await use(loaded_models, "a", info, FOREVER_S)
        assert loaded_models.current()["a"] is first and first.expires_in_s == FOREVER_S
        await use(loaded_models, "a", info, 0)
        assert loaded_models.current() == {}
        await use(loaded_models, "a", info, 0.05)
        await asyncio.sleep(0.1)
        loaded_models.unload_expired()
        assert loaded_models.current() == {}

    checked(test, info)


def test_the_model_unused_longest_makes_room(info: dict[str, ModelInfo]) -> None:
    async def test(loaded_models: LoadedModels, info: dict[str, ModelInfo]) -> None:
        size_bytes = await use(loaded_models, "a", info)
        loaded_models.memory_bytes = 2 * size_bytes
        await use(loaded_models, "b", info)
        await use(loaded_models, "a", info)
        await use(loaded_models, "sorter", info)
        assert loaded_models.current().keys() == {"a", "sorter"}

    checked(test, info)


def test_a_model_at_work_is_never_put_out(info: dict[str, ModelInfo]) -> None:
    async def test(loaded_models: LoadedModels, info: dict[str, ModelInfo]) -> None:
        async with loaded_models.lease("a", info["a"], None) as loaded:
            loaded_models.memory_bytes = loaded.size_bytes
            with pytest.raises(RequestError) as refused:
                await use(loaded_models, "b", info)
            assert refused.value.status == 503
            loaded_models.unload("a")
            assert loaded_models.current().keys() == {"a"}
        assert loaded_models.current() == {}

    checked(test, info)


def test_a_model_beyond_the_bound_is_refused_in_words_and_puts_nothing_out(
    info: dict[str, ModelInfo],
) -> None:
    async def test(loaded_models: LoadedModels, info: dict[str, ModelInfo]) -> None:
        loaded_models.memory_bytes = await use(loaded_models, "sorter", info)
        with pytest.raises(RequestError, match=r"needs .* GB .*--memory-gb") as refused:
            await use(loaded_models, "a", info)
        assert refused.value.status == 503
        assert loaded_models.current().keys() == {"sorter"}

    checked(test, info)


def test_weights_are_gone_as_soon_as_a_model_is_put_out(info: dict[str, ModelInfo]) -> None:
    async def test(loaded_models: LoadedModels, info: dict[str, ModelInfo]) -> None:
        async with loaded_models.lease("a", info["a"], 0) as loaded:
            weights = weakref.ref(loaded.opened.model)
            assert loaded.session is not None
            answers = await loaded.session.open([Request("1", (1, 2), Sampling(max_tokens=3))])
            async for _ in answers:
                pass
            del loaded, answers
        for _ in range(100):  # the session's last step may still be ending
            await asyncio.sleep(0.02 if weights() else 0)
        assert weights() is None

    gc.disable()  # nothing may wait for the collector
    try:
        checked(test, info)
    finally:
        gc.enable()
