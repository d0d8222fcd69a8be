"""What is looked at during a pretraining: figures a source, samples from one's own prompts, tasks; and none of it changes the weights."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import Said

from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import read_split
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, ModelError
from groundup.evaluate.tasks.answers import CheckedAnswers
from groundup.evaluate.tasks.text import BitsPerByte
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.train.monitor.callbacks import MonitorConfig
from groundup.train.monitor.evaluation import HeldOutRows, Validation
from groundup.train.optimizers.adamw import AdamW
from groundup.train.pretrain import PretrainInputs, pretrain
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import next_token_loss

CPU = Compute(torch.device("cpu"))
FIT = FitConfig(
    steps=8,
    batch_size=4,
    evaluate_every=4,
    precision="float32",
    seed=3,
    optimizer=AdamW(learning_rate=0.01),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, Tokenizer]:
    """Two sources that differ, and a third with hardly a text."""
    root = tmp_path_factory.mktemp("three")
    for source, word, count in (("ships", "sails", 12), ("stars", "0451", 12), ("few", "?", 1)):
        (root / source).mkdir()
        for number in range(count):
            text = f"Of {source}, tale {number}: one {word}, one {word * 2}. " * (
                150 if count > 1 else 4
            )
            (root / source / f"{number}.txt").write_text(text)
    sources = [Source(str(root / name)) for name in ("ships", "stars", "few")]
    prepare(sources, root / "data", DataConfig(validation_fraction=0.3), progress=Silent(), seed=12)
    tokenizer = train_tokenizer((d.text for d in read_split(root / "data", "train")), 300)
    return write_shards(root / "data", tokenizer, root / "shards", progress=Silent()), tokenizer


def shape(tokenizer: Tokenizer) -> ModelConfig:
    sizes = {
        "width": 32,
        "num_layers": 1,
        "num_heads": 2,
        "num_kv_heads": 1,
        "feedforward_width": 64,
    }
    return ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=32, **sizes)


@pytest.mark.usefixtures("whole_splits")
def test_each_source_with_enough_text_has_its_bits_per_byte_and_they_add_up(
    made: tuple[ShardSet, Tokenizer],
) -> None:
    shards, tokenizer = made
    model = LanguageModel(shape(tokenizer)).eval()
    initialise(model, torch.Generator().manual_seed(0))
    for split in ("validation", "test"):
        held_out = Validation(
            shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=0), compute=CPU, split=split
        )
        figures = held_out.figures(model)
        names = {name.rpartition("/")[2] for name in figures if name.startswith("bits_per_byte:")}
        assert names == {"ships", "stars"}
        check_parts(held_out, model, figures)


def check_parts(held_out: Validation, model: LanguageModel, figures: dict[str, float]) -> None:
    with torch.no_grad():
        parts = [next_token_loss(model, batch) for batch in held_out.batches()]
    plain = sum(part.total.item() for part in parts) / sum(part.count for part in parts)
    assert figures["loss"] == pytest.approx(plain, rel=1e-6)
    assert figures["tokens"] == held_out.num_tokens == sum(part.count for part in parts)
    low, high = sorted(value for name, value in figures.items() if ":" in name)
    assert low < high and low < figures["bits_per_byte"] < 1.02 * high


def test_weights_are_the_same_byte_for_byte_whatever_is_looked_at(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made
    told = []

    class Kept(Silent):
        def begin(self, facts: object) -> None:
            told.append(facts)

        def observe(self, line: object) -> None:
            told.append(line)

        def close(self) -> None:
            pass

    monitor = MonitorConfig(
        ("Of ships", "one"), (BitsPerByte(["Of stars, tale 7."], name="stars"),), (Kept(),)
    )
    runs = {name: RunFolder(tmp_path / name) for name in ("plain", "looked")}
    for name, extra in (("plain", MonitorConfig()), ("looked", monitor)):
        pretrain(
            PretrainInputs(shards, tokenizer, shape(tokenizer), FIT),
            runs[name],
            compute=CPU,
            monitor=extra,
        )
    files = [run.path / "model.safetensors" for run in runs.values()]
    assert files[0].read_bytes() == files[1].read_bytes()
    checkpoints = [
        (run.checkpoints / "step-8" / "state.safetensors").read_bytes() for run in runs.values()
    ]
    assert checkpoints[0] == checkpoints[1] and len(told) > 8
    evaluations = [
        line
        for line in read_lines(runs["looked"].metrics_file)
        if line.get("event") == "evaluation"
    ]
    assert all(
        0 < line["stars:bits_per_byte"] < 12 and line["evaluation_s"] > 0 for line in evaluations
    )
    samples = list(read_lines(runs["looked"].samples_file))
    assert [line["prompt"] for line in samples] == ["Of ships", "one"] * len(evaluations)
    assert all(0 <= line["repetition"] <= 1 and 0 <= line["longest_copy"] <= 64 for line in samples)
    whole = [
        line for line in samples if "\N{REPLACEMENT CHARACTER}" not in line["copied_text"]
    ]  # no part of a letter
    assert whole and all(line["copied_text"] in line["text"] for line in whole)
    result = pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), FIT),
        runs["plain"],
        compute=CPU,
        monitor=monitor,
    )
    assert result.to_json() == runs["plain"].read_results(), "it is the same run"


def test_what_cannot_be_looked_at_ends_before_the_first_step(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    shards, tokenizer = made

    def run(monitor: MonitorConfig) -> None:
        fit = replace(FIT, steps=1)
        pretrain(
            PretrainInputs(shards, tokenizer, shape(tokenizer), fit),
            RunFolder(tmp_path / "run"),
            compute=CPU,
            monitor=monitor,
        )

    with pytest.raises(DataError, match="no room to continue"):
        run(MonitorConfig(("Of ships " * 40,)))
    with pytest.raises(ConfigError, match="17 prompts, at most 16"):
        run(MonitorConfig(("one",) * 17))
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        ModelError, match="The task 'checked answers' can't be measured: No held-out example"
    ):
        run(MonitorConfig(tasks=(CheckedAnswers([]),)))
    assert not list(read_lines(RunFolder(tmp_path / "run").metrics_file))


def test_a_run_that_learned_nothing_is_as_surprised_by_every_source(
    made: tuple[ShardSet, Tokenizer],
) -> None:
    shards, tokenizer = made
    model = LanguageModel(shape(tokenizer)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    figures = Validation(
        shards, tokenizer, 32, HeldOutRows(batch_size=4, seed=0), compute=CPU
    ).measure(model)
    assert figures["validation_loss"] == pytest.approx(math.log(tokenizer.vocab_size), rel=1e-6)


def test_a_text_too_long_to_search_whole_is_said_and_noted(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, tokenizer = made
    monkeypatch.setattr(
        "groundup.train.monitor.samples.PIECE_TOKENS", shards.num_tokens("train") // 8
    )
    monkeypatch.setattr(
        "groundup.train.monitor.samples.MAX_SEARCHED_TOKENS", shards.num_tokens("train") // 4
    )
    run, said, fit = RunFolder(tmp_path / "run"), Said(tmp_path / "said"), replace(FIT, steps=1)
    pretrain(
        PretrainInputs(shards, tokenizer, shape(tokenizer), fit), run, compute=CPU, progress=said
    )
    assert "compared with 25.0% of it, evenly spread" in said.path.read_text()
    assert {line["searched_share"] for line in read_lines(run.samples_file)} == {0.25}
