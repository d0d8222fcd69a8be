"""`torchrun ... -m groundup pretrain --from MODEL`: two processes continue a model's training as one does, and measure what it forgot once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import groundup
from groundup.runs import RunFolder, read_lines

SETTINGS = {"fit.precision": "float32", "fit.batch_size": 4, "model.context_tokens": 16}
SMALL = {
    **SETTINGS,
    "model.width": 16,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.num_kv_heads": 1,
    "model.context_tokens": 32,
    "model.vocab_size": 280,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two kinds, a model of the first, and one process's continued training on the second."""
    root = tmp_path_factory.mktemp("continued")
    for kind, line in (
        ("general", "The fox and the hen sang of the sea. "),
        ("own", "Invoice 47: nine crates. "),
    ):
        (root / kind).mkdir()
        for number in range(40):
            (root / kind / f"{number}.txt").write_text(f"{kind} {number}. " + line * 20)
    groundup.pretrain(
        root / "general",
        root / "base",
        groundup.PretrainConfig(steps=8, settings=SMALL),
        device="cpu",
    )
    start = groundup.ContinuedTraining(root / "base", {str(root / "general"): 0.25})
    config = groundup.PretrainConfig(steps=8, settings=SETTINGS, start=start)
    with pytest.MonkeyPatch.context() as patch:  # as in the processes that torchrun starts
        patch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 16_384)
        groundup.pretrain(root / "own", root / "one", config, device="cpu")
    return root


def losses(folder: Path) -> list[float]:
    return [
        line["loss"] for line in read_lines(RunFolder(folder).metrics_file) if "event" not in line
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_two_processes_go_on_as_one_does(root: Path, way: str) -> None:
    sets = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "-m",
        "groundup",
        "pretrain",
    ]
    command += [
        str(root / "own"),
        "--from",
        str(root / "base"),
        "--replay",
        f"{root / 'general'}=0.25",
    ]
    command += [
        "--out",
        str(root / way),
        "--steps",
        "8",
        "--device",
        "cpu",
        "--set",
        f"fit.parallel={way}",
        *sets,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--json"],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found, alone = json.loads(done.stdout), RunFolder(root / "one").read_results()
    assert losses(root / way) == pytest.approx(losses(root / "one"), abs=1e-4)
    assert found["start"]["before"] == pytest.approx(alone["start"]["before"], abs=1e-5)
    assert found["forgetting"]["general"]["after"] == pytest.approx(
        alone["forgetting"]["general"]["after"], abs=1e-3
    )
