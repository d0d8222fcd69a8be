"""A chat run keeps its adapter: opened by its folder, merged on wish, with chosen rank and targets; or all weights are trained."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.cli.main import run
from groundup.data.documents import InstructionExample
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.files import verify_folder
from groundup.finetune.config import ChatConfig
from groundup.finetune.instruct import fit_chat
from groundup.model.heads import LanguageModel
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel, open_model, save_model

CONFIG = ChatConfig(tokens=2_000, learning_rate=1e-2, precision="float32", max_tokens=48)
Fit = Callable[..., Path]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def base(base_model: LanguageModel, tokenizer: Tokenizer, home: Path) -> Path:
    save_model(base_model, home / "base", tokenizer)
    return home / "base"


@pytest.fixture(scope="module")
def fit(base: Path, instructions: list[InstructionExample], compute: Compute, home: Path) -> Fit:
    def fitted(name: str, **changes: object) -> Path:
        opened = open_model(base, compute)
        fit_chat(
            opened,
            instructions,
            RunFolder(home / name),
            replace(CONFIG, **changes),
            compute=compute,
        )  # type: ignore[arg-type]
        return home / name

    return fitted


@pytest.fixture(scope="module")
def kept(fit: Fit) -> Path:
    """A run that keeps its adapter alone."""
    return fit("kept")


def state(path: Path, compute: Compute) -> dict[str, torch.Tensor]:
    return open_model(path, compute).model.state_dict()


def test_the_adapter_alone_is_the_merged_model(kept: Path, fit: Fit, compute: Compute) -> None:
    merged = fit("merged", merge=True)
    verify_folder(kept)
    assert not (kept / "model.safetensors").exists() and (merged / "model.safetensors").exists()
    ours, theirs, beside = (state(path, compute) for path in (kept, merged, merged / "adapter"))
    assert all(
        torch.equal(ours[name], theirs[name]) and torch.equal(beside[name], theirs[name])
        for name in theirs
    )
    assert json.loads((kept / "adapter_config.json").read_text())["r"] == 8
    assert (kept / "adapter_model.safetensors").stat().st_size < (
        merged / "model.safetensors"
    ).stat().st_size


def test_rank_and_targets_are_chosen_and_peft_s_names_are_known(
    fit: Fit, base: Path, compute: Compute
) -> None:
    folder = fit("small", rank=2, targets=("q_proj", "value"))
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["target_modules"]) == (2, ["q_proj", "v_proj"])
    before, after = state(base, compute), state(folder, compute)
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"query", "value"}
    with pytest.raises(ConfigError, match="'sideways' is not a matrix"):
        fit("other", targets=("sideways",))


def test_all_weights_are_trained_when_asked_to(fit: Fit, base: Path, compute: Compute) -> None:
    folder = fit("all", train="all", learning_rate=1e-3)
    results = RunFolder(folder).read_results()
    assert results["train"] == "all" and results["lora"] is None
    assert results["held_out_loss"]["after"] < results["held_out_loss"]["before"]
    before, after = state(base, compute), state(folder, compute)
    assert sum(not torch.equal(before[name], after[name]) for name in before) == len(before)


def test_a_run_on_an_adapter_s_folder_begins_where_it_ended(
    kept: Path, instructions: list[InstructionExample], compute: Compute, tmp_path: Path
) -> None:
    opened = open_model(kept, compute)
    second = RunFolder(tmp_path / "second")
    results = fit_chat(opened, instructions, second, CONFIG, compute=compute)
    first = RunFolder(kept).read_results()
    assert results.held_out_loss["before"] == pytest.approx(
        first["held_out_loss"]["after"], abs=1e-4
    )
    assert state(second.path, compute).keys() == opened.model.state_dict().keys()


def test_the_verbs_open_an_adapter(
    kept: Path, base: Path, compute: Compute, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(kept)
    data = tmp_path / "a.jsonl"
    data.write_text(
        "".join(json.dumps({"instruction": f"say {n}", "output": str(n)}) + "\n" for n in range(20))
    )
    train = [
        "finetune",
        "chat",
        str(base),
        str(data),
        "--out",
        str(tmp_path / "new"),
        "--rank",
        "2",
        "--epochs",
        "1",
    ]
    assert run([*train, "--targets", "q_proj, down", "--set", "precision=float32", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["lora"]["rank"] == 2 and results["epochs"] == 1.0
    assert run([*train, "--train", "some"]) == 2
    assert "train must be 'lora' or 'all'" in " ".join(capsys.readouterr().err.split())
    for command in (
        ["generate", folder, "see you", "--max-tokens", "3"],
        ["model", "show", folder],
        ["verify", folder],
        ["convert", folder, "--to", "hf", "--out", str(tmp_path / "whole")],
        ["evaluate", folder, str(base), "--data", str(data), "--items", "3"],
    ):
        assert run(command) == 0, capsys.readouterr().err
    merged = open_model(tmp_path / "whole", compute)
    assert all(
        torch.equal(part, state(Path(folder), compute)[name])
        for name, part in merged.model.state_dict().items()
    )


def test_the_base_is_untouched(
    base_model: LanguageModel, kept: Path, base: Path, compute: Compute
) -> None:
    before = base_model.state_dict()
    assert all(torch.equal(before[name], part) for name, part in state(base, compute).items())
    opened: OpenModel = open_model(base, compute)
    assert opened.adapter is None
