"""`torchrun ... -m groundup pretrain`: a process that is killed ends the run in one sentence, and the run goes on from its checkpoint.

That of the default suite is forked (forked_torchrun.py), the slow ones are started by the command itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from forked_program import ForkedProgram

from groundup.cli.main import run
from groundup.device import Compute
from groundup.files import verify_folder
from groundup.weights.model_io import open_model

STEPS = 150
SMALL = [
    *("--set", "model.width=16", "--set", "model.num_layers=1", "--set", "model.context_tokens=16"),
    *(
        "--set",
        "model.vocab_size=280",
        "--set",
        "fit.precision=float32",
        "--set",
        "fit.batch_size=2",
    ),
    *(
        "--set",
        "fit.evaluate_every=150",
        "--set",
        "fit.checkpoints.every=20",
        "--steps",
        str(STEPS),
    ),
]


def started(*words: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "-m",
        "groundup",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def process_of_rank(rank: int, torchrun: int) -> int:
    """The process id of a rank: torchrun starts its children in their order."""
    return int(Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()[rank])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
@pytest.mark.parametrize(
    ("way", "victim", "start"),
    [
        ("fsdp", 1, "forked"),
        pytest.param("ddp", 1, "command", marks=pytest.mark.slow),
        pytest.param("ddp", 0, "command", marks=pytest.mark.slow),
    ],
)
def test_a_killed_rank_ends_the_run_in_one_sentence_and_it_goes_on(
    texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    forked_torchrun: Callable[..., ForkedProgram],
    way: str,
    victim: int,
    start: str,
) -> None:
    out = tmp_path / "run"
    command = ["pretrain", str(texts), "--out", str(out), *SMALL]
    words = [*command, "--set", f"fit.parallel={way}"]
    process = (
        started(*words) if start == "command" else forked_torchrun("groundup.__main__", *words)
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        ends = time.monotonic() + 240
        while not (out / "checkpoints" / "step-20").is_dir():
            assert process.poll() is None and time.monotonic() < ends, process.stderr.read(3000)
            time.sleep(0.01)
        os.kill(process_of_rank(victim, process.pid), signal.SIGKILL)
        said, printed = process.stderr.read(), process.stdout.read()
    assert process.wait(240) != 0 and printed == ""
    assert (
        said.count("lost contact with another process") == 1
        and "the same command resumes from there" in said
    )
    assert said.count("6 documents kept") == 1, "one process speaks"
    newest = max((out / "checkpoints").glob("step-*"), key=lambda path: int(path.name[5:]))
    verify_folder(newest)
    assert run([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["steps"] == STEPS
    assert f"Resuming after step {newest.name[5:]} of {STEPS}." in captured.err
    assert f"processes was 2 by {way}, is 1" in captured.err
    assert open_model(out, Compute(torch.device("cpu"))).config.width == 16


@pytest.mark.slow
def test_what_cannot_be_is_told_once(texts: Path, tmp_path: Path) -> None:
    for wrong, word in (
        (["--set", "fit.batch_size=3"], "the nearest are 2 and 4"),
        (["--set", "model.context_tokens=9000"], "are missing"),
    ):
        with started(
            "pretrain", str(texts), "--out", str(tmp_path / "run"), *SMALL, *wrong
        ) as process:
            printed, said = process.communicate(timeout=120)
        assert process.returncode != 0 and printed == ""
        assert " ".join(said.split()).count(word) == 1, said
        assert "Traceback" not in said.split("torch/distributed/elastic")[0], (
            "what torchrun says comes after"
        )
