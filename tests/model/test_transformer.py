"""The stack: padding changes nothing, blocks can be run in parts, limits are told with numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.heads import LanguageModel
from groundup.model.metadata import is_right_padded

ModelOf = Callable[..., LanguageModel]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_gets_no_gradient(model_of: ModelOf, side: str) -> None:
    model = model_of(tied_head=False)
    ids = torch.tensor([[1, 2, 3, 9, 9]]) if side == "right" else torch.tensor([[9, 9, 1, 2, 3]])
    mask = ids != 9
    model(ids, mask=mask)[mask].sum().backward()
    grad = model.transformer.embedding.weight.grad
    assert grad is not None
    assert grad[9].eq(0).all()
    assert grad[[1, 2, 3]].ne(0).any(dim=1).all()


def test_right_padding_is_recognised() -> None:
    assert is_right_padded(torch.tensor([[True, True], [True, False], [False, False]]))
    assert not is_right_padded(torch.tensor([[True, True], [False, True]]))


def test_a_full_mask_is_no_mask(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of()
    assert torch.equal(model(ids, mask=torch.ones_like(ids, dtype=torch.bool)), model(ids))


@pytest.mark.parametrize("padded", [False, True])
def test_blocks_in_two_parts_equal_one_pass(model_of: ModelOf, ids: Tensor, padded: bool) -> None:
    transformer = model_of().transformer
    mask = torch.arange(12).expand(3, 12) >= 3 if padded else None
    lower = transformer.run_blocks(transformer.embed(ids), 0, 2, mask=mask)
    upper = transformer.run_blocks(lower, 2, 3, mask=mask)
    assert torch.equal(transformer.final_norm(upper), transformer(ids, mask=mask))


def test_text_longer_than_the_context_is_refused(model_of: ModelOf) -> None:
    with pytest.raises(
        ModelError, match="A text of 25 tokens is longer than the model's context of 24"
    ):
        model_of()(torch.zeros(1, 25, dtype=torch.long))


def test_state_names_are_the_ones_that_files_are_mapped_to(model_of: ModelOf) -> None:
    all_biases = {"attention_bias": True, "attention_output_bias": True, "feedforward_bias": True}
    choices = {"norm": "layer", "positions": "learned", "feedforward": "gelu", **all_biases}
    gpt2 = set(model_of(**choices, num_layers=1).state_dict())
    block = "transformer.blocks.0."
    both = {
        f"{block}{part}.{kind}"
        for part in ("attention_norm", "feedforward_norm")
        for kind in ("weight", "bias")
    }
    both |= {
        f"{block}attention.{part}.{kind}"
        for part in ("query", "key", "value", "output")
        for kind in ("weight", "bias")
    }
    both |= {
        f"{block}feedforward.{part}.{kind}"
        for part in ("up", "down")
        for kind in ("weight", "bias")
    }
    tables = {"transformer.embedding.weight", "transformer.position_embedding.weight"}
    assert gpt2 == both | tables | {"transformer.final_norm.weight", "transformer.final_norm.bias"}

    qwen3 = set(model_of(qk_norm="head", tied_head=False, num_layers=1).state_dict())
    one = {
        f"{block}{part}.weight"
        for part in (
            "attention_norm",
            "feedforward_norm",
            "feedforward.gate",
            "feedforward.up",
            "feedforward.down",
        )
    }
    one |= {
        f"{block}attention.{part}.weight"
        for part in ("query", "key", "value", "output", "query_norm", "key_norm")
    }
    assert qwen3 == one | {
        "transformer.embedding.weight",
        "transformer.final_norm.weight",
        "head.weight",
    }


def test_bfloat16_autocast_stays_near_float32(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of(tied_head=False)
    exact = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(ids)
    assert (rough.float() - exact).abs().max() < 0.05 * exact.abs().max()
