"""Real llama.cpp computes what we compute, from files that we wrote and from quantised blocks that we only read."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from real_llamacpp import largest_differences, order
from tiny_weights import LARGEST, VARIANTS, make_config, make_model, rewrite_metadata

from groundup.model.config import ModelConfig
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata
from groundup.weights.assemble import parameter_shapes
from groundup.weights.gguf import GGUFQuantization, read_gguf, write_gguf
from groundup.weights.gguf_architectures import ARCHITECTURES
from groundup.weights.gguf_config import add_config, add_metadata
from groundup.weights.names import gguf_bindings

# float32 weights, float32 keys and values: sums in another order. llama.cpp looks GELU up in a table of 16-bit numbers.
EXACT, TABLED, DEEP_TABLED, ROUNDED = 2e-5, 2e-3, 1e-2, 0.1
# It quantises the activations as well.
ACTIVATIONS_QUANTISED = 0.5
ENCODINGS = ("f16", "bf16", "q8_0", "q4_0")
KINDS = (Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1)


@pytest.fixture(scope="module")
def differences(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """File -> the largest difference from real llama.cpp; one process for all of them."""
    folder = tmp_path_factory.mktemp("gguf")
    names = [*VARIANTS, *LARGEST, *ENCODINGS, *(kind.name for kind in KINDS)]
    for variant in (*VARIANTS, *LARGEST):
        write(folder / variant, make_config(variant, tokenizer.vocab_size), tokenizer)
    for encoding in ENCODINGS:
        write(folder / encoding, make_config("llama", tokenizer.vocab_size), tokenizer, encoding)  # type: ignore[arg-type]
    for kind in KINDS:
        write_random_blocks(folder / kind.name, kind, tokenizer)
    orders = [
        order(folder / name, read_gguf(folder / name).model, tokenizer.vocab_size) for name in names
    ]
    return dict(zip(names, largest_differences(orders), strict=True))


def write(
    path: Path, config: ModelConfig, tokenizer: Tokenizer, encoding: GGUFQuantization = "f32"
) -> None:
    write_gguf(make_model(config), tokenizer, path, quantization=encoding, name="Phi-3 and others")


@pytest.mark.parametrize("variant", [*VARIANTS, *LARGEST])
def test_every_architecture_runs_in_real_llamacpp(
    variant: str, differences: dict[str, float]
) -> None:
    """On texts of up to 60 tokens, the windows being of 16."""
    tabled = DEEP_TABLED if variant in LARGEST else TABLED
    assert differences[variant] < (
        EXACT if make_config(variant, 300).feedforward == "swiglu" else tabled
    )


def test_llamacpp_passes_over_windows_where_we_say_so(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Should a later llama.cpp take them, files need no shorter context any more."""
    windowless = [
        name for name, each in ARCHITECTURES.items() if each.windows is None and name in VARIANTS
    ]
    assert {"llama", "phi3", "qwen2"} <= set(windowless)
    orders = []
    for name in windowless:
        model = make_model(make_config(name, tokenizer.vocab_size))
        write_gguf(model, tokenizer, tmp_path / name, quantization="f32", name="tiny")
        rewrite_metadata(tmp_path / name, {f"{name}.attention.sliding_window": 16})
        orders.append(order(tmp_path / name, model, tokenizer.vocab_size))
    assert max(largest_differences(orders)) < TABLED


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_runs_in_real_llamacpp(encoding: str, differences: dict[str, float]) -> None:
    assert differences[encoding] < (ACTIVATIONS_QUANTISED if encoding.startswith("q") else ROUNDED)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_quantised_blocks_mean_what_llamacpp_takes_them_for(
    kind: Kind, differences: dict[str, float], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write_random_blocks(tmp_path / "m.gguf", kind, tokenizer)
    with torch.no_grad():
        logits = read_gguf(tmp_path / "m.gguf").model(torch.arange(60)[None])
    assert 0.3 < float(torch.log_softmax(logits, dim=-1).std()) < 10  # logits that say something
    assert differences[kind.name] < ACTIVATIONS_QUANTISED


# Where each K-quant block has its f16 scales; every other byte may be anything.
SCALES = {
    Kind.Q2_K: (80, 82),
    Kind.Q3_K: (108,),
    Kind.Q4_K: (0, 2),
    Kind.Q5_K: (0, 2),
    Kind.Q6_K: (208,),
}
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


def write_random_blocks(path: Path, kind: Kind, tokenizer: Tokenizer) -> None:
    """A GGUF whose matrices are random blocks of this kind."""
    config = ModelConfig(tokenizer.vocab_size, 256, 256, 1, 4, 256, num_kv_heads=2)
    rng = np.random.default_rng(int(kind))
    writer = gguf.GGUFWriter(path, "llama")
    add_config(writer, config)
    add_metadata(writer, gguf_metadata(tokenizer, vocab_size=config.vocab_size))
    for binding in gguf_bindings(config, parameter_shapes(make_model(config))):
        if len(binding.shape) == 1:
            writer.add_tensor(
                binding.theirs, rng.uniform(0.5, 1.5, binding.shape).astype(np.float32)
            )
        elif kind in SCALES:
            writer.add_tensor(
                binding.theirs, random_blocks(*binding.shape, kind, rng), raw_dtype=kind
            )
        else:
            weights = rng.normal(0, 0.1, binding.shape).astype(np.float32)
            writer.add_tensor(binding.theirs, gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
