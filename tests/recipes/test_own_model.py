"""The trained stages of a build keep the time that is their share of the budget, unless the recipe says the steps, or the processor has no bf16."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from groundup.data.batches.shards import write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.files import read_json
from groundup.model.config import ModelConfig
from groundup.model.presets import preset
from groundup.planning import planner
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.recipe import AUTO_SIZE, DataStage, load_recipe
from groundup.recipes.stage import StageContext, StageResult
from groundup.recipes.stages import chat, pretrain
from groundup.tokenizer.fast import train_tokenizer

TINY = ModelConfig(
    vocab_size=300,
    context_tokens=16,
    width=16,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
    feedforward_width=32,
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose first two stages are done."""
    root = tmp_path_factory.mktemp("build")
    (root / "texts").mkdir()
    for number in range(12):
        (root / "texts" / f"{number}.txt").write_text(
            f"Tale {number}: the fox and the hen sang of the sea. " * 20
        )
    prepare(
        [Source(str(root / "texts"))],
        root / "data",
        DataConfig(validation_fraction=0.3),
        progress=Silent(),
    )
    tokenizer = train_tokenizer(
        (document.text for document in read_split(root / "data", "train")), 300
    )
    tokenizer.save(root / "tokenizer")
    write_shards(root / "data", tokenizer, root / "tokenizer" / "shards", progress=Silent())
    return root


def trained(build: Path, name: str, seconds: float, *sets: str) -> StageResult:
    recipe = load_recipe("quickstart", BuildConfig(settings=["pretrain.batch_windows=2", *sets]))
    place = (build / name, build, recipe, seconds, Compute(torch.device("cpu")), Silent())
    return pretrain.run(StageContext(*place, sizes={}, record=lambda: None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measured", "seconds", "sets", "steps"),
    [
        (
            3,
            600.0,
            (),
            64,
        ),  # begun with the fewest, and ten minutes are more than it needs: as many times as is allowed
        (64, 0.001, (), 32),  # it is over before it begins: at least so many as teach something
        (64, 600.0, ("pretrain.steps=12",), 12),
    ],
)
def test_the_own_model_takes_as_many_steps_as_its_time_has_room_for(
    build: Path,
    monkeypatch: pytest.MonkeyPatch,
    measured: int,
    seconds: float,
    sets: tuple[str, ...],
    steps: int,
) -> None:
    monkeypatch.setattr(pretrain, "preset", lambda name: TINY)
    monkeypatch.setattr(pretrain, "MIN_STEPS", 32)
    monkeypatch.setattr("groundup.train.monitor.time_budget.MAX_SCALE", 2)
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.02)
    monkeypatch.setattr("groundup.train.monitor.samples.SAMPLE_TOKENS", 4)
    monkeypatch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 64)
    monkeypatch.setattr(pretrain, "steps_within", lambda *_: measured)
    name = f"{measured}-{seconds}-{steps}"
    outcome = trained(build, name, seconds, *sets)
    assert read_json(build / name / "results.json")["steps"] == outcome.facts["steps"] == steps
    assert f" {steps} steps: validation loss" in outcome.line and "(test: " in outcome.line


def test_a_build_with_more_time_than_its_text_is_good_for_says_so(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            lines.append(text)

    monkeypatch.setattr(pretrain, "preset", lambda name: TINY)
    monkeypatch.setattr(pretrain, "MIN_STEPS", 2)
    for module in (pretrain, planner):
        monkeypatch.setattr(module, "useful_steps", lambda *_: 6)
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.02)
    monkeypatch.setattr("groundup.train.monitor.samples.SAMPLE_TOKENS", 4)
    monkeypatch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 64)
    recipe = load_recipe("quickstart", BuildConfig(settings=["pretrain.batch_windows=2"]))
    place = (build / "used-up", build, recipe, 3_600.0, Compute(torch.device("cpu")), Heard())
    outcome = pretrain.run(StageContext(*place, sizes={}, record=lambda: None))
    assert outcome.facts["steps"] == 6
    [said] = [line for line in lines if "used up" in line]
    assert "of 56.0 minutes" in said and "more time would not" in outcome.thin[0]


def test_the_size_of_an_own_model_is_chosen_for_a_long_time_and_kept(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(str(build / "texts"))
    assert recipe.pretrain.size == AUTO_SIZE and recipe.pretrain.preset == "quickstart"
    for name, value in (("CHOICE_FROM_S", 0.0), ("MIN_STEPS", 2), ("steps_within", lambda *_: 2)):
        monkeypatch.setattr(pretrain, name, value)
    monkeypatch.setattr("groundup.train.monitor.time_budget.MAX_SCALE", 1)
    monkeypatch.setattr("groundup.planning.planner.FIRST_PARAMETERS", 50_000)
    monkeypatch.setattr("groundup.planning.planner.MAX_MEASURED", 1)
    monkeypatch.setattr("groundup.planning.planner.BATCH_FACTORS", (1.0,))
    monkeypatch.setattr("groundup.train.monitor.samples.SAMPLE_TOKENS", 4)
    monkeypatch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 64)
    sizes: dict[str, int] = {}

    def trained_in(name: str) -> dict[str, Any]:
        place = (build / name, build, recipe, 20.0, Compute(torch.device("cpu")), Silent())
        pretrain.run(StageContext(*place, sizes=sizes, record=lambda: None))
        found: dict[str, Any] = read_json(build / name / "run.json")["config"]["model"]
        return found

    first = trained_in("chosen")
    assert first["num_layers"] == sizes["blocks"] < preset(recipe.pretrain.preset).num_layers
    assert first["context_tokens"] == sizes["context_tokens"]
    monkeypatch.setattr(pretrain, "choose_model", None)
    assert trained_in("again") == first, "nothing is timed again"


@pytest.mark.parametrize("given", ["preset=gpt2", "size=2M", "cut_from=smollm2-135m"])
def test_a_shape_that_the_recipe_names_is_kept(build: Path, given: str) -> None:
    assert pretrain.is_open(load_recipe(str(build / "texts")).pretrain)
    named = load_recipe(str(build / "texts"), BuildConfig(settings=[f"pretrain.{given}"]))
    assert not pretrain.is_open(named.pretrain)


@pytest.mark.parametrize(
    ("has_bf16", "rate", "tokens", "said"),
    [
        (True, 200.0, 18_000, ""),
        (False, 200.0, 40_000, "333 s instead of 150 s"),  # what it needs
        (False, 100.0, 22_500, "375 s instead of 150 s"),  # 2.5 times its share, and no more
        (False, 500.0, 40_000, ""),
    ],
)
def test_without_bf16_chat_overruns_its_share_so_as_to_learn_from_enough(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_bf16: bool,
    rate: float,
    tokens: int,
    said: str,
) -> None:
    lines: list[str] = []
    trained: list[int] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            lines.append(text)

    def fit_chat(
        opened: object, examples: object, run: object, config: chat.ChatConfig, **_: object
    ) -> object:
        trained.append(config.tokens)
        return SimpleNamespace(tokens=config.tokens, held_out_loss={"before": 2.0, "after": 1.0})

    monkeypatch.setattr(chat, "open_model", lambda *_: SimpleNamespace(license=""))
    monkeypatch.setattr(chat, "measure_tokens_per_s", lambda *_, **__: rate)
    monkeypatch.setattr(chat, "fit_chat", fit_chat)
    compute = Compute(torch.device("cpu"), native_bf16=has_bf16)
    recipe = load_recipe("quickstart").model_copy(
        update={"data": DataStage()}
    )  # no own model to compare with
    place = (tmp_path / "chat", tmp_path, recipe, 150.0, compute, Heard())
    chat.run(StageContext(*place, sizes={}, record=lambda: None))
    assert trained == [tokens]
    assert said in " ".join(lines) and ("no bf16" in " ".join(lines)) == bool(said)


def test_a_long_time_is_for_steps_but_for_what_measuring_and_saving_take() -> None:
    assert pretrain.seconds_of_steps(100.0) == 85.0
    assert pretrain.seconds_of_steps(4_800.0) == 4_800.0 - pretrain.BESIDE_STEPS_S
