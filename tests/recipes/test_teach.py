"""The optional stage `teach`: the public model reads the texts before it learns to chat; without it a build is as it was."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.files import read_json, verify_folder
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import key_parts
from groundup.recipes.builds.pipeline import plan_build, stages_of
from groundup.recipes.recipe import load_recipe, write_recipe
from groundup.recipes.stage import StageContext, StageResult
from groundup.recipes.stages import base, chat, continued_pretraining
from groundup.report.pages.build_page import write_page
from groundup.runs import BuildResults, BuiltStage, RunFolder
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.model_io import open_model, save_model

CPU = Compute(torch.device("cpu"))
LINE = "Invoice 47: nine crates of rope, and the green slip first. "
GENERAL = "The fox and the hen sang of the sea. "


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose texts are prepared, with a public model as its base; general text and instructions beside."""
    root = tmp_path_factory.mktemp("teach")
    tokenizer = train_tokenizer([(LINE + GENERAL) * 9, "user assistant system " * 9], 320)
    model = LanguageModel(ModelConfig(tokenizer.vocab_size, 128, 16, 1, 2, 32))
    initialise(model, torch.Generator().manual_seed(0))
    save_model(model, root / "model", tokenizer, card=ModelCard("tiny", license="mit"))
    for kind, line in (("general", GENERAL), ("own", LINE)):
        (root / kind).mkdir()
        for number in range(160):
            (root / kind / f"{number}.txt").write_text(f"{kind} {number}. " + line * 4)
    shutil.copytree(root / "model", root / "build/pretrain")
    rows = (f'{{"instruction": "Say {n}", "output": "{n}"}}\n' for n in range(20))
    (root / "asked.jsonl").write_text("".join(rows))
    build = root / "build"
    prepare([Source(str(root / "own"))], build / "data", DataConfig(), seed=1, progress=Silent())
    base.run(context(root, "base"))
    return root


def context(root: Path, name: str, sets: Sequence[str] = (), seconds: float = 60.0) -> StageContext:
    given = [
        f"base.model={root / 'model'}",
        f"chat.source={root / 'asked.jsonl'}",
        "chat.tokens=40",
    ]
    given += [
        f"teach.replay.spec={root / 'general'}",
        "teach.step_tokens=128",
        "teach.learning_rate=0.01",
        *sets,
    ]
    place = (
        root / "build" / name,
        root / "build",
        load_recipe(str(root / "own"), BuildConfig(settings=given)),
        seconds,
        CPU,
        Silent(),
    )
    return StageContext(*place, sizes={}, record=lambda: None)


@pytest.fixture(scope="module")
def taught(root: Path) -> StageResult:
    return continued_pretraining.run(
        context(root, "teach", ["teach.steps=40", "teach.replay_share=0.25"])
    )


def test_the_model_gains_on_the_texts_and_what_it_forgot_is_measured(
    root: Path, taught: StageResult
) -> None:
    results = read_json(root / "build/teach/results.json")
    gained, general = (results["forgetting"][name] for name in ("texts", "general"))
    assert gained["difference"]["verdict"] == "better" and gained["after"] < gained["before"] - 0.5
    assert general["difference"]["n"] > 10 and general["before"] > 0
    assert taught.line.startswith(
        f"test text {gained['before']:.3f} → {gained['after']:.3f} bits per byte (better)"
    )
    assert (
        taught.thin == ("The public model has read only 30 % of the texts.",)
        and taught.facts["steps"] == results["steps"] == 40
    )
    verify_folder(root / "build/teach")
    assert not (root / "build/teach/checkpoints").exists(), "they would be six times the model"


def test_general_text_has_its_share_and_no_held_out_text_is_read(
    root: Path, taught: StageResult
) -> None:
    results = read_json(root / "build/teach/results.json")
    assert {each["name"]: each["wanted"] for each in results["sources"]} == {
        "own": 0.75,
        "general": 0.25,
    }
    read = {document.text for document in read_split(root / "build/teach/data", "train")}
    for split in ("validation", "test"):
        assert not read & {document.text for document in read_split(root / "build/data", split)}
    card = (root / "build/teach/README.md").read_text()
    assert str(root / "general") in card and "mit" in card


@pytest.mark.slow
def test_the_chat_model_is_made_from_the_taught_one(
    root: Path, taught: StageResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    chat.run(context(root, "chat"))
    inputs = RunFolder(root / "build/chat").read_run()["inputs"]
    chat.run(
        context(
            root,
            "again",
            ["again.kind=chat", f"again.source={root / 'asked.jsonl'}", "again.tokens=40"],
        )
    )
    assert RunFolder(root / "build/again").read_run()["inputs"] == inputs
    before, after = (open_model(root / "build" / name, CPU) for name in ("base", "teach"))
    assert before.require_tokenizer().fingerprint == after.require_tokenizer().fingerprint
    assert str(root / "own") in (root / "build/chat/README.md").read_text()
    page = write_page(root / "build/teach").read_text()
    assert "predicts unseen text of the kind of your texts better than before" in page


def test_a_short_time_is_kept_and_a_stopped_stage_goes_on_with_its_numbers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.planning.measure.TRIAL_S", 0.02)
    asked = context(root, "short", seconds=0.5)
    continued_pretraining.run(asked)
    sizes, results = dict(asked.sizes), read_json(root / "build/short/results.json")
    assert (
        set(sizes) == {"characters", "steps", "evaluations", "training_s"}
        and results["steps"] >= continued_pretraining.MIN_STEPS
    )
    again = StageContext(
        *(root / "build/short", root / "build", asked.recipe, 9.0, CPU, Silent()),
        sizes,
        lambda: None,
    )
    continued_pretraining.run(again)
    assert again.sizes == sizes and read_json(root / "build/short/results.json") == results


def test_texts_are_read_so_often_at_most(root: Path) -> None:
    continued_pretraining.run(
        context(root, "once", ["teach.epochs=1", "teach.replay_share=0"], seconds=600.0)
    )
    results = read_json(root / "build/once/results.json")
    assert 0.9 < results["epochs"] < 1.2 and "sources" not in results


def test_without_the_table_a_build_is_as_before(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart")
    stages = {stage.name: stage for stage in stages_of(recipe)}
    assert "teach" not in stages and "teach" not in write_recipe(recipe)
    assert stages["chat"].needs == ("pretrain", "base") and "teach" not in stages["report"].needs
    assert stages["chat"].share == pytest.approx(0.25)
    results = BuildResults(stages={name: BuiltStage() for name in ("pretrain", "base")})
    assert key_parts(stages["chat"], recipe, results)["inputs"] == {"pretrain": {}, "base": {}}


def test_with_it_all_stages_fit_the_budget_and_chat_depends_on_it() -> None:
    recipe = load_recipe("quickstart", BuildConfig(teach=True))
    assert load_recipe(
        "quickstart", BuildConfig(settings=["teach.epochs=2"], teach=True)
    ).teach == recipe.teach.model_copy(update={"epochs": 2.0})  # type: ignore[union-attr]
    stages = {stage.name: stage for stage in stages_of(recipe)}
    names = list(stages)
    assert names.index("base") < names.index("teach") < names.index("chat")
    assert (
        stages["chat"].needs == ("pretrain", "base", "teach") and "teach" in stages["report"].needs
    )
    planned = [stage.planned_s for stage in plan_build(recipe).stages]
    assert sum(planned) == pytest.approx(recipe.budget_s, rel=0.01)


def test_texts_that_are_their_own_replay_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a.txt").write_text(LINE)
    with pytest.raises(ConfigError, match="is both a text to learn and general text to replay"):
        load_recipe(
            str(tmp_path / "own"),
            BuildConfig(settings=[f"teach.replay.spec={(tmp_path / 'own').resolve()}"]),
        )
