"""Small models and damaged files for the tests of this room."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import gguf
import numpy as np
import torch

from groundup.device import Compute
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.hf_families import FAMILIES

M = TypeVar("M", bound=torch.nn.Module)
CPU = Compute(torch.device("cpu"))
SHAPE = {
    "context_tokens": 256,
    "width": 64,
    "num_layers": 2,
    "num_heads": 4,
    "feedforward_width": 96,
}
YARN, LINEAR = (
    RopeScaling(4.0, kind="yarn", original_context_tokens=64),
    RopeScaling(4.0, kind="linear"),
)
VARIANTS = (
    *(
        "llama",
        "llama_scaled",
        "llama_linear",
        "llama_yarn",
        "llama_biases",
        "smollm3",
        "smollm3_yarn",
    ),
    *(
        "qwen2",
        "qwen2_yarn",
        "qwen3",
        "qwen3_biases",
        "qwen3_moe",
        "qwen3_moe_yarn",
        "phi3",
        "phi3_tied",
    ),
    *(
        "gemma2",
        "gemma2_whole",
        "gemma2_linear",
        "gemma3",
        "gemma3_whole",
        "gemma3_linear",
        "gemma3_capped",
    ),
    *("olmo2", "olmo2_windows", "olmo2_windows_yarn", "gpt2"),
)
# Of as many blocks as the largest of their families, which llama.cpp knows by that and scores otherwise.
LARGEST = ("gemma2_largest", "gemma3_largest")
_GEMMA = {
    "block": "sandwich",
    "feedforward": "geglu",
    "scaled_embedding": True,
    "num_kv_heads": 2,
    "head_width": 32,
}
_GEMMA2 = {**_GEMMA, "family": "gemma2", "score_softcap": 5.0, "logit_softcap": 3.0}
_GEMMA3 = {**_GEMMA, "family": "gemma3", "qk_norm": "head", "rope_base": 50_000.0}
_WINDOW2 = {"window_tokens": 16, "full_every": 2}
_WINDOW3 = {"window_tokens": 16, "full_every": 3, "window_rope_base": 1_000.0, "num_layers": 3}
_OLMO2 = {
    "family": "olmo2",
    "block": "output",
    "qk_norm": "projection",
    "tied_head": False,
    "num_kv_heads": 2,
}
_EXPERTS = {
    "family": "qwen3_moe",
    "qk_norm": "head",
    "num_kv_heads": 2,
    "num_experts": 5,
    "experts_per_token": 2,
}
_SMOLLM3 = {"family": "smollm3", "unrotated_every": 4, "num_layers": 4, "num_kv_heads": 2}


def make_config(variant: str, vocab_size: int) -> ModelConfig:
    """A small model of each kind that a GGUF can hold."""
    base = ModelConfig(vocab_size=vocab_size, **SHAPE)
    scaling = RopeScaling(8.0, 1.0, 4.0, 64)
    changes = {
        "llama": {"num_kv_heads": 2},
        "llama_scaled": {
            "num_kv_heads": 2,
            "head_width": 32,
            "rope_scaling": scaling,
            "tied_head": False,
        },
        "llama_linear": {"num_kv_heads": 2, "rope_scaling": LINEAR},
        "llama_yarn": {"rope_scaling": replace(YARN, attention_factor=1.7)},
        "llama_biases": {
            "attention_bias": True,
            "attention_output_bias": True,
            "feedforward_bias": True,
        },
        "smollm3": _SMOLLM3,
        "smollm3_yarn": {**_SMOLLM3, "rope_scaling": YARN, "tied_head": False},
        "qwen2": {"family": "qwen2", "num_kv_heads": 2, "attention_bias": True},
        "qwen2_yarn": {"family": "qwen2", "attention_bias": True, "rope_scaling": YARN},
        "qwen3": {
            "family": "qwen3",
            "num_kv_heads": 2,
            "head_width": 32,
            "qk_norm": "head",
            "tied_head": False,
        },
        "qwen3_biases": {"family": "qwen3", "attention_bias": True, "qk_norm": "head"},
        "qwen3_moe": _EXPERTS,
        "qwen3_moe_yarn": {
            **_EXPERTS,
            "rope_scaling": YARN,
            "tied_head": False,
            "attention_bias": True,
        },
        "phi3": {"family": "phi3", "num_kv_heads": 2, "tied_head": False},
        "phi3_tied": {"family": "phi3", "rope_scaling": YARN},
        "gemma2": {**_GEMMA2, **_WINDOW2},
        "gemma2_whole": _GEMMA2,
        "gemma2_linear": {**_GEMMA2, "window_tokens": 16, "rope_scaling": LINEAR},
        "gemma3": {**_GEMMA3, **_WINDOW3},
        "gemma3_whole": {**_GEMMA3, "rope_scaling": YARN},
        "gemma3_linear": {**_GEMMA3, **_WINDOW3, "rope_scaling": LINEAR, "tied_head": False},
        "gemma3_capped": {**_GEMMA3, **_WINDOW2, "logit_softcap": 3.0},
        "gemma2_largest": {**_GEMMA2, **_WINDOW2, "num_layers": 46, "score_width": 16},
        "gemma3_largest": {**_GEMMA3, **_WINDOW2, "num_layers": 62, "score_width": 16},
        "olmo2": _OLMO2,
        "olmo2_windows": {**_OLMO2, **_WINDOW2},
        "olmo2_windows_yarn": {
            **_OLMO2,
            **_WINDOW2,
            "window_rope_base": 10_000.0,
            "rope_scaling": YARN,
        },
        "gpt2": {"family": "gpt2", **FAMILIES["gpt2"].parts},
    }
    return replace(base, **{"head_width": 16, **changes[variant]})


def randomise(model: M, seed: int = 0) -> M:
    """Weights large enough that every one of them shows in the logits, norms and biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * 0.2 if parameter.ndim > 1 else noise * 0.3 + 0.5)
    return model.eval()


def make_model(config: ModelConfig, seed: int = 0) -> LanguageModel:
    model = LanguageModel(config)
    randomise(model, seed)
    return model


def rewrite_metadata(path: Path, values: dict[str, object]) -> None:
    """Set some metadata of a file with float32 weights to other values."""
    header, data = read_gguf_header(path), path.read_bytes()
    metadata = header.metadata | values
    writer = gguf.GGUFWriter(path, str(metadata.pop("general.architecture")))
    for key, value in metadata.items():
        number = (
            writer.add_uint32 if isinstance(value, int) and 0 <= value < 2**32 else writer.add_int64
        )
        add = {
            bool: writer.add_bool,
            int: number,
            float: writer.add_float32,
            str: writer.add_string,
        }
        add.get(type(value), writer.add_array)(key, value)
    for info in header.tensors.values():
        raw = np.frombuffer(data, dtype=np.float32, count=info.num_bytes // 4, offset=info.begin)
        writer.add_tensor(info.name, raw.reshape(info.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def mutants(original: bytes, count: int, seed: int, header_bytes: int) -> Iterator[bytes]:
    """Damaged and lying copies, half of them hit in the first `header_bytes`; the same ones every time."""
    choose = random.Random(seed)
    kinds: list[Callable[[bytes, random.Random, int], bytes]] = [flip, cut, lie, splice]
    for number in range(count):
        reach = header_bytes if number % 2 else len(original)
        yield kinds[number % 4 if number % 8 < 4 else choose.randrange(4)](original, choose, reach)


def flip(original: bytes, choose: random.Random, reach: int) -> bytes:
    """A few bits are others."""
    data = bytearray(original)
    for _ in range(choose.choice((1, 1, 2, 8))):
        data[choose.randrange(reach)] ^= 1 << choose.randrange(8)
    return bytes(data)


def cut(original: bytes, choose: random.Random, reach: int) -> bytes:
    """The end is missing."""
    return original[: choose.randrange(reach)]


def lie(original: bytes, choose: random.Random, reach: int) -> bytes:
    """A number is huge, or zero."""
    size = choose.choice((4, 8))
    number = (
        choose.choice((0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1))
        % 256**size
    )
    at = choose.randrange(max(1, reach - size))
    return original[:at] + number.to_bytes(size, "little") + original[at + size :]


def splice(original: bytes, choose: random.Random, reach: int) -> bytes:
    """A piece stands in the place of another, or twice, or not at all."""
    begin, end, at = (choose.randrange(reach) for _ in range(3))
    piece = original[min(begin, end) : max(begin, end)]
    return original[:at] + piece + original[at + choose.choice((0, len(piece))) :]
