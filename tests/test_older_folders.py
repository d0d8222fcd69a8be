"""Folders that the version of 2026-11-25 wrote (before modules were renamed) still open, verify, resume and give the same figures.

`older_folders.tar.xz` holds `texts/` and a tokenizer `tok/`, a pretraining run `run/`, its GGUF file, a classifier `spam/` and a chat model `chat/`
fine-tuned from it, and `stopped/`: a pretraining run of 600 steps that SIGTERM ended after step 41.
"""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from groundup.cli.main import run
from groundup.data.preparation.config import DataConfig
from groundup.device import select_compute
from groundup.engine.padded_batch import class_scores
from groundup.model.heads import Classifier
from groundup.planning.corpus import corpus
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.model_io import open_model

ARCHIVE = Path(__file__).parent / "older_folders.tar.xz"
TEXT = "The cat sat on a mat and the dog ran."
SHAPE = {
    "width": 32,
    "num_layers": 1,
    "num_heads": 2,
    "feedforward_width": 32,
    "context_tokens": 32,
}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize(
    ("name", "nats"), [("run", 3.83584), ("chat", 4.03738), ("run.gguf", 3.83582)]
)
def test_older_language_models_give_the_same_loss(older: Path, name: str, nats: float) -> None:
    opened = open_model(older / name, select_compute("cpu"))
    assert opened.tokenizer is not None
    ids = torch.tensor([opened.tokenizer.encode(TEXT)])
    with torch.no_grad():
        log_probabilities = opened.model(ids).log_softmax(-1)[0, :-1]
    assert float(-log_probabilities.gather(-1, ids[0, 1:, None]).mean()) == pytest.approx(
        nats, abs=1e-4
    )


def test_an_older_classifier_gives_the_same_probabilities(older: Path) -> None:
    opened = open_model(older / "spam", select_compute("cpu"), prefer="classifier")
    assert opened.tokenizer is not None and opened.labels == ("animal", "place")
    texts = [[opened.tokenizer.encode(text)] for text in ("the old dog", "the red house")]
    assert isinstance(opened.model, Classifier) and opened.decision == DecisionRule()
    probabilities = class_scores(opened.model, texts, compute=select_compute("cpu")).softmax(dim=-1)
    torch.testing.assert_close(
        probabilities, torch.tensor([[0.4939, 0.5061], [0.4277, 0.5723]]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", ["run", "spam", "chat", "stopped"])
def test_older_folders_verify(older: Path, name: str) -> None:
    assert run(["verify", str(older / name)]) == 0


@pytest.mark.slow
def test_an_older_run_resumes(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = [word for field, value in SHAPE.items() for word in ("--set", f"model.{field}={value}")]
    command = ["pretrain", str(older / "texts"), "--out", str(older / "stopped"), "--steps", "600"]
    assert (
        run(
            [*command, "--tokenizer", str(older / "tok"), *shape, "--set", "fit.keep_checkpoints=1"]
        )
        == 0
    )
    said = capsys.readouterr().err
    assert "Resuming after step 41 of 600" in said and "without a test split" in " ".join(
        said.split()
    )
    results = json.loads((older / "stopped" / "results.json").read_text())
    assert results["steps"] == 600 and "test" not in results


def test_a_run_of_a_version_without_test_keeps_its_splits_however_often_it_resumes(
    older: Path, tmp_path: Path
) -> None:
    """Resumed by a version that would make a test split."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(older / "stopped" / "data", run.path / "data")
    card = json.loads((older / "stopped" / "data" / "data.json").read_text())
    card["config"].pop("test_fraction", None)  # there once another test has resumed it
    (run.path / "data" / "data.json").write_text(json.dumps(card))
    tokens = {
        split: (older / "stopped" / "shards" / f"{split}.bin").read_bytes()
        for split in ("train", "validation")
    }
    place = {"tokenizer": older / "tok", "vocab_size": 300, "progress": Silent()}
    for _ in range(2):
        shards, _ = corpus([str(older / "texts")], run, DataConfig(), **place)
        assert {
            split: (shards.folder / f"{split}.bin").read_bytes() for split in shards.splits
        } == tokens
    asked, _ = corpus([str(older / "texts")], run, DataConfig(test_fraction=0.1), **place)
    assert set(asked.splits) == {"train", "validation", "test"}, "what is asked for is done"
