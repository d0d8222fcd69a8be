"""Heads, and weights that a seed decides bit for bit."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initial_deviation, initialise

ModelOf = Callable[..., LanguageModel]
ConfigOf = Callable[..., ModelConfig]


def seeded(config: ModelConfig, seed: int) -> LanguageModel:
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def test_a_seed_gives_the_same_bits(config_of: ConfigOf) -> None:
    torch.manual_seed(1)
    first = seeded(config_of(), 7).state_dict()
    torch.manual_seed(2)
    second, other = seeded(config_of(), 7).state_dict(), seeded(config_of(), 8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(
        first["transformer.embedding.weight"], other["transformer.embedding.weight"]
    )


def test_first_weights_are_as_in_gpt2(config_of: ConfigOf) -> None:
    config = config_of(
        width=128,
        feedforward_width=256,
        num_layers=4,
        norm="layer",
        attention_bias=True,
        tied_head=False,
    )
    state = seeded(config, 0).state_dict()
    for name, tensor in state.items():
        if name.endswith("bias"):
            assert tensor.eq(0).all()
        elif tensor.ndim == 1:
            assert tensor.eq(1).all()
        else:
            into_the_stream = "attention.output" in name or "feedforward.down" in name
            expected = 0.02 / math.sqrt(8) if into_the_stream else 0.02
            assert tensor.std().item() == pytest.approx(expected, rel=0.05), name


def test_a_fresh_model_expects_every_token_alike(config_of: ConfigOf, ids: Tensor) -> None:
    model = seeded(config_of(), 0)
    loss = torch.nn.functional.cross_entropy(
        model(ids).flatten(0, 1), ids.roll(1, dims=1).flatten()
    )
    assert loss.item() == pytest.approx(math.log(53), abs=0.1)


def test_tied_head_is_the_embedding_table(model_of: ModelOf, ids: Tensor) -> None:
    tied, untied = model_of(), model_of(tied_head=False)
    state = {**tied.state_dict(), "head.weight": tied.transformer.embedding.weight}
    untied.load_state_dict(state)
    assert torch.equal(tied(ids), untied(ids))
    assert (
        sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
        == 53 * 32
    )


@pytest.mark.parametrize(
    "choices", [{}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"tied_head": False}]
)
def test_model_built_on_meta_and_filled_is_the_same_model(
    model_of: ModelOf, config_of: ConfigOf, ids: Tensor, choices: dict[str, object]
) -> None:
    model = model_of(**choices)
    with torch.device("meta"):
        empty = LanguageModel(config_of(**choices))
    empty.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(empty(ids), model(ids))


def test_logits_of_the_last_token_alone(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of()
    torch.testing.assert_close(model.logits(model.hidden(ids)[:, -1]), model(ids)[:, -1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_classifier_reads_the_last_real_token(config_of: ConfigOf, ids: Tensor, side: str) -> None:
    classifier = Classifier(config_of(), num_labels=4)
    initialise(classifier, torch.Generator().manual_seed(0))
    columns = torch.arange(12)
    mask = torch.stack([columns < n if side == "right" else columns >= 12 - n for n in (12, 5, 1)])
    scores = classifier(ids, mask=mask)
    for row in range(3):
        alone = classifier(ids[row : row + 1, mask[row]])
        torch.testing.assert_close(scores[row], alone[0], atol=1e-5, rtol=1e-4)
    assert classifier.score.bias is None


def test_classifier_head_can_be_fed_with_kept_states(config_of: ConfigOf, ids: Tensor) -> None:
    classifier = Classifier(config_of(), num_labels=2)
    lower = classifier.transformer.run_blocks(classifier.transformer.embed(ids), 0, 2)
    top = classifier.transformer.final_norm(classifier.transformer.run_blocks(lower, 2, 3))
    assert torch.equal(classifier.scores(top), classifier(ids))


def test_classifier_can_be_built_on_meta(config_of: ConfigOf) -> None:
    with torch.device("meta"):
        assert Classifier(config_of(), 2).score.weight.is_meta


@pytest.mark.parametrize("width", [64, 576])
def test_first_weights_give_products_of_the_same_size_at_every_width(width: int) -> None:
    model = LanguageModel(ModelConfig(32, 8, width, 1, 2, width))
    initialise(model, torch.Generator().manual_seed(0), deviation=initial_deviation(width))
    normalised = torch.ones(width)
    products = model.transformer.blocks[0].feedforward.up.weight @ normalised
    assert 0.35 < products.std() < 0.65
