"""Encoders: every token attends to the whole text, padding changes nothing, and what predicts the next token is not for them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_encoder import encoder_config, tiny_encoder
from torch import Tensor

from groundup.errors import ConfigError, ModelError
from groundup.model.attention import use_attention
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.config import ModelConfig
from groundup.model.footprint import cache_bytes
from groundup.model.heads import Classifier, Encoder, LanguageModel, initialise, mean_pool
from groundup.model.sizes import flops_per_token, parameter_count, weight_kinds
from groundup.model.transformer import use_recompute

V = 53
LENGTHS = (12, 7, 1)
KINDS: dict[str, dict[str, Any]] = {
    "rotary": {"num_kv_heads": 2},
    "sinusoidal": {"positions": "sinusoidal", "norm": "layer", "block": "post"},
    "soft-capped": {"score_softcap": 5.0, "embedding_norm": True, "block": "sandwich"},
    "relative": {"relative_buckets": 8, "positions": "learned", "norm": "layer", "block": "post"},
    "experts": {"num_experts": 4, "experts_per_token": 2},
}


@pytest.fixture(params=["bert", *KINDS])
def model(request: pytest.FixtureRequest, config_of: Callable[..., ModelConfig]) -> Encoder:
    if request.param == "bert":
        return tiny_encoder(V)
    model = Encoder(config_of(causal=False, **KINDS[request.param])).eval()
    initialise(model, torch.Generator().manual_seed(5), deviation=0.2)
    return model


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("padded", [False, True])
def test_every_implementation_gives_the_same(model: Encoder, ids: Tensor, padded: bool) -> None:
    mask = torch.arange(12) < torch.tensor(LENGTHS)[:, None] if padded else None
    found = []
    for implementation in ("naive", "sdpa", "flex"):
        use_attention(model, implementation)
        found.append(model(ids, mask=mask, normalised=False))
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[2], found[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_give_what_each_gives_alone(model: Encoder, ids: Tensor, side: str) -> None:
    columns = torch.arange(12)
    mask = torch.stack([columns < n if side == "right" else columns >= 12 - n for n in LENGTHS])
    hidden, vectors = model.hidden(ids, mask=mask), model(ids, mask=mask)
    for row in range(3):
        alone = ids[row : row + 1, mask[row]]
        torch.testing.assert_close(
            hidden[row, mask[row]], model.hidden(alone)[0], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(vectors[row], model(alone)[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_first_token_sees_the_last_and_weights_sum_to_one(model: Encoder, ids: Tensor) -> None:
    changed = ids.clone()
    changed[:, -1] = (ids[:, -1] + 1) % V
    assert not torch.allclose(model.hidden(ids)[:, 0], model.hidden(changed)[:, 0], atol=1e-5)
    maps = model.transformer.attention_maps(ids)
    assert bool((maps > 0).all())
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))


def test_recomputed_activations_give_the_same_gradients(model: Encoder, ids: Tensor) -> None:
    found = []
    for recompute in (False, True):
        use_recompute(model, recompute)
        model.zero_grad()
        model(ids).square().sum().backward()
        gradient = model.transformer.embedding.weight.grad
        assert gradient is not None
        found.append(gradient.clone())
    assert torch.equal(found[0], found[1])


def test_vectors_have_length_one_unless_they_are_asked_for_as_they_are(ids: Tensor) -> None:
    model = tiny_encoder(V)
    plain = model(ids, normalised=False)
    torch.testing.assert_close(plain, mean_pool(model.hidden(ids)))
    torch.testing.assert_close(model(ids), plain / plain.norm(dim=-1, keepdim=True))


def test_a_cache_is_refused(ids: Tensor) -> None:
    config = encoder_config(V)
    model = tiny_encoder(V).transformer
    rows = PagedStore(config, num_pages=2, page_tokens=16).rows([TokenSpan([0], 0, 12)])
    for cache, given in ((KVCache(config, batch=3), ids), (rows, ids[:1])):
        with pytest.raises(ModelError, match="can't be cached"):
            model(given, cache=cache)
    assert cache_bytes(config, batch=1, capacity=24) == 0


def test_heads_take_the_configs_that_suit_them_only(config_of: Callable[..., ModelConfig]) -> None:
    for build in (LanguageModel, lambda config: Classifier(config, 2)):
        with pytest.raises(ConfigError, match="needs a causal mask"):
            build(encoder_config(V))
    with pytest.raises(ConfigError, match="needs causal = false"):
        Encoder(config_of())
    for choices in ({"window_tokens": 4}, {"positions": "alibi"}):
        with pytest.raises(ConfigError, match="neither a window nor ALiBi"):
            config_of(causal=False, **choices)
    for buckets, causal in ((8, True), (6, False)):
        with pytest.raises(ConfigError, match="only a model without a causal mask"):
            config_of(causal=causal, relative_buckets=buckets)


def test_its_weights_and_operations_are_counted(model: Encoder) -> None:
    config = model.config
    assert parameter_count(config).total == sum(p.numel() for p in model.parameters())
    assert not any(kind.part == "head" for kind in weight_kinds(config))
    flops = flops_per_token(config, context_tokens=20)
    assert flops.head == 0
    assert (
        flops.attention_scores == 4 * config.num_heads * config.head_width * 20 * config.num_layers
    )
