"""Initial tables by bigrams: counts, what the fit reaches, the same bits however it is computed, and runs that begin with them."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.planning.pretrain_config import PretrainConfig
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.train import bigram_start
from groundup.train.bigram_start import (
    count_bigrams,
    fit_tables,
    start_from_bigrams,
    start_seconds,
)
from groundup.train.monitor.time_budget import StepControl
from groundup.train.pretrain import PretrainInputs, new_model, pretrain
from groundup.train.steps.config import FitConfig

CPU = Compute(torch.device("cpu"))
WORDS = ("fox", "hen", "sea", "owl", "ant", "elm")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, Tokenizer]:
    """Shards of sentences in which most words tell the next."""
    root = tmp_path_factory.mktemp("bigrams")
    texts = root / "texts"
    texts.mkdir()
    for a in WORDS:
        (texts / f"{a}.txt").write_text("".join(f"The {a} saw the {b} by day. " for b in WORDS) * 4)
    prepare(
        [Source(str(texts))], root / "data", DataConfig(validation_fraction=0.2), progress=Silent()
    )
    tokenizer = train_tokenizer(((texts / f"{a}.txt").read_text() for a in WORDS), 300)
    return write_shards(root / "data", tokenizer, root / "shards", progress=Silent()), tokenizer


def inputs_of(made: tuple[ShardSet, Tokenizer], **fit: object) -> PretrainInputs:
    shards, tokenizer = made
    shape = ModelConfig(tokenizer.vocab_size, 16, 32, 1, 2, 48, 1, tied_head=False)
    values = {"initial_tables": "bigrams", "batch_size": 4, "precision": "float32", **fit}
    return PretrainInputs(shards, tokenizer, shape, FitConfig(8, evaluate_every=4, **values))  # type: ignore[arg-type]


class StopsAt(Silent):
    """Interrupts a run when its evaluation after `step` is told."""

    def __init__(self, step: int) -> None:
        self.step = step

    def say(self, text: str) -> None:
        if text.startswith(f"step {self.step} "):
            raise KeyboardInterrupt


def test_bigrams_are_those_of_a_naive_count_and_of_a_long_text_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = np.random.default_rng(0).integers(0, 7, 500).astype(np.uint16)
    naive = torch.zeros(9, 9)
    for first, second in itertools.pairwise(tokens.tolist()):
        naive[first, second] += 1
    found = count_bigrams(tokens, 9)
    assert torch.equal(found.totals, naive.sum(dim=1))
    seen = found.totals.nonzero().squeeze(1)
    expected = naive[seen] / naive[seen].sum(dim=1, keepdim=True)
    torch.testing.assert_close(found.shares(seen), expected)
    monkeypatch.setattr(bigram_start, "MAX_TOKENS", 100)
    monkeypatch.setattr(bigram_start, "PART_TOKENS", 10)
    assert count_bigrams(tokens, 9).totals.sum() == 90  # ten parts of ten tokens


def test_the_fitted_tables_predict_the_next_token_nearly_as_well_as_the_counts() -> None:
    generator = torch.Generator().manual_seed(1)
    transitions = torch.softmax(3 * torch.randn(40, 40, generator=generator), dim=1)
    tokens = [0]
    for _ in range(20_000):
        tokens.append(int(torch.multinomial(transitions[tokens[-1]], 1, generator=generator)))
    bigrams = count_bigrams(np.array(tokens), 50)  # ten ids never occur
    embedding, head = (0.1 * torch.randn(50, 32, generator=generator) for _ in range(2))
    fit_tables(embedding, head, bigrams, seed=0)
    logits = F.rms_norm(embedding, (32,), eps=1e-5) @ head.T
    seen = bigrams.totals.nonzero().squeeze(1)
    shares, weights = bigrams.shares(seen), bigrams.totals[seen] / bigrams.totals.sum()
    loss = (F.cross_entropy(logits[seen], shares, reduction="none") * weights).sum()
    best = -(torch.special.xlogy(shares, shares).sum(dim=1) * weights).sum()
    assert best < loss < best + 0.1 < math.log(40) - 1


def test_tables_have_the_same_bits_with_any_number_of_threads(
    made: tuple[ShardSet, Tokenizer],
) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = new_model(inputs_of(made).shape, 0, CPU)
            start_from_bigrams(model, made[0], seed=0)
            assert torch.get_num_threads() == threads
            found.append(model.state_dict())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_run_begins_with_them_and_goes_on_after_an_interruption_with_the_same_bits(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path
) -> None:
    inputs = inputs_of(made)
    plain = replace(inputs, fit=replace(inputs.fit, initial_tables="random"))
    losses = []
    for name, each in (("bigrams", inputs), ("random", plain)):
        pretrain(each, RunFolder(tmp_path / name), compute=CPU)
        lines = list(read_lines(RunFolder(tmp_path / name).metrics_file))
        losses.append(next(line["validation_loss"] for line in lines if "validation_loss" in line))
    assert losses[0] < losses[1] - 2  # before the first step
    for step in (0, 4):  # before there is a checkpoint, and after
        stopped = RunFolder(tmp_path / f"stopped-{step}")
        with pytest.raises(KeyboardInterrupt):
            pretrain(inputs, stopped, compute=CPU, progress=StopsAt(step))
        pretrain(inputs, stopped, compute=CPU)
        weights = [
            (folder / "model.safetensors").read_bytes()
            for folder in (tmp_path / "bigrams", stopped.path)
        ]
        assert weights[0] == weights[1]


def test_the_start_counts_as_the_time_of_the_run_and_is_forecast(
    made: tuple[ShardSet, Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = inputs_of(made)
    model = new_model(inputs.shape, 0, CPU)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    now = iter((0.0, 2.0, 2.4))  # counted in two seconds, four steps of a tenth
    assert start_seconds(model, made[0], lambda: next(now)) == pytest.approx(2 + 80 * 0.1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    ticks = itertools.count()
    spent = [0.0]

    def takes_an_hour(*_: object) -> None:
        spent[0] = 3600.0

    monkeypatch.setattr("groundup.train.pretrain.start_from_bigrams", takes_an_hour)
    control = StepControl(clock=lambda: spent[0] + 1e-3 * next(ticks))
    found = pretrain(inputs, RunFolder(tmp_path / "run"), compute=CPU, control=control)
    assert 3600 <= found.elapsed_s < 3610


def test_tied_tables_and_a_model_that_is_continued_are_refused(
    made: tuple[ShardSet, Tokenizer],
) -> None:
    inputs = inputs_of(made)
    tied = replace(inputs, shape=replace(inputs.shape, tied_head=True))
    with pytest.raises(ConfigError, match="needs a head of its own"):
        tied.require_fitting()
    with pytest.raises(ConfigError, match="is for a new model"):
        inputs.fit.require_tables(tied_head=False, continued=True)
    options = pretrain_options(
        "texts", PretrainConfig(steps=1, settings={"fit.initial_tables": "bigrams"})
    )
    assert not options.shape(300).tied_head  # where nothing is said
    tied_options = pretrain_options(
        "texts",
        PretrainConfig(
            steps=1, settings={"fit.initial_tables": "bigrams", "model.tied_head": True}
        ),
    )
    with pytest.raises(ConfigError, match="leave it out"):
        tied_options.shape(300)
