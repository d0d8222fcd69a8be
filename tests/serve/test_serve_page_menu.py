"""What the page's menus are told: chat models before base models, how each is drawn from, and what a build is served as."""

import json
import shutil
from pathlib import Path

import pytest
from small_models import save_classifier, save_language

from groundup.cli.serve import registry_of
from groundup.errors import ConfigError
from groundup.files import write_json
from groundup.migrations import BUILD
from groundup.progress import Silent
from groundup.serve.app.page import menu
from groundup.serve.model_registry import AliasChanges, ModelRegistry
from groundup.weights.card import ModelCard


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build's folder with its own model, a chat model and a classifier."""
    folder = tmp_path_factory.mktemp("builds") / "mini"
    (save_language(folder / "pretrain") / "README.md").write_text(ModelCard("own").markdown())
    (save_language(folder / "chat") / "README.md").write_text(
        ModelCard("chat", base="published").markdown()
    )
    save_classifier(folder / "spam")
    write_json(
        folder / "build.json", BUILD.stamp({"kinds": {"chat": "chat", "spam": "classifier"}})
    )
    return folder


def told(registry: ModelRegistry) -> list[tuple[str, str]]:
    return [
        (each["name"], each["kind"])
        for each in menu([(alias, registry.info(alias)) for alias in registry.aliases()])
    ]


def test_a_build_is_served_as_its_chat_model_and_its_classifier(build: Path) -> None:
    registry = registry_of([str(build)], None, Silent())
    assert told(registry) == [("mini:latest", "chat"), ("mini-spam:latest", "classifier")]
    assert told(registry_of([f"mine={build}"], None, Silent()))[1] == (
        "mine-spam:latest",
        "classifier",
    )
    kinds = {"chat": "chat", "spam": "classifier", "mood": "classifier"}
    write_json(build / "build.json", BUILD.stamp({"kinds": kinds}))
    save_classifier(build / "mood")
    assert [name for name, _ in told(registry_of([str(build)], None, Silent()))][1:] == [
        "mini-mood:latest",
        "mini-spam:latest",
    ]
    with pytest.raises(ConfigError, match="'mini-spam'"):
        registry_of([str(build), f"mini-spam={build / 'spam'}"], None, Silent())


def test_an_unfinished_classifier_is_not_served(build: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(build, tmp_path / "mini"))
    write_json(other / "build.json", BUILD.stamp({"kinds": {"chat": "chat", "spam": "classifier"}}))
    (other / "spam" / "config.json").unlink()
    assert told(registry_of([str(other)], None, Silent())) == [("mini:latest", "chat")]


def test_a_build_is_also_served_as_its_own_model_with_its_page_and_what_the_chat_model_began_as(
    build: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(build, tmp_path / "mini"))
    save_language(other / "base")
    kinds = {"pretrain": "pretrain", "base": "base", "chat": "chat"}
    write_json(other / "build.json", BUILD.stamp({"kinds": kinds}))
    named = [("mini:latest", "chat"), ("mini:original", "chat"), ("mini:own", "base")]
    assert told(registry_of([str(other)], None, Silent())) == named
    assert live_pages(other) == []
    (other / "model.html").write_text("the page")
    assert live_pages(other) == ["mini:own"]
    assert live_pages(other / "pretrain") == ["pretrain:latest"]
    (other / "model.html").unlink()
    (other / "model.html").symlink_to(build / "build.json")
    assert live_pages(other) == []
    write_json(other / "build.json", BUILD.stamp({"kinds": {"pretrain": "pretrain"}}))
    assert told(registry_of([str(other)], None, Silent())) == [("mini:latest", "base")]


def live_pages(path: Path) -> list[str]:
    registry = registry_of([str(path)], None, Silent())
    entries = menu([(alias, registry.info(alias)) for alias in registry.aliases()])
    return [each["name"] for each in entries if each["live"]]


def test_chat_models_come_before_base_models_whatever_their_names(build: Path) -> None:
    models = {"a-sorter": build / "spam", "b-base": build / "pretrain", "c-chat": build / "chat"}
    assert told(ModelRegistry(models)) == [
        ("c-chat:latest", "chat"),
        ("b-base:latest", "base"),
        ("a-sorter:latest", "classifier"),
    ]


def test_a_model_without_a_chat_template_is_a_base_model(tmp_path: Path) -> None:
    config = save_language(tmp_path / "x") / "tokenizer_config.json"
    assert told(ModelRegistry({"x": tmp_path / "x"})) == [("x:latest", "chat")]
    content = json.loads(config.read_text())
    del content["chat_template"]
    config.write_text(json.dumps(content))
    assert told(ModelRegistry({"x": tmp_path / "x"})) == [("x:latest", "base")]


def test_answers_are_drawn_as_the_models_folder_or_its_made_name_says(tmp_path: Path) -> None:
    from groundup.serve.requests import Options

    file = save_language(tmp_path / "x") / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"temperature": 0.3}))
    registry = ModelRegistry({"x": tmp_path / "x"})
    registry.create("y", "x", AliasChanges(options=Options(top_k=7)))
    x, y = menu([(alias, registry.info(alias)) for alias in registry.aliases()])
    others = {"top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.0}
    assert x["sampling"] == {"temperature": 0.3, "top_k": 40, **others}
    assert y["sampling"] == {"temperature": 0.3, "top_k": 7, **others}
