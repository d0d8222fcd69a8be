"""A model cut out of a larger one: nothing cut changes nothing, what is planted as important stays,
and the run on it is an ordinary one whose card names where it comes from.
"""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import forked_program
import pytest
import torch
from forked_program import CODE, TRAINING

import groundup
from groundup.cli.main import main
from groundup.device import Compute, generator
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.presets import parse_size, preset
from groundup.model.sizes import parameter_count
from groundup.planning.pretrain_options import size_note
from groundup.planning.reproduce import reproduce
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.train.cut.cut import (
    choose_blocks,
    cut_model,
    cut_shape,
    cut_shape_of_size,
    require_cuttable,
)
from groundup.train.cut.importance import Importance, measure_importance
from groundup.train.cut.vocabulary import token_pieces
from groundup.weights.card import ModelCard, is_from_scratch
from groundup.weights.formats import export
from groundup.weights.model_io import open_model, save_model

CPU = Compute(torch.device("cpu"))
TEXT = "The fox and the hen sang of the sea, and nobody at the mill heard them sing. "
LARGE = ModelConfig(
    vocab_size=300,
    context_tokens=64,
    width=48,
    num_layers=4,
    num_heads=6,
    feedforward_width=64,
    num_kv_heads=3,
    head_width=8,
    rope_base=5_000.0,
)
SETTINGS = {
    "model.width": 16,
    "model.num_layers": 2,
    "model.feedforward_width": 32,
    "model.num_heads": 2,
    "model.num_kv_heads": 1,
    "model.context_tokens": 16,
    "model.vocab_size": 290,
    "fit.precision": "float32",
    "fit.batch_size": 2,
}
# The command line, killed when it comes to sync the file of a number (from 1) below a folder.
KILLED = """
import os, signal, sys
from groundup import files
from groundup.cli.main import main

part, at, sync_file, seen = sys.argv[1], int(sys.argv[2]), files.sync_file, 0


def killed(path):
    global seen
    seen += part in str(path)
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    sync_file(path)


files.sync_file = killed
main(sys.argv[3:])
"""
# So that so few parameters are a shape of the family.
SMALL_VOCABULARY = ["--set", "model.vocab_size=300", "--set", "model.feedforward_width=64"]


class StopsAfter(Silent):
    """Interrupts the run when its evaluation after step 4 is told."""

    def say(self, text: str) -> None:
        if text.startswith("step 4 "):
            raise KeyboardInterrupt


def tokenizer_of(text: str, vocab_size: int) -> Tokenizer:
    return train_tokenizer([text], vocab_size, progress=Silent())


def model_of(config: ModelConfig) -> LanguageModel:
    model = LanguageModel(config)
    initialise(model, generator(7, "weights"), deviation=0.1)
    with torch.no_grad():  # norms as a trained model has them
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.copy_(1 + torch.rand(weight.shape, generator=generator(3, name)))
    return model.eval()


def importance_of(model: LanguageModel) -> Importance:
    ids = torch.randint(0, 200, (2, 24), generator=generator(1, "sample"))
    return measure_importance(model, list(ids))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, and a model with its tokenizer in `source`."""
    root = tmp_path_factory.mktemp("cut")
    (root / "texts").mkdir()
    for number in range(30):
        (root / f"texts/{number}.txt").write_text(f"Page {number}. " + TEXT * 12)
    tokenizer = tokenizer_of(TEXT + "They sang the more. ", 300)
    model = model_of(replace(LARGE, vocab_size=tokenizer.vocab_size))
    save_model(model, root / "source", tokenizer, card=ModelCard("source", license="apache-2.0"))
    return root


def config_of(folder: Path, **changes: Any) -> groundup.PretrainConfig:
    given = {"steps": 6, "settings": SETTINGS, **changes}
    start = groundup.ContinuedTraining(cut_from=folder / "source")
    return groundup.PretrainConfig(start=start, **given)


def cut(folder: Path, out: Path, **changes: Any) -> groundup.PretrainResults:
    return groundup.pretrain(folder / "texts", out, config_of(folder, **changes), device="cpu")


@pytest.mark.parametrize("tied", [True, False])
def test_with_nothing_cut_and_the_same_vocabulary_the_function_is_the_same(tied: bool) -> None:
    source = model_of(replace(LARGE, tied_head=tied))
    shape = cut_shape(LARGE, source.config, {}, "source")
    same = [[id] for id in range(LARGE.vocab_size)]
    assert shape == source.config
    made, parts = cut_model(source, shape, importance_of(source), same)
    ids = torch.randint(0, 300, (2, 20), generator=generator(2, "ids"))
    assert torch.equal(made(ids), source(ids))
    assert parts.blocks == (0, 1, 2, 3) and parts.stream_share == 1.0


def test_a_stream_that_lies_in_few_directions_is_narrowed_without_loss() -> None:
    """All that is written lies in 16 of 48 directions, so that 16 are enough."""
    source = model_of(replace(LARGE, norm_eps=1e-12))
    directions = torch.linalg.qr(torch.randn(48, 16, generator=generator(5, "q"))).Q
    inside = directions @ directions.T
    with torch.no_grad():
        table = source.transformer.embedding.weight
        table.copy_(table @ inside)
        for layer in range(4):
            block = source.transformer.block(layer)
            for weight in (block.attention.output.weight, block.feedforward.down.weight):
                weight.copy_(inside @ weight)
    shape = replace(source.config, width=16, tied_head=False)
    same = [[id] for id in range(LARGE.vocab_size)]
    made, parts = cut_model(source, shape, importance_of(source), same)
    ids = torch.randint(0, 200, (2, 20), generator=generator(2, "ids"))
    torch.testing.assert_close(made(ids), source(ids), rtol=1e-3, atol=1e-3)
    assert parts.stream_share == pytest.approx(1.0, abs=1e-5)


def test_the_planted_blocks_heads_and_units_are_kept() -> None:
    source = model_of(LARGE)
    with torch.no_grad():
        for layer in range(4):
            block = source.transformer.block(layer)
            quiet = layer in (0, 2)
            block.attention.output.weight.mul_(1e-4)
            block.feedforward.down.weight.mul_(1e-4 if quiet else 1e-2)
            block.attention.output.weight[:, 4 * 8 :] *= 1e3  # heads 4 and 5, of the last group
            block.feedforward.down.weight[:, [3, 60]] *= 100
    shape = replace(LARGE, width=48, num_layers=2, num_heads=2, num_kv_heads=1, feedforward_width=2)
    same = [[id] for id in range(LARGE.vocab_size)]
    made, parts = cut_model(source, shape, importance_of(source), same)
    assert (parts.blocks, parts.heads) == ((1, 3), ((4, 5), (4, 5)))
    kept, last = made.transformer.block(1), source.transformer.block(3)
    assert torch.equal(kept.feedforward.up.weight, last.feedforward.up.weight[[3, 60]])
    assert torch.equal(kept.attention.key.weight, last.attention.key.weight[2 * 8 :])
    assert choose_blocks(torch.tensor([1.0, 3.0, 2.0]), 2) == [1, 2]


def test_own_tokens_are_the_mean_of_the_tokens_that_they_split_into(folder: Path) -> None:
    source = open_model(folder / "source", CPU)
    other = source.require_tokenizer()
    own = tokenizer_of("A mill and a hen and a hen at the mill. " * 9, 280)
    pieces = token_pieces(own, other)
    for id in range(own.vocab_size - 8):
        text = b"".join(other.token_bytes(piece) for piece in pieces[id])
        assert text == own.token_bytes(id)
    ends = own.special.document_end_id, other.special.document_end_id
    assert pieces[ends[0]] == [ends[1]]
    assert isinstance(source.model, LanguageModel)
    shape = replace(source.config, vocab_size=own.vocab_size)
    made, _ = cut_model(source.model, shape, importance_of(source.model), pieces)
    longest = max(range(len(pieces)), key=lambda id: len(pieces[id]))
    table = source.model.transformer.embedding.weight
    assert torch.equal(
        made.transformer.embedding.weight[longest], table[pieces[longest]].mean(dim=0)
    )
    assert token_pieces(other, other) == [[id] for id in range(other.vocab_size)]


def test_the_run_is_an_ordinary_one_and_its_card_names_the_source(
    folder: Path, tmp_path: Path
) -> None:
    results = cut(folder, tmp_path / "run")
    made = open_model(tmp_path / "run", CPU)
    shape = made.config
    assert (shape.width, shape.head_width, shape.rope_base) == (16, 8, 5_000.0)
    assert made.require_tokenizer().fingerprint != Tokenizer.load(folder / "source").fingerprint
    assert results.start["cut_from"] == str(folder / "source")
    assert results.bits_per_byte < results.start["before"]["bits_per_byte"]
    assert not results.forgetting
    card = (tmp_path / "run/README.md").read_text()
    assert f"base_model: {json.dumps(str(folder / 'source'))}" in card
    assert 'license: "apache-2.0"' in card
    assert "Cut from" in card and "random weights" not in card and "scratch" not in card
    assert not is_from_scratch(tmp_path / "run") and not is_from_scratch(tmp_path / "run/cut")
    assert cut(folder, tmp_path / "run") == results, "the same command only reads it"
    file = export(made, "gguf", tmp_path / "run.gguf", quantization="f32")
    again = open_model(file, CPU)
    ids = torch.tensor([[1, 70, 90]])
    torch.testing.assert_close(again.model(ids), made.model(ids), rtol=1e-4, atol=1e-4)
    again_results = reproduce(
        RunFolder(tmp_path / "run"), RunFolder(tmp_path / "again"), CPU, Silent(), fresh=False
    )
    assert again_results.same_weights
    assert "Cut from" in (tmp_path / "again/README.md").read_text()


def test_a_stopped_run_resumes_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "fit.evaluate_every": 2}
    whole = cut(folder, tmp_path / "whole", settings=settings)
    with pytest.raises(KeyboardInterrupt):
        groundup.pretrain(
            folder / "texts",
            tmp_path / "stopped",
            config_of(folder, settings=settings),
            device="cpu",
            progress=StopsAfter(),
        )
    resumed = cut(folder, tmp_path / "stopped", settings=settings)
    assert resumed.validation_loss == whole.validation_loss
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped")
    ]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_killed_while_cutting_and_in_a_checkpoint_equals_never_stopped(
    folder: Path, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "fit.evaluate_every": 2}
    cut(folder, tmp_path / "whole", settings=settings)
    out = tmp_path / "killed"
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    words = ["pretrain", folder / "texts", "--out", out, "--cut-from", folder / "source"]
    words += ["--steps", 6, "--device", "cpu", *sets]
    for part, at in (("/.tmp-cut-", 1), ("/.tmp-cut-", 4), ("/checkpoints/.tmp-step-", 3)):
        done = forked_program.run(KILLED, part, at, *words, program=CODE, imported=TRAINING)
        assert done.returncode == -signal.SIGKILL, done.stderr
        half = list(out.rglob(".tmp-*"))
        assert any(part in str(each) for each in half), half
    done = forked_program.run(KILLED, "nowhere", 1, *words, program=CODE, imported=TRAINING)
    assert done.returncode == 0, done.stderr
    assert not list(out.rglob(".tmp-*"))
    for name in ("cut/model.safetensors", "model.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("field", "value"), [("qk_norm", "head"), ("block", "output"), ("feedforward", "geglu")]
)
def test_a_model_of_another_shape_is_refused(field: str, value: str) -> None:
    config = replace(LARGE, **{field: value})
    with pytest.raises(ConfigError, match=f"its {field} is '{value}'"):
        require_cuttable(config, "other")


@pytest.mark.parametrize("size", ["1M", "2M", "5M", "12M", "30M", "100M"])
def test_a_cut_has_about_the_size_that_was_asked_for(size: str) -> None:
    source = preset("smollm2-135m")
    shape = cut_shape_of_size(parse_size(size), source, 2_048, "smollm2")
    assert cut_shape(shape, source, {}, "smollm2") == shape
    assert parameter_count(shape).total == pytest.approx(parse_size(size), rel=0.1)
    assert not size_note(size, shape) and size_note("3M", shape) != size_note("7M", shape)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "needs the size"),
        (["--size", "2M"], "A model of 2,000,000 parameters can't be cut from"),
        (["--from", "SOURCE", "--size", "20k"], "continues a whole model"),
        (["--set", "model.width=16", "--set", "fit.initial_tables=bigrams"], "is for a new model"),
        (["--size", "20k", "--replay", "general.txt"], "Replay is for"),
        (["--set", "model.width=64"], "width 64 is larger than that of"),
        (["--set", "model.width=16", "--set", "model.num_layers=9"], "num_layers 9 is larger"),
        (["--set", "model.width=16", "--set", "model.tied_head=true"], "tied_head can't be True"),
        (["--set", "model.width=48", "--set", "model.tied_head=false"], "tied_head can't be False"),
        (["--set", "model.width=16", "--set", "model.head_width=4"], "head_width can't be 4"),
        (["--size", "20k", *SMALL_VOCABULARY, "--tokenizer", "FOREIGN"], "none is a token of"),
        (["--set", "model.width=16", "--cut-from", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_cut_is_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    if "FOREIGN" in options:
        tokenizer_of("Ждёт лиса у моря, и поёт лиса у моря. " * 9, 270).save(tmp_path)
    source = folder / "source"
    named = {"SOURCE": str(source), "FOREIGN": str(tmp_path)}
    given = [named.get(each, each) for each in options]
    if "--cut-from" not in given:
        given += ["--cut-from", str(source)]
    out = tmp_path / "out"
    arguments = ["pretrain", str(folder / "texts"), "--out", str(out), "--steps", "2", *given]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err
    assert not (out / "cut").exists() and not list(out.glob("data*"))
