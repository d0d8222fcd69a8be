"""One head's steps are the model's own: put together again, the heads give what the attention gives, for every kind of model."""

import json
from typing import Any

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.head_patterns import head_steps, steps_of
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer

IDS = [5, 7, 6, 7, 8, 7, 1, 2, 3]
SHAPE: dict[str, Any] = {
    "width": 32,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 2,
    "feedforward_width": 64,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {
        "positions": "learned",
        "norm": "layer",
        "feedforward": "gelu",
        "attention_bias": True,
        "num_kv_heads": 4,
    },
    "qwen3": {"qk_norm": "head", "head_width": 16},
    "olmo2": {"qk_norm": "projection", "block": "output"},
    "gemma2": {
        "block": "sandwich",
        "score_softcap": 2.0,
        "score_width": 5,
        "window_tokens": 4,
        "full_every": 2,
        "scaled_embedding": True,
    },
    "alibi": {"positions": "alibi"},
    "unrotated": {"unrotated_every": 2},
    "parallel": {"block": "parallel"},
    "post": {"block": "post"},
}


def tiny(**kind: Any) -> LanguageModel:
    model = LanguageModel(ModelConfig(vocab_size=16, context_tokens=32, **SHAPE | kind))
    initialise(model, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)  # far from uniform attention
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_mixed_heads_through_the_output_projection_are_the_attentions_output(kind: str) -> None:
    model = tiny(**KINDS[kind])
    transformer = model.transformer
    tokens = torch.tensor([IDS])
    hidden, sight = transformer.embed(tokens), transformer.metadata(tokens, None, None)
    for layer in range(3):
        block, place = transformer.block(layer), sight.by_block[layer]
        heads = [steps_of(model, IDS, layer, head)[1] for head in range(4)]
        mixed = torch.cat([steps.mixed for steps in heads], dim=1)  # [T, H D]
        torch.testing.assert_close(
            block.attention.output(mixed)[None],
            block.attention(block.attention_input(hidden), place),
        )
        weights = torch.stack([steps.tables[-1][2] for steps in heads])
        torch.testing.assert_close(weights, transformer.attention_maps(tokens)[layer, 0])
        hidden = block(hidden, place)


def test_only_the_steps_that_the_model_has_are_told() -> None:
    names = {
        kind: [name for name, *_ in steps_of(tiny(**KINDS[kind]), IDS, 0, 0)[1].tables]
        for kind in KINDS
    }
    assert names["llama"] == ["scores", "scaled", "masked", "weights"]
    assert names["gemma2"] == ["scores", "scaled", "capped", "masked", "weights"]
    assert names["alibi"] == ["scores", "scaled", "biased", "masked", "weights"]


def test_steps_follow_from_one_another_in_plain_numbers(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    steps = head_steps(model, tokenizer, "To be, or not", block=2, head=3)
    assert json.loads(json.dumps(steps)) == steps
    size, tables = len(steps["pieces"]), {step["name"]: step["table"] for step in steps["steps"]}
    queries, keys, values = (torch.tensor(steps[name]) for name in ("queries", "keys", "values"))
    raw = queries @ keys.T
    torch.testing.assert_close(torch.tensor(tables["scores"]), raw, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(torch.tensor(tables["scaled"]), raw / 8**0.5, atol=1e-3, rtol=1e-2)
    assert all(
        (tables["masked"][t][s] is None) == (s > t) for t in range(size) for s in range(size)
    )
    assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in tables["weights"])
    torch.testing.assert_close(
        torch.tensor(steps["mixed"]), torch.tensor(tables["weights"]) @ values, atol=1e-3, rtol=1e-2
    )
    assert steps["kv_head"] == 2  # heads 3 and 4 share the second
    assert "rotated by position" in steps["caption"]


def test_a_window_hides_what_is_further_back() -> None:
    tables = {
        name: table for name, _, table in steps_of(tiny(**KINDS["gemma2"]), IDS, 0, 0)[1].tables
    }
    assert tables["masked"][-1].isfinite().nonzero().flatten().tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"block": 3, "head": 1}, "no block 3. Its blocks are 1 to 2"),
        ({"block": 0, "head": 1}, "no block 0. Its blocks are 1 to 2"),
        ({"block": 1, "head": 5}, "no head 5. Its heads are 1 to 4"),
    ],
)
def test_an_unknown_block_or_head_is_refused_with_those_there_are(
    model: LanguageModel, tokenizer: Tokenizer, asked: dict[str, int], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        head_steps(model, tokenizer, "To be", **asked)


def test_text_that_cannot_be_read_is_refused(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(ModelError, match="no tokenizer"):
        head_steps(model, None, "To be", block=1, head=1)
    with pytest.raises(DataError, match="needs a text, got 0 tokens"):
        head_steps(model, tokenizer, "", block=1, head=1)
    with pytest.raises(ModelError, match="longer than the model's context of 32"):
        head_steps(model, tokenizer, "be " * 40, block=1, head=1)
    with pytest.raises(DataError, match="can show 64 tokens"):
        head_steps(model, tokenizer, "be " * 400, block=1, head=1)
