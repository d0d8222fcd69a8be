"""A named model that is another one with an adapter of the package in its weights."""

import shutil
from pathlib import Path

import pytest
import torch

from groundup.device import Compute, generator
from groundup.engine.engine import Engine
from groundup.errors import FormatError, ModelError
from groundup.files import write_manifest
from groundup.model.lora import add_lora, merge_lora
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.updated_vectors import is_here
from groundup.weights import pulled
from groundup.weights.catalog import CATALOG, DEFAULT_ENCODER, SENTENCE_ENCODER, untuned
from groundup.weights.lora_file import encoder_hashes, write_lora_file
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

CPU = Compute(torch.device("cpu"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a small encoder in the place of the untuned one, and a folder of adapters."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pulled, "ADAPTERS", tmp_path / "adapters")
    (tmp_path / "adapters").mkdir()
    folder = save_encoder(tmp_path / "cache" / "models" / SENTENCE_ENCODER)
    write_manifest(folder, extra={"pulled": SENTENCE_ENCODER})
    return folder


def write_adapter(cache: Path, seed: int) -> Engine:
    """A random adapter in the place of the package's; return the encoder with it."""
    engine = Engine(open_model(cache, CPU), CPU)
    encoder = encoder_of(engine)
    base = encoder_hashes(encoder.transformer)
    add_lora(encoder, rank=2, alpha=4.0, generator=generator(seed, "lora"))
    for name, parameter in encoder.named_parameters():
        if "lora_b" in name:
            parameter.data.normal_(0.0, 0.3, generator=generator(seed, name))
    file = pulled.ADAPTERS / f"{DEFAULT_ENCODER}.safetensors"
    write_lora_file(encoder, file, base, "random")
    merge_lora(encoder)
    return engine


def test_it_is_made_from_the_other_one_and_again_where_the_adapter_is_new(cache: Path) -> None:
    texts = ["the cat sat on the mat", "to be or not to be"]
    assert untuned(DEFAULT_ENCODER) == SENTENCE_ENCODER == untuned(SENTENCE_ENCODER)
    assert is_here(DEFAULT_ENCODER)  # without a network
    for seed in (1, 2):
        expected = write_adapter(cache, seed).embed(texts)
        for _ in range(2):
            opened = Engine(open_model(DEFAULT_ENCODER, CPU), CPU)
            assert torch.allclose(opened.embed(texts), expected, atol=1e-5)
    plain = Engine(open_model(SENTENCE_ENCODER, CPU), CPU)
    assert not torch.allclose(plain.embed(texts), expected, atol=1e-2)


def test_without_weights_of_its_own_it_is_the_same_to_the_bit(cache: Path) -> None:
    write_adapter(cache, 1)
    whole = open_model(DEFAULT_ENCODER, CPU)
    folder = shutil.copytree(cache, cache.parents[2] / "other" / SENTENCE_ENCODER)
    tuned = shutil.copytree(whole.path, folder.parent / DEFAULT_ENCODER)
    (tuned / "model.safetensors").unlink()
    write_manifest(tuned)
    found = open_model(tuned, CPU)
    assert found.path == tuned
    for (name, one), other in zip(
        whole.model.named_parameters(), found.model.parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(FormatError, match=SENTENCE_ENCODER):
        open_model(tuned, CPU)


def test_an_adapter_of_another_encoder_is_refused(cache: Path) -> None:
    write_adapter(cache, 1)
    other = save_encoder(cache.parent / "other", context_tokens=32)
    (other / "model.safetensors").replace(cache / "model.safetensors")
    (other / "config.json").replace(cache / "config.json")
    write_manifest(cache, extra={"pulled": SENTENCE_ENCODER})
    with pytest.raises(ModelError, match="another encoder"):
        open_model(DEFAULT_ENCODER, CPU)


@pytest.mark.network
def test_the_packaged_adapter_is_of_the_published_encoder() -> None:
    assert CATALOG[DEFAULT_ENCODER].tuned_from == SENTENCE_ENCODER
    opened = Engine(open_model(DEFAULT_ENCODER, CPU), CPU)
    asked, *texts = opened.embed(
        [
            "can i kip in there between flats",
            "Units may not be slept in.",
            "Units may not be sublet.",
        ]
    )
    assert float(asked @ texts[0]) > float(asked @ texts[1])
