"""Which checkpoint is taken up again, which are kept, and which runs are refused."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from simulated_windows import in_use
from tiny_run import (
    CONFIG,
    CONFIGS,
    Said,
    TinyBatch,
    TinyBatches,
    TinyBlocks,
    TinyModel,
    tiny_fit,
    tiny_loss,
)

from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, write_json, write_manifest
from groundup.model.matmul_precision import ProductTimes
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import differences, identify
from groundup.train.checkpoint.state import load_weights
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Checkpoints, FitConfig, TrainPrecision
from groundup.train.steps.precision import StepClock, decide_precision, open_kinds

CPU = Compute(torch.device("cpu"))


class StoppedBatches(TinyBatches):
    """Ctrl-C at the eleventh step."""

    def batch(self, position: int) -> TinyBatch:
        if position >= 10 * CONFIG.accumulation:
            raise KeyboardInterrupt
        return super().batch(position)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    tiny_fit(folder, config=CONFIG)
    return folder


def flip_a_byte(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def model_of(folder: Path, step: int) -> bytes:
    return (folder / "checkpoints" / f"step-{step}" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [
        ("adamw", "float32"),
        pytest.param("adamw", "bf16", marks=pytest.mark.slow),
        pytest.param("muon", "float32", marks=pytest.mark.slow),
        ("muon bf16", "bf16"),
        pytest.param("sgd", "float32", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over_and_said(
    tmp_path: Path, optimizer: str, precision: TrainPrecision
) -> None:
    whole, folder, config = (
        tmp_path / "whole",
        tmp_path / "run",
        replace(CONFIGS[optimizer], precision=precision),
    )
    tiny_fit(whole, config=config)
    tiny_fit(folder, config=config)
    flip_a_byte(folder / "checkpoints" / "step-24" / "model.safetensors", -3)
    tiny_fit(folder, config=config)
    said = folder.with_suffix(".said").read_text()
    assert "Checkpoint step-24 is skipped" in said and "sha256" in said
    assert "Resuming after step 20 of 24" in said
    assert model_of(folder, 24) == model_of(whole, 24)
    assert (folder / "samples.jsonl").read_bytes() == (whole / "samples.jsonl").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs the list of what is mapped")
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_resumed_run_keeps_no_file_of_a_checkpoint_mapped(tmp_path: Path, kind: str) -> None:
    """Windows would neither replace nor remove it, in the middle of the training."""
    run, used = RunFolder(tmp_path / "run"), set[str]()

    def fitted(batches: TinyBatches) -> FitResult:
        hooks = Hooks(evaluate=lambda: used.update(in_use()) or {"validation_loss": 1.0})
        model = TinyBlocks()
        return fit(model, batches, tiny_loss, CONFIGS[kind], run, compute=CPU, hooks=hooks)

    with pytest.raises(KeyboardInterrupt):
        fitted(StoppedBatches())
    used.clear()
    fitted(TinyBatches())
    assert used and not any(path.startswith(str(run.checkpoints)) for path in used)


def test_a_checkpoint_killed_while_it_was_replaced_is_put_back(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder)
    checkpoints = folder / "checkpoints"
    (checkpoints / "step-24").rename(
        checkpoints / ".tmp-old-step-24-4711"
    )  # moved aside, its successor not yet in place
    tiny_fit(folder)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-20", "step-24"]
    assert "Resuming" not in folder.with_suffix(".said").read_text()


def test_when_no_checkpoint_holds_the_run_is_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder)
    for step in folder.glob("checkpoints/step-*"):
        flip_a_byte(step / "state.json", 5)
    with pytest.raises(FormatError, match="none of the 2 is intact") as refused:
        tiny_fit(folder)
    assert "`fresh`" in refused.value.fix
    assert len(list(folder.glob("checkpoints/step-*"))) == 2


@pytest.mark.parametrize(
    "name", ["state.json", "state.safetensors", "model.safetensors", "manifest.json"]
)
def test_a_checkpoint_whose_manifest_lies_is_refused_by_one_error_class(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder)
    for step in folder.glob("checkpoints/step-*"):
        (step / name).write_bytes(b'{"files": 3}')
        if name != "manifest.json":
            write_manifest(step)
    with pytest.raises(FormatError):
        tiny_fit(folder)


def test_a_run_ends_when_the_validation_loss_has_turned(tmp_path: Path) -> None:
    losses = iter([5.0, 2.0, 3.0, 1.5, 3.0, 2.0, 9.0])
    run = RunFolder(tmp_path / "run")
    config = FitConfig(steps=40, evaluate_every=2, patience=2, precision="float32")
    hooks = Hooks(lambda: {"held_out": next(losses)}, best_by="held_out")

    def again() -> FitResult:
        return fit(TinyModel(), TinyBatches(), tiny_loss, config, run, compute=CPU, hooks=hooks)

    result = again()
    assert (result.steps, result.state.best_step, result.state.since_best) == (10, 6, 2)
    assert again().state == result.state and next(losses) == 9.0


def test_the_last_k_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    losses = iter([5.0, 2.0, 3.0, 4.0, 6.0])
    run = RunFolder(tmp_path / "run")
    config = FitConfig(
        steps=8, evaluate_every=2, precision="float32", checkpoints=Checkpoints(every=1, keep=3)
    )
    model = TinyModel()
    result = fit(
        model,
        TinyBatches(),
        tiny_loss,
        config,
        run,
        compute=CPU,
        hooks=Hooks(evaluate=lambda: {"validation_loss": next(losses)}),
    )
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "step-2",
        "step-6",
        "step-7",
        "step-8",
    ]
    assert (result.state.best_step, result.state.best_loss, result.state.evaluation) == (
        2,
        2.0,
        {"validation_loss": 6.0},
    )
    last = model.head.weight.clone()
    load_weights(model, run.checkpoints / "step-2")
    assert not torch.equal(model.head.weight, last)


@dataclass(frozen=True)
class OtherBatches(TinyBatches):
    fingerprint: str = "other"


def shape(model: TinyModel) -> None:
    model.head = torch.nn.Linear(64, 300)


def base(model: TinyModel) -> None:
    model.embedding.requires_grad_(False)
    with torch.no_grad():
        model.embedding.weight[0, 0] += 1e-6


@pytest.mark.parametrize(
    ("change", "batches", "config", "word"),
    [
        (
            None,
            TinyBatches(),
            CONFIG.with_fields({"optimizer.learning_rate": 0.001}),
            "learning_rate was 0.002 and is 0.001",
        ),
        (
            None,
            TinyBatches(),
            CONFIG.with_fields({"optimizer": "sgd"}),
            "optimizer.name was adamw and is sgd",
        ),
        (
            None,
            TinyBatches(),
            CONFIG.with_fields({"schedule.name": "wsd"}),
            "schedule.name was cosine and is wsd",
        ),
        (None, OtherBatches(), CONFIG, "the data are not the same"),
        (shape, TinyBatches(), CONFIG, "the shape of what is trained is not the same"),
        (base, TinyBatches(), CONFIG, "the frozen base model is not the same"),
    ],
)
def test_a_run_that_differs_is_refused_with_what_differs(
    finished: Path,
    change: Callable[[TinyModel], None] | None,
    batches: TinyBatches,
    config: FitConfig,
    word: str,
) -> None:
    model = TinyModel()
    if change:
        change(model)
    with pytest.raises(ConfigError) as refused:
        fit(model, batches, tiny_loss, config, RunFolder(finished), compute=CPU)
    assert word in refused.value.message and "`fresh`" in refused.value.fix


def test_a_difference_is_named_by_its_place_in_the_config() -> None:
    muon = CONFIG.with_fields({"optimizer": "muon"})
    other = muon.with_fields({"optimizer.matrix_learning_rate": 0.5})
    assert differences(identify(TinyModel(), "", muon), identify(TinyModel(), "", other)) == [
        "optimizer.matrix_learning_rate was 0.015 and is 0.5"
    ]


def test_how_many_checkpoints_are_kept_may_change(finished: Path) -> None:
    tiny_fit(finished, config=CONFIG.with_fields({"checkpoints.keep": 5, "checkpoints.every": 2}))
    assert read_json(finished / "fit.json")["identity"]["config"]["steps"] == 24


def test_begun_anew_after_clear_equals_the_first_time(tmp_path: Path, finished: Path) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder, config=replace(CONFIG, seed=8))
    RunFolder(folder).clear()
    assert not list(folder.iterdir())
    tiny_fit(folder)
    assert model_of(folder, 24) == model_of(finished, 24)


def test_a_log_that_was_cut_by_hand_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder)
    (folder / "metrics.jsonl").write_text("")
    tiny_fit(folder)
    assert "metrics.jsonl is shorter than recorded" in folder.with_suffix(".said").read_text()


def test_another_machine_is_said_when_going_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tiny_fit(folder)
    flip_a_byte(folder / "checkpoints" / "step-24" / "model.safetensors", -3)
    record = read_json(folder / "fit.json")
    record["machine"]["threads"] = 77
    write_json(folder / "fit.json", record)
    tiny_fit(folder)
    assert (
        "not bitwise equal to an uninterrupted run (threads was 77, is 1)"
        in folder.with_suffix(".said").read_text()
    )


def test_auto_precision_is_measured_once_said_with_both_figures_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
    monkeypatch.setattr(
        "groundup.train.steps.precision.product_times", lambda *_: ProductTimes(0.002, 0.001)
    )
    run, said = RunFolder(tmp_path / "run"), Said(tmp_path / "said")
    config, has = FitConfig(steps=2), replace(CPU, native_bf16=True)
    model, untouched = TinyModel(), TinyModel()
    results = [
        fit(model, TinyBatches(), tiny_loss, config, run, compute=has, hooks=Hooks(progress=said)),
        fit(
            untouched,
            TinyBatches(),
            tiny_loss,
            config,
            run,
            compute=has,
            hooks=Hooks(progress=said),
        ),
    ]
    (line,) = said.path.read_text().splitlines()
    assert "ms in float32 and" in line and "ms in bf16: training in" in line
    record = read_json(run.fit_file)
    assert results[0].precision == results[1].precision == record["precision"]
    assert set(record["step_s"]) == {"float32", "bf16"}


def test_bf16_is_never_tried_where_the_processor_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        StepClock, "step_s", lambda self, *, bf16, loss=None: asked.append(bf16) or 1.0
    )
    said, without = Said(tmp_path / "said"), replace(CPU, native_bf16=False)
    run = RunFolder(tmp_path / "run")
    fitted = fit(
        TinyModel(),
        TinyBatches(),
        tiny_loss,
        FitConfig(steps=2),
        run,
        compute=without,
        hooks=Hooks(progress=said),
    )
    assert fitted.precision == "float32" and not any(asked)
    assert "no bf16 in this processor: training in float32" in said.path.read_text()
    slow = ProductTimes(0.001, 0.02)  # one that says it has bf16, and takes 20 times as long in it
    monkeypatch.setattr("groundup.train.steps.precision.product_times", lambda *_: slow)
    assert open_kinds("auto", 64, compute=replace(CPU, native_bf16=True)) == (False,)
    assert open_kinds("bf16", 64, compute=without) == (True,), "what is asked for is done"


def test_steps_too_long_for_their_run_are_not_tried_in_both_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "groundup.train.steps.precision.product_times", lambda *_: ProductTimes(0.002, 0.001)
    )
    taken: list[bool] = []
    monkeypatch.setattr(
        StepClock, "step_s", lambda self, *, bf16, loss=None: taken.append(bf16) or 8.0
    )
    said = Said(tmp_path / "said")
    compute = replace(CPU, native_bf16=True)
    clock = StepClock(
        TinyModel(), [TinyBatches().batch(0)], tiny_loss, FitConfig(steps=50), compute=compute
    )
    found = decide_precision(clock, progress=said, run_s=150.0)
    assert (found.precision, taken) == ("bf16", [False]), (
        "one step of 8 s is more than a twentieth of 150"
    )
    assert (
        "too long to" in said.path.read_text()
        and "1 ms in bf16 and 2 ms in float32" in said.path.read_text()
    )


def test_a_run_goes_on_with_the_muon_it_began_with_on_any_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole, run = (
        CONFIGS["muon"].with_fields({"optimizer.precision": "auto"}),
        tmp_path / "whole",
        RunFolder(tmp_path / "run"),
    )
    without, has = replace(CPU, native_bf16=False), replace(CPU, native_bf16=True)
    monkeypatch.setattr(
        "groundup.train.steps.precision.product_times", lambda *_: ProductTimes(0.002, 0.001)
    )

    def fitted(
        folder: RunFolder, compute: Compute, batches: TinyBatches = TinyBatches()
    ) -> FitResult:
        return fit(TinyBlocks(), batches, tiny_loss, config, folder, compute=compute)

    assert fitted(RunFolder(whole), without).muon_precision == "float32"
    with pytest.raises(KeyboardInterrupt):
        fitted(run, without, StoppedBatches())
    assert fitted(run, has).muon_precision == "float32"
    kept = read_json(run.fit_file)
    assert kept["muon_precision"] == "float32" and kept["product_s"] == {
        "float32_s": 0.002,
        "bf16_s": 0.001,
    }
    last = "checkpoints/step-24/model.safetensors"
    assert (run.path / last).read_bytes() == (whole / last).read_bytes()
    assert fitted(RunFolder(tmp_path / "other"), has).muon_precision == "bf16"
    assert (tmp_path / "other" / last).read_bytes() != (whole / last).read_bytes()
    write_json(run.fit_file, {**kept, "muon_precision": "int3"})
    with pytest.raises(FormatError, match="muon_precision"):
        fitted(run, has)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_measuring_a_step_leaves_weights_and_random_state_alone(precision: str) -> None:
    from groundup.train.steps.precision import StepClock, measure_steps

    model = TinyModel()
    before, state = [p.clone() for p in model.parameters()], torch.get_rng_state()
    clock = StepClock(model, [TinyBatches().batch(0)], tiny_loss, FitConfig(steps=1), compute=CPU)
    taken = measure_steps(clock, [precision == "bf16"], seconds=0.02)
    assert taken[precision == "bf16"] > 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_bf16_and_float32_runs_learn_alike(tmp_path: Path) -> None:
    last = {}
    for precision in ("float32", "bf16"):
        config = FitConfig(steps=12, precision=precision, optimizer=AdamW(learning_rate=0.03))  # type: ignore[arg-type]
        run = RunFolder(tmp_path / precision)
        last[precision] = fit(
            TinyModel(), TinyBatches(), tiny_loss, config, run, compute=CPU
        ).last_loss
        assert next(read_lines(run.metrics_file))["loss"] > last[precision]
    assert (
        last["bf16"] == pytest.approx(last["float32"], rel=0.02) and last["bf16"] != last["float32"]
    )
