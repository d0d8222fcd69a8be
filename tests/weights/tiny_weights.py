"""Small models and damaged files for the tests of this room."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from groundup.device import Compute
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel
from groundup.weights.shape import PARTS

M = TypeVar("M", bound=torch.nn.Module)
CPU = Compute(torch.device("cpu"))
SHAPE = {"context_tokens": 256, "width": 64, "num_layers": 2, "num_heads": 4, "feedforward_width": 96}
VARIANTS = ("llama", "llama_scaled", "llama_biases", "qwen2", "qwen3", "gpt2")


def make_config(variant: str, vocab_size: int) -> ModelConfig:
    """A small model of each kind that a GGUF can hold."""
    base = ModelConfig(vocab_size=vocab_size, **SHAPE)
    scaling = RopeScaling(8.0, 1.0, 4.0, 64)
    changes = {
        "llama": {"num_kv_heads": 2},
        "llama_scaled": {"num_kv_heads": 2, "head_width": 32, "rope_scaling": scaling, "tied_head": False},
        "llama_biases": {"attention_bias": True, "attention_output_bias": True, "feedforward_bias": True},
        "qwen2": {"family": "qwen2", "num_kv_heads": 2, "attention_bias": True},
        "qwen3": {"family": "qwen3", "num_kv_heads": 2, "head_width": 32, "qk_norm": "head", "tied_head": False},
        "gpt2": {"family": "gpt2", **PARTS["gpt2"]},
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
    number = choose.choice((0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)) % 256**size
    at = choose.randrange(max(1, reach - size))
    return original[:at] + number.to_bytes(size, "little") + original[at + size :]


def splice(original: bytes, choose: random.Random, reach: int) -> bytes:
    """A piece stands in the place of another, or twice, or not at all."""
    begin, end, at = (choose.randrange(reach) for _ in range(3))
    piece = original[min(begin, end) : max(begin, end)]
    return original[:at] + piece + original[at + choose.choice((0, len(piece))) :]
