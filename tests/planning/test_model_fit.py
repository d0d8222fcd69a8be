"""Which public models fit: memory and speed by shapes, against real packed weights."""

import torch

from groundup.kernels.module_arrays import linears
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.quantised import quantise
from groundup.planning.model_fit import (
    BITS,
    SHARE,
    model_fits,
    num_bytes,
    packed_bytes,
    packed_model,
    read_bandwidth,
)

SHAPE = ModelConfig(192, 32, 448, 3, 14, 128, 2, 32, attention_bias=True)


def test_bytes_by_shape_are_those_of_real_packed_weights() -> None:
    for bits in BITS:
        real = LanguageModel(SHAPE).bfloat16()
        quantise(real, bits)
        kept, read = packed_bytes(SHAPE, bits)
        assert kept == sum(each.nbytes for each in real.state_dict().values())
        assert read == num_bytes(*linears(real))
    assert torch.device("meta") == next(packed_model(SHAPE, "int8").parameters()).device


def test_a_token_reads_every_packed_weight_once() -> None:
    fits = {fit.name: fit for fit in model_fits(bandwidth=10e9, memory_bytes=8e9, disk_bytes=1e12)}
    names = list(fits)
    assert names.index("smollm2-135m-instruct") < names.index("qwen2.5-coder-0.5b")
    qwen = fits["qwen2.5-coder-0.5b"]
    assert abs(SHARE * 10e9 / qwen.tokens_per_s["int8"] / 494e6 - 1) < 0.01
    # the head, 136 M of its parameters, stays in 8 bits; of 32 numbers in 4 bits 20 bytes
    blocks = 494_032_768 - 151_936 * 896
    expected = 20 / 32 * blocks + 151_936 * 896
    assert abs(SHARE * 10e9 / qwen.tokens_per_s["int4"] / expected - 1) < 0.01
    assert qwen.memory_bytes["int4"] < qwen.memory_bytes["int8"] < 0.9e9
    assert qwen.download_bytes == 477_610_024 and not qwen.obstacle
    assert fits["gpt2"].tokens_per_s == {}, (
        "its vocabulary is no multiple of 16, so the head is not packed"
    )
    assert fits["smollm3-3b"].obstacle == "pulling needs 12.8 GB of memory, here are 8.0"


def test_too_little_disk_is_an_obstacle() -> None:
    [first, *_] = model_fits(bandwidth=1e9, memory_bytes=1e12, disk_bytes=1e6)
    assert first.obstacle == "pulling needs 0.7 GB of disk, here are 0.0"


def test_the_bandwidth_is_a_possible_one() -> None:
    assert 1e8 < read_bandwidth() < 1e13
