"""Figures of predictions, vectors and their reasons: every value gets its mark, captions and titles come from the data, odd inputs are drawn."""

from typing import Any

import pytest
from lazy_module import LazyModule

from groundup.lab.ablation import ablation
from groundup.lab.attribution import next_token_attribution
from groundup.lab.drawing.by_head import draw_ablation
from groundup.lab.drawing.embeddings import draw_embeddings, draw_kinds, draw_neighbours
from groundup.lab.drawing.predictions import (
    SHOWN_TOKENS,
    draw_attribution,
    draw_lens,
    draw_surprise,
)
from groundup.lab.embeddings import word_map
from groundup.lab.neighbours import kind_score, neighbours
from groundup.lab.predictions import logit_lens, surprise
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

backend_agg = LazyModule("matplotlib.backends.backend_agg")

SENTENCE = "To be, or not to be: $5 is the\nquestion"
GROUPS = {"verbs": ["be", "suffer"], "nouns": ["question", "mind", "xylophone"]}


def words_on(figure: Any) -> str:
    """Title, caption and whatever else is written on a figure, in one line; drawing it must raise nothing."""
    backend_agg.FigureCanvasAgg(figure).draw()
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def boxes(axes: Any) -> int:
    return len(axes.patches)


@pytest.mark.parametrize("text", [SENTENCE, "be"])
def test_lens_has_a_cell_for_every_layer_and_token(
    model: LanguageModel, tokenizer: Tokenizer, text: str
) -> None:
    picture = logit_lens(model, tokenizer, text)
    figure = draw_lens(picture)
    field, side = figure.axes
    shown = min(len(picture["pieces"]), 12)
    assert len(field.texts) == 3 * shown
    assert boxes(field) == sum(
        cell["rank"] == 1 for layer in picture["layers"] for cell in layer["cells"][:shown]
    )
    assert boxes(side) == 3
    assert picture["caption"] in words_on(figure)


def test_lens_shows_another_part_of_a_long_text(model: LanguageModel, tokenizer: Tokenizer) -> None:
    picture = logit_lens(model, tokenizer, SENTENCE)
    assert len(picture["pieces"]) > 14
    figure = draw_lens(picture, first=13)
    assert (
        f"pieces 13 to {min(24, len(picture['pieces']))} of {len(picture['pieces'])}"
        in words_on(figure)
    )


@pytest.mark.parametrize("text", [SENTENCE, "be", " \n", "naïve 🙂"])
def test_surprise_shades_every_token_and_draws_both_curves(
    model: LanguageModel, tokenizer: Tokenizer, text: str
) -> None:
    picture = surprise(model, tokenizer, text)
    figure = draw_surprise(picture)
    shaded, curve = figure.axes
    assert boxes(shaded) == len(picture["tokens"])
    assert list(curve.lines[0].get_ydata()) == [token["bits"] for token in picture["tokens"]]
    assert list(curve.lines[1].get_ydata()) == [
        token["entropy_bits"] for token in picture["tokens"]
    ]
    assert f"{picture['bits_per_token']:.2f} bits per token" in words_on(figure)


def test_a_very_long_text_is_shown_in_part_and_says_so(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    picture = surprise(model, tokenizer, "to be")
    many = {**picture, "tokens": picture["tokens"] * SHOWN_TOKENS}
    figure = draw_surprise(many)
    assert boxes(figure.axes[0]) == SHOWN_TOKENS
    assert f"{len(many['tokens']) - SHOWN_TOKENS:,} more tokens" in words_on(figure)


def test_ablation_numbers_only_what_is_clear_and_bars_every_block(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    table = ablation(model, tokenizer, SENTENCE)
    table["heads"], table["heads_error"] = (
        [[0.2, 0.1, -0.05, 0.0]] * 2,
        [[0.01, 0.2, 0.01, 0.0]] * 2,
    )
    figure = draw_ablation(table)
    field, side = figure.axes
    assert [text.get_text() for text in field.texts] == ["+0.20", "-0.05"] * 2
    assert [bar.get_width() for bar in side.patches] == table["blocks"]
    best = table["most"][0]
    assert f"block {best['block']}'s head {best['head']}" in words_on(figure)


def test_attribution_has_a_bar_for_each_token_hatched_where_it_speaks_against(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    record = next_token_attribution(model, tokenizer, SENTENCE)
    figure = draw_attribution(record)
    for axes, name in zip(figure.axes, ("contribution", "without"), strict=True):
        assert [bar.get_width() for bar in axes.patches] == [
            piece[name] for piece in record["pieces"]
        ]
        assert [bool(bar.get_hatch()) for bar in axes.patches] == [
            piece[name] < 0 for piece in record["pieces"]
        ]
    assert f"{record['sum']:.2f}" in words_on(figure)
    assert len(draw_attribution({**record, "agreement": None}).axes) == 1


def test_neighbours_are_bars_of_cosine(model: LanguageModel, tokenizer: Tokenizer) -> None:
    found = neighbours(model, tokenizer, "be", count=4)
    figure = draw_neighbours(found)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [
        each["cosine"] for each in found["neighbours"]
    ]
    assert found["caption"] in words_on(figure)


def test_kinds_are_drawn_where_none_is_whole_too(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    score = kind_score(
        model,
        tokenizer,
        {"long": ["xylophone", "zymurgy", "quay"], "odd": ["rhododendron", "quartz", "cwm"]},
    )
    figure = draw_kinds(score)
    assert boxes(figure.axes[0]) == 0
    assert boxes(figure.axes[1]) == 2
    assert "No category has three words" in words_on(figure)


def test_labels_of_a_crowded_map_do_not_lie_on_each_other(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    found = word_map(model, tokenizer, GROUPS)
    for number, point in enumerate(found["points"]):
        point["x"], point["y"] = 1.0 + number * 1e-3, 2.0
    found["points"].append({"text": "far", "group": "nouns", "x": 5.0, "y": 5.0})
    figure = draw_embeddings(found)
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    extents = [text.get_window_extent(canvas.get_renderer()) for text in figure.axes[0].texts]
    assert len(extents) == 6
    assert not any(
        one.overlaps(other) for place, one in enumerate(extents) for other in extents[:place]
    )
