"""The reader: a row for a passage, a score for each of its sentences, an adapter in a folder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import FormatError, ModelError
from groundup.files import write_manifest
from groundup.model.lora import add_lora, shared_copy
from groundup.progress import Silent
from groundup.retrieve.cite import statements
from groundup.retrieve.given_passages import given_passage
from groundup.retrieve.reader import (
    ADAPTER_FILE,
    ADAPTERS,
    OTHER,
    SentenceScorer,
    encoder_of,
    find_reader,
    open_reader,
    read_reader,
    reader_row,
    write_reader,
)
from groundup.retrieve.vectors import open_encoder
from groundup.weights.hf import save_tensors
from groundup.weights.lora_file import encoder_hashes, read_lora
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

CPU = Compute(torch.device("cpu"), native_bf16=False)
PASSAGE = given_passage(
    1,
    "Care takes a day.\n\n| Part | Price |\n|---|---|\n| Filter | £12 |\n| Lamp | £30 |\n",
    "a.md",
    "Prices",
)
OTHER_PASSAGE = given_passage(2, "The warranty lasts 24 months. It covers parts.", "b.md")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = save_encoder(tmp_path_factory.mktemp("encoder"), context_tokens=128)
    return Engine(open_model(folder, CPU), CPU)


@pytest.fixture(scope="module")
def saved(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader with random adapters."""
    scorer = SentenceScorer(encoder_of(Engine(open_model(engine.opened.path, CPU), CPU)))
    random = torch.Generator().manual_seed(0)
    base = encoder_hashes(scorer.transformer)
    add_lora(scorer, rank=2, alpha=4.0, generator=random)
    for name, parameter in scorer.named_parameters():
        if "lora_" in name or name.startswith("score."):
            parameter.data.normal_(0.0, 0.3, generator=random)
    folder = tmp_path_factory.mktemp("reader")
    write_reader(scorer, folder, base, "random")
    return folder


def test_a_row_has_question_heading_and_sentences(engine: Engine) -> None:
    row = reader_row(engine.tokenizer, "What is the price?", PASSAGE)
    listed = statements(PASSAGE)
    assert len(listed) == 3 and set(row.owners) == {OTHER, 0, 1, 2}
    assert len(row.ids) == len(row.owners)
    of_row = [id for id, owner in zip(row.ids, row.owners, strict=True) if owner == 2]
    assert of_row == engine.tokenizer.encode("Lamp: £30 (Price)")


def test_scores_are_those_of_each_passage_alone(engine: Engine, saved: Path) -> None:
    reader = open_reader(engine, saved)
    together = reader.scores("How long is the warranty?", [PASSAGE, OTHER_PASSAGE])
    assert [len(each) for each in together] == [3, 2]
    assert len({round(score, 4) for each in together for score in each}) > 1
    for passage, scores in zip((PASSAGE, OTHER_PASSAGE), together, strict=True):
        (alone,) = reader.scores("How long is the warranty?", [passage])
        assert alone == pytest.approx(scores, abs=1e-4)


def test_scores_by_bf16_products_are_about_those_of_float32(engine: Engine, saved: Path) -> None:
    faster = open_reader(Engine(engine.opened, Compute(CPU.device, native_bf16=True)), saved)
    asked = "How long is the warranty?", [PASSAGE, OTHER_PASSAGE]
    found, exact = faster.scores(*asked), open_reader(engine, saved).scores(*asked)
    assert found != exact
    for scores, wanted in zip(found, exact, strict=True):
        assert scores == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 5e-3), (torch.bfloat16, 2e-2)])
def test_a_file_of_16_bit_numbers_gives_about_the_same_scores(
    engine: Engine, saved: Path, tmp_path: Path, dtype: torch.dtype, error: float
) -> None:
    scorer = SentenceScorer(shared_copy(encoder_of(engine)))
    read_reader(scorer, saved)
    write_reader(scorer, tmp_path, encoder_hashes(encoder_of(engine).transformer), "", dtype)
    sizes = [
        sum(each.nbytes for each in load_file(folder / ADAPTER_FILE).values())
        for folder in (tmp_path, saved)
    ]
    assert sizes[0] < 0.7 * sizes[1]
    asked = "How long is the warranty?", [PASSAGE, OTHER_PASSAGE]
    found, exact = (
        open_reader(engine, tmp_path).scores(*asked),
        open_reader(engine, saved).scores(*asked),
    )
    for scores, wanted in zip(found, exact, strict=True):
        assert scores == pytest.approx(wanted, abs=error)


@pytest.mark.network
@pytest.mark.parametrize("encoder", sorted(each.name for each in ADAPTERS.iterdir()))
def test_a_packaged_reader_reads_by_the_encoder_that_it_is_named_after(
    tmp_path: Path, encoder: str
) -> None:
    reader = find_reader(open_encoder(encoder, CPU, Silent()), tmp_path)
    assert reader is not None
    assert (ADAPTERS / encoder / ADAPTER_FILE).stat().st_size <= 3_000_000
    prices, warranty = reader.scores("what does a new lamp cost?", [PASSAGE, OTHER_PASSAGE])
    assert max(prices) == prices[2] > max(warranty)


def test_the_encoder_itself_is_unchanged(engine: Engine, saved: Path) -> None:
    before = engine.embed(["The warranty lasts."])
    open_reader(engine, saved)
    assert torch.equal(engine.embed(["The warranty lasts."]), before)


def test_a_damaged_adapter_is_refused(engine: Engine, saved: Path, tmp_path: Path) -> None:
    for each in saved.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    file = tmp_path / "reader.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(FormatError, match=r"reader\.safetensors"):
        open_reader(engine, tmp_path)


def test_another_encoder_has_no_reader(saved: Path, tmp_path: Path) -> None:
    other = Engine(open_model(save_encoder(tmp_path / "other", context_tokens=64), CPU), CPU)
    with pytest.raises(ModelError, match="another encoder"):
        open_reader(other, saved)
    assert find_reader(other, tmp_path / "index") is None


def test_numbers_in_two_parts_are_those_that_were_written_and_both_parts_are_needed(
    engine: Engine, saved: Path, tmp_path: Path
) -> None:
    scorer = SentenceScorer(shared_copy(encoder_of(engine)))
    read_reader(scorer, saved)
    write_reader(scorer, tmp_path, {}, "", torch.bfloat16)
    file, exact = tmp_path / ADAPTER_FILE, read_lora(saved / ADAPTER_FILE).tensors
    for name, found in read_lora(file).tensors.items():
        wanted = exact[name]
        if ".lora_" in name:
            wanted = wanted.bfloat16().float()
        assert torch.equal(found, wanted), name
    parts = load_file(file)
    a_part = next(name for name in parts if name.startswith("low."))
    for damaged in (None, parts[a_part][..., :-1]):
        kept = {name: each for name, each in parts.items() if name != a_part}
        if damaged is not None:
            kept[a_part] = damaged.contiguous()
        save_tensors(kept, file, {"version": "1", "base": "{}", "scale": "1.0"})
        with pytest.raises(FormatError, match="tensors: can't be read"):
            read_lora(file)


def test_a_file_of_other_tensors_is_refused(engine: Engine, tmp_path: Path) -> None:
    save_tensors({"a": torch.zeros(2)}, tmp_path / "reader.safetensors", {"version": "1"})
    write_manifest(tmp_path)
    with pytest.raises(FormatError, match="no base and scale of an adapter"):
        open_reader(engine, tmp_path)
