"""The fine-tuning stages of a build, on a tiny base model: what their model cards say."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundup.data.documents import Example
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.evaluate.comparison.suite_evaluation import CurvePoint
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import read_json, verify_folder
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.recipe import load_recipe
from groundup.recipes.stage import StageContext, StageResult
from groundup.recipes.stages import base, chat, classifier, evaluate
from groundup.recipes.stages.classifier import readable_example
from groundup.recipes.stages.evaluate import MIN_ITEMS, evenly_spread
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.card import ModelCard, read_license
from groundup.weights.formats import export
from groundup.weights.model_io import open_model, save_model

CPU = Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose card names a licence, and rows to fine-tune it on."""
    root = tmp_path_factory.mktemp("published")
    tokenizer = train_tokenizer(["A question and its answer, for people who ask. " * 5], 300)
    model = LanguageModel(ModelConfig(tokenizer.vocab_size, 256, 16, 1, 2, 32))
    initialise(model, torch.Generator().manual_seed(0))
    save_model(model, root / "model", tokenizer, card=ModelCard("tiny", license="mit"))
    rows = [
        f"{'win a prize' if n % 2 else 'see you'} number {n},{'spam' if n % 2 else 'ham'}"
        for n in range(80)
    ]
    (root / "rows.csv").write_text("\n".join(["text,label", *rows]))
    (root / "asked.jsonl").write_text(
        "\n".join(f'{{"instruction": "Say {n}", "output": "{n}"}}' for n in range(20)) + "\n"
    )
    return root


@pytest.fixture
def build(published: Path, tmp_path: Path) -> Path:
    """A build that is done up to its evaluation, its three models being the same."""
    for name in ("pretrain", "base", "chat"):
        shutil.copytree(published / "model", tmp_path / name)
    (tmp_path / "texts").mkdir()
    for number in range(40):
        (tmp_path / "texts" / f"{number}.txt").write_text(
            f"Tale {number}: the fox and the hen sang. " * 9
        )
    return tmp_path


@pytest.mark.parametrize(("share", "split"), [(0.3, "test"), (0.0, "validation")])
def test_the_own_model_is_measured_on_test_and_in_older_builds_on_validation(
    published: Path, build: Path, share: float, split: str
) -> None:
    prepare(
        [Source(str(build / "texts"))],
        build / "data",
        DataConfig(test_fraction=share),
        progress=Silent(),
    )
    sets = [
        f"chat.source={published / 'asked.jsonl'}",
        "evaluate.side_by_side=1",
        'evaluate.suites=["grammar"]',
    ]
    recipe = load_recipe("quickstart", BuildConfig(settings=sets))
    context = StageContext(
        build / "evaluate", build, recipe, 600.0, CPU, Silent(), sizes={}, record=lambda: None
    )
    outcome = evaluate.run(context)
    found = read_json(build / "evaluate" / "results.json")
    texts = [document.text for document in read_split(build / "data", split)]
    measured = BitsPerByte(sample_texts(texts, seed=recipe.seed))
    expected = measured.measure(
        open_model(build / "pretrain", CPU), compute=CPU, progress=Silent()
    ).measures[0]
    assert found["text"] == found["table"][-1]
    assert (found["text"]["split"], found["text"]["value"], found["text"]["n"]) == (
        split,
        expected.value,
        expected.n,
    )
    assert (
        f"own model {expected.value:.3f} bits per byte of {split} text (n = {expected.n} windows)"
        in outcome.line
    )
    suites = read_json(build / "evaluate" / "suites.json")
    assert suites["curves"] == [], "this own model has no snapshots"
    grammar = suites["suites"]["grammar"]
    assert list(grammar["rows"]) == ["base", "chat", "own"] and grammar["change"]["value"] == 0
    assert grammar["rows"]["own"]["n"] >= MIN_ITEMS and set(grammar["items"][0]["answers"]) == {
        "base",
        "chat",
        "own",
    }
    assert grammar["overlap"]["overlapping"] == 0 and " suites" in outcome.line


def test_snapshots_are_chosen_evenly_with_the_first_and_the_last() -> None:
    points = [CurvePoint("own", str(step), Path(str(step)), step) for step in range(0, 160, 10)]
    assert [point.x for point in evenly_spread(points, 4)] == [0, 50, 100, 150]
    assert evenly_spread(points, 16) == points == evenly_spread(points, 99)


def stage(
    run: Callable[[StageContext], StageResult],
    name: str,
    root: Path,
    build: Path,
    model: Path,
    seconds: float = 600.0,
) -> None:
    sets = [
        f"base.model={model}",
        f"spam.source.spec={root / 'rows.csv'}",
        "spam.source.sha256=",
        "spam.train=20",
    ]
    sets += [
        "spam.validation=20",
        "spam.test=20",
        "spam.zero_shot=2",
        "spam.text=text",
        "spam.label=label",
    ]
    sets += [f"chat.source={root / 'asked.jsonl'}", "chat.tokens=40"]
    place = (
        build / name,
        build,
        load_recipe("quickstart", BuildConfig(settings=sets)),
        seconds,
        CPU,
        Silent(),
    )
    run(StageContext(*place, sizes={}, record=lambda: None))


@pytest.mark.slow
def test_models_made_from_a_base_name_its_licence(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    shutil.copytree(published / "model", tmp_path / "pretrain")
    for name, run in (("base", base.run), ("chat", chat.run), ("spam", classifier.run)):
        stage(run, name, published, tmp_path, published / "model")
        assert read_license(tmp_path / name) == "mit", name
        assert open_model(tmp_path / name, CPU).license == "mit"


@pytest.mark.parametrize(("seconds", "made"), [(600.0, True), (0.0, False)])
def test_what_pretraining_is_worth_is_measured_where_there_is_time(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, made: bool
) -> None:
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    shutil.copytree(published / "model", tmp_path / "pretrain")
    stage(base.run, "base", published, tmp_path, published / "model")
    stage(classifier.run, "spam", published, tmp_path, published / "model", seconds)
    found = read_json(tmp_path / "spam/results.json")["pretraining"]
    verify_folder(tmp_path / "spam")
    assert not list(tmp_path.glob(".tmp-*"))
    if not made:
        assert set(found) == {"skipped"} and "were left" in found["skipped"]
        return
    assert [row["name"] for row in found["models"]] == [
        "the public model",
        "pretrained here",
        "random weights",
    ]
    assert {row["accuracy"]["n"] for row in found["models"]} == {20}
    accuracies = [row["accuracy"]["value"] for row in found["models"]]
    assert found["own_over_random"]["value"] == pytest.approx(accuracies[1] - accuracies[2])
    assert found["public_over_own"]["value"] == pytest.approx(accuracies[0] - accuracies[1])


@pytest.mark.parametrize(("seconds", "made"), [(600.0, True), (0.0, False)])
def test_what_pretraining_is_worth_for_chat_is_measured_where_there_is_time(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, made: bool
) -> None:
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    shutil.copytree(published / "model", tmp_path / "pretrain")
    stage(base.run, "base", published, tmp_path, published / "model")
    stage(chat.run, "chat", published, tmp_path, published / "model", seconds)
    found = read_json(tmp_path / "chat/results.json")["pretraining"]
    verify_folder(tmp_path / "chat")
    assert not list(tmp_path.glob(".tmp-*"))
    if not made:
        assert set(found) == {"skipped"} and "were left" in found["skipped"]
        return
    public, own, random = (row["loss"]["value"] for row in found["models"])
    assert found["own_over_random"]["value"] == pytest.approx(own - random)
    assert found["public_over_own"]["value"] == pytest.approx(public - own)


def test_a_base_that_is_a_gguf_file_keeps_its_licence(published: Path, tmp_path: Path) -> None:
    file = export(
        open_model(published / "model", CPU), "gguf", tmp_path / "tiny.gguf", quantization="f32"
    )
    stage(base.run, "base", published, tmp_path, file)
    assert read_license(tmp_path / "base") == "mit"


def test_the_message_to_try_a_classifier_with_can_be_read() -> None:
    texts = {
        "RCT' THNQ Adrian for U text. Rgds Vatian": "spam",
        "FROM 88066 LOST 12POUND HELP OR STOP NOW": "spam",
        "You have won a week in the sun, call now to have it!": "spam",
        "Call me now, I have a week in the sun.": "ham",
        "You have to call now to have a prize of the week in the sun, " * 4: "spam",
    }
    messages = [Example(text, label) for text, label in texts.items()]
    assert (
        readable_example(messages, "spam") == "You have won a week in the sun, call now to have it!"
    )
    assert readable_example(messages, "ham") == "Call me now, I have a week in the sun."
    assert readable_example(messages, None) in texts, "several classes: one of any"
    assert readable_example([Example("OK", "ham")], "spam") == "OK", "nothing better"
