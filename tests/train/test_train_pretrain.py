"""From shards to a model in a folder that opens; what it costs; what it is judged by."""

import math
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Said

from groundup.cli.pretrain import summarise
from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, FormatError
from groundup.files import verify_folder
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.sizes import parameter_count
from groundup.planning.measure import (
    Benchmark,
    Candidate,
    Measured,
    evaluations_within,
    steps_within,
    with_evaluations,
)
from groundup.planning.plan import RunPlan, make_plan, plan_lines, plan_warnings
from groundup.progress import Advance, Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.train.monitor.evaluation import HeldOutRows, Validation
from groundup.train.optimizers.adamw import AdamW
from groundup.train.pretrain import PretrainInputs, pretrain
from groundup.train.steps.config import FitConfig
from groundup.weights.model_io import ModelCard, open_model

CPU = Compute(torch.device("cpu"))
TALE = "The {a} fox saw the {b} hen, and the {b} hen saw the {a} fox. So they sang of the sea, and the sea sang back: é, 海! "
WORDS = ("red", "old", "sly", "wet", "odd", "shy", "big", "sad", "mad", "raw")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, Tokenizer]:
    """Shards of a small, repetitive text."""
    root = tmp_path_factory.mktemp("text")
    texts = root / "texts"
    texts.mkdir()
    for a in WORDS:
        (texts / f"{a}.txt").write_text("".join(TALE.format(a=a, b=b) for b in WORDS) * 2)
    prepare(
        [Source(str(texts))], root / "data", DataConfig(validation_fraction=0.2), progress=Silent()
    )
    tokenizer = train_tokenizer((d.text for d in read_split(root / "data", "train")), 300)
    return write_shards(root / "data", tokenizer, root / "shards", progress=Silent()), tokenizer


def shape(tokenizer: Tokenizer) -> ModelConfig:
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=32,
        width=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        feedforward_width=64,
    )


FIT = FitConfig(
    steps=60, batch_size=4, precision="float32", seed=3, optimizer=AdamW(learning_rate=0.01)
)


@pytest.mark.usefixtures("whole_splits")
def test_a_model_learns_and_its_folder_opens_to_the_same_model(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made
    run, said = RunFolder(tmp_path / "run"), Said(tmp_path / "said")
    card = ModelCard("fox", "A model of foxes.", data=[("tales", "CC0")])
    results = pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), FIT),
        run,
        compute=CPU,
        progress=said,
        card=card,
    )
    assert results.to_json() == run.read_results()
    assert results.validation_loss < 2.0 < math.log(tokenizer.vocab_size)
    assert results.parameters == parameter_count(shape(tokenizer)).total
    assert results.tokens == 60 * 4 * 32
    verify_folder(run.path)
    opened = open_model(run.path, CPU)
    assert isinstance(opened.model, LanguageModel) and opened.tokenizer is not None
    again = Validation(
        shards, opened.tokenizer, 32, HeldOutRows(batch_size=4, seed=3), compute=CPU
    ).measure(opened.model)
    assert again == {name: results.to_json()[name] for name in again}
    check_test_figures(shards, opened.tokenizer, opened.model, run, results)
    samples = list(read_lines(run.samples_file))
    assert sorted({s["step"] for s in samples}) == [*range(0, 57, 8), 60]
    assert all(s["prompt"].startswith(("The ", "So they")) and s["text"] for s in samples), (
        "sentences begin so"
    )
    assert "bits per byte" in said.path.read_text()
    check_called_again(shards, tokenizer, run, results)


def check_test_figures(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model: LanguageModel,
    run: RunFolder,
    results: dict[str, Any],
) -> None:
    """Those of the model in the folder on the whole test split; the card names the split and the tokens of each figure."""
    held_out = Validation(
        shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=3), compute=CPU, split="test"
    )
    assert results.test == held_out.figures(model) and results.test_openings > 0
    assert run.read_run()["inputs"]["test"] == shards.test_text_sha256
    assert results.test["tokens"] == shards.num_tokens("test") - 1
    assert results.test["bits_per_byte"] != results.bits_per_byte
    card, bits = (run.path / "README.md").read_text(), results.test["bits_per_byte"]
    assert f"| test bits per byte, on {results.test['tokens']:,} tokens | {bits:.3f} |" in card
    assert "| validation bits per byte, by which the weights were chosen |" in card


class StopsAtTest(Silent):
    """Interrupts the run when test is measured."""

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        if what == "measuring on test":
            raise KeyboardInterrupt
        return super().track(what, total, unit)


@pytest.mark.slow
def test_a_run_that_is_stopped_while_test_is_measured_ends_as_if_it_were_not(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made
    wild = FIT.with_fields(
        {
            "steps": 12,
            "optimizer.learning_rate": 0.9,
            "schedule.min_learning_rate": 0.9,
            "evaluate_every": 3,
            "schedule.warmup_steps": 0,
        }
    )
    whole, run = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "run")
    expected = pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), wild), whole, compute=CPU
    )
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pretrain(
                PretrainInputs(shards, tokenizer, shape(tokenizer), wild),
                run,
                compute=CPU,
                progress=StopsAtTest(),
            )
        assert not run.results_file.exists()
    results = pretrain(PretrainInputs(shards, tokenizer, shape(tokenizer), wild), run, compute=CPU)
    assert results.best_step == expected.best_step < 12
    assert all(
        getattr(results, name) == getattr(expected, name)
        for name in ("test", "validation_loss", "bits_per_byte")
    )
    opened = open_model(run.path, CPU)
    assert isinstance(opened.model, LanguageModel)
    held_out = Validation(
        shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=3), compute=CPU, split="test"
    )
    assert results.test == held_out.figures(opened.model), "of the best weights, not of the last"


@pytest.mark.parametrize(("tokens", "measured"), [(None, None), (1, None), (2, 1), (20, 19)])
def test_shards_with_no_test_or_a_short_one_are_trained_on_all_the_same(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path, tokens: int | None, measured: int | None
) -> None:
    shards, tokenizer = made
    folder = tmp_path / "shards"
    folder.mkdir()
    kept = {split: table for split, table in shards.splits.items() if split != "test"}
    if tokens is not None:
        kept["test"] = replace(shards.splits["test"], tokens=tokens)
    for split, table in kept.items():
        (folder / f"{split}.bin").write_bytes(shards.tokens(split)[: table.tokens].tobytes())
    cut, run = replace(shards, folder=folder, splits=kept), RunFolder(tmp_path / "run")
    card = ModelCard("fox")
    results = pretrain(
        PretrainInputs(cut, tokenizer, shape(tokenizer), replace(FIT, steps=2, evaluate_every=2)),
        run,
        compute=CPU,
        card=card,
    )
    assert results.test.get("tokens") == measured
    assert ("test bits per byte" in (run.path / "README.md").read_text()) == (measured is not None)
    assert ("of test text" in " ".join(summarise(results, run.path))) == (measured is not None)


def check_called_again(
    shards: ShardSet, tokenizer: Tokenizer, run: RunFolder, results: dict[str, object]
) -> None:
    """A finished run is left alone, and refused when a byte of it was altered."""
    files = [path for path in run.path.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert (
        pretrain(PretrainInputs(shards, tokenizer, shape(tokenizer), FIT), run, compute=CPU)
        == results
    )
    assert {
        path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()
    } == before
    weights = bytearray((run.path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (run.path / "model.safetensors").write_bytes(weights)
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        pretrain(PretrainInputs(shards, tokenizer, shape(tokenizer), FIT), run, compute=CPU)


def test_the_best_weights_are_kept_where_the_last_are_worse(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made
    run, said = RunFolder(tmp_path / "run"), Said(tmp_path / "said")
    wild = FIT.with_fields(
        {
            "steps": 12,
            "optimizer.learning_rate": 0.9,
            "schedule.min_learning_rate": 0.9,
            "evaluate_every": 3,
            "schedule.warmup_steps": 0,
        }
    )
    results = pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), wild), run, compute=CPU, progress=said
    )
    losses = {
        line["step"]: line["validation_loss"]
        for line in read_lines(run.metrics_file)
        if "event" in line
    }
    assert results.best_step == min(losses, key=lambda step: losses[step]) < 12
    assert results.validation_loss == min(losses.values())
    when = f"after step {results.best_step}" if results.best_step else "before the first step"
    assert f"lowest {when}" in said.path.read_text()


@pytest.mark.usefixtures("whole_splits")
def test_bits_per_byte_of_a_model_that_knows_nothing(made: tuple[ShardSet, Tokenizer]) -> None:
    shards, tokenizer = made
    model = LanguageModel(shape(tokenizer)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # every logit 0: each of V ids has probability 1 / V
    figures = Validation(
        shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=0), compute=CPU
    ).measure(model)
    tokens = (
        shards.num_tokens("validation") - 1
    )  # the whole split, each token but the first predicted once
    first = len(tokenizer.token_bytes(int(shards.tokens("validation")[0])))
    expected = tokens * math.log2(tokenizer.vocab_size) / (shards.num_bytes("validation") - first)
    assert figures["validation_loss"] == pytest.approx(math.log(tokenizer.vocab_size), rel=1e-6)
    assert figures["bits_per_byte"] == pytest.approx(expected, rel=1e-6)


def test_an_evaluation_of_a_long_split_reads_a_fixed_part_of_it(
    made: tuple[ShardSet, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, tokenizer = made
    monkeypatch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 300)
    held_out = Validation(shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=0), compute=CPU)
    once, twice = list(held_out.batches()), list(held_out.batches())
    assert sum(batch.ids.numel() for batch in once) == 256
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(once, twice, strict=True))
    assert len({tuple(row.tolist()) for batch in once for row in batch.ids}) == 8
    figures = held_out.figures(LanguageModel(shape(tokenizer)).eval())
    pieces = held_out.pieces
    assert (pieces.unit, pieces.tokens) == ("windows", [32] * 8)
    assert sum(pieces.nats) == pytest.approx(256 * figures["loss"], rel=1e-5)


def test_parts_that_do_not_belong_together_are_refused(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made
    run = RunFolder(tmp_path / "run")
    other = train_tokenizer(["some other text, some other text"], 270)
    with pytest.raises(ConfigError, match="another tokenizer"):
        pretrain(PretrainInputs(shards, other, shape(tokenizer), FIT), run, compute=CPU)
    with pytest.raises(ConfigError, match="the model has 200 rows"):
        pretrain(
            PretrainInputs(shards, tokenizer, replace(shape(tokenizer), vocab_size=200), FIT),
            run,
            compute=CPU,
        )
    with pytest.raises(DataError, match="are missing"):
        pretrain(
            PretrainInputs(shards, tokenizer, replace(shape(tokenizer), context_tokens=10**6), FIT),
            run,
            compute=CPU,
        )
    assert not run.path.exists()


def test_steps_fill_the_time_left_beside_evaluations() -> None:
    measured = Measured(step_s=0.1, evaluation_s=1.0)
    steps = steps_within(114.01, measured)
    assert steps == 1000  # 114 s - 9 evaluations = 105 s = 1000 steps of 0.1 s and 5 % beside
    assert steps_within(0.5, measured) == 1
    plan = RunPlan(1_000_000, steps, 1, 1, 0, 0, measured.step_s, measured.evaluation_s)
    assert plan.minutes == pytest.approx(114 / 60)
    later = replace(measured, start_s=10.5)  # 100 steps
    assert steps_within(114.01, later) == 900
    plan = replace(plan, steps=900, start_s=later.start_s)
    assert plan.minutes == pytest.approx(114 / 60)


def test_evaluations_take_a_tenth_of_the_time_at_most() -> None:
    measured = Measured(step_s=0.1, evaluation_s=1.0)
    for seconds, evaluations in ((1000.0, 8), (90.0, 8), (60.0, 5), (30.0, 2), (20.0, 1), (3.0, 1)):
        assert evaluations_within(seconds, measured) == evaluations
        steps = steps_within(seconds, measured)
        config = with_evaluations(FitConfig(steps=steps, batch_size=1), evaluations)
        taken = 1 + -(
            -steps // config.evaluation_interval
        )  # beside those on the way, one before the first step
        assert taken <= evaluations + 1 and (
            taken * measured.evaluation_s <= 0.1 * seconds or evaluations == 1
        )
        assert (
            config.checkpoint_interval == FitConfig(steps=steps, batch_size=1).checkpoint_interval
        )
    assert evaluations_within(1.0, Measured(step_s=0.1, evaluation_s=0.0)) == 8


def test_a_plan_says_what_to_expect(
    made: tuple[ShardSet, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.planning.measure.MEASURED_S", 0.05)
    shards, tokenizer = made
    candidate = Candidate(shape(tokenizer), replace(FIT, precision="auto"))
    measured = Benchmark(shards, tokenizer, CPU).measure(candidate)
    assert measured.step_s > 0 and measured.evaluation_s > 0
    plan = make_plan(
        shards, Candidate(shape(tokenizer), replace(FIT, steps=2000, accumulation=2)), measured
    )
    assert plan.tokens == 2000 * 2 * 4 * 32
    text = "\n".join(plan_lines(plan))
    assert "reads the same text" in text and "can memorise" in text
    assert plan.memory_bytes > 0 and plan.disk_bytes == 10 * 4 * plan.parameters
    assert "attention   sdpa" in text and "exportable  GGUF yes; Hugging Face yes" in text
    nowhere = plan_lines(
        make_plan(shards, Candidate(replace(shape(tokenizer), positions="none"), FIT))
    )
    assert any(
        line.startswith("exportable  GGUF no (") and "Hugging Face no (" in line for line in nowhere
    )
    few = make_plan(shards, Candidate(shape(tokenizer), replace(FIT, steps=2)))
    warnings = plan_warnings(few)
    assert few.minutes is None and any("tokens per parameter" in warning for warning in warnings)
    assert not any(
        "reads the same text" in warning or "memorise" in warning for warning in warnings
    )


class StopsOnce(Silent):
    """Interrupts the run when its first evaluation after `step` is told."""

    def __init__(self, step: int) -> None:
        self.step = step

    def say(self, text: str) -> None:
        if text.startswith(f"step {self.step} "):
            raise KeyboardInterrupt


@pytest.mark.parametrize("stopped_at", [4, 8])
def test_a_run_that_begins_with_short_rows_goes_on_equal_before_and_after_they_grow(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path, stopped_at: int
) -> None:
    shards, tokenizer = made
    config = FIT.with_fields(
        {"steps": 12, "evaluate_every": 4, "rows.start_context_tokens": 8, "rows.start_share": 0.5}
    )
    whole, run = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "run")
    pretrain(PretrainInputs(shards, tokenizer, shape(tokenizer), config), whole, compute=CPU)
    with pytest.raises(KeyboardInterrupt):
        pretrain(
            PretrainInputs(shards, tokenizer, shape(tokenizer), config),
            run,
            compute=CPU,
            progress=StopsOnce(stopped_at),
        )
    pretrain(PretrainInputs(shards, tokenizer, shape(tokenizer), config), run, compute=CPU)
    weights = [(folder.path / "model.safetensors").read_bytes() for folder in (whole, run)]
    assert weights[0] == weights[1]
    logs = [
        [
            (line["step"], line["tokens"], line["loss"])
            for line in read_lines(f.metrics_file)
            if "loss" in line
        ]
        for f in (whole, run)
    ]
    assert logs[0] == logs[1] and [tokens for _, tokens, _ in logs[0]] == [
        128 * step for step in range(1, 13)
    ]
    with pytest.raises(ConfigError, match="start_context_tokens was 8 and is unset"):
        pretrain(
            PretrainInputs(
                shards,
                tokenizer,
                shape(tokenizer),
                config.with_fields({"rows.start_context_tokens": None}),
            ),
            run,
            compute=CPU,
        )
