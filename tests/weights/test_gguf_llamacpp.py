"""Real llama.cpp computes what we compute, from files that we wrote and from quantised blocks that we only read."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from real_llamacpp import largest_difference
from tiny_weights import VARIANTS, make_config, make_model

from groundup.model.config import ModelConfig
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata
from groundup.weights.assemble import parameter_shapes
from groundup.weights.gguf import add_vocabulary, read_gguf, write_gguf
from groundup.weights.gguf_config import add_config
from groundup.weights.names import gguf_bindings

# float32 weights: what is left is llama.cpp's f16 cache. Quantised: it quantises the activations as well.
EXACT, ACTIVATIONS_QUANTISED = 0.03, 0.5


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_architecture_runs_in_real_llamacpp(variant: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = make_model(make_config(variant, tokenizer.vocab_size))
    write_gguf(model, tokenizer, tmp_path / "m.gguf", encoding="f32", name=variant)
    assert largest_difference(tmp_path / "m.gguf", model, tokenizer.vocab_size) < EXACT


@pytest.mark.parametrize("encoding", ["f16", "bf16", "q8_0", "q4_0"])
def test_every_encoding_runs_in_real_llamacpp(encoding: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_gguf(
        make_model(make_config("llama", tokenizer.vocab_size)),
        tokenizer,
        tmp_path / "m.gguf",
        encoding=encoding,  # type: ignore[arg-type]
        name=encoding,
    )
    found = read_gguf(tmp_path / "m.gguf")
    allowed = ACTIVATIONS_QUANTISED if encoding.startswith("q") else 0.1
    assert largest_difference(tmp_path / "m.gguf", found.model, tokenizer.vocab_size) < allowed


# Where each K-quant block has its f16 scales; every other byte may be anything.
SCALES = {Kind.Q2_K: (80, 82), Kind.Q3_K: (108,), Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}
# A size of the scales at which the weights are near 0.1.
SIZES = {Kind.Q2_K: 4e-3, Kind.Q3_K: 2e-3, Kind.Q4_K: 4e-4, Kind.Q5_K: 2e-4, Kind.Q6_K: 6e-5}


def random_blocks(rows: int, columns: int, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Rows of valid blocks with random contents."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // block, block_bytes), dtype=np.uint8)
    for at in SCALES[kind]:
        sizes = (rng.uniform(0.5, 1.0, len(blocks)) * SIZES[kind]).astype(np.float16)
        blocks[:, at : at + 2] = sizes.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, columns // block * block_bytes)


def write_random_blocks(path: Path, kind: Kind, config: ModelConfig, tokenizer: Tokenizer) -> None:
    """A GGUF of this shape whose matrices are random blocks of this kind."""
    rng = np.random.default_rng(int(kind))
    writer = gguf.GGUFWriter(path, "llama")
    add_config(writer, config)
    add_vocabulary(writer, gguf_metadata(tokenizer, vocab_size=config.vocab_size))
    for binding in gguf_bindings(config, parameter_shapes(make_model(config))):
        if len(binding.shape) == 1:
            writer.add_tensor(binding.theirs, rng.uniform(0.5, 1.5, binding.shape).astype(np.float32))
        elif kind in SCALES:
            writer.add_tensor(binding.theirs, random_blocks(*binding.shape, kind, rng), raw_dtype=kind)
        else:
            weights = rng.normal(0, 0.1, binding.shape).astype(np.float32)
            writer.add_tensor(binding.theirs, gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", [*SCALES, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1], ids=lambda kind: kind.name)
def test_quantised_blocks_mean_what_llamacpp_takes_them_for(kind: Kind, tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = ModelConfig(tokenizer.vocab_size, 256, 256, 1, 4, 256, num_kv_heads=2)
    write_random_blocks(tmp_path / "m.gguf", kind, config, tokenizer)
    found = read_gguf(tmp_path / "m.gguf")
    with torch.no_grad():
        spread = float(torch.log_softmax(found.model(torch.arange(60)[None]), dim=-1).std())
    assert 0.3 < spread < 10  # logits that say something
    assert largest_difference(tmp_path / "m.gguf", found.model, tokenizer.vocab_size) < ACTIVATIONS_QUANTISED
