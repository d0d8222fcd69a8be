"""Recipes: read, checked, overridden, and answered with the nearest name."""

from pathlib import Path

import pytest

from groundup.config import read_toml
from groundup.errors import ConfigError
from groundup.recipes.recipe import check, load_recipe, parse_duration, write_recipe


def test_every_field_can_be_overridden() -> None:
    recipe = load_recipe("quickstart", ["pretrain.learning_rate=0.001", "seed=3", "export.encodings=['q8_0']"])
    assert (recipe.pretrain.learning_rate, recipe.seed, recipe.export.encodings) == (0.001, 3, ("q8_0",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("pretrain.learning_rat=1", ["pretrain.learning_rat", "'learning_rate'"]),
        ("pretrian.steps=1", ["pretrian", "'pretrain'"]),
        ("pretrain.steps=0", ["pretrain.steps", "greater than or equal to 1"]),
        ("spam.train=many", ["spam.train", "integer"]),
        ("budget=soon", ["soon", "90s, 3m"]),
        ("budget=2s", ["too short", "30s"]),
        ("pretrain.steps", ["has no '='"]),
        ("data.sources=[]", ["data.sources is empty"]),
    ],
)
def test_wrong_field_is_answered_in_one_sentence(change: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("quickstart", [change])
    for word in words:
        assert word in str(caught.value)


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="quickstart"):
        load_recipe("quikstart")


def test_folder_becomes_quickstart_with_its_texts(tmp_path: Path) -> None:
    recipe = load_recipe(str(tmp_path))
    assert [source.spec for source in recipe.data.sources] == [str(tmp_path)]
    assert recipe.spam == load_recipe("quickstart").spam


def test_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", ["pretrain.steps=12"])
    (tmp_path / "recipe.toml").write_text(write_recipe(recipe))
    assert check(read_toml(tmp_path / "recipe.toml")) == recipe


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("3m", 180), ("1h30m", 5400), ("600", 600), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
