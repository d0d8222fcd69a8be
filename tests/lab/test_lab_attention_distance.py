"""How far back heads look: known distances and entropies of maps made by hand."""

import json
import math

import pytest
import torch

from groundup.errors import DataError
from groundup.lab.attention import (
    distance_beyond_first,
    entropy_bits,
    first_share,
    head_distances,
    mean_distance,
    uniform_maps,
)
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

SIZE = 6


def pointing(*targets: int) -> torch.Tensor:
    """One head of which token t gives all its attention to token targets[t]."""
    return torch.nn.functional.one_hot(torch.tensor(targets), len(targets)).float()[None, None]


@pytest.mark.parametrize(
    ("maps", "distance", "bits", "first"),
    [
        (pointing(*range(SIZE)), 0, 0, 0),  # itself
        (pointing(0, *range(SIZE - 1)), 1, 0, 1 / 5),  # one back
        (pointing(*[0] * SIZE), 3, 0, 1),  # the first: 1, 2, 3, 4 and 5 back
        # everywhere alike: token t looks (0 + ... + t) / (t + 1) = t / 2 back, over log2(t + 1) bits, 1 / (t + 1) on the first
        (
            uniform_maps(SIZE),
            1.5,
            sum(map(math.log2, range(2, 7))) / 5,
            (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 5,
        ),
    ],
)
def test_measures_are_those_of_the_definition(
    maps: torch.Tensor, distance: float, bits: float, first: float
) -> None:
    assert mean_distance(maps).item() == pytest.approx(distance)
    assert entropy_bits(maps).item() == pytest.approx(bits, abs=1e-6)
    assert first_share(maps).item() == pytest.approx(first)


def test_without_the_first_token_the_others_share_all() -> None:
    maps = torch.zeros(1, 1, 3, 3)
    maps[0, 0] = torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [0.8, 0.1, 0.1]])
    # the second token: all on itself, 0 back; the third: half on the second, half on itself, 0.5 back
    assert distance_beyond_first(maps).item() == pytest.approx(0.25)
    assert (
        distance_beyond_first(pointing(0, 0, 0)).item() == 0.0
    )  # nothing else: no division by zero


def test_every_head_of_a_model_has_its_row(model: LanguageModel, tokenizer: Tokenizer) -> None:
    reach = head_distances(model, tokenizer, "To be, or not to be")
    assert json.loads(json.dumps(reach)) == reach
    assert [(head["block"], head["head"]) for head in reach["heads"]] == [
        (b, h) for b in (1, 2) for h in (1, 2, 3, 4)
    ]
    limit = math.log2(reach["tokens"])
    assert all(0 <= head["entropy_bits"] <= limit for head in reach["heads"])
    # with weights of deviation 0.02 no head has a preference yet
    for head in reach["heads"]:
        assert head["entropy_bits"] == pytest.approx(reach["uniform"]["entropy_bits"], abs=0.05)


def test_too_short_a_text_is_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="at least 3 tokens, got 0"):
        head_distances(model, tokenizer, "")
