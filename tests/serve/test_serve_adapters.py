"""Several adapters on one base: each answers as its merged model does, the weights are in memory once, another base is refused."""

import asyncio
import json
from pathlib import Path

import pytest
import torch
from small_models import save_language

from groundup.cli.serve import registry_of
from groundup.device import Compute
from groundup.engine.batch import BatchSettings
from groundup.engine.precision import PrecisionChoice
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.model.heads import LanguageModel
from groundup.model.lora import add_lora, lora_parameters, lora_weights
from groundup.progress import Silent
from groundup.serve.loaded_models import LoadedModels
from groundup.serve.model_registry import ModelRegistry
from groundup.serve.worker import Worker
from groundup.weights.adapter import Adapter, base_hashes, write_adapter
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))


def save_adapter(folder: Path, base: Path, seed: int) -> Path:
    model = open_model(base, CPU).model
    assert isinstance(model, LanguageModel)
    hashes = base_hashes(model)
    add_lora(model, rank=4, alpha=8.0, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for place, parameter in enumerate(lora_parameters(model)):
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(100 * seed + place))
    write_adapter(Adapter(lora_weights(model), str(base.resolve()), hashes), model.config, folder)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_language(tmp_path / "base")


@pytest.fixture
def adapters(base: Path, tmp_path: Path) -> list[str]:
    return [
        f"{name}={save_adapter(tmp_path / f'lora-{name}', base, seed)}"
        for seed, name in ((1, "one"), (2, "two"))
    ]


def answers(
    registry: ModelRegistry, precision: PrecisionChoice = "float32"
) -> dict[str, list[int]]:
    """The greedy answer of each model, all of them at work at the same time."""

    async def ask(loaded_models: LoadedModels, name: str) -> list[int]:
        alias = registry.find(name)
        async with loaded_models.lease(alias.base, registry.info(alias), None) as loaded:
            assert loaded.session is not None
            prompt = loaded.opened.require_tokenizer().encode("To be, or not")
            stream = await loaded.session.open(
                [Request(name, tuple(prompt), Sampling(temperature=0, max_tokens=12))]
            )
            text = "".join([event.text async for _, event in stream])
            return loaded.opened.require_tokenizer().encode(text)

    async def ask_all() -> dict[str, list[int]]:
        worker = Worker(8)
        settings = BatchSettings()
        loaded_models = LoadedModels(
            worker, CPU, precision, keep_alive_s=300.0, memory_bytes=2**40, settings=settings
        )
        names = [each.name for each in registry.aliases()]
        found = await asyncio.gather(*(ask(loaded_models, name) for name in names))
        models = loaded_models.current().values()
        assert len({id(each.base) for each in models}) == 1
        embeddings = {each.opened.model.transformer.embedding.weight.data_ptr() for each in models}
        assert len(embeddings) == 1
        whole = sum(each.size_bytes for each in models)
        assert loaded_models._used_bytes() == whole - 2 * next(iter(models)).base_bytes
        worker.close()
        return dict(zip(names, found, strict=True))

    return asyncio.run(ask_all())


def alone(path: Path) -> list[int]:
    from groundup.engine.engine import Engine

    engine = Engine(open_model(path, CPU), CPU)
    text = "".join(
        event.text
        for event in engine.complete("To be, or not", Sampling(temperature=0, max_tokens=12))
    )
    return engine.tokenizer.encode(text)


def test_each_adapter_answers_as_its_merged_model(base: Path, adapters: list[str]) -> None:
    registry = registry_of([str(base)], None, Silent(), adapters)
    found = answers(registry)
    paths = {
        "base": base,
        **{name: Path(path) for name, path in (each.split("=") for each in adapters)},
    }
    assert found == {f"{name}:latest": alone(path) for name, path in paths.items()}
    assert len({tuple(each) for each in found.values()}) == 3


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_adapters_stand_beside_weights_of_every_precision(
    precision: PrecisionChoice, base: Path, adapters: list[str]
) -> None:
    found = answers(registry_of([str(base)], None, Silent(), adapters), precision)
    assert len({tuple(each) for each in found.values()}) == 3


def test_an_adapter_s_folder_is_a_model_of_its_own_too(base: Path, adapters: list[str]) -> None:
    registry = registry_of([adapters[0]], None, Silent())
    assert [each.name for each in registry.aliases()] == ["one:latest"]
    assert registry.info(registry.find("one")).base == base.resolve()


def test_an_adapter_of_another_base_is_refused_before_the_server_starts(
    base: Path, adapters: list[str], tmp_path: Path
) -> None:
    other = save_language(tmp_path / "other", seed=9)
    with pytest.raises(ModelError, match="was trained on another base than"):
        registry_of([str(other)], None, Silent(), adapters)
    moved = base.rename(tmp_path / "moved")
    assert len(registry_of([str(moved)], None, Silent(), adapters).aliases()) == 3, (
        "a copy of the base is the base"
    )
    with pytest.raises(ConfigError, match="none of the models that are served"):
        registry_of([str(moved), str(other)], None, Silent(), adapters)
    with pytest.raises(ConfigError, match="is not the folder of an adapter"):
        registry_of([str(moved)], None, Silent(), [f"x={other}"])
    with pytest.raises(ConfigError, match="Two models have the name"):
        registry_of([f"one={moved}"], None, Silent(), adapters)


@pytest.mark.parametrize(
    "change",
    [{"lora_alpha": 10**400}, {"alpha_pattern": [1]}, {"base_model_name_or_path": "b" * 5000}],
)
def test_a_damaged_adapter_is_refused_before_the_server_starts(
    base: Path, adapters: list[str], change: dict[str, object]
) -> None:
    """It started, and the first request got 500."""
    file = Path(adapters[0].partition("=")[2]) / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(FormatError, match=next(iter(change))):
        registry_of([str(base)], None, Silent(), adapters)


@pytest.mark.parametrize("given", ["x=NOFOLDER", "NOFOLDER", "x=", "x=" + "b" * 5000])
def test_an_adapter_that_is_not_there_is_one_sentence(base: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        registry_of([str(base)], None, Silent(), [given])
