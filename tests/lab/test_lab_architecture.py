"""The picture of an architecture says what the model is: its boxes against the real modules, its figures against counting."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
import torch

from groundup.errors import ConfigError
from groundup.lab.architecture import Architecture, Box, anatomy, architecture, to_plain
from groundup.lab.drawing.architecture_picture import (
    COLUMNS,
    Rectangle,
    architecture_lines,
    architecture_page,
    architecture_svg,
    draw_architecture,
    layout,
)
from groundup.model.attention import Attention
from groundup.model.block import NORM_NAMES, Block
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import parameter_count
from groundup.model.transformer import Transformer

BASE = ModelConfig(
    vocab_size=96, context_tokens=64, width=32, num_layers=6, num_heads=4, feedforward_width=64
)
GEMMA3: dict[str, Any] = {
    "block": "sandwich",
    "feedforward": "geglu",
    "qk_norm": "head",
    "window_tokens": 16,
    "full_every": 6,
    "window_rope_base": 100.0,
    "scaled_embedding": True,
    "num_kv_heads": 1,
}
GEMMA2: dict[str, Any] = {
    **GEMMA3,
    "full_every": 2,
    "score_softcap": 50.0,
    "logit_softcap": 30.0,
    "score_width": 16,
}
KINDS: dict[str, dict[str, Any]] = {
    "pre": {},
    "post": {"block": "post", "norm": "layer", "positions": "sinusoidal"},
    "output": {"block": "output", "qk_norm": "projection"},
    "gemma2": GEMMA2,
    "gemma3": GEMMA3,
    "parallel": {"block": "parallel", "feedforward": "gelu", "feedforward_bias": True},
    "experts": {"num_experts": 8, "experts_per_token": 2, "tied_head": False},
    "alibi": {"positions": "alibi", "attention_bias": True, "attention_output_bias": True},
    "stretched": {
        "rope_scaling": RopeScaling(8.0, kind="yarn", original_context_tokens=16),
        "unrotated_every": 4,
    },
}


def picture_of(kind: str) -> Architecture:
    return architecture(replace(BASE, **KINDS[kind]), kind)


def boxes(picture: Architecture) -> list[Box]:
    inside = [
        b
        for branch in picture.branches
        for b in (branch.before, *branch.parts, branch.after, branch.on_sum)
    ]
    return [*picture.enters, *(box for box in inside if box is not None), *picture.leaves]


def text_of(picture: Architecture) -> str:
    return "\n".join(line for box in boxes(picture) for line in (box.title, *box.lines))


@pytest.mark.parametrize("kind", KINDS)
def test_norms_and_parts_are_those_of_the_real_block(kind: str) -> None:
    config = replace(BASE, **KINDS[kind])
    picture = picture_of(kind)
    with torch.device("meta"):
        block = Transformer(config).block(0)
    norms = sum(box.role == "norm" for box in boxes(picture)) - (
        config.block != "post"
    )  # the final one
    assert (
        norms
        == len(NORM_NAMES[config.block])
        == sum(name.endswith("_norm") for name, _ in block.named_children())
    )
    assert isinstance(block, Block) and isinstance(block.attention, Attention)
    shapes = f"T × {config.num_heads} × {config.head_width}"
    assert shapes in text_of(picture)
    assert picture.stream == "T × 32" and picture.result == "T × 96 logits"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("gemma3", "blocks 1-5 of 6 attend to the last 16 tokens, the 6th to all"),
        ("gemma3", "rotary positions, base 10,000 (with a window: 100)"),
        ("gemma3", "queries and keys RMS-normalised, head by head"),
        ("gemma3", "Multi-query attention"),
        ("gemma3", "times √32"),
        ("gemma2", "odd blocks attend to the last 16 tokens, even ones to all"),
        ("gemma2", "scores 4 × T × T, divided by √16, soft-capped at ±50"),
        ("gemma2", "logits soft-capped at ±30"),
        ("output", "queries and keys RMS-normalised, all heads together"),
        ("experts", "router 32 → 8, top 2, weights normalised"),
        ("experts", "32 → 96: its own table"),
        ("alibi", "ALiBi: scores decrease with distance"),
        ("alibi", "with biases"),
        ("stretched", "context extended 8 times (yarn, from 16 tokens)"),
        ("stretched", "none in every 4th block"),
        ("post", "Sinusoidal positions"),
        ("parallel", "32 → 64 → 32: down(gelu(up))"),
    ],
)
def test_the_picture_says(kind: str, says: str) -> None:
    assert says in text_of(picture_of(kind)).splitlines()


def test_a_window_for_all_blocks_and_a_classifier() -> None:
    config = replace(BASE, window_tokens=16)
    assert "every token attends to the last 16" in text_of(architecture(config, "mistral"))
    told = architecture(config, "spam", ("ham", "spam"))
    assert told.result == "2 scores" and "ham, spam" in text_of(told)


@pytest.mark.parametrize("kind", KINDS)
def test_the_terminal_drawing_is_whole(kind: str) -> None:
    """Every box's words stand in it, no line is too long, and each line's left part is the stream or a frame."""
    picture = picture_of(kind)
    lines = architecture_lines(picture)
    assert max(map(len, lines)) <= COLUMNS
    drawn = "\n".join(lines)
    for words in text_of(picture).splitlines():
        assert words in drawn
    assert drawn.count("⊕") == sum(len(branch.parts) for branch in picture.branches)
    assert all(line.count("┌") == line.count("┐") or "├" in line or "┘" in line for line in lines)


def inside(inner: Rectangle, outer: Rectangle) -> bool:
    return (
        outer.x <= inner.x
        and inner.x + inner.width <= outer.x + outer.width
        and outer.y <= inner.y
        and inner.y + inner.height <= outer.y + outer.height
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_the_picture_overlaps_or_leaves_it(kind: str) -> None:
    page = layout(picture_of(kind))
    rectangles = page.boxes
    whole = Rectangle(0, 0, page.width, page.height, "frame")
    frames = [shape for shape in rectangles if shape.role == "frame"]
    parts = [shape for shape in rectangles if shape.role != "frame"]
    assert len(frames) == 1 and all(inside(shape, whole) for shape in rectangles)
    for i, one in enumerate(parts):
        for other in parts[i + 1 :]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert apart_x or apart_y, (one, other)
    titles = [label for label in page.labels if label.style in ("title", "line")]
    for title in titles:  # 8 pixels a letter is more than the widest of them takes on average
        assert title.x + 7.2 * len(title.text) <= page.width - 20, title.text


@pytest.mark.parametrize("kind", KINDS)
def test_the_svg_is_xml_with_every_word(kind: str) -> None:
    picture = picture_of(kind)
    root = ET.fromstring(architecture_svg(picture))
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(text_of(picture).splitlines()) <= set(words)
    assert words.count(picture.stream) >= 4


def test_names_from_outside_are_text() -> None:
    hostile = "<script>alert(1)</script>\x00\x1b[31m"
    picture = architecture(BASE, hostile, ("<b>", "&"))
    for drawn in (
        architecture_svg(picture),
        architecture_page(picture, [["a"], ["<i>"]], [("x", "<u>")]),
    ):
        assert (
            "<script" not in drawn
            and "\x00" not in drawn
            and "\x1b" not in drawn
            and "<b>" not in drawn
        )
    assert "http" not in architecture_page(picture, [["a"]], []).replace(
        "http://www.w3.org/2000/svg", ""
    )


def test_the_figure_has_the_size_of_the_layout() -> None:
    page, figure = layout(picture_of("parallel")), draw_architecture(picture_of("parallel"))
    assert figure.get_size_inches() == pytest.approx((page.width / 96, page.height / 96))


@pytest.mark.parametrize("name", PRESETS)
def test_figures_add_up(name: str) -> None:
    config = preset(name)
    found = anatomy(config)
    assert found.total.parameters == parameter_count(config).total
    assert found.total.flops == pytest.approx(found.flops.forward)
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    assert found.total.bytes["float32"] == found.training.weights == 4 * found.total.parameters
    plain = json.loads(json.dumps(to_plain(found, architecture(config, name))))
    assert plain["exportable"]["gguf"] == {"possible": True, "reason": None}
    assert plain["training"]["total"] == found.training.total


def test_attention_is_named_with_its_reason() -> None:
    assert anatomy(replace(BASE, **GEMMA2)).attention.startswith(
        "naive: the fused kernel has no soft cap"
    )
    windowed = replace(BASE, **GEMMA3)
    assert "5 of 6 blocks" in anatomy(windowed).attention
    assert "no T x T tensor" in anatomy(windowed, context_tokens=16).attention
    assert anatomy(windowed).needed_cache_bytes * 64 * 6 == anatomy(windowed).cache_bytes[
        "float32"
    ] * (64 + 5 * 16)


def test_what_can_be_exported_is_said_with_its_reason() -> None:
    found = anatomy(replace(BASE, positions="none"))
    assert found.gguf is not None and "positions" in found.gguf
    assert found.hugging_face is not None
    assert anatomy(BASE, num_labels=2).gguf is not None


def test_a_text_longer_than_the_context_is_refused() -> None:
    with pytest.raises(ConfigError, match="64 tokens, 65 were asked for"):
        anatomy(BASE, context_tokens=65)
