"""What the first version wrote is opened by this one: a run, an index that was carried elsewhere, a
build's records, a pack. A change of a format that fails here needs a migration (`groundup/migrations.py`),
never another copy of these files; a later release adds a folder of its own.
"""

import shutil
from pathlib import Path

import pytest

import groundup
from groundup.cli.main import run
from groundup.packs.check import check_pack
from groundup.recipes.named_stages import IndexStage
from groundup.recipes.recipe import load_recipe
from groundup.runs import RunFolder, read_build
from groundup.weights.verify import verify_path

FILES = Path(__file__).with_name("release_0_1_0")
QUESTION = "What does a replacement card cost?"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return shutil.copytree(FILES, tmp_path / "release")


def test_a_run_is_whole_opened_written_with_and_exported(release: Path, tmp_path: Path) -> None:
    folder = release / "run"
    assert verify_path(folder).manifests == 3
    results = RunFolder(folder).read_results()
    assert results["steps"] == 4
    model = groundup.open_model(folder)
    assert model.generate("Tale", max_tokens=3, temperature=0.0)
    model.save(tmp_path / "exported")
    assert groundup.open_model(tmp_path / "exported").score("Tale", " 1").logprob < 0


def test_documents_are_searched_quoted_and_brought_up_to_date(release: Path) -> None:
    index = release / "office.index"
    answer = groundup.ask(index, QUESTION)
    assert "£5" in answer.text and answer.cited
    (release / "more").mkdir()
    (release / "more" / "fees.md").write_text("# Fees\n\nA parking permit costs £9.\n")
    assert groundup.index(release / "more", index).counts.documents == 3
    assert "£9" in groundup.ask(index, "What does a parking permit cost?").text


def test_the_records_of_a_build_are_read(release: Path) -> None:
    build = release / "pack-build"
    stages = read_build(build).stages
    assert {name: stage.status for name, stage in stages.items()} == {
        "index": "done",
        "actions": "done",
    }
    recipe = load_recipe(str(build / "recipe.toml"))
    assert recipe.name == "skeleton" and len(recipe.of_kind(IndexStage)) == 1


def test_a_pack_is_whole_and_can_be_built(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not check_pack(release / "spokewell").objections
    assert run(["build", str(release / "spokewell"), "--dry-run"]) == 0
    assert "actions" in capsys.readouterr().out
