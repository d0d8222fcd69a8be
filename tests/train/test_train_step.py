"""One step: what is summed, averaged, clipped, refused, left alone."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import TinyBatch, TinyBatches, TinyModel, tiny_loss
from torch import Tensor, nn

from groundup.device import Compute
from groundup.errors import DataError
from groundup.runs import RunFolder, read_lines
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import FitConfig
from groundup.train.steps.step import LossSum, average_and_clip, sum_gradients

CPU = Compute(torch.device("cpu"))
CONFIG = FitConfig(steps=3, precision="float32")


@dataclass(frozen=True)
class Rows:
    """The rows of 16 texts, `rows` a batch; rows supervise different numbers of tokens."""

    rows: int
    fingerprint: str = "rows"

    def batch(self, position: int) -> TinyBatch:
        whole = TinyBatches(rows=16).batch(position * self.rows // 16)
        labels = whole.labels.clone()
        for row in range(16):
            labels[row, : row % 8] = -100
        start = position * self.rows % 16
        return TinyBatch(whole.ids[start : start + self.rows], labels[start : start + self.rows])


def plain_model() -> TinyModel:
    model = TinyModel()
    model.dropout.p = 0.0
    return model


def test_accumulating_1_x_16_equals_16_x_1(tmp_path: Path) -> None:
    models = {}
    for rows in (1, 16):
        models[rows] = plain_model()
        config = CONFIG.with_fields(
            {"batch_size": rows, "accumulation": 16 // rows, "stability.clip_norm": 0.05}
        )
        fit(
            models[rows],
            Rows(rows),
            tiny_loss,
            config,
            RunFolder(tmp_path / str(rows)),
            compute=CPU,
        )
    lines = [list(read_lines(RunFolder(tmp_path / str(rows)).metrics_file)) for rows in (1, 16)]
    for one, sixteen in zip(*lines, strict=True):
        assert one["tokens"] == sixteen["tokens"]
        assert one["loss"] == pytest.approx(sixteen["loss"], rel=1e-6)
        assert one["grad_norm"] == pytest.approx(sixteen["grad_norm"], rel=1e-5)
    for a, b in zip(models[1].parameters(), models[16].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_the_mean_and_at_most_the_clip_norm_long() -> None:
    model, batch = plain_model(), Rows(16).batch(0)
    part = tiny_loss(model, batch)
    (part.total / part.count).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    for clip_norm in (1e9, 0.01):
        model.zero_grad()
        summed = sum_gradients(model, [batch], tiny_loss, device=CPU.device, bf16=False)
        norm = average_and_clip(model.parameters(), summed.count, clip_norm)
        got = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        assert norm == pytest.approx(expected.norm().item(), rel=1e-5)
        torch.testing.assert_close(got, expected * min(1.0, clip_norm / norm))


def test_a_step_in_which_every_label_is_masked_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Masked(TinyBatches):
        def batch(self, position: int) -> TinyBatch:
            batch = super().batch(position)
            return TinyBatch(batch.ids, torch.full_like(batch.labels, -100))

    with pytest.raises(DataError, match="every label is masked"):
        fit(plain_model(), Masked(), tiny_loss, CONFIG, RunFolder(tmp_path / "run"), compute=CPU)


def test_frozen_parameters_are_neither_changed_nor_saved(tmp_path: Path) -> None:
    model, run = plain_model(), RunFolder(tmp_path / "run")
    model.embedding.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    fit(model, TinyBatches(), tiny_loss, CONFIG, run, compute=CPU)
    assert torch.equal(model.embedding.weight, before["embedding.weight"])
    assert not torch.equal(model.head.weight, before["head.weight"])
    assert set(load_file(run.checkpoints / "step-3" / "model.safetensors")) == {
        "head.weight",
        "head.bias",
    }


def test_only_matrices_that_are_no_tables_decay() -> None:
    model = plain_model()
    decayed, kept = (
        FitConfig(steps=1, optimizer=AdamW(weight_decay=0.3)).optimizer.build(model).param_groups
    )
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert [id(p) for p in decayed["params"]] == [id(model.head.weight)]
    assert {id(p) for p in kept["params"]} == {id(model.embedding.weight), id(model.head.bias)}


def test_evaluation_runs_without_dropout_and_training_with_it(tmp_path: Path) -> None:
    modes: list[tuple[bool, bool]] = []
    model = plain_model()

    def evaluate() -> dict[str, float]:
        modes.append((model.training, torch.is_grad_enabled()))
        return {}

    def loss(model: nn.Module, batch: TinyBatch) -> LossSum:
        modes.append((model.training, torch.is_grad_enabled()))
        return tiny_loss(model, batch)

    config = FitConfig(steps=1, precision="float32", compile="off")
    fit(
        model,
        TinyBatches(),
        loss,
        config,
        RunFolder(tmp_path / "run"),
        compute=CPU,
        hooks=Hooks(evaluate=evaluate),
    )
    assert modes == [(False, False), (True, True), (False, False)]


def test_a_tensor_of_any_batch_goes_to_the_device() -> None:
    @dataclass(frozen=True)
    class Features:
        values: Tensor
        mask: Tensor | None = None

    from groundup.train.steps.step import to_device

    batch = Features(torch.zeros(2))
    assert to_device(batch, torch.device("cpu")) is batch
    assert to_device(batch, torch.device("meta")).values.device.type == "meta"
