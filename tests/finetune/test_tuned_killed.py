"""A fine-tuning run killed with SIGKILL and started again is bit for bit the run that never was: every kind."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.files import verify_folder
from groundup.model.heads import LanguageModel
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import save_model
from tests.tiny_encoder import save_encoder

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from stopping import (
    TIMES,
    Starter,
    after_steps,
    half_written,
    is_held,
    last_step,
    said,
    starting,
    steps_logged,
)

QUICK_KINDS, SLOW_KINDS = (
    ("last-block",),
    ("chat", "preference", "ratings", "reward", "encoder", "head", "lora", "auto"),
)
# Weights of a whole model or of an adapter.
WEIGHTS = ("model.safetensors", "adapter_model.safetensors")


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    with starting("tuned_run") as started:
        yield started


@pytest.fixture(scope="module")
def root(
    tmp_path_factory: pytest.TempPathFactory, base_model: LanguageModel, tokenizer: Tokenizer
) -> Path:
    root = tmp_path_factory.mktemp("tuned")
    save_model(base_model, root / "base", tokenizer)
    save_encoder(root / "encoder", context_tokens=48)
    return root


def facts(folder: Path) -> dict[str, Any]:
    """All that must be equal: weights, the log, the results but for times."""
    run = RunFolder(folder)
    verify_folder(folder)
    return {
        "weights": {
            name: (folder / name).read_bytes() for name in WEIGHTS if (folder / name).exists()
        },
        "metrics": [
            {k: v for k, v in line.items() if k not in TIMES}
            for line in read_lines(run.metrics_file)
        ],
        "results": _without_times(run.read_results()),
    }


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _without_times(v)
            for k, v in value.items()
            if not k.endswith("_s") and k not in ("features", "cache")
        }
    return [_without_times(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "kind",
    [*QUICK_KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW_KINDS)],
)
def test_killed_and_started_again_equals_never_stopped(
    starter: Starter, root: Path, kind: str
) -> None:
    whole, folder = root / f"{kind}-whole", root / f"{kind}-killed"
    assert starter.run(whole, kind=kind) == 0
    steps = steps_logged(whole)
    assert steps > 16
    for moment, at_file in (
        (after_steps(2), 0),
        (is_held, 2),
        (lambda each: last_step(each) > 0, 0),
        (lambda each: last_step(each) > 0 and steps_logged(each) > last_step(each) + 2, 0),
        (after_steps(steps - 1), 0),
    ):
        status = starter.run(
            folder, signal=signal.SIGKILL, moment=moment, kind=kind, hold_in_save=at_file
        )
        assert status in (-signal.SIGKILL, 0)
        if at_file:
            assert status == -signal.SIGKILL and half_written(folder), "inside a checkpoint"
    assert starter.run(folder, kind=kind) == 0
    assert "Resuming after step" in said(folder)
    assert facts(folder) == facts(whole)
