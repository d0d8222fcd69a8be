"""Which blocks a step computes: fewer at first, or at random, by seed and step alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.data.batches.loader import Windows
from groundup.data.batches.shards import ShardSet, SplitTable
from groundup.device import Compute, generator
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.planning.pretrain_config import PretrainConfig
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.block_schedule import (
    begin_as_identities,
    block_shares,
    choose_blocks,
    compute_all_blocks,
    require_one_process,
    require_start_blocks,
)
from groundup.train.steps.config import Blocks, FitConfig
from groundup.train.steps.losses import next_token_loss

CPU = Compute(torch.device("cpu"))
SHAPE = ModelConfig(40, 8, 16, 4, 2, 24, 1)


def config(**blocks: object) -> FitConfig:
    values = {"batch_size": 2, "precision": "float32", "compile": "off", "blocks": blocks}
    values |= {"optimizer": {"name": "muon", "precision": "float32"}, "checkpoints.every": 2}
    return FitConfig(12).with_fields(values)


def new_model() -> LanguageModel:
    model = LanguageModel(SHAPE)
    initialise(model, generator(0, "weights"), deviation=0.2)
    return model


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    tokens = np.random.default_rng(0).integers(0, 40, 400).astype("<u2")
    tokens.tofile(tmp_path / "train.bin")
    shards = ShardSet(tmp_path, "uint16", 40, "none", {"train": SplitTable(400, 1, 400, "400")})
    return Windows(shards, "train", context_tokens=8, batch_size=2, seed=1)


def test_a_share_of_the_output_is_that_much_of_what_a_block_adds() -> None:
    model, ids = new_model(), torch.arange(8)[None]
    transformer = model.transformer
    x = transformer.embed(ids)
    one = x + 2 * (transformer.run_blocks(x, 0, 1) - x)
    expected = transformer.final_norm(transformer.run_blocks(one, 2, 4))
    whole = model.hidden(ids)
    transformer.shares = [2.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(model.hidden(ids), expected)
    assert torch.equal(model.eval().hidden(ids), whole)  # in evaluation all of each
    compute_all_blocks(model)
    assert torch.equal(model.train().hidden(ids), whole)


def test_blocks_are_dropped_as_often_as_was_asked_and_their_mean_stays() -> None:
    drawn = torch.tensor(
        [block_shares(config(drop=0.4), 4, step, float(step)) for step in range(2000)]
    )
    left_out = (drawn == 0).float().mean(dim=0)
    torch.testing.assert_close(left_out, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.mean(dim=0), torch.ones(4), atol=0.05, rtol=0)


def test_the_last_blocks_join_after_their_share_of_the_steps_and_change_nothing_before() -> None:
    early = config(start=2, start_share=0.5)
    assert (
        block_shares(early, 4, 5, 5.0) == [1, 1, 0, 0] and block_shares(early, 4, 6, 6.0) == [1] * 4
    )
    model, ids = new_model(), torch.arange(8)[None]
    begin_as_identities(model, 2)
    whole = model.hidden(ids)
    choose_blocks(model, early, 5, 5.0)
    assert torch.equal(model.hidden(ids), whole)


class StopsAt(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def say(self, text: str) -> None:
        if text.startswith(f"step {self.step} "):
            raise KeyboardInterrupt


@pytest.mark.parametrize("blocks", [{"start": 2, "start_share": 0.5}, {"drop": 0.5}])
def test_a_run_resumes_with_the_same_bits_and_leaves_the_model_whole(
    windows: Windows, tmp_path: Path, blocks: dict[str, object]
) -> None:
    found, chosen = {}, config(**blocks)
    for name, stop in (("whole", None), ("stopped", 4)):
        for call in (0, 1):
            model = new_model()
            hooks = Hooks(
                evaluate=lambda: {"validation_loss": 1.0},
                progress=StopsAt(stop if not call and stop else -1),
            )
            try:
                fit(
                    model,
                    windows,
                    next_token_loss,
                    replace(chosen, evaluate_every=4),
                    RunFolder(tmp_path / name),
                    compute=CPU,
                    hooks=hooks,
                )
            except KeyboardInterrupt:
                assert stop and not call
        found[name] = model.state_dict()
        assert model.transformer.shares is None
    assert all(torch.equal(found["whole"][name], found["stopped"][name]) for name in found["whole"])
    changed = new_model().state_dict()
    assert not any(
        torch.equal(found["whole"][name], changed[name]) for name in changed if "query" in name
    )


def test_what_cannot_begin_with_fewer_blocks_is_refused() -> None:
    for start, shape, continued, words in (
        (4, SHAPE, False, "less than the model's 4 blocks"),
        (2, SHAPE, True, "is for a new model"),
        (2, replace(SHAPE, block="post"), False, "is for a new model"),
    ):
        with pytest.raises(ConfigError, match=words):
            require_start_blocks(config(start=start), shape, continued=continued)
    with pytest.raises(ConfigError, match="train in one process"):
        require_one_process(config(drop=0.1), 2)
    with pytest.raises(ConfigError, match="drop"):
        Blocks(drop=1.0)
    with pytest.raises(ConfigError, match="compile is on"):
        config(drop=0.1).with_fields({"compile": "on"})
    options = pretrain_options("texts", PretrainConfig(steps=9, settings={"fit.blocks.start": 9}))
    with pytest.raises(ConfigError, match="must be less than the model's 4 blocks"):
        options.shape(300)
