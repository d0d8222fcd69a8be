"""Contrastive tuning of an encoder: its loss, its batches, and that a question comes near its answer."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from groundup.device import Compute, generator
from groundup.engine.engine import Engine
from groundup.errors import FormatError, ModelError
from groundup.finetune.encoder_tuning import (
    TAU,
    AskedText,
    EncoderBatches,
    TextsOfKind,
    contrastive_loss,
)
from groundup.model.lora import add_lora, merge_lora
from groundup.retrieve.reader import encoder_of
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.steps.config import FitConfig
from groundup.weights.lora_file import attach_lora_file, encoder_hashes, read_lora, write_lora_file
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

CPU = Compute(torch.device("cpu"))
TEXTS = ["the cat sat on the mat", "to be or not to be", "that is the question", "abc def 123"]
ASKED = ["qqq", "xxx", "vvv", "www"]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(open_model(save_encoder(tmp_path / "encoder", context_tokens=64), CPU), CPU)


def batches_of(engine: Engine, drawn: int = 4) -> EncoderBatches:
    """Two collections of the same texts; of the second kind two texts are one another's neighbours."""
    rows = [engine.embedding_ids(text) for text in TEXTS]
    kinds = [TextsOfKind(rows, range(4), drawn), TextsOfKind(rows, [0, 0, 1, 1], drawn)]
    questions = [
        AskedText(engine.embedding_ids(text), of, (frozenset([i]), frozenset([i] if i else [])))
        for of in (0, 1)
        for i, text in enumerate(ASKED)
    ]
    return EncoderBatches(questions, [kinds, kinds], batch_size=2, seed=0)


def test_a_batch_is_of_one_collection_and_every_question_comes_once_an_epoch(
    engine: Engine,
) -> None:
    batches = batches_of(engine)
    assert batches.batches_per_epoch == 4
    for epoch in (0, 1):
        seen = [batches.indices(4 * epoch + place) for place in range(4)]
        assert sorted(i for each in seen for i in each) == list(range(8))
        assert all(len({i // 4 for i in each}) == 1 for each in seen)


def test_texts_beside_an_answer_are_candidates_first(engine: Engine) -> None:
    batch = batches_of(engine, drawn=1).batch(0)
    assert batch.questions == 2
    passages, sentences = batch.is_answer
    assert passages.shape == (2, 3) and passages.sum(1).tolist() == [1, 1]
    assert sentences.shape[1] == int(sentences.any(0).sum()) + 1


def test_the_loss_is_that_of_its_formula(engine: Engine) -> None:
    batch, encoder = batches_of(engine).batch(1), encoder_of(engine)
    made = [
        vector for group in batch.groups for vector in encoder(group.ids, mask=group.mask).detach()
    ]
    rows = dict(zip(batch.places.tolist(), made, strict=True))
    expected, start = 0.0, batch.questions
    for is_answer in batch.is_answer:
        for question, right in enumerate(is_answer.tolist()):
            scores = [
                math.exp(float(rows[question] @ rows[start + n]) / TAU) for n in range(len(right))
            ]
            wanted = sum(score for score, r in zip(scores, right, strict=True) if r)
            expected -= math.log(wanted / sum(scores)) if wanted else 0.0
        start += is_answer.shape[1]
    summed = contrastive_loss(encoder, batch)
    assert summed.count == 2 and summed.total.item() == pytest.approx(expected, rel=1e-3)


def test_questions_come_near_their_answers_and_the_adapter_travels(
    engine: Engine, tmp_path: Path
) -> None:
    encoder = encoder_of(engine)
    base, answers = encoder_hashes(encoder.transformer), torch.arange(4)

    def nearest(engine: Engine) -> torch.Tensor:
        return (engine.embed(ASKED) @ engine.embed(TEXTS).T).argmax(1)

    assert not torch.equal(nearest(engine), answers)
    add_lora(encoder, rank=4, alpha=8.0, generator=generator(0, "lora"))
    config = FitConfig(60).with_fields(
        {
            "batch_size": 2,
            "optimizer": {"name": "adamw", "learning_rate": 1e-2},
            "precision": "float32",
            "compile": "off",
            "evaluate_every": 60,
        }
    )
    run = RunFolder(tmp_path / "run")
    fit(encoder, batches_of(engine), contrastive_loss, config, run, compute=CPU)
    file = tmp_path / "tuned.safetensors"
    write_lora_file(encoder, file, base, "a test")
    merge_lora(encoder)
    encoder.eval()
    assert torch.equal(nearest(engine), answers)

    other = Engine(open_model(tmp_path / "encoder", CPU), CPU)
    attach_lora_file(encoder_of(other), encoder_of(other).transformer, file)
    merge_lora(encoder_of(other))
    assert torch.allclose(other.embed(TEXTS), engine.embed(TEXTS), atol=1e-5)
    with pytest.raises(ModelError, match="another encoder"):
        attach_lora_file(encoder_of(other), encoder_of(other).transformer, file)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
def test_an_adapter_in_fewer_bits_is_nearly_the_same(
    engine: Engine, tmp_path: Path, dtype: torch.dtype
) -> None:
    encoder, exact, small = encoder_of(engine), tmp_path / "exact", tmp_path / "small"
    add_lora(encoder, rank=2, alpha=4.0, generator=generator(0, "lora"))
    for name, parameter in encoder.named_parameters():
        if name.endswith("query.lora_b"):  # the others are zero
            parameter.data.normal_(0.0, 0.3, generator=generator(0, name))
    write_lora_file(encoder, exact, {}, "a test")
    write_lora_file(encoder, small, {}, "a test", dtype)
    assert small.stat().st_size < exact.stat().st_size
    before, after = read_lora(exact).tensors, read_lora(small).tensors
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert (after[name] - tensor).abs().max() <= tensor.abs().max() / 127


@pytest.mark.parametrize("damage", ["cut", "no tensors", "shape", "scale"])
def test_a_damaged_adapter_is_refused(engine: Engine, tmp_path: Path, damage: str) -> None:
    encoder, file = encoder_of(engine), tmp_path / "tuned.safetensors"
    base = encoder_hashes(encoder.transformer)
    add_lora(encoder, rank=2, alpha=4.0, generator=generator(0, "lora"))
    if damage == "shape":
        part = encoder.get_submodule("transformer.blocks.0.attention.query")
        part.lora_b.data = part.lora_b.data[:3]
    write_lora_file(encoder, file, base, "a test")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "no tensors":
        file.unlink()
    elif damage == "scale":
        write_lora_file(encoder, file, base, "a test", torch.int8)
        tensors = load_file(file)
        name = next(name for name in tensors if name.endswith("_scale"))
        save_file({**tensors, name: torch.ones(3, 5)}, file, {"version": "1"})
    fresh = encoder_of(Engine(open_model(tmp_path / "encoder", CPU), CPU))
    with pytest.raises(FormatError):
        attach_lora_file(fresh, fresh.transformer, file)
    if damage == "shape":
        assert read_lora(file).scale == 2.0
