"""FlexAttention computes what naive attention computes: here its forward pass on the CPU, on a GPU the backward pass too."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.model.attention import chooses_flex, use_attention
from groundup.model.attention_steps import Scoring
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel

# Uncompiled, as on the CPU, it says that it is.
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
LENGTHS = (12, 7, 1)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@torch.no_grad()
@pytest.mark.parametrize("padded", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("device", DEVICES)
def test_flex_attention_equals_naive(
    model_of: Callable[..., LanguageModel],
    ids: Tensor,
    kind: dict[str, Any],
    padded: bool,
    device: str,
) -> None:
    model, ids = model_of(**{**kind, "num_layers": 2}).to(device), ids.to(device)
    columns = torch.arange(12, device=device)
    mask = torch.stack([columns >= 12 - n for n in LENGTHS]) if padded else None
    found = []
    for implementation in ("naive", "flex"):
        use_attention(model, implementation)
        found.append(model(ids, mask=mask))
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("device", DEVICES)
def test_flex_attention_reads_on_behind_a_cache(
    model_of: Callable[..., LanguageModel], ids: Tensor, kind: dict[str, Any], device: str
) -> None:
    model, ids = model_of(**kind).to(device), ids.to(device)
    use_attention(model, "flex")
    cache = KVCache(model.config, batch=3, device=device)
    pieces = torch.cat([model(piece, cache=cache) for piece in ids.split([5, 1, 6], dim=1)], dim=1)
    use_attention(model, "naive")
    torch.testing.assert_close(pieces, model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="needs a GPU: on the CPU FlexAttention has no backward pass",
)
def test_gradients_through_flex_attention_equal_naive_ones(
    model_of: Callable[..., LanguageModel], ids: Tensor
) -> None:
    for choices in ({"window_tokens": 3}, {"score_softcap": 5.0}, {"positions": "alibi"}):
        gradients = []
        for implementation in ("naive", "flex"):
            model = model_of(**choices).cuda()
            use_attention(model, implementation)
            model(ids.cuda()).logsumexp(dim=-1).sum().backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        for naive, flex in zip(*gradients, strict=True):
            torch.testing.assert_close(flex, naive, atol=1e-3, rtol=1e-3)


def test_flex_is_chosen_on_gpus_where_the_ordinary_kernel_needs_a_table() -> None:
    cpu, cuda, table = (
        torch.device("cpu"),
        torch.device("cuda"),
        torch.ones(1, 1, 2, 2, dtype=torch.bool),
    )
    assert not chooses_flex(cuda, Scoring(8), None, None)
    for asked in (
        (Scoring(8, softcap=5.0), None),
        (Scoring(8, window_tokens=3), None),
        (Scoring(8), table),
    ):
        assert chooses_flex(cuda, *asked, None)
        assert not chooses_flex(cpu, *asked, None)
    assert chooses_flex(cuda, Scoring(8), None, torch.zeros(1, 1, 2, 2))
