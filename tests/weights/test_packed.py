"""Packed weights: the same model as quantised in memory, made once, and made again where they do not agree."""

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup import files
from groundup.cli.main import run
from groundup.device import Compute
from groundup.engine.precision import open_in
from groundup.errors import DiskError, FormatError, GroundupError
from groundup.files import MANIFEST, atomic_folder, read_json, verify_folder, write_json
from groundup.kernels.probe import use_compiled_step
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.quantised import Bits, quantise
from groundup.progress import Silent
from groundup.serve.model_registry import read_model_info
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights import packed
from groundup.weights.formats import export
from groundup.weights.model_io import open_model, read_model_summary, save_model
from groundup.weights.packed import BITS, packed_folder
from groundup.weights.packed_files import HASHED_EVERY_S
from groundup.weights.verify import verify_path

CPU = Compute(torch.device("cpu"))
IDS = torch.arange(40)[None]
SHAPE = {"num_layers": 2, "num_heads": 4, "feedforward_width": 128, "num_kv_heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"tied_head": False},
    "gemma3": {
        "family": "gemma3",
        "block": "sandwich",
        "qk_norm": "head",
        "feedforward": "geglu",
        "head_width": 64,
    },
    "biases": {"family": "qwen2", "attention_bias": True},
}


class Heard(Silent):
    """What is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def write_model(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A model's folder with a manifest, as `pull`, `convert` and runs write it."""
    made = LanguageModel(ModelConfig(384, 64, 64, **{**SHAPE, **changes}))
    random = torch.Generator().manual_seed(seed)
    initialise(made, random, deviation=0.3)
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.1, generator=random)
    with atomic_folder(folder) as temporary:
        save_model(made, temporary, train_tokenizer(["To be or not to be. " * 9], 384))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def logits(choice: Any, path: Path, progress: Any = None) -> torch.Tensor:
    """Through the compiled step, where it is installed, and through torch."""
    opened, _ = open_in(choice, path, CPU, progress=progress)
    assert isinstance(opened.model, LanguageModel)
    with torch.inference_mode():
        return opened.model(IDS).float()


def in_memory(path: Path, bits: Bits) -> torch.Tensor:
    model = open_model(path, Compute(torch.device("cpu"), torch.bfloat16)).model
    quantise(model, bits)
    use_compiled_step(model, Silent())  # it unpacks for prompts, too
    with torch.inference_mode():
        return model(IDS).float()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_model_is_the_one_quantised_in_memory(
    tmp_path: Path, kind: str, bits: Bits
) -> None:
    folder = write_model(tmp_path / "model", **KINDS[kind])
    expected = in_memory(folder, bits)
    first, again = logits(bits, folder), logits(bits, folder)
    assert packed_folder(folder, bits).is_dir()
    assert torch.equal(first, expected) and torch.equal(again, expected)
    assert verify_path(folder).manifests == 2


def test_the_models_own_weights_are_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits("int8", folder)
    monkeypatch.setattr("groundup.engine.precision.open_model", None)  # it would be called
    assert torch.equal(logits("int8", folder), expected)


@pytest.mark.parametrize(
    "shared", ["", "packed", "packed/int8-v1", "packed/int8-v1/model.safetensors"]
)
def test_packed_weights_that_another_user_could_have_written_are_not_used(
    folder: Path, shared: str
) -> None:
    """Nor written where others could replace them: the model is packed in memory, and that is said."""
    expected = logits("int8", folder)
    weights, heard = packed_folder(folder, "int8") / "model.safetensors", Heard()
    before = weights.stat().st_mtime_ns
    (folder / shared).chmod(0o777)
    assert torch.equal(logits("int8", folder, heard), expected)
    said = [line for line in heard.lines if "can be written by other users" in line]
    assert (
        len(said) == 1 and str(folder / shared) in said[0] and weights.stat().st_mtime_ns == before
    )
    shutil.rmtree(folder / "packed")
    folder.chmod(0o777)
    assert torch.equal(logits("int8", folder, heard), expected) and not (folder / "packed").exists()


def test_weights_that_changed_later_are_hashed_and_others_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same size, under a manifest that knows nothing of them."""
    expected, hashed, real = logits("int8", folder), list[Path](), files.sha256_file

    def seen(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(files, "sha256_file", seen)
    own = folder / "model.safetensors"
    assert torch.equal(logits("int8", folder), expected) and own not in hashed
    own.touch()
    assert torch.equal(logits("int8", folder), expected) and own in hashed
    hashed.clear()
    assert torch.equal(logits("int8", folder), expected) and own not in hashed
    other = write_model(folder.with_name("other"), seed=1)
    shutil.copyfile(other / own.name, own)
    with pytest.raises(FormatError, match="differs from the manifest"):
        open_in("int8", folder, CPU)


def test_packed_weights_are_hashed_where_they_may_have_changed_and_once_a_day(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits("int8", folder)
    kept, hashed, real = packed_folder(folder, "int8"), list[Path](), files.sha256_file

    def seen(path: Path) -> str:
        hashed.append(path)
        return real(path)

    def is_hashed() -> bool:
        hashed.clear()
        logits("int8", folder)
        return kept / "model.safetensors" in hashed

    monkeypatch.setattr(files, "sha256_file", seen)
    is_hashed()
    assert not is_hashed()
    (kept / "model.safetensors").touch()
    assert is_hashed() and not is_hashed()
    for later_s in (-HASHED_EVERY_S, 3600):  # long ago, or by a clock that was wrong
        checked_s = time.time() + later_s
        os.utime(kept / MANIFEST, (checked_s, checked_s))
        assert is_hashed() and not is_hashed()
    before = (kept / "model.safetensors").stat()
    damage(kept / "model.safetensors")
    os.utime(kept / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    heard = Heard()
    logits("int8", folder, heard)
    assert heard.lines[0].endswith("The packed weights are made again.")


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize(
    "part", ["weights", "manifest", "no manifest", "no weights", "other model", "cut"]
)
def test_packed_weights_that_do_not_agree_are_said_and_made_again(folder: Path, part: str) -> None:
    expected, kept = logits("int8", folder), packed_folder(folder, "int8")
    if part == "weights":
        damage(kept / "model.safetensors")
    elif part == "manifest":
        write_json(kept / MANIFEST, {**read_json(kept / MANIFEST), "of": "x"})
    elif part == "no manifest":
        (kept / MANIFEST).unlink()
    elif part == "no weights":
        (kept / "model.safetensors").unlink()
    elif part == "cut":
        os.truncate(kept / "model.safetensors", 999)
    else:
        moved = folder.with_name("moved")
        shutil.move(kept, moved)
        write_model(folder, seed=1)
        expected = in_memory(folder, "int8")
        kept.parent.mkdir()
        shutil.move(moved, kept)
    heard = Heard()
    assert torch.equal(logits("int8", folder, heard), expected)
    assert (
        heard.lines[0].endswith("The packed weights are made again.") and "\n" not in heard.lines[0]
    )
    heard = Heard()
    assert torch.equal(logits("int8", folder, heard), expected)
    assert "made again" not in "".join(heard.lines)


def test_damage_of_the_models_other_files_is_refused_with_packed_weights_too(folder: Path) -> None:
    logits("int8", folder)
    for name in ("tokenizer.json", "config.json"):
        before = (folder / name).read_bytes()
        damage(folder / name)
        with pytest.raises(FormatError, match="differs from the manifest"):
            open_in("int8", folder, CPU)
        (folder / name).write_bytes(before)
    os.truncate(folder / "model.safetensors", 999)
    with pytest.raises(FormatError, match="size"):
        open_in("int8", folder, CPU)


def test_a_folder_that_cannot_be_written_or_is_not_ours_is_left_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_memory(folder, "int4")
    foreign = tmp_path / "foreign"
    shutil.copytree(folder, foreign)
    (foreign / MANIFEST).unlink()
    assert torch.equal(logits("int4", foreign), expected) and not (foreign / "packed").exists()

    def refused(*_: Any, **__: Any) -> None:
        raise DiskError("No space left.")

    monkeypatch.setattr(packed, "write_packed", refused)
    assert (
        torch.equal(logits("int4", folder), expected) and not packed_folder(folder, "int4").exists()
    )
    monkeypatch.undo()
    (folder / "packed").rmdir()
    (folder / "packed").write_text("not a folder")
    assert torch.equal(logits("int4", folder), expected)


def _killed_while_writing(folder: Path) -> None:
    real = packed.save_tensors

    def cut(tensors: Any, path: Path) -> None:
        real(tensors, path)
        os.truncate(path, 999)
        os._exit(9)

    packed.save_tensors = cut
    open_in("int8", folder, CPU)


def _answer(folder: Path, answers: Any) -> None:
    answers.put(logits("int8", folder).numpy())


def server_of_forks() -> Any:
    """New processes, of which the first imports this module and torch, and the others are forked from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def test_a_write_that_was_interrupted_leaves_nothing_that_is_read(folder: Path) -> None:
    process = server_of_forks().Process(target=_killed_while_writing, args=(folder,))
    process.start()
    process.join()
    kept = packed_folder(folder, "int8")
    assert process.exitcode == 9 and not kept.exists() and list(kept.parent.glob(".tmp-*"))
    assert torch.equal(logits("int8", folder), in_memory(folder, "int8"))
    verify_folder(kept)
    assert [each.name for each in kept.parent.iterdir()] == [kept.name]


def test_processes_that_open_a_model_at_once_all_answer_and_leave_one_set_of_weights(
    folder: Path,
) -> None:
    context = server_of_forks()
    answers: Any = context.SimpleQueue()
    processes = [context.Process(target=_answer, args=(folder, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [torch.from_numpy(answers.get()) for _ in processes]
    for process in processes:
        process.join()
    expected = in_memory(folder, "int8")
    assert all(torch.equal(each, expected) for each in found)
    assert [each.name for each in (folder / "packed").iterdir()] == [
        packed_folder(folder, "int8").name
    ]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_folder_is_opened_in_every_precision(
    tmp_path: Path, kind: str, bits: Bits
) -> None:
    folder = write_model(tmp_path / "model", **KINDS[kind])
    out = export(open_model(folder, CPU), "packed", tmp_path / "packed", quantization=bits)
    assert not (out / "model.safetensors").exists()
    verify_path(out)
    expected = in_memory(folder, bits)
    assert torch.equal(logits(bits, out), expected)
    for whole in ("float32", "bf16"):
        assert (logits(whole, out) - expected).abs().mean() < 0.06 * expected.abs().mean()
    other: Bits = "int4" if bits == "int8" else "int8"
    assert torch.equal(logits(other, out), in_memory(out, other))
    assert [each.name for each in (out / "packed").iterdir()] == [packed_folder(out, bits).name]
    assert list(read_model_summary(str(out)).stored) == [bits]
    again = export(open_model(out, CPU), "hf", tmp_path / "hf")
    assert torch.equal(logits("float32", again), logits("float32", out))


def test_a_damaged_packed_folder_is_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    out = export(open_model(folder, CPU), "packed", tmp_path / "packed", quantization="int8")
    damage(packed_folder(out, "int8") / "model.safetensors")
    for choice in ("int8", "float32", "int4"):
        with pytest.raises(GroundupError, match="differs from the manifest") as refused:
            open_in(choice, out, CPU)
        assert "\n" not in refused.value.message


def test_a_folder_in_another_layout_is_refused_in_one_sentence_and_made_again_beside_a_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = export(open_model(folder, CPU), "packed", tmp_path / "packed", quantization="int4")
    for kept in (packed_folder(out, "int4"), packed_folder(folder, "int4")):
        expected = logits("int4", kept.parents[1])
        kept.rename(kept.with_name("int4-v1"))
    for words in (["generate", out, "To be", "--precision", "int4"], ["model", "show", out]):
        assert run([*map(str, words)]) == 2
        told = capsys.readouterr().err
        assert (
            "int4-v1: layout: is not int4-v2" in told
            and "groundup convert" in told
            and "Traceback" not in told
        )
    assert torch.equal(logits("int4", folder), expected) and packed_folder(folder, "int4").is_dir()


def test_the_verbs_make_a_packed_folder_say_what_it_is_and_answer_from_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"

    def told(*words: object) -> Any:
        assert run([*map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert told("convert", folder, "--precision", "int4", "--out", out)["to"] == "packed"
    assert list(told("model", "show", out)["stored"]) == ["int4"]
    assert read_model_info(out).stored_as == "int4"
    asked = ("To be", "--temperature", 0, "--max-tokens", 8, "--precision")
    assert (
        told("generate", out, *asked, "int4")["text"]
        == told("generate", folder, *asked, "int4")["text"]
    )
    assert run(["generate", str(out), *map(str, asked), "float32"]) == 0
    assert "--precision int4 uses them as they are" in capsys.readouterr().err
    assert told("convert", folder, "--precision", "int8", "--out", out)["to"] == "packed"
    assert list(told("model", "show", out)["stored"]) == ["int8"]
