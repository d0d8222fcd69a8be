"""Figures for notebooks: drawn from the same values, closed, and refused with the install command where matplotlib is missing."""

import io
import sys
from typing import Any

import pytest

from groundup.errors import MissingExtra
from groundup.lab.drawing.embeddings import draw_embeddings, draw_tokens
from groundup.lab.drawing.loss import draw_loss
from groundup.lab.embeddings import common_tokens, embedding_map
from groundup.lab.tokens import token_picture
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

TEXT = "To be, or not to be: $5 is the\nquestion, whether 'tis nobler in the mind to suffer that"


def rendered(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def test_every_piece_gets_a_box_and_its_id(tokenizer: Tokenizer) -> None:
    picture = token_picture(tokenizer, TEXT)
    figure = draw_tokens(picture)
    assert len(figure.axes[0].patches) == len(picture["pieces"])
    assert len(figure.axes[0].texts) == 2 * len(picture["pieces"])
    assert rendered(figure).startswith(b"\x89PNG")


def test_loss_figure_tells_training_from_validation() -> None:
    metrics = [
        {"step": 1, "loss": 5.0},
        {"event": "evaluation", "step": 1, "validation_loss": 5.1},
        {"step": 2, "loss": 4.0},
    ]
    axes = draw_loss(metrics).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[5.0, 4.0], [5.1]]
    assert not draw_loss([]).axes[0].lines


def test_embeddings_figure_names_every_token(model: LanguageModel, tokenizer: Tokenizer) -> None:
    found = embedding_map(model, tokenizer, common_tokens(tokenizer, [TEXT], count=6))
    assert len(draw_embeddings(found).axes[0].texts) == 6


def test_figures_are_closed_so_that_a_notebook_shows_them_once(tokenizer: Tokenizer) -> None:
    import matplotlib.pyplot as plt

    draw_tokens(token_picture(tokenizer, "to be"))
    assert not plt.get_fignums()


def test_without_matplotlib_the_install_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtra, match=r"groundup\[lab\]"):
        draw_tokens(token_picture(tokenizer, "to be"))
