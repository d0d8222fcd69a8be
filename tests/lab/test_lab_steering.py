"""Steering: a direction that is added to the stream, against the same sum in a plain hook."""

import json
import math

import pytest
import torch

from groundup.device import select_compute
from groundup.engine.generate import generate_ids, generate_uncached
from groundup.engine.sampling import Sampling
from groundup.errors import DataError, ModelError
from groundup.lab.steering import (
    steer,
    steering,
    stream_length,
    text_direction,
    word_direction,
)
from groundup.lab.stream import document_ids
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

TEXT = "To be, or not to"


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_direction_is_added_at_every_token(
    model: LanguageModel, tokenizer: Tokenizer, layer: int
) -> None:
    ids = torch.tensor([document_ids(model, tokenizer, TEXT)])
    direction = word_direction(model, tokenizer, "question")
    with torch.no_grad():
        state = model.transformer.run_blocks(model.transformer.embed(ids), 0, layer)
        state = model.transformer.run_blocks(state + 3 * direction, layer, 2)
        expected = model.logits(model.transformer.final_norm(state))
        with steer(model, layer, direction, 3):
            assert torch.equal(model(ids), expected)
        assert not torch.allclose(model(ids), expected)


def test_directions_are_differences_of_means(model: LanguageModel, tokenizer: Tokenizer) -> None:
    table = model.transformer.embedding.weight.detach()
    (be,), (not_,) = tokenizer.encode(" be"), tokenizer.encode(" not")
    assert torch.allclose(word_direction(model, tokenizer, "be", "not"), table[be] - table[not_])
    assert torch.allclose(word_direction(model, tokenizer, "be"), table[be] - table.mean(dim=0))

    def last(text: str) -> torch.Tensor:
        ids = torch.tensor([document_ids(model, tokenizer, text)])
        with torch.no_grad():
            return model.transformer.run_blocks(model.transformer.embed(ids), 0, 1)[0, -1]

    found = text_direction(model, tokenizer, ["to be", "the mind"], ["to suffer"], 1)
    expected = (last("to be") + last("the mind")) / 2 - last("to suffer")
    torch.testing.assert_close(found, expected)


def test_texts_are_compared_at_every_strength(model: LanguageModel, tokenizer: Tokenizer) -> None:
    direction = word_direction(model, tokenizer, "mind")
    picture = steering(
        model, tokenizer, TEXT, direction, layer=2, strengths=(0, 1, 50), max_tokens=4
    )
    plain, some, much = picture["strengths"]
    assert plain["kl_bits"] == 0 < some["kl_bits"] < much["kl_bits"]
    ids, compute = document_ids(model, tokenizer, TEXT), select_compute("cpu")
    greedy = Sampling(max_tokens=4, temperature=0.0)
    written = list(generate_ids(model, ids, greedy, (), compute=compute))
    assert plain["continuation"] == tokenizer.decode(written)
    length = stream_length(model, tokenizer, TEXT, 2)
    with steer(model, 2, direction / direction.norm(), length):
        written = list(generate_uncached(model, ids, greedy, (), compute=compute))
        with torch.no_grad():
            shares = model(torch.tensor([ids]))[0, -1].softmax(-1)
    assert some["continuation"] == tokenizer.decode(written)
    assert some["next"][0]["probability"] == pytest.approx(float(shares.max()), abs=1e-5)
    assert json.loads(json.dumps(picture)) == picture
    assert math.isfinite(picture["length"])


def test_bad_directions_are_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    for direction in (torch.zeros(32), torch.ones(3), torch.full((32,), math.nan)):
        with pytest.raises(DataError, match="32 finite numbers"):
            steering(model, tokenizer, TEXT, direction, layer=1)
    with pytest.raises(ModelError, match="no layer 5"):
        steering(model, tokenizer, TEXT, torch.ones(32), layer=5)
    with pytest.raises(DataError, match="two sets"):
        text_direction(model, tokenizer, ["to be"], [], 1)
    with pytest.raises(DataError, match="empty word"):
        word_direction(model, tokenizer, " ")
