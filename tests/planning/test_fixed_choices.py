"""The precision of a run is in its plan before it begins, and with --fixed-choices nothing that a busy machine changes has a say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.cli.main import run
from groundup.device import Compute, choose_threads, select_compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.recipes.builds.build import changed_parts
from groundup.runs import RunFolder
from groundup.tokenizer.fast import train_tokenizer
from groundup.train.optimizers.muon import Muon
from groundup.train.steps import precision
from groundup.train.steps.compiled import decide_compile
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.precision import (
    MeasuredPrecision,
    StepClock,
    decide_muon,
    decide_precision,
    open_kinds,
)
from groundup.weights.model_io import save_model

SMALL = [
    *(
        "model.width=16",
        "model.num_layers=1",
        "model.num_heads=2",
        "model.num_kv_heads=1",
        "model.context_tokens=16",
    ),
    *("model.vocab_size=280", "fit.batch_size=2", "fit.compile=off"),
]
FIXED = Compute(torch.device("cpu"), native_bf16=True, fixed_choices=True)


@pytest.fixture
def fastest(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the next measurement finds to be faster."""
    answer = ["bf16"]

    def measured(clock: Any, kinds: Any, **options: Any) -> dict[bool, float]:
        return {kind: 1.0 if kind == (answer[0] == "bf16") else 2.0 for kind in kinds}

    monkeypatch.setattr(precision, "measure_steps", measured)
    monkeypatch.setattr(precision, "open_kinds", lambda *given, **options: (False, True))
    monkeypatch.setattr(precision, "SHORT_S", 1e9)
    return answer


def test_the_measured_precision_is_in_the_plan_and_the_run_trains_in_it_whatever_would_be_measured_later(
    texts: Path, tmp_path: Path, fastest: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "run", []
    begin = LanguageModel.train

    def look(
        model: LanguageModel, mode: bool = True
    ) -> LanguageModel:  # called before the first step
        plan = RunFolder(out).read_plan()
        seen.append(plan and plan["fit"]["precision"])
        fastest[0] = "float32"
        return begin(model, mode)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "train", look)
        results = groundup.pretrain(texts, out, groundup.PretrainConfig(steps=3, settings=SMALL))
    assert "bf16" in seen and "float32" not in seen
    assert (
        results.precision == "bf16"
        and RunFolder(out).read_run()["config"]["fit"]["precision"] == "bf16"
    )
    plan = json.loads((out / "plan.json").read_text())
    assert plan["planned"]["precision_step_s"] == {"float32": 2.0, "bf16": 1.0}
    again = groundup.pretrain(
        texts, out, groundup.PretrainConfig(steps=3, settings=SMALL)
    )  # finished: the plan holds
    assert again.precision == "bf16"


def test_with_fixed_choices_the_same_command_gives_the_same_weights_whatever_is_measured(
    texts: Path, tmp_path: Path, fastest: list[str]
) -> None:
    weights = []
    for name in ("bf16", "float32"):
        fastest[0] = name
        out = tmp_path / name
        assert (
            run(
                [
                    "pretrain",
                    str(texts),
                    "--out",
                    str(out),
                    "--steps",
                    "3",
                    "--fixed-choices",
                    *_sets(),
                ]
            )
            == 0
        )
        assert RunFolder(out).read_results()["precision"] == "float32"
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def _sets() -> list[str]:
    return [word for each in SMALL for word in ("--set", each)]


def test_fixed_choices_measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any, **options: Any) -> Any:
        raise AssertionError("measured")

    for name in ("measure_steps", "product_times"):
        monkeypatch.setattr(precision, name, never)
    monkeypatch.setattr(StepClock, "step_s", never)
    model = LanguageModel(ModelConfig(64, 16, 16, 1, 2, 32))
    config = FitConfig(100_000, optimizer=Muon())
    clock = StepClock(model, [], next_token_loss, config, compute=FIXED)
    silent = Silent()
    decided = decide_compile(decide_precision(clock, progress=silent), clock, progress=silent)
    assert decided == MeasuredPrecision("float32") and clock.muon.precision == "bf16"
    assert (
        decide_muon(
            config,
            model,
            compute=Compute(torch.device("cpu"), native_bf16=False, fixed_choices=True),
        ).precision
        == "float32"
    )
    assert open_kinds("auto", 64, compute=FIXED) == (False,) and open_kinds(
        "bf16", 64, compute=FIXED
    ) == (True,)
    assert select_compute("cpu", fixed_choices=True).thread_counts == ()
    choose_threads(select_compute("cpu", fixed_choices=True), never)


def test_a_time_and_fixed_choices_are_refused_in_one_sentence(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="how many steps a time has room for is measured"
    ) as refused:
        groundup.pretrain(
            texts, tmp_path / "run", groundup.PretrainConfig(minutes=1), fixed_choices=True
        )
    assert "`steps`" in (refused.value.fix or "") and not (tmp_path / "run").exists()


def test_a_plan_that_was_measured_does_not_hold_for_fixed_choices(
    texts: Path, tmp_path: Path, fastest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    groundup.pretrain(texts, tmp_path / "run", groundup.PretrainConfig(steps=3, settings=SMALL))
    words = [
        "pretrain",
        str(texts),
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "3",
        "--fixed-choices",
        *_sets(),
    ]
    assert run(words) == 2
    assert "precision was bf16 and is float32" in " ".join(capsys.readouterr().err.split())


def test_a_build_runs_a_stage_again_when_its_choices_become_fixed() -> None:
    before, now = {"version": 1, "seed": 0}, {"version": 1, "seed": 0, "choices": "fixed"}
    assert changed_parts(before, now) == changed_parts(now, before) == "fixed_choices"


def test_fine_tuning_with_fixed_choices_gives_the_same_weights_whatever_is_measured(
    tmp_path: Path, fastest: list[str]
) -> None:
    tokenizer = train_tokenizer(["say the fox and the hen user assistant system " * 3], 320)
    model = LanguageModel(ModelConfig(tokenizer.vocab_size, 96, 32, 2, 2, 64))
    initialise(model, torch.Generator().manual_seed(0))
    save_model(model, tmp_path / "base", tokenizer)
    rows = [{"instruction": f"say {n}", "output": f"fox {n}", "held_out": n < 2} for n in range(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    weights = []
    for name in ("bf16", "float32"):
        fastest[0] = name
        out = tmp_path / name
        results = groundup.finetune_chat(
            tmp_path / "base",
            tmp_path / "rows.jsonl",
            out,
            groundup.ChatConfig(epochs=1),
            fixed_choices=True,
        )
        assert results.precision == "float32"
        weights.append((out / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1]
