"""Decoding with the cache gives what the whole text gives, however it is fed, cut and padded."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel

ModelOf = Callable[..., LanguageModel]


def fed(model: LanguageModel, ids: Tensor, pieces: list[int], cache: KVCache) -> Tensor:
    """Logits of all tokens, fed in pieces of those lengths."""
    return torch.cat([model(piece, cache=cache) for piece in ids.split(pieces, dim=1)], dim=1)


@pytest.mark.parametrize(
    "real", [[True, True, False, False], [False, False, True, True], [False, True, False, True]]
)
def test_a_later_padded_piece_is_remembered(
    model_of: ModelOf, ids: Tensor, real: list[bool]
) -> None:
    """As when many prompts share a beginning, which is run once, and their rests are padded."""
    model = model_of()
    cache = KVCache(model.config, batch=1)
    model(ids[:1, :4], cache=cache)
    model(ids[:1, 4:8], mask=torch.tensor([real]), cache=cache)
    last = model(ids[:1, 8:9], cache=cache)
    text = torch.cat([ids[:1, :4], ids[:1, 4:8][:, torch.tensor(real)], ids[:1, 8:9]], dim=1)
    torch.testing.assert_close(last[0, -1], model(text)[0, -1], atol=1e-4, rtol=1e-4)


def test_more_than_the_capacity_is_refused_and_changes_nothing(
    model_of: ModelOf, ids: Tensor
) -> None:
    model = model_of()
    cache = KVCache(model.config, batch=3, capacity=8)
    model(ids[:, :6], cache=cache)
    with pytest.raises(ModelError, match="holds 6 of at most 8 tokens, and 3 more do not fit"):
        model(ids[:, 6:9], cache=cache)
    with pytest.raises(ModelError, match="made for 3 rows and got 1"):
        model(ids[:1, 6:7], cache=cache)
    torch.testing.assert_close(
        model(ids[:, 6:8], cache=cache), model(ids[:, :8])[:, 6:], atol=1e-4, rtol=1e-4
    )


def test_capacity_beyond_the_context_is_refused(model_of: ModelOf) -> None:
    with pytest.raises(
        ModelError, match="A cache of 25 tokens does not suit a model with a context of 24"
    ):
        KVCache(model_of().config, capacity=25)


def test_the_store_keeps_no_gradient_history(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of()
    cache = KVCache(model.config, batch=3)
    fed(model, ids, [4] * 3, cache)
    assert not cache.keys.requires_grad
    assert not cache.values.requires_grad
