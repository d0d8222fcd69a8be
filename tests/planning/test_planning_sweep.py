"""sweep.json is read as any file from outside: damaged or incomplete, it is told in one sentence before a run begins."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.config import to_plain
from groundup.data.batches.shards import ShardSet
from groundup.data.preparation.config import DataConfig
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.planning.corpus import corpus
from groundup.planning.scaling_law import LAW
from groundup.planning.sweep import SWEEP_FILE, SweepOptions, read_law, sweep
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer

ASKED = SweepOptions(sizes=2, budget_s=None, steps=8)
RUNS = [
    {"name": f"d{depth}-s{steps}", "depth": depth, "steps": steps}
    for steps in (2, 4, 8)
    for depth in (2, 3)
]
PLANNED: dict[str, Any] = {"runs": RUNS, "flops_per_s": 1e9}
SOUND_LAW = to_plain(LAW)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, Tokenizer]:
    root = tmp_path_factory.mktemp("texts")
    for number in range(6):
        (root / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang of the sea. " * 20
        )
    run = RunFolder(tmp_path_factory.mktemp("corpus"))
    return corpus([str(root)], run, DataConfig(), tokenizer=None, vocab_size=280, progress=Silent())


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PLANNED.items() if key != name}


def with_run(**changed: Any) -> dict[str, Any]:
    return {**PLANNED, "runs": [{**RUNS[0], **changed}, *RUNS[1:]]}


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        (without("runs"), "runs"),
        (without("flops_per_s"), "flops_per_s"),
        ({**PLANNED, "runs": {}}, "runs"),
        ({**PLANNED, "runs": [3]}, "runs"),
        ({**PLANNED, "runs": [{"name": "d2-s2"}]}, "depth"),
        ({**PLANNED, "runs": RUNS[:5]}, "are 5, expected 6"),
        ({**PLANNED, "flops_per_s": 0}, "flops_per_s must be above 0"),
        ({**PLANNED, "flops_per_s": "fast"}, "flops_per_s"),
        (with_run(name="../../elsewhere"), "A sweep has no run"),
        (with_run(depth=10**6, name=f"d{10**6}-s2"), "A sweep has no run"),
        (with_run(steps=0, name="d2-s0"), "A sweep has no run"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_sweep_is_one_sentence_and_no_run_begins(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path, planned: dict[str, Any], said: str
) -> None:
    record = {"asked": {**asdict(ASKED), "shards": made[0].fingerprint}, **planned}
    (tmp_path / SWEEP_FILE).write_text(json.dumps(record))
    with pytest.raises(FormatError) as refused:
        sweep(*made, tmp_path, ASKED, compute=Compute(torch.device("cpu")), progress=Silent())
    assert (
        said in refused.value.message
        and SWEEP_FILE in refused.value.message
        and "Remove it" in refused.value.fix
    )
    assert [path.name for path in tmp_path.iterdir()] == [SWEEP_FILE]


@pytest.mark.parametrize(
    "law",
    [
        None,
        3,
        [],
        {},
        {**SOUND_LAW, "floor": "low"},
        {**SOUND_LAW, "of_text": 0},
        {**SOUND_LAW, "parameters": [0, 1]},
    ],
    ids=str,
)
def test_a_damaged_law_is_one_sentence(tmp_path: Path, law: Any) -> None:
    (tmp_path / SWEEP_FILE).write_text(json.dumps({"law": law}))
    with pytest.raises(FormatError, match="law"):
        read_law(tmp_path)


def test_a_sound_law_is_read_and_an_unfinished_sweep_has_none(tmp_path: Path) -> None:
    (tmp_path / SWEEP_FILE).write_text(json.dumps({**PLANNED, "law": SOUND_LAW}))
    assert read_law(tmp_path) == LAW
    (tmp_path / SWEEP_FILE).write_text(json.dumps(PLANNED))
    with pytest.raises(ConfigError, match="has no scaling law"):
        read_law(tmp_path)
