"""Windows, soft caps, places of norms, distances: every kind of model keeps the promises that the plain one keeps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.model.attention import use_attention
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.model.sizes import parameter_count

ModelOf = Callable[..., LanguageModel]
LENGTHS = (12, 7, 1)


def test_either_implementation_gives_the_same(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any]
) -> None:
    model = model_of(**kind)
    fused = model(ids)
    use_attention(model, "naive")
    torch.testing.assert_close(model(ids), fused, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("implementation", "pieces"),
    [
        *(("sdpa", pieces) for pieces in ([12], [1] * 12, [5, 1, 1, 1, 4], [1, 11])),
        ("naive", [5, 1, 1, 1, 4]),
    ],
)
def test_cached_decoding_matches_full_forward_in_every_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], pieces: list[int], implementation: str
) -> None:
    model = model_of(**kind)
    use_attention(model, implementation)
    cache = KVCache(model.config, batch=3)
    cached = torch.cat([model(piece, cache=cache) for piece in ids.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(cached, model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_give_what_each_gives_alone_in_every_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], side: str
) -> None:
    model = model_of(**kind)
    columns = torch.arange(12)
    mask = torch.stack([columns < n if side == "right" else columns >= 12 - n for n in LENGTHS])
    logits = model(ids, mask=mask)
    assert logits.isfinite().all()
    for row in range(3):
        alone = model(ids[row : row + 1, mask[row]])
        torch.testing.assert_close(logits[row, mask[row]], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_prompts_decode_as_each_alone_in_every_kind(
    model_of: ModelOf, ids: Tensor, kind: dict[str, Any], side: str
) -> None:
    """On the right padding stands between prompt and continuation: a window counts stored tokens, as in transformers and llama.cpp, and so
    reaches less far back than in the text alone. Then only the row without padding is the same."""
    model = model_of(**kind)
    columns = torch.arange(8)
    mask = torch.stack([columns < n if side == "right" else columns >= 8 - n for n in (8, 5, 1)])
    cache = KVCache(model.config, batch=3, capacity=12)
    model(ids[:, :8], mask=mask, cache=cache)
    decoded = torch.cat(
        [model(piece, cache=cache) for piece in ids[:, 8:].split([1, 1, 2], dim=1)], dim=1
    )
    for row in range(1 if side == "right" and kind.get("window_tokens") else 3):
        text = torch.cat([ids[row, :8][mask[row]], ids[row, 8:]])
        torch.testing.assert_close(decoded[row], model(text[None])[0, -4:], atol=1e-4, rtol=1e-4)


def test_counted_parameters_are_those_there(model_of: ModelOf, kind: dict[str, Any]) -> None:
    model = model_of(**kind)
    assert parameter_count(model.config).total == sum(p.numel() for p in model.parameters())


def test_attention_maps_show_what_each_block_sees(model_of: ModelOf, ids: Tensor) -> None:
    maps = model_of(window_tokens=3, full_every=3).transformer.attention_maps(ids)
    assert maps[:2].tril(diagonal=-3).eq(0).all()
    assert maps[2].tril(diagonal=-3)[..., 3:, :].sum(dim=-1).gt(0).all()


def test_a_token_out_of_every_window_changes_nothing(model_of: ModelOf, ids: Tensor) -> None:
    """Three blocks of window 3 reach 3 * (3 - 1) = 6 tokens back."""
    model = model_of(window_tokens=3)
    changed = ids.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 53
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, 7:], after[:, 7:])
    assert not torch.isclose(before[:, 6], after[:, 6]).all()
