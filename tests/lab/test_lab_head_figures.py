"""Figures of heads: drawn from the data alone, with a title, a caption, named axes, and numbers where there is room for them."""

import io
from typing import Any

import pytest

from groundup.errors import ModelError
from groundup.lab.attention import attention_from, attention_picture, head_distances
from groundup.lab.context import loss_by_context, sentence_losses
from groundup.lab.drawing.attention import (
    NUMBERED_TOKENS,
    draw_attention_from,
    draw_head,
    draw_head_steps,
    draw_maps,
)
from groundup.lab.drawing.by_head import draw_head_distances, draw_head_search
from groundup.lab.drawing.loss import draw_loss_by_context, draw_sentence_losses
from groundup.lab.head_patterns import head_steps, search_heads
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

TEXT = "To be, or not to be"
STORY = "To be, or not to be. That is the question. Whether 'tis nobler in the mind."


def said(figure: Any) -> str:
    """All that is written around the axes, after the figure could be drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(io.BytesIO(), format="png")
    return " ".join(" ".join(text.get_text().split()) for text in figure.texts)


def test_maps_have_a_square_for_every_head_and_name_blocks_and_heads(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = attention_picture(model, tokenizer, TEXT)
    figure = draw_maps(picture)
    squares = figure.axes[:8]
    assert [axes.get_title() for axes in squares[:4]] == ["head 1", "head 2", "head 3", "head 4"]
    assert [squares[0].get_ylabel(), squares[4].get_ylabel()] == ["block 1", "block 2"]
    assert picture["caption"] in said(figure)


def test_one_head_has_its_tokens_and_numbers(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = attention_picture(model, tokenizer, "To be, or")
    figure = draw_head(picture, block=2, head=3)
    axes, size = figure.axes[0], len(picture["pieces"])
    assert len(axes.texts) == size * (size + 1) // 2  # none where a token may not look
    assert len(axes.get_xticklabels()) == size
    assert "Block 2, head 3" in said(figure)
    with pytest.raises(ModelError, match=r"no head 5 of block 1. It has \(block.head\): 1.1, 1.2"):
        draw_head(picture, block=1, head=5)


def test_a_tokens_look_has_a_row_for_each_block(model: LanguageModel, tokenizer: Tokenizer) -> None:
    figure = draw_attention_from(attention_from(attention_picture(model, tokenizer, TEXT), 3))
    assert figure.axes[0].images[0].get_array().shape == (2, 3)
    assert "token 3" in said(figure)


def test_search_frames_the_best_head_where_it_is_far_above_chance(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    found = search_heads(model, tokenizer)
    figure = draw_head_search(found)
    assert [axes.get_title().split(":")[0] for axes in figure.axes[:4]] == [
        "previous",
        "first",
        "same",
        "induction",
    ]
    assert all("none found" in axes.get_title() and not axes.patches for axes in figure.axes[:4])
    assert "None of 8 heads" in said(figure)
    assert "nats per token" in said(figure)
    best = {"block": 2, "head": 3, "score": 0.8}
    found["kinds"][3]["best"][0] = best
    axes = draw_head_search(found).axes[3]
    (frame,) = axes.patches
    assert (frame.get_y() + 1.5, frame.get_x() + 1.5) == (2, 3)
    assert "block 2, head 3:\n0.80" in axes.get_title()


def test_reach_has_three_fields_with_their_units(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    figure = draw_head_distances(head_distances(model, tokenizer, TEXT))
    assert {axes.get_ylabel() for axes in figure.axes} >= {
        "mean distance, tokens",
        "entropy, bits",
        "share of attention",
    }
    assert "Uniform attention" in said(figure)


def test_steps_show_vectors_and_tables_and_write_numbers_where_they_fit(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    steps = head_steps(model, tokenizer, "To be, or", block=1, head=1)
    figure, size = draw_head_steps(steps), len(steps["pieces"])
    tables = [axes for axes in figure.axes if axes.get_title()[:2] in ("1.", "2.", "3.", "4.")]
    assert [len(axes.texts) for axes in tables] == [size * size] * 4
    assert [text.get_text() for text in tables[2].texts].count("-∞") == size * (size - 1) // 2
    assert "step by step" in said(figure)
    longer = head_steps(model, tokenizer, STORY, block=1, head=1)
    assert len(longer["pieces"]) > NUMBERED_TOKENS
    assert not any(axes.texts for axes in draw_head_steps(longer).axes)


def test_losses_have_their_band_and_their_gain(model: LanguageModel, tokenizer: Tokenizer) -> None:
    by_context = draw_loss_by_context(loss_by_context(model, tokenizer, STORY * 3, window_tokens=8))
    assert by_context.axes[0].get_ylabel() == "loss, nats per token"
    assert by_context.axes[0].collections  # the band
    assert "nats per token after one token" in said(by_context)
    figure = draw_sentence_losses(sentence_losses(model, tokenizer, STORY))
    assert len(figure.axes[0].get_yticklabels()) == 2
    assert "Earlier sentences" in said(figure)
