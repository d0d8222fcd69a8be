"""GGUF files written and read back: identical, in every architecture and encoding; what can't be held is refused by name."""

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from tiny_weights import VARIANTS, make_config, make_model, randomise, rewrite_metadata

from groundup.errors import FormatError, ModelError
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import Classifier
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf import GGUFQuantization, read_gguf, write_gguf
from groundup.weights.gguf_config import (
    KNOWN_SCALINGS,
    add_config,
    read_factors,
    rope_factors,
    shortest,
)
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.names import deinterleave, interleave


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("variant", VARIANTS)
def test_f32_files_read_back_bit_for_bit(
    variant: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = make_model(make_config(variant, tokenizer.vocab_size))
    write_gguf(
        model,
        tokenizer,
        tmp_path / "m.gguf",
        quantization="f32",
        name="mine",
        license_id="apache-2.0",
    )
    found = read_gguf(tmp_path / "m.gguf")
    assert found.model.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, found.model.state_dict()[name]), name
    assert found.tokenizer is not None
    assert found.tokenizer.encode("the lazy dog 123") == tokenizer.encode("the lazy dog 123")
    assert found.tokenizer.chat_template == tokenizer.chat_template
    metadata = read_gguf_header(tmp_path / "m.gguf").metadata
    assert (metadata["general.name"], metadata["general.license"]) == (
        "mine",
        "apache-2.0",
    ) and found.license == "apache-2.0"
    assert metadata["general.file_type"] == 0


@pytest.mark.parametrize("encoding", ["f16", "bf16", "q8_0", "q4_0"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_file_written_from_what_was_read_is_the_same_file(
    encoding: GGUFQuantization, variant: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.gguf", tmp_path / "2.gguf"
    write_gguf(
        make_model(make_config(variant, tokenizer.vocab_size)),
        tokenizer,
        first,
        quantization=encoding,
        name="x",
    )
    found = read_gguf(first)
    write_gguf(found.model, found.tokenizer, second, quantization=encoding, name="x")
    assert first.read_bytes() == second.read_bytes()


def test_a_mistral_becomes_a_llama(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """GGUF has no architecture of its own for it; it computes the same."""
    config = replace(make_config("llama", tokenizer.vocab_size), family="mistral")
    model = make_model(config)
    write_gguf(model, tokenizer, tmp_path / "m.gguf", quantization="f32", name="x")
    found = read_gguf(tmp_path / "m.gguf")
    assert found.model.config == replace(config, family="llama")
    ids = torch.arange(20)[None]
    assert torch.equal(found.model(ids), model(ids))


@pytest.mark.parametrize("full_every", [0, 2])
def test_a_window_that_llamacpp_passes_over_ends_the_context(
    full_every: int, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Within the window nothing is hidden: there the file computes what the model does."""
    config = replace(
        make_config("llama", tokenizer.vocab_size),
        family="mistral",
        window_tokens=24,
        full_every=full_every,
    )
    model, heard = make_model(config), Heard()
    write_gguf(model, tokenizer, tmp_path / "m.gguf", quantization="f32", name="x", progress=heard)
    found = read_gguf(tmp_path / "m.gguf")
    assert found.model.config == replace(
        config, family="llama", context_tokens=24, window_tokens=0, full_every=0
    )
    assert "context is 24 tokens, not 256" in heard.lines[0]
    ids = torch.arange(24)[None]
    assert torch.allclose(found.model(ids), model(ids), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "written"), [("My-Phi-3.5-mini", "My-Phi 3.5-mini"), ("phi4", "phi4")]
)
def test_a_name_by_which_llamacpp_would_change_the_tokenizer_is_written_apart(
    name: str, written: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write_gguf(
        make_model(make_config("phi3", tokenizer.vocab_size)),
        tokenizer,
        tmp_path / "m.gguf",
        quantization="f32",
        name=name,
    )
    assert read_gguf_header(tmp_path / "m.gguf").metadata["general.name"] == written


def test_rows_that_are_no_blocks_stay_f16_and_this_is_said_once(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    config = ModelConfig(tokenizer.vocab_size, 64, 40, 1, 4, 64, head_width=10)
    heard = Heard()
    write_gguf(
        make_model(config),
        tokenizer,
        tmp_path / "m.gguf",
        quantization="q8_0",
        name="x",
        progress=heard,
    )
    kinds = {
        name: info.kind for name, info in read_gguf_header(tmp_path / "m.gguf").tensors.items()
    }
    assert kinds["blk.0.attn_q.weight"] == Kind.F16  # rows of 40
    assert kinds["blk.0.ffn_down.weight"] == Kind.Q8_0  # rows of 64
    assert kinds["blk.0.attn_norm.weight"] == Kind.F32
    assert len(heard.lines) == 1
    assert "7 of 11 tensors stay F16" in heard.lines[0]


def test_q4_0_keeps_the_embedding_at_q8_0(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = make_model(make_config("qwen3", tokenizer.vocab_size))
    write_gguf(model, tokenizer, tmp_path / "m.gguf", quantization="q4_0", name="x")
    kinds = {
        name: info.kind for name, info in read_gguf_header(tmp_path / "m.gguf").tensors.items()
    }
    assert kinds["token_embd.weight"] == kinds["output.weight"] == Kind.Q8_0
    assert kinds["blk.0.attn_q.weight"] == Kind.Q4_0


def test_interleaving_is_its_own_inverse_and_what_llamacpp_rotates() -> None:
    rows = torch.arange(16).reshape(16, 1)
    turned = interleave(rows, heads=2)
    assert turned.flatten().tolist()[:8] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert torch.equal(deinterleave(turned, heads=2), rows)


def test_published_scalings_are_recognised_by_their_factors() -> None:
    config = ModelConfig(64, 64, 256, 1, 4, 64, rope_base=500_000.0)
    for scaling in KNOWN_SCALINGS:
        factors = rope_factors(replace(config, rope_scaling=scaling))
        assert factors is not None
        assert read_factors({}, factors, config, "x") == scaling
    other = rope_factors(replace(config, rope_scaling=RopeScaling(16.0, 1.0, 4.0, 8192)))
    assert other is not None
    with pytest.raises(FormatError, match="other factors"):
        read_factors({}, other, config, "x")


def test_factors_that_contradict_the_metadata_are_refused(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(
        make_model(make_config("llama_scaled", tokenizer.vocab_size)),
        tokenizer,
        path,
        quantization="f32",
        name="x",
    )
    info = read_gguf_header(path).tensors["rope_freqs.weight"]
    data = bytearray(path.read_bytes())
    data[info.begin : info.begin + 4] = np.float32(3.0).tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="other factors"):
        read_gguf(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(
    value: float, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    model = make_model(make_config("llama", tokenizer.vocab_size))
    write_gguf(model, tokenizer, path, quantization="f32", name="x")
    info = read_gguf_header(path).tensors["blk.1.ffn_up.weight"]
    data = bytearray(path.read_bytes())
    data[info.begin + 40 : info.begin + 44] = np.float32(value).tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match=r"blk\.1\.ffn_up\.weight.*NaN or infinite"):
        read_gguf(path)
    model.transformer.blocks[0].feedforward.up.weight.data[0, 0] = value
    with pytest.raises(FormatError, match=r"blk\.0\.ffn_up\.weight"):
        write_gguf(model, tokenizer, tmp_path / "n.gguf", quantization="f32", name="x")
    assert not (tmp_path / "n.gguf").exists()


def test_weights_too_large_for_f16_are_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size))
    model.transformer.blocks[0].feedforward.up.weight.data[0, 0] = 70_000.0
    with pytest.raises(FormatError, match=r"as f16.*blk\.0\.ffn_up\.weight"):
        write_gguf(model, tokenizer, tmp_path / "n.gguf", quantization="f16", name="x")
    assert list(tmp_path.iterdir()) == []


def test_what_gguf_cannot_hold_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = make_config("llama", tokenizer.vocab_size)
    refused = {
        "classifier": (randomise(Classifier(config, 2)), tokenizer),
        "has positions rope; this model has none": (
            make_model(replace(config, positions="none")),
            tokenizer,
        ),
        "needs the tokenizer": (make_model(config), None),
        "rows for a tokenizer": (make_model(replace(config, vocab_size=200)), tokenizer),
        "no RoPE scaling of kind 'llama3'": (
            make_model(
                replace(make_config("qwen2", 400), rope_scaling=RopeScaling(8.0, 1.0, 4.0, 64))
            ),
            tokenizer,
        ),
    }
    for reason, (model, its_tokenizer) in refused.items():
        with pytest.raises(ModelError, match=reason):
            write_gguf(model, its_tokenizer, tmp_path / "m.gguf", quantization="f32", name="x")
    assert list(tmp_path.iterdir()) == []


def test_rows_beyond_the_tokenizer_are_kept(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = make_model(make_config("llama", tokenizer.vocab_size + 5))
    write_gguf(model, tokenizer, tmp_path / "m.gguf", quantization="f32", name="x")
    found = read_gguf(tmp_path / "m.gguf")
    assert found.model.config.vocab_size == tokenizer.vocab_size + 5
    assert found.tokenizer is not None
    assert found.tokenizer.vocab_size == tokenizer.vocab_size


CHANGES = {
    "architecture": ({"general.architecture": "mamba"}, "known are"),
    "split": ({"split.count": 3}, "split over several"),
    "experts": ({"llama.expert_count": 8}, "expert_count"),
    "longrope": ({"llama.rope.scaling.type": "longrope"}, "rope.scaling.type"),
    "attn factor": ({"llama.rope.scaling.attn_factor": 1.5}, "attn_factor"),
    "betas": (
        {
            "llama.rope.scaling.type": "yarn",
            "llama.rope.scaling.factor": 2.0,
            "llama.rope.scaling.yarn_beta_fast": 16.0,
        },
        "beta_fast",
    ),
    "yarn without turns": (
        {
            "llama.rope.scaling.type": "yarn",
            "llama.rope.scaling.factor": 2.0,
            "llama.rope.freq_base": 1.0,
        },
        "rope_base, which must be",
    ),
    "logit scale": ({"llama.logit_scale": 2.0}, "logit_scale: is not understood"),
    "vocabulary": ({"llama.vocab_size": 7}, "has 268 rows|has .* rows"),
    "layers": ({"llama.block_count": 1000}, "tensors in all"),
    "heads": ({"llama.attention.head_count": 3}, "head width|shape|evenly|key/value"),
    "context": ({"llama.context_length": 0}, "context_length"),
    "eps": ({"llama.attention.layer_norm_rms_epsilon": -1}, "layer_norm_rms_epsilon"),
}


def test_longrope_is_refused_by_name(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "phi3")
    add_config(writer, make_config("phi3", tokenizer.vocab_size))
    for name in ("token_embd.weight", "rope_factors_long.weight", "rope_factors_short.weight"):
        writer.add_tensor(name, np.ones((tokenizer.vocab_size, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(FormatError, match="longrope"):
        read_gguf(path)


HARMLESS = (
    {"llama.rope.scaling.finetuned": True},
    {"llama.tensor_data_layout": "Meta AI original pth"},
    {"llama.expert_count": 0},
)


@pytest.mark.parametrize("values", HARMLESS, ids=str)
def test_metadata_that_change_nothing_are_passed_over(
    values: dict[str, object], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write_changed(tmp_path / "m.gguf", values, tokenizer)
    assert read_gguf(tmp_path / "m.gguf").model.config == make_config("llama", tokenizer.vocab_size)


def test_a_llama_with_a_window_is_a_mistral(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """llama.cpp passes over the window; the model was trained with it."""
    write_changed(tmp_path / "m.gguf", {"llama.attention.sliding_window": 16}, tokenizer)
    config = read_gguf(tmp_path / "m.gguf").model.config
    assert config == replace(
        make_config("llama", tokenizer.vocab_size), family="mistral", window_tokens=16
    )


def test_an_unknown_architecture_names_the_nearest_and_how_to_add_one(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write_changed(tmp_path / "m.gguf", {"general.architecture": "olmo3"}, tokenizer)
    with pytest.raises(FormatError, match="known are gemma2") as caught:
        read_gguf(tmp_path / "m.gguf")
    assert "Did you mean 'olmo2'" in caught.value.fix
    assert "gguf_architectures.py" in caught.value.fix


@pytest.mark.parametrize("change", CHANGES)
def test_metadata_that_we_do_not_compute_are_refused(
    change: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    values, reason = CHANGES[change]
    path = tmp_path / "m.gguf"
    write_changed(path, values, tokenizer)
    with pytest.raises(FormatError, match=reason):
        read_gguf(path)


def write_changed(path: Path, values: dict[str, object], tokenizer: Tokenizer) -> None:
    """A small file of ours with some metadata set to other values."""
    write_gguf(
        make_model(make_config("llama", tokenizer.vocab_size)),
        tokenizer,
        path,
        quantization="f32",
        name="x",
    )
    rewrite_metadata(path, values)


def test_numbers_come_back_as_they_were_written() -> None:
    for number in (1e-5, 1e-6, 500_000.0, 1e4, 0.1):
        assert shortest(float(np.float32(number))) == number
