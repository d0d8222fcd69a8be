"""Runs on packed documents: resumed bit for bit, on one, two or three processes the same rows, measured on packed documents."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Said

import groundup
from groundup.data.batches.loader import IGNORED_LABEL
from groundup.data.batches.packing import PackedWindows
from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.preparation.pipeline import DataConfig, prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.planning.plan import plan_lines
from groundup.planning.prepare import prepare_run
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.train.monitor.evaluation import HeldOutRows, Validation
from groundup.train.optimizers.adamw import AdamW
from groundup.train.pretrain import PretrainInputs, pretrain, train_windows, window_lines
from groundup.train.steps.config import FitConfig, Rows
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import rank_slices
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))
WORDS = ["red", "old", "sly", "wet", "odd", "shy", "big", "sad", "mad", "raw"]
FIT = FitConfig(
    steps=24,
    batch_size=6,
    precision="float32",
    seed=3,
    evaluate_every=8,
    rows=Rows(packing=True),
    optimizer=AdamW(learning_rate=0.01),
)
Made = tuple[ShardSet, Tokenizer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Shards of 100 short documents of two sources."""
    root = tmp_path_factory.mktemp("text")
    for name in ("tales", "letters"):
        (root / name).mkdir()
    for i, a in enumerate(WORDS):
        for j, b in enumerate(WORDS):
            text = f"The {a} fox saw the {b} hen. " * (1 + (i + j) % 4)
            (root / ("tales" if j % 2 else "letters") / f"{a}-{b}.txt").write_text(text)
    sources = [Source(str(root / name)) for name in ("tales", "letters")]
    prepare(sources, root / "data", DataConfig(validation_fraction=0.2), progress=Silent())
    tokenizer = train_tokenizer((d.text for d in read_split(root / "data", "train")), 300)
    return write_shards(root / "data", tokenizer, root / "shards", progress=Silent()), tokenizer


def shape(tokenizer: Tokenizer, **fields: Any) -> ModelConfig:
    sizes = {
        "context_tokens": 48,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 32,
    }
    return ModelConfig(vocab_size=tokenizer.vocab_size, **{**sizes, **fields})


class StopsAt(Silent):
    """Interrupts the run when its evaluation after step 8 is told."""

    def say(self, text: str) -> None:
        if text.startswith("step 8 "):
            raise KeyboardInterrupt


def losses(run: RunFolder) -> list[tuple[int, int, float]]:
    return [
        (line["step"], line["tokens"], line["loss"])
        for line in read_lines(run.metrics_file)
        if "loss" in line
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("whole_splits")
def test_a_packed_run_learns_resumes_bit_for_bit_and_is_measured_on_packed_documents(
    made: Made, tmp_path: Path
) -> None:
    shards, tokenizer = made
    whole, run, said = (
        RunFolder(tmp_path / "whole"),
        RunFolder(tmp_path / "run"),
        Said(tmp_path / "said"),
    )
    inputs = PretrainInputs(shards, tokenizer, shape(tokenizer), FIT)
    results = pretrain(inputs, whole, compute=CPU, progress=said)
    with pytest.raises(KeyboardInterrupt):
        pretrain(inputs, run, compute=CPU, progress=StopsAt())
    assert pretrain(inputs, run, compute=CPU).validation_loss == results.validation_loss
    assert (whole.path / "model.safetensors").read_bytes() == (
        run.path / "model.safetensors"
    ).read_bytes()
    assert losses(whole) == losses(run)
    packed = PackedWindows(shards, "train", 48, 6, seed=3)
    counts = [int((packed.batch(step).labels != IGNORED_LABEL).sum()) for step in range(24)]
    assert results.tokens == sum(counts) and results.packing["rows"] == packed.num_windows
    assert results.packing["padding_share"] == packed.figures.padding_share < 0.1
    assert "documents or parts of them in" in said.path.read_text()
    opened = open_model(whole.path, CPU)
    assert opened.tokenizer is not None
    again = Validation(
        shards, tokenizer, 48, HeldOutRows(batch_size=6, seed=3, packing=True), compute=CPU
    )
    measured = again.measure(opened.model)  # type: ignore[arg-type]
    assert measured == {name: results.to_json()[name] for name in measured}
    documents = shards.splits["validation"].documents
    assert again.num_tokens == shards.num_tokens("validation") - documents
    assert results.test["tokens"] == shards.num_tokens("test") - shards.splits["test"].documents


@pytest.mark.usefixtures("whole_splits")
def test_the_loss_of_a_packed_evaluation_is_that_of_its_documents_one_by_one(
    made: Made, tmp_path: Path
) -> None:
    shards, tokenizer = made
    parts = (shards, tokenizer, shape(tokenizer), replace(FIT, steps=2))
    pretrain(PretrainInputs(*parts), RunFolder(tmp_path / "run"), compute=CPU)
    model = open_model(tmp_path / "run", CPU).model
    held_out = Validation(
        shards, tokenizer, 48, HeldOutRows(batch_size=6, seed=3, packing=True), compute=CPU
    )
    found = held_out.figures(model)  # type: ignore[arg-type]
    nats: list[float] = []
    num_bytes = 0
    for document in read_split(shards.folder.parent / "data", "validation"):
        ids = torch.tensor([*tokenizer.encode(document.text), tokenizer.special.document_end_id])
        logits = model(ids[None, :-1])[0].detach()
        nats.append(float(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum")))
        num_bytes += len(document.text.encode()) - len(tokenizer.token_bytes(int(ids[0])))
    assert found["loss"] * found["tokens"] == pytest.approx(sum(nats), rel=1e-5)
    bits = sum(nats) / 0.6931471805599453
    assert found["bits_per_byte"] == pytest.approx(bits / num_bytes, rel=1e-5)
    assert held_out.pieces.unit == "documents"
    assert held_out.pieces.nats == pytest.approx(nats, abs=0.002)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_rows_of_every_batch(made: Made, world: int) -> None:
    shards, tokenizer = made
    source = train_windows(shards, shape(tokenizer), FIT)
    of_ranks = [rank_slices(source.batch, ProcessGroup(rank, world)) for rank in range(world)]
    for position in (0, 5, 17):
        whole, parts = source.batch(position), [make(position) for make in of_ranks]
        for name in ("ids", "labels", "documents"):
            assert torch.equal(
                torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)
            )


def test_a_run_of_before_there_was_packing_or_a_stride_is_still_the_same(
    made: Made, tmp_path: Path
) -> None:
    shards, tokenizer = made
    run, config = RunFolder(tmp_path / "run"), FIT.with_fields({"rows.packing": False})
    pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), replace(config, steps=2)),
        run,
        compute=CPU,
    )
    for change, words in (
        ({"packing": True}, "packing was False and is True"),
        ({"stride": 8}, "stride was unset and is 8"),
    ):
        with pytest.raises(ConfigError, match=words):
            pretrain(
                PretrainInputs(
                    shards,
                    tokenizer,
                    shape(tokenizer),
                    config.with_fields({"steps": 2, "rows": change}),
                ),
                run,
                compute=CPU,
            )


def write_tokenizer_beside(made: Made) -> None:
    shards, tokenizer = made
    tokenizer.save(shards.folder.parent)


def test_the_options_reach_plan_and_run(made: Made, tmp_path: Path) -> None:
    write_tokenizer_beside(made)
    folder = made[0].folder
    packed = prepare_run(
        pretrain_options(
            folder, groundup.PretrainConfig(steps=3, rows=groundup.Rows(packing=True))
        ),
        RunFolder(tmp_path / "a"),
        CPU,
        Silent(),
    )
    assert packed.inputs.fit.rows.packing and packed.plan is not None
    lines = "\n".join(plan_lines(packed.plan))
    assert "without the keys of other documents" in lines
    assert ", packed documents; learning rate" in lines and "unrelated documents" not in lines
    one_row = {"fit.batch_size": 1}
    strided = pretrain_options(
        folder, groundup.PretrainConfig(epochs=1, settings=one_row, rows=groundup.Rows(stride=32))
    )
    found = prepare_run(strided, RunFolder(tmp_path / "b"), CPU, Silent())
    plain = prepare_run(
        pretrain_options(folder, groundup.PretrainConfig(epochs=1, settings=one_row)),
        RunFolder(tmp_path / "c"),
        CPU,
        Silent(),
    )
    assert found.inputs.fit.rows.stride == 32 and found.plan is not None
    assert found.inputs.fit.steps == pytest.approx(
        plain.inputs.fit.steps * found.inputs.shape.context_tokens / 32, abs=2
    )
    assert "stride 32; learning rate" in "\n".join(plan_lines(found.plan))
    with pytest.raises(ConfigError, match="packing and stride 32 can't be combined"):
        prepare_run(
            pretrain_options(
                folder,
                groundup.PretrainConfig(steps=3, rows=groundup.Rows(stride=32, packing=True)),
            ),
            RunFolder(tmp_path / "d"),
            CPU,
            Silent(),
        )


def test_what_a_stride_means_for_an_epoch_is_said(made: Made) -> None:
    shards, tokenizer = made
    lines = {
        stride: window_lines(
            train_windows(
                shards,
                shape(tokenizer),
                FIT.with_fields({"rows.packing": False, "rows.stride": stride}),
            )
        )
        for stride in (None, 48, 16, 96)
    }
    assert lines[None] == lines[48] == []
    assert lines[16] == ["Stride 16 of context 48: an epoch reads every token 3 times."]
    assert "50% of the tokens lie between windows and are not read" in lines[96][0]
