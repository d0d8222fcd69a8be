"""`groundup verify --rebuild`: a build is made again from its recipe and texts, and the first stage and file that differ are named."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.cli.main import run
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.files import sha256_file, write_manifest
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds import rebuild as rebuilding
from groundup.recipes.builds.build import build as make_build
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.builds.rebuild import compare_stage, differences_of, rebuild
from groundup.recipes.recipe import load_recipe
from groundup.runs import read_build

FIXED = Compute(torch.device("cpu"), fixed_choices=True)
MADE = ("data", "tokenizer", "pretrain")
SETS = ["tokenizer.vocab_size=300", "pretrain.steps=2", "pretrain.batch_windows=2"]


@pytest.fixture(autouse=True)
def few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of texts alone: an export takes longer than all of these."""
    few = lambda recipe: [each for each in stages_of(recipe) if each.name in MADE]  # noqa: E731
    monkeypatch.setattr(rebuilding, "stages_of", few)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = tmp_path_factory.mktemp("made") / "texts"
    texts.mkdir()
    for number in range(12):
        tale = f"Tale {number}: the fox and the hen sang of the sea. "
        (texts / f"{number}.txt").write_text(tale * 90)
    recipe = load_recipe(str(texts), BuildConfig(settings=SETS, budget="1m"))
    stages = [stage for stage in stages_of(recipe) if stage.name in MADE]
    make_build(recipe, texts.parent / "build", stages, compute=FIXED, progress=Silent())
    return texts.parent / "build"


@pytest.fixture
def build(made: Path) -> Path:
    """A build that a test may alter: in its folder, since the recipe has the place of its texts."""
    copy = made.with_name("altered")
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(made, copy)


def hashes(folder: Path) -> dict[str, str]:
    return {str(file): sha256_file(file) for file in folder.rglob("*") if file.is_file()}


def test_a_build_that_is_made_again_has_the_same_bytes(made: Path) -> None:
    before, beside = hashes(made), sorted(made.parent.iterdir())
    found = rebuild(made, FIXED, Silent())
    assert found.same and found.stages == MADE and found.differences == ()
    assert found.files > 10
    assert hashes(made) == before and sorted(made.parent.iterdir()) == beside


def test_weights_that_were_not_made_from_the_recipe_are_named(build: Path) -> None:
    weights = build / "pretrain" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    write_manifest(build / "pretrain", skip=("checkpoints", "snapshots"))  # so its hash is right
    found = rebuild(build, FIXED, Silent())
    assert (found.stage, found.file) == ("pretrain", "model.safetensors")


@pytest.mark.parametrize("name", ["pretrain/model.safetensors", "recipe.toml", "data/data.json"])
def test_an_altered_file_is_named_before_anything_is_made(
    build: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((build / name).read_bytes())
    content[-2] ^= 1
    (build / name).write_bytes(content)
    assert run(["verify", str(build), "--rebuild"]) == 2
    said = capsys.readouterr()
    assert name in said.err.replace("\\", "/") and "[1/" not in said.err


def test_a_changed_text_is_named(made: Path) -> None:
    text = made.parent / "texts" / "3.txt"
    before = text.read_text()
    text.write_text(before.replace("fox", "cat", 1))
    try:
        with pytest.raises(
            ConfigError, match=r"what it reads \(.*texts.*\) changed since its stage"
        ):
            rebuild(made, FIXED, Silent())
    finally:
        text.write_text(before)


def test_ctrl_c_leaves_the_build_as_it_was(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before, beside = hashes(made), sorted(made.parent.iterdir())
    monkeypatch.setattr(rebuilding, "compare_stage", stop)
    with pytest.raises(KeyboardInterrupt):
        rebuild(made, FIXED, Silent())
    assert hashes(made) == before and sorted(made.parent.iterdir()) == beside


def test_what_bits_may_differ_by_is_said(made: Path) -> None:
    results = read_build(made)
    machine = {**results.machine, "threads": 64, "instruction_set": "VSX"}
    other = replace(results, machine=machine, packages={**results.packages, "torch": "1.0"})
    said = "; ".join(differences_of(other, FIXED))
    assert "threads was 64, now " in said and "instruction set was VSX" in said
    assert "torch was 1.0" in said
    assert "no --fixed-choices" in "; ".join(
        differences_of(results, replace(FIXED, fixed_choices=False))
    )


def test_a_missing_or_new_file_differs_and_times_do_not(tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(b"the same")
        (tmp_path / name / "results.json").write_text(f'{{"elapsed_s": "{name}"}}')
        write_manifest(tmp_path / name)
    assert compare_stage(tmp_path / "before", tmp_path / "after") == (1, "")
    (tmp_path / "after" / "new.bin").write_bytes(b"")
    write_manifest(tmp_path / "after")
    assert compare_stage(tmp_path / "before", tmp_path / "after") == (1, "new.bin")


def test_what_is_no_build_is_refused_in_one_sentence(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(made / "pretrain"), "--rebuild"]) == 2
    assert "is no build, so there is no recipe" in capsys.readouterr().err
