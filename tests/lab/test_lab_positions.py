"""The pictures of position schemes hold the numbers of the schemes."""

import math

import pytest
import torch

from groundup.errors import ConfigError
from groundup.lab.drawing.embeddings import draw_positions, draw_schemes
from groundup.lab.positions import SCHEMES, model_positions, position_picture
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel, initialise
from groundup.model.positions import Rotary, rotate

FORMULAS = [scheme for scheme in SCHEMES if scheme != "learned"]


def model_with(positions: str) -> LanguageModel:
    shape = ModelConfig(
        vocab_size=11,
        context_tokens=20,
        width=16,
        num_layers=1,
        num_heads=2,
        feedforward_width=16,
        positions=positions,
    )
    model = LanguageModel(shape)
    initialise(model, torch.Generator().manual_seed(0))
    return model


def test_rotary_curve_is_the_score_of_equal_query_and_key() -> None:
    picture = position_picture("rope", head_width=8, num_tokens=12)
    ones = torch.ones(1, 12, 1, 8)
    turned = rotate(ones, Rotary(8)(torch.arange(12)[None]))[0, :, 0]
    assert picture["curves"][0]["values"] == pytest.approx(
        (turned @ turned[0] / 8).tolist(), abs=1e-4
    )


def test_stretching_makes_scores_last_longer() -> None:
    picture = position_picture("rope", num_tokens=64, rope_scaling=RopeScaling(4.0, kind="linear"))
    plain, stretched = (curve["values"] for curve in picture["curves"])
    assert stretched[::4][:16] == pytest.approx(plain[:16], abs=2e-4)


def test_sinusoidal_neighbours_are_alike_and_likeness_fades() -> None:
    values = position_picture("sinusoidal", head_width=32, num_tokens=40)["curves"][0]["values"]
    assert values[0] == pytest.approx(1)
    assert values[1] > values[3] > values[8]


def test_alibi_lines_fall_by_their_slope() -> None:
    curves = position_picture("alibi", num_heads=2, num_tokens=9)["curves"]
    assert [curve["label"] for curve in curves] == ["head 1, slope 1/16", "head 2, slope 1/256"]
    assert curves[0]["values"][8] == -0.5


def test_learned_positions_are_the_model_s_own_rows() -> None:
    model = model_with("learned")
    picture = model_positions(model)
    rows = model.transformer.position_embedding.weight
    assert picture["table"][3] == pytest.approx(rows[3].tolist(), abs=1e-4)
    alike = torch.nn.functional.cosine_similarity(rows[19], rows[0], dim=0)
    assert picture["curves"][0]["values"][19] == pytest.approx(alike.item(), abs=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_of_a_model_is_drawn(scheme: str) -> None:
    picture = model_positions(model_with(scheme), max_tokens=12)
    assert len(picture["table"]) == len(picture["curves"][0]["values"]) == 12
    assert all(math.isfinite(value) for row in picture["table"] for value in row)
    figure = draw_positions(picture)
    assert figure.axes[0].get_xlabel() == picture["table_axis"]
    assert figure.axes[1].get_xlabel() == "distance, tokens back"


def test_schemes_stand_side_by_side() -> None:
    figure = draw_schemes([position_picture(scheme, num_tokens=16) for scheme in FORMULAS])
    assert [axes.get_title() for axes in figure.axes] == FORMULAS


def test_a_scheme_without_formula_is_refused_with_those_that_have_one() -> None:
    for name in ("learned", "rotary"):
        with pytest.raises(ConfigError, match=f"{name}"):
            position_picture(name)
