"""A plan in the run folder holds for the command that made it, and for no other."""

from pathlib import Path

import pytest
import torch

from groundup.data.reading.data import Data
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.planning.prepare import PreparedRun, prepare_run
from groundup.planning.pretrain_config import PretrainConfig
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.runs import RunFolder

SMALL = [
    *(
        "model.width=16",
        "model.num_layers=1",
        "model.num_heads=2",
        "model.num_kv_heads=1",
        "model.context_tokens=16",
    ),
    *("model.vocab_size=280", "fit.precision=float32", "fit.batch_size=2"),
]


def made(folder: Path, *, seed: int, sets: tuple[str, ...] = ()) -> PreparedRun:
    """What the command with this seed begins with, in the same run folder each time."""
    texts = folder / "texts"
    texts.mkdir(exist_ok=True)
    for number in range(6):
        (texts / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang of the sea. " * 20
        )
    config = PretrainConfig(steps=4, seed=seed, settings=[*SMALL, *sets])
    options = pretrain_options(texts, config)
    return prepare_run(options, RunFolder(folder / "run"), Compute(torch.device("cpu")), Silent())


def test_a_plan_is_kept_for_its_seed_and_made_anew_for_another(tmp_path: Path) -> None:
    first, again, other = (made(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert (first.inputs.fit.seed, again.inputs.fit.seed, other.inputs.fit.seed) == (1, 1, 2)
    assert first.plan is not None and again.plan is None and other.plan is not None
    assert again.inputs.fit == first.inputs.fit


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_that_is_set_as_a_field_goes_before_the_option(tmp_path: Path, seed: int) -> None:
    made(tmp_path, seed=1)
    found = made(tmp_path, seed=seed, sets=("fit.seed=9",))
    assert found.plan is not None and found.inputs.fit.seed == 9


def test_the_hash_of_data_goes_with_its_address() -> None:
    sha256 = "ab" * 32
    pinned = Data("https://localhost/a.txt", sha256=sha256)
    assert pretrain_options(pinned).data == (f"https://localhost/a.txt#sha256={sha256}",)
    with pytest.raises(ConfigError, match="on disk, so its SHA-256 would not be compared"):
        pretrain_options(Data("a.txt", sha256=sha256))
