"""Names of models: looked up in a table, never a path; copies and deletions change names, never weights."""

import json
from pathlib import Path

import pytest
import torch
from small_models import TOOL_TEMPLATES, save_classifier, save_language

from groundup.device import Compute
from groundup.errors import FormatError, ModelError
from groundup.serve.model_registry import (
    NAMES_FILE,
    AliasChanges,
    ModelRegistry,
    default_name,
    full_name,
)
from groundup.serve.requests import Options, RequestError
from groundup.tokenizer.chat import Message
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))

HARD_NAMES = [
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "",
    ".",
    "..",
    "~",
    "a:b:c",
    "a:",
    ":a",
    "a\0b",
    "a" * 300,
    "\ud800",
    "%2e%2e",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    save_language(path / "one")
    save_classifier(path / "sorter")
    (path / "half").mkdir()
    (path / "half" / "config.json").write_text("{}")
    return path


def test_a_models_folder_is_served_by_name_and_what_is_half_written_is_passed_over(
    folder: Path,
) -> None:
    registry = ModelRegistry({}, folder)
    assert [each.name for each in registry.aliases()] == ["one:latest", "sorter:latest"]
    assert registry.find("one") == registry.find("one:latest")
    assert registry.info(registry.find("sorter")).capabilities == ("classification",)


@pytest.mark.parametrize("template", ["tagged", None])
def test_a_model_can_call_tools_where_its_template_can_in_both_kinds_of_files(
    tmp_path: Path, template: str | None
) -> None:
    opened = open_model(
        save_language(tmp_path / "m", template=TOOL_TEMPLATES.get(template or "")), CPU
    )
    write_gguf(
        opened.model,
        opened.require_tokenizer(),
        tmp_path / "m2.gguf",
        quantization="f16",
        name="m2",
    )
    registry = ModelRegistry({}, tmp_path)
    able = ["tools" in registry.info(alias).capabilities for alias in registry.aliases()]
    assert able == [template is not None] * 2


def test_upper_and_lower_case_are_one_name(folder: Path) -> None:
    registry = ModelRegistry({"one": folder / "one", "sorter": folder / "sorter"})
    assert registry.find("ONE").name == registry.find("One:LATEST").name == "one:latest"
    registry.copy("oNe", "GPT-3.5-Turbo")
    assert registry.find("gpt-3.5-turbo").base == "one:latest"
    registry.copy("sorter", "gpt-3.5-turbo")
    assert [each.base for each in registry.aliases() if "gpt" in each.name.lower()] == [
        "sorter:latest"
    ]
    with pytest.raises(RequestError, match="the name of a model"):
        registry.copy("sorter", "ONE")
    registry.delete("GPT-3.5-TURBO")
    with pytest.raises(RequestError):
        registry.find("GPT-3.5-Turbo")


def test_a_model_that_comes_later_is_found(tmp_path: Path) -> None:
    registry = ModelRegistry({}, tmp_path)
    assert registry.aliases() == []
    save_language(tmp_path / "new")
    assert registry.find("new").name == "new:latest"


@pytest.mark.parametrize("name", HARD_NAMES, ids=ascii)
def test_a_name_never_leaves_the_folder(folder: Path, name: str) -> None:
    registry = ModelRegistry({}, folder)
    with pytest.raises(RequestError) as unknown:
        registry.find(name)
    assert unknown.value.status == 404
    for refused in (
        lambda: registry.copy("one", name),
        lambda: registry.create(name, "one", AliasChanges()),
    ):
        with pytest.raises(RequestError) as bad:
            refused()
        assert bad.value.status == 400
    assert not (folder / NAMES_FILE).exists()


def test_copies_are_kept_in_the_folder_and_deleted_without_touching_weights(tmp_path: Path) -> None:
    save_language(tmp_path / "one")
    before = sorted(tmp_path.rglob("*"))
    ModelRegistry({}, tmp_path).copy("one", "gpt-3.5-turbo")
    registry = ModelRegistry({}, tmp_path)
    assert [each.name for each in registry.aliases()] == ["gpt-3.5-turbo:latest", "one:latest"]
    registry.delete("one")
    assert [each.name for each in registry.aliases()] == ["gpt-3.5-turbo:latest"]
    with pytest.raises(RequestError, match="not found"):
        registry.find("one")
    registry.delete("gpt-3.5-turbo")
    assert registry.aliases() == []
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / NAMES_FILE])
    assert [each.name for each in ModelRegistry({}, tmp_path).aliases()] == [
        "one:latest"
    ]  # back when the server starts again


def test_a_created_name_has_texts_and_parameters_of_its_own(tmp_path: Path) -> None:
    save_language(tmp_path / "one")
    registry = ModelRegistry({}, tmp_path)
    options = Options(temperature=0.1, stop=("x",))
    registry.create("poet", "one", AliasChanges("Rhyme.", options=options))
    hello = (Message("user", "Hi"),)
    registry.create("poet2", "poet", AliasChanges(messages=hello, options=Options(seed=3)))
    again = ModelRegistry({}, tmp_path).find("poet2")
    assert (again.base, again.system, again.messages) == (
        "one:latest",
        "Rhyme.",
        (Message("user", "Hi"),),
    )
    assert again.options == Options(temperature=0.1, stop=("x",), seed=3)


def test_a_models_own_name_can_not_be_taken(folder: Path) -> None:
    with pytest.raises(RequestError, match="the name of a model"):
        ModelRegistry({}, folder).copy("one", "sorter")


def test_names_of_a_damaged_file_are_refused_in_one_sentence(tmp_path: Path) -> None:
    for content in (
        '[{"name": "x"}]',
        "[5]",
        '{"a": 5}',
        '[{"name": "../x", "base": "one:latest"}]',
        "{",
    ):
        (tmp_path / NAMES_FILE).write_text(content)
        with pytest.raises(FormatError):
            ModelRegistry({}, tmp_path)


def test_what_is_no_model_is_refused_before_the_server_starts(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is incomplete"):
        ModelRegistry({"x": tmp_path})
    with pytest.raises(FormatError):
        ModelRegistry({"half": folder / "half"})


def test_the_digest_changes_when_the_model_does(tmp_path: Path) -> None:
    save_language(tmp_path / "one")
    before = ModelRegistry({}, tmp_path)
    digest = before.info(before.find("one")).digest
    assert len(digest) == 64
    config = tmp_path / "one" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rms_norm_eps": 1e-3}))
    after = ModelRegistry({}, tmp_path)
    assert after.info(after.find("one")).digest != digest


def test_the_digest_changes_when_the_abilities_of_its_tools_do(tmp_path: Path) -> None:
    """Clients keep what a model can do by its digest (the program `llm`)."""
    save_language(tmp_path / "one", template=TOOL_TEMPLATES["tagged"])
    save_language(tmp_path / "two")
    digests: dict[str, set[str]] = {"one": set(), "two": set()}
    for setting in ("forced", "any", "template", "off"):
        registry = ModelRegistry({}, tmp_path, tools=setting)  # type: ignore[arg-type]
        again = ModelRegistry({}, tmp_path, tools=setting)  # type: ignore[arg-type]
        for name, found in digests.items():
            found.add(registry.info(registry.find(name)).digest)
            assert again.info(again.find(name)).digest in found
    assert len(digests["one"]) == 2  # by its own template, or not at all
    assert len(digests["two"]) == 3  # where a call is forced, always, or not at all
    registry.create("calls", "two", AliasChanges(template=TOOL_TEMPLATES["tagged"]))
    registry.copy("two", "same")
    assert registry.info(registry.find("same")).digest == registry.info(registry.find("two")).digest
    assert (
        registry.info(registry.find("calls")).digest != registry.info(registry.find("two")).digest
    )


def test_usual_names_can_stand_in_a_request() -> None:
    for path in ("runs/my model.gguf", "models/Qwen2.5-0.5B", "x/ü", "a/..hidden"):
        assert full_name(default_name(Path(path)))
