"""Answers are written in int8 by default where machine and model have the fast path for it, said once; what measures stays in float32."""

import asyncio
import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import groundup
import groundup.device
from groundup.cli.main import run
from groundup.cli.serve import ServerOptions, precision_notes, registry_of, server_of
from groundup.device import Compute
from groundup.engine import precision
from groundup.engine.batch import BatchSettings
from groundup.engine.precision import default_precision, open_to_write
from groundup.files import atomic_folder
from groundup.http.limits import Limits
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.model.quantised import Int4Linear, Int8Linear
from groundup.progress import Silent
from groundup.serve.loaded_models import LoadedModels
from groundup.serve.local_server import LocalOptions, local_server
from groundup.serve.model_registry import read_model_info
from groundup.serve.worker import Worker
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights import packed_files
from groundup.weights.formats import export
from groundup.weights.model_io import open_model, save_model
from groundup.weights.packed import packed_folder

pytest.importorskip("numba")
EXACT = Compute(torch.device("cpu"))
NATIVE = replace(EXACT, native_bf16=True)
SHAPE = ModelConfig(320, 64, 32, 1, 2, 64)
SAID = "Answers are written in int8, the default on this machine; precision float32 is exact."
PACKAGE = Path(groundup.__file__).parent


class Heard(Silent):
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def saved(
    folder: Path,
    config: ModelConfig = SHAPE,
    kind: type[LanguageModel | Classifier] = LanguageModel,
) -> Path:
    made = LanguageModel(config) if kind is LanguageModel else Classifier(config, 2)
    initialise(made, torch.Generator().manual_seed(0), deviation=0.2)
    tokenizer = train_tokenizer(["To be or not to be. " * 9], 300)
    with atomic_folder(
        folder
    ) as temporary:  # with a manifest, as runs, `pull` and `convert` write it
        save_model(
            made, temporary, tokenizer, labels=() if kind is LanguageModel else ("ham", "spam")
        )
    return folder


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with bf16, whatever this one has."""
    monkeypatch.setattr(groundup.device, "cpu_has_bf16", lambda: True)


def test_answers_are_written_in_int8_where_bf16_numba_and_a_folder_that_keeps_packed_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "model")
    assert default_precision(path, NATIVE) == "int8"
    heard = Heard()
    opened, used = open_to_write(path, NATIVE, progress=heard)
    assert (
        isinstance(opened.model.transformer.block(0).feedforward.up, Int8Linear)
        and used.dtype == torch.bfloat16
    )
    assert [line for line in heard.lines if "Compiling" not in line] == [SAID]
    assert packed_folder(path, "int8").is_dir()

    assert default_precision(path, replace(EXACT, native_bf16=False)) == "float32"
    gguf = export(open_model(path, EXACT), "gguf", tmp_path / "model.gguf", quantization="f32")
    unknown = saved(tmp_path / "gpt", replace(SHAPE, norm="layer"))
    odd = saved(tmp_path / "odd", replace(SHAPE, feedforward_width=72))
    classifier = saved(tmp_path / "classifier", kind=Classifier)
    of_others = saved(tmp_path / "of-others")
    (of_others / "manifest.json").unlink()
    for other in (gguf, unknown, odd, classifier, of_others):
        assert default_precision(other, NATIVE) == "float32", other
    locked = saved(tmp_path / "locked")
    monkeypatch.setattr(packed_files.os, "access", lambda place, mode: Path(place) != locked)
    assert (
        default_precision(locked, NATIVE) == "float32" and default_precision(path, NATIVE) == "int8"
    )
    monkeypatch.setattr(precision, "has_compiler", lambda: False)
    assert default_precision(path, NATIVE) == "float32"


def test_a_folder_of_packed_weights_alone_is_written_with_as_it_is(tmp_path: Path) -> None:
    plain = open_model(saved(tmp_path / "model", replace(SHAPE, width=64, head_width=32)), EXACT)
    small = export(plain, "packed", tmp_path / "small", quantization="int4")
    opened, _ = open_to_write(small, NATIVE)
    assert isinstance(opened.model.transformer.block(0).feedforward.up, Int4Linear)


def test_where_the_step_can_not_be_compiled_answers_are_written_in_float32_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        precision, "use_compiled_step", lambda model, progress: "Decoding through torch: no luck."
    )
    heard = Heard()
    opened, used = open_to_write(saved(tmp_path / "model"), NATIVE, progress=heard)
    assert used.dtype == torch.float32 and next(opened.model.parameters()).dtype == torch.float32
    assert heard.lines == ["Decoding through torch: no luck."]


@pytest.mark.usefixtures("native")
def test_generate_says_its_default_once_and_float32_has_the_models_own_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "generate",
        str(saved(tmp_path / "model")),
        "To be",
        "--temperature",
        "0",
        "--max-tokens",
        "8",
    ]
    assert run(asked) == 0
    by_default = capsys.readouterr()
    assert " ".join(by_default.err.split()).count(SAID) == 1
    assert run([*asked, "--precision", "int8"]) == 0
    assert capsys.readouterr().out == by_default.out
    assert run([*asked, "--precision", "float32"]) == 0
    assert SAID not in " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("native")
def test_in_python_texts_are_written_in_int8_and_scores_vectors_and_files_are_exact(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path / "model")
    model, exact = groundup.open_model(path, "cpu"), groundup.open_model(path, "cpu", "float32")
    in_int8 = groundup.open_model(path, "cpu", "int8")
    assert isinstance(model.engine.language_model().transformer.block(0).feedforward.up, Int8Linear)
    said = {"max_tokens": 8, "temperature": 0}
    assert model.generate("To be", **said) == in_int8.generate("To be", **said)
    assert model.chat("To be", **said) == in_int8.chat("To be", **said)
    assert (
        model.score("To be", " or not")
        == exact.score("To be", " or not")
        != in_int8.score("To be", " or not")
    )
    assert torch.equal(model.embed("To be"), exact.embed("To be"))
    again = open_model(model.save(tmp_path / "again"), EXACT).model.state_dict()
    assert all(
        torch.equal(again[name], weights)
        for name, weights in open_model(path, EXACT).model.state_dict().items()
    )


@pytest.mark.usefixtures("native")
def test_langchains_models_write_in_int8_by_default_and_its_vectors_are_exact(
    tmp_path: Path,
) -> None:
    pytest.importorskip("langchain_core")
    from groundup.integrations.langchain_chat import GroundupLLM
    from groundup.integrations.langchain_retriever import GroundupEmbeddings

    path = saved(tmp_path / "model")
    model = GroundupLLM(model=str(path), device="cpu")
    info = read_model_info(path)
    assert model.local.server.loaded_models.precision_of(info) == "int8"
    assert (
        GroundupLLM(model=str(path), precision="float32").local.server.loaded_models.precision_of(
            info
        )
        == "float32"
    )
    assert GroundupEmbeddings(model=str(path)).local.server.loaded_models.precision == "float32"
    assert local_server(path, LocalOptions("cpu")).server.loaded_models.precision == "float32"


@pytest.mark.usefixtures("native")
def test_serve_says_in_one_line_that_answers_are_in_int8_and_holds_adapters_and_reproducible_ones_in_float32(
    tmp_path: Path,
) -> None:
    limits, plain, odd = (
        Limits(),
        saved(tmp_path / "plain"),
        saved(tmp_path / "odd", replace(SHAPE, norm="layer")),
    )

    def notes(path: Path, **options: object) -> tuple[list[str], str]:
        registry = registry_of([str(path)], None, Silent())
        loaded = server_of(registry, ServerOptions(device="cpu", **options), limits).loaded_models
        return precision_notes(loaded, registry), loaded.precision_of(read_model_info(path))

    (said,), chosen = notes(plain)
    assert (
        chosen == "int8"
        and "int8" in said
        and "--precision float32" in said
        and "the same alone and among" in said
    )
    for path, options in (
        (odd, {}),
        (plain, {"precision": "float32"}),
        (plain, {"reproducible": True}),
    ):
        (said,), chosen = notes(path, **options)
        assert chosen == "float32" and said.startswith("Precision float32"), options
    info = read_model_info(plain)
    loaded = LoadedModels(
        *(Worker(8), NATIVE, None), keep_alive_s=9.0, memory_bytes=2**40, settings=BatchSettings(),
    )  # fmt: skip
    assert loaded.precision_of(replace(info, base=plain)) == "float32"
    assert "the same alone and among others, to the last bit" in loaded.determinism_note(info)

    async def opened() -> str | None:
        async with loaded.lease("plain", info, None):
            return loaded.decodes_with("plain")

    assert asyncio.run(opened()) == "compiled step"


def test_only_what_writes_answers_for_people_has_another_default_than_float32() -> None:
    """Evaluations, gates, parity, exports, stages of builds and the server open models in float32, and so does every notebook."""
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}

    def users(pattern: str) -> set[str]:
        return {
            path.relative_to(PACKAGE).as_posix()
            for path, text in sources.items()
            if re.search(pattern, text)
        }

    assert users("open_to_write") == {
        "api/models.py",
        "api/documents.py",  # ask with the name of a model
        "api/evaluation.py",  # an index is evaluated as ask answers
        "engine/precision.py",
        "serve/loaded_models.py",
    }
    assert users("default_precision") == {
        *("engine/precision.py", "serve/loaded_models.py", "cli/serve.py"),
    }
    assert users("from groundup.api.models import .*open_model") == {
        *("api/public.py", "cli/ask.py", "cli/chat.py", "cli/classify.py", "cli/generate.py"),
    }
    for notebook in (PACKAGE / "course" / "notebooks").glob("*.ipynb"):
        for line in notebook.read_text().splitlines():
            assert (
                "groundup.open_model(" not in line or "precision=" in line or "classifier" in line
            ), (notebook, line)


def test_evidence_and_vectors_of_an_index_do_not_depend_on_the_precision_of_answers() -> None:
    text = (PACKAGE / "retrieve" / "vectors.py").read_text()
    assert 'open_in("float32"' in text and importlib.util.find_spec("groundup.retrieve.vectors")
