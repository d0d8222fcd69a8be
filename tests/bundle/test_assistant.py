"""`groundup app` of a build with documents, or of an index: an assistant that is carried elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tiny_encoder import save_encoder

import groundup
from groundup.bundle.assistant import assistant_parts, carry
from groundup.cache import stored_bytes
from groundup.cli.main import run
from groundup.cli.serve import ServerOptions, indexes_of, registry_of, server_of
from groundup.cli.serve_options import assistants_of, indexes_of_builds
from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import ConfigError
from groundup.files import write_manifest
from groundup.http.limits import Limits
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.lora import add_lora
from groundup.progress import Silent
from groundup.retrieve.rankings import vectors_for
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import embed_with, make_vectors
from groundup.runs import BuildResults, provenance
from groundup.serve.app.application import app_of
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights import pulled
from groundup.weights.catalog import DEFAULT_ENCODER, SENTENCE_ENCODER
from groundup.weights.lora_file import encoder_hashes, write_lora_file
from groundup.weights.model_io import open_model, save_model
from groundup.weights.verify import verify_path

FIRM = Path(__file__).parents[1] / "retrieve" / "small_firm"
QUESTION = "What is the price of a crown?"
CPU = Compute(torch.device("cpu"))
RECIPE = """
name = "clinic"
pack = "/somewhere/of/mine"
[assistant]
organisation = "Pebblegate"
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A clinic's build, with documents, actions and a tiny chat model."""
    folder = tmp_path / "clinic"
    documents = shutil.copytree(FIRM / "documents", tmp_path / "documents")
    update_index(folder / "index", [Source(str(documents))], progress=Silent())
    (folder / "actions").mkdir()
    for name in ("actions.toml", "world.sql"):
        shutil.copy(FIRM / name, folder / "actions" / name)
    (folder / "recipe.toml").write_text(RECIPE)
    tokenizer = train_tokenizer(["to be, or not to be, that is the question " * 3], 300)
    shape = {"width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2}
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_tokens=32, feedforward_width=32, **shape
    )
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(3))
    save_model(model, folder / "chat", tokenizer)
    kinds = {"base": "base", "index": "index", "actions": "actions", "chat": "chat"}
    BuildResults(**asdict(provenance()), recipe="clinic", kinds=kinds).write(folder)
    return folder


def carried_from(source: Path, tmp_path: Path, *, with_model: bool = False) -> Path:
    """What an app has of it, at another place; all that it was made of is gone."""
    parts = assistant_parts(source, with_model=with_model)
    assert parts is not None and parts.documents == 12
    opened = parts.model and open_model(parts.model, CPU)
    (tmp_path / "made").mkdir()
    name = carry(parts, tmp_path / "made", opened, Silent())
    app = (tmp_path / "made").rename(tmp_path / "carried")
    for gone in ("documents", "clinic"):
        shutil.rmtree(tmp_path / gone)
    return app / name


def test_the_assistant_answers_elsewhere_from_the_documents_beside_it(
    build: Path, tmp_path: Path
) -> None:
    with groundup.open_assistant(build) as assistant:
        titles, here = assistant.action_titles, assistant.reply(QUESTION)
    assert (build / "world.sqlite").is_file()
    place = carried_from(build, tmp_path)
    assert not (place / "world.sqlite").exists()  # what was done here stays here
    with groundup.open_assistant(place) as assistant:
        there = assistant.reply(QUESTION)
        assert assistant.action_titles == titles and titles
    assert there.text == here.text and "£690" in there.text and there.found
    assert Path(there.sources[0].file).is_relative_to(place)
    assert verify_path(place).manifests == 2


def add_vectors(index: Path, encoder: Path) -> None:
    embed = embed_with(str(encoder), CPU, Silent())
    make_vectors(index, embed, str(encoder), progress=Silent())


def test_a_tuned_encoder_is_carried_without_the_weights_that_the_other_one_has(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served as a model, too, over which the assistant stands."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("GROUNDUP_CACHE", str(cache))
    monkeypatch.setattr(pulled, "ADAPTERS", tmp_path)
    plain = save_encoder(cache / "models" / SENTENCE_ENCODER)
    write_manifest(plain, extra={"pulled": SENTENCE_ENCODER})
    encoder = encoder_of(Engine(open_model(plain, CPU), CPU))
    base = encoder_hashes(encoder.transformer)
    add_lora(encoder, rank=2, alpha=4.0, generator=torch.Generator().manual_seed(3))
    for name, parameter in encoder.named_parameters():
        if "lora_b" in name:
            parameter.data.fill_(0.1)
    write_lora_file(encoder, tmp_path / f"{DEFAULT_ENCODER}.safetensors", base, "random")
    make_vectors(
        build / "index",
        embed_with(DEFAULT_ENCODER, CPU, Silent()),
        DEFAULT_ENCODER,
        progress=Silent(),
    )
    parts = assistant_parts(build)
    assert parts is not None and set(parts.encoders) == {SENTENCE_ENCODER, DEFAULT_ENCODER}
    sizes = next(size for what, size in parts.sizes().items() if "encoders" in what)
    assert sizes < 1.1 * stored_bytes(plain)
    place = carried_from(build, tmp_path)
    shutil.rmtree(cache)
    weights = [file.parent.name for file in place.parent.rglob("*/model.safetensors")]
    assert weights == [SENTENCE_ENCODER]
    monkeypatch.setenv("GROUNDUP_CACHE", str(place.parent / "cache"))
    vectors = vectors_for("both", place / "index", "cpu", Silent())
    assert vectors is not None
    untuned = embed_with(SENTENCE_ENCODER, CPU, Silent())
    assert not np.allclose(vectors.embed([QUESTION]), untuned([QUESTION]), atol=0.01)
    given = [f"clinic={place}"]
    assistants = assistants_of(given, indexes_of_builds(given))
    registry = registry_of(given, None, Silent(), assistants=assistants)
    served = next(each for each in registry.aliases() if each.name == "clinic:encoder")
    again = Engine(open_model(registry.info(served).path, CPU), CPU).embed([QUESTION]).numpy()
    assert np.array_equal(again, vectors.embed([QUESTION]))
    assert [file.parent.name for file in place.parent.rglob("*/model.safetensors")] == weights


def test_a_model_is_not_carried_where_there_is_none(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["app", str(build / "index"), "--out", str(tmp_path / "app"), "--with-model"]
    assert run(command) == 2
    assert "no model that writes, so --with-model has nothing to carry" in capsys.readouterr().err


@pytest.mark.parametrize("with_model", [False, True])
def test_the_model_that_writes_is_carried_where_it_is_asked_for(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_model: bool
) -> None:
    encoder = save_encoder(tmp_path / "my-encoder")
    add_vectors(build / "index", encoder)
    parts = assistant_parts(build, with_model=with_model)
    assert parts is not None and not parts.is_index
    assert (parts.model is not None, parts.left_out_bytes == 0) == (with_model, with_model)
    assert ("the model that can write" in parts.sizes()) is with_model
    place = carried_from(build, tmp_path, with_model=with_model)
    assert (place / "chat").exists() is with_model
    shutil.rmtree(encoder)
    monkeypatch.chdir(place.parent)
    given = [f"clinic={place.name}"]
    indexes = indexes_of_builds(given)
    assistants = assistants_of(given, indexes)
    registry = registry_of(given, None, Silent(), assistants=assistants)
    uses = {"clinic:latest": "assistant", "clinic:encoder": "encoder"}
    if with_model:
        uses = {"clinic:latest": "assistant", "clinic:chat": "base"}
    assert {each.name: registry.info(each).use for each in registry.aliases()} == uses
    server = server_of(registry, ServerOptions(device="cpu"), Limits(), indexes_of(indexes))
    body = {"model": "clinic", "messages": [{"role": "user", "content": QUESTION}]}
    with TestClient(app_of(server), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/chat/completions", json=body).json()
        assert "choices" in answer, answer
        assert "£690" in answer["choices"][0]["message"]["content"]
        assert client.get("/api/tags").json()["models"]
        asked = client.post("/groundup/ask", json={"question": QUESTION, "model": "clinic"})
        assert asked.status_code == 400 and "no chat model" in asked.text
    if not with_model:
        default = registry.default()
        assert default is not None and default.name == "clinic:latest"


def test_nothing_of_the_first_machine_is_in_its_records(build: Path, tmp_path: Path) -> None:
    place = carried_from(build, tmp_path)
    for file in (file for file in place.rglob("*") if file.is_file()):
        content = file.read_bytes()
        assert str(tmp_path).encode() not in content and b"/somewhere/of/mine" not in content, file
    assert not (place / "base").exists()


def test_an_encoder_that_is_a_folder_is_carried_and_found(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = save_encoder(tmp_path / "my-encoder")
    add_vectors(build / "index", encoder)
    place = carried_from(build / "index", tmp_path)
    shutil.rmtree(encoder)
    monkeypatch.chdir(place.parent)
    found = vectors_for("both", place, "cpu", Silent())
    assert found is not None and found.known.model == "encoders/my-encoder"
    assert verify_path(place).unlisted == 12  # the documents, which the app's manifest lists


def test_an_encoder_that_is_not_here_is_named_with_its_command(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_vectors(build / "index", save_encoder(tmp_path / "my-encoder"))
    about = json.loads((build / "index" / "vectors" / "vectors.json").read_text())
    about["model"] = "all-mpnet-base-v2"
    (build / "index" / "vectors" / "vectors.json").write_text(json.dumps(about))
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="all-mpnet-base-v2, which made the vectors") as caught:
        assistant_parts(build)
    assert "groundup pull all-mpnet-base-v2" in str(caught.value)


def test_a_page_can_not_search(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "app"
    assert run(["app", str(build), "--out", str(out), "--form", "page"]) == 2
    assert "can't search" in capsys.readouterr().err and not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is made on Linux only")
def test_the_app_of_an_assistant_starts_elsewhere_with_nothing_of_this_environment(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    assert run(["app", str(build), "--out", str(made)]) == 0
    said = capsys.readouterr()
    assert "12 documents" in said.out and "Python with its packages" in said.err
    app = tmp_path / "carried over" / "app"
    app.parent.mkdir()
    shutil.move(made, app)
    for gone in ("documents", "clinic"):
        shutil.rmtree(tmp_path / gone)
    assert verify_path(app).unlisted == 0
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run(
        [app / "start.sh", "--check"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "serves clinic:latest" in done.stdout and "12 documents as clinic" in done.stdout
