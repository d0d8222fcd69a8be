"""A config refuses numbers that don't fit, in sentences with numbers, and reads from plain values."""

from collections.abc import Callable
from typing import Any

import pytest

from groundup.config import build_config, to_plain
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig, RopeScaling, divide_width

ConfigOf = Callable[..., ModelConfig]


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (
            {"width": 8196, "num_heads": 64, "num_kv_heads": 8},
            "width 8196 is not divisible by 64 heads; the nearest are 8192 and 8256.",
        ),
        (
            {"width": 3, "num_heads": 4, "num_kv_heads": 4},
            "width 3 is not divisible by 4 heads; the nearest is 4.",
        ),
        (
            {"num_heads": 8, "num_kv_heads": 3},
            "8 query heads can't share 3 key/value heads evenly; num_kv_heads can be 1, 2, 4, 8.",
        ),
        (
            {"head_width": 7},
            "head_width 7 is odd, and rotary positions rotate pairs of components; the nearest are 6 and 8.",
        ),
        (
            {"positions": "sinusoidal", "width": 33, "head_width": 8},
            "width 33 is odd, and sinusoidal positions are pairs of a sine and a cosine; the nearest are 32 and 34.",
        ),
        ({"num_layers": 0}, "num_layers must be at least 1 (got 0)."),
        ({"num_kv_heads": -1}, "num_kv_heads must be at least 1, or 0 to be filled in (got -1)."),
        ({"norm_eps": 0.0}, "norm_eps must be a positive number (got 0.0)."),
        (
            {"positions": "none", "rope_scaling": RopeScaling(2.0, 1.0, 4.0, 16)},
            "rope_scaling is for rotary positions, but positions is 'none'.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(
    config_of: ConfigOf, choices: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of(**choices)
    assert refused.value.message == sentence


def test_scaling_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"factor >= 1 \(got 0\.5\)"):
        RopeScaling(0.5, 1.0, 4.0, 16)


def test_left_out_heads_are_filled_in(config_of: ConfigOf) -> None:
    config = config_of(num_kv_heads=0, width=48)
    assert (config.num_kv_heads, config.head_width) == (4, 12)
    assert divide_width(12, 4) == 3


def test_config_survives_plain_values(config_of: ConfigOf) -> None:
    config = config_of(rope_scaling=RopeScaling(2.0, 1.0, 4.0, 16))
    assert build_config(ModelConfig, to_plain(config)) == config


def test_unknown_choice_is_refused_with_the_known_ones(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match="rms"):
        build_config(ModelConfig, {**to_plain(config_of()), "norm": "batch"})
    config = config_of()
    object.__setattr__(config, "positions", "compass")
    with pytest.raises(
        ConfigError,
        match="positions 'compass' is not one of rope, alibi, learned, sinusoidal, none",
    ):
        config.__post_init__()
    with pytest.raises(ConfigError, match="Did you mean 'num_heads'"):
        build_config(ModelConfig, {**to_plain(config_of()), "num_head": 4})
