"""One dial gives a whole shape: valid at every depth, about as large as asked for, and where known models stand."""

import math

import pytest

from groundup.errors import ConfigError
from groundup.model.presets import (
    MAX_DEPTH,
    ideal_width,
    parse_size,
    shape_of_depth,
    shape_of_size,
)
from groundup.model.sizes import parameter_count
from groundup.weights.gguf_architectures import gguf_reason
from groundup.weights.hf_config import hf_reason


@pytest.mark.parametrize("depth", range(1, 41))
def test_every_depth_gives_a_shape_that_can_be_trained_and_exported(depth: int) -> None:
    shape = shape_of_depth(depth, vocab_size=4_096)
    assert shape.num_layers == depth and shape.head_width in (32, 64)
    assert shape.num_heads * shape.head_width == shape.width
    assert shape.width % 32 == shape.feedforward_width % 32 == 0, "a block of q8_0 has 32 numbers"
    assert gguf_reason(shape) is None and hf_reason(shape) is None
    if depth > 1:
        below = shape_of_depth(depth - 1, vocab_size=4_096)
        assert (
            shape.width >= below.width
            and parameter_count(shape).total > parameter_count(below).total
        )


@pytest.mark.parametrize(
    ("depth", "width", "feedforward", "context"),
    [(4, 128, 384, 128), (12, 768, 2_048, 1_024), (32, 4_096, 11_008, 4_096)],
)
def test_the_rule_passes_through_models_that_are_known(
    depth: int, width: int, feedforward: int, context: int
) -> None:
    shape = shape_of_depth(
        depth, vocab_size=4_096
    )  # quickstart's, GPT-2's width and context, Llama 7B's
    assert (shape.width, shape.feedforward_width, shape.context_tokens) == (
        width,
        feedforward,
        context,
    )


@pytest.mark.parametrize(
    "size",
    ["300k", "500k", "1M", "2M", "3M", "5M", "10M", "30M", "124M", "350M", "1B", "7B", "70B"],
)
def test_a_size_is_met_within_a_tenth_and_near_the_rule(size: str) -> None:
    vocabulary = 4_096 if parse_size(size) < 50e6 else 32_768
    shape = shape_of_size(parse_size(size), vocab_size=vocabulary)
    off = parameter_count(shape).total / parse_size(size)
    assert 0.8 < off < 1.25 if size in ("300k", "500k") else 0.89 < off < 1.12, off
    assert abs(math.log(shape.width / ideal_width(shape.num_layers))) < math.log(1.7)


def test_a_vocabulary_too_large_for_a_size_is_told() -> None:
    with pytest.raises(ConfigError, match="the nearest has 1,"):
        shape_of_size(100_000, vocab_size=32_768)
    with pytest.raises(ConfigError, match=f"1 to {MAX_DEPTH}"):
        shape_of_depth(0, vocab_size=300)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10M", 10**7), ("1.5b", 1_500_000_000), ("300k", 300_000), ("124,439,808", 124_439_808)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["3X", "", "M", "-5M", "0", "1e9", "ten"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        parse_size(text)
