"""Each position scheme against its formula, and against the property it is for."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel, initialise
from groundup.model.positions import (
    LearnedPositions,
    Rotary,
    SinusoidalPositions,
    alibi_bias,
    alibi_slopes,
    attention_factor,
    count_positions,
    rotary_frequencies,
    rotate,
)


def test_rotation_equals_multiplying_complex_numbers() -> None:
    """Su et al. 2021, eq. 12: the pair (x_i, x_{i + D/2}) as one complex number, times e^(i m theta)."""
    x = torch.randn(2, 7, 3, 8, generator=torch.Generator().manual_seed(0))
    turned = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(
        torch.ones(7, 1, 4), torch.arange(7.0)[:, None, None] * rotary_frequencies(8, 100.0)
    )
    expected = torch.cat([turned.real, turned.imag], dim=-1)
    torch.testing.assert_close(rotate(x, Rotary(8, base=100.0)(torch.arange(7)[None])), expected)


def test_rotary_scores_depend_on_distance_only() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (
        torch.randn(1, 1, 1, 16, generator=generator),
        torch.randn(1, 1, 1, 16, generator=generator),
    )
    rotary = Rotary(16)

    def score(of_query: int, of_key: int) -> float:
        turned_query, turned_key = (
            rotate(x, rotary(torch.tensor([[place]])))
            for x, place in ((query, of_query), (key, of_key))
        )
        return float((turned_query * turned_key).sum())

    for place in (1, 17, 400):
        assert score(place + 5, place) == pytest.approx(score(5, 0), abs=1e-4)
    assert score(6, 0) != pytest.approx(score(5, 0), abs=1e-2)


def test_rotation_keeps_lengths_and_position_zero() -> None:
    x = torch.randn(1, 9, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, Rotary(8)(torch.arange(9)[None]))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, 0], x[:, 0])


def test_stretched_frequencies_equal_transformers() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = RopeScaling(
        factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_tokens=8192
    )
    theirs = LlamaConfig(
        hidden_size=2048,
        num_attention_heads=32,
        max_position_embeddings=131072,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](theirs, torch.device("cpu"))
    ours = rotary_frequencies(64, 500_000.0, scaling)
    torch.testing.assert_close(ours, expected, atol=0, rtol=1e-6)
    plain = rotary_frequencies(64, 500_000.0)
    assert torch.equal(ours[0], plain[0])  # the fastest is kept
    torch.testing.assert_close(ours[-1], plain[-1] / 32)  # the slowest is stretched in full


def test_sinusoidal_rows_equal_the_formula() -> None:
    rows = SinusoidalPositions(width=6, context_tokens=10)(torch.arange(10)[None])[0]
    for place in range(10):
        for pair in range(3):
            angle = place / 10_000 ** (2 * pair / 6)
            assert rows[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert rows[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_rows_of_one_distance_are_equally_similar() -> None:
    rows = SinusoidalPositions(width=32, context_tokens=64)(torch.arange(64)[None])[0]
    torch.testing.assert_close(
        (rows[5:] * rows[:-5]).sum(dim=-1), (rows[5] @ rows[0]).expand(59), atol=1e-4, rtol=0
    )


def test_learned_rows_are_looked_up() -> None:
    learned = LearnedPositions(width=4, context_tokens=8)
    assert torch.equal(learned(torch.tensor([[3, 0]]))[0], learned.weight[[3, 0]])


@pytest.mark.parametrize(
    ("positions", "order_matters"),
    [("none", False), ("rope", True), ("learned", True), ("sinusoidal", True), ("alibi", True)],
)
def test_order_is_known_through_positions(
    model_of: Callable[..., LanguageModel], ids: Tensor, positions: str, order_matters: bool
) -> None:
    """One block without positions is a bag of words for its last token; with any scheme it is not."""
    model = model_of(positions=positions, num_layers=1)
    swapped = ids[:, [1, 0, *range(2, 12)]]
    same = torch.allclose(model(ids)[:, -1], model(swapped)[:, -1], atol=1e-5)
    assert same is not order_matters


def test_positions_count_real_tokens() -> None:
    real = torch.tensor(
        [[False, False, True, True], [True, True, False, False], [True, False, True, True]]
    )
    assert count_positions(real, 4).tolist() == [[0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 2]]
    assert count_positions(real, 1).tolist() == [[1], [1], [2]]


def test_frequencies_survive_meta_and_casts() -> None:
    with torch.device("meta"):
        rotary = Rotary(8, base=100.0)
    expected = rotary_frequencies(8, 100.0)
    assert torch.equal(rotary.frequencies, expected)
    assert torch.equal(rotary.to("meta").to_empty(device="cpu").frequencies, expected)
    assert torch.equal(rotary.to(torch.bfloat16).to(torch.float32).frequencies, expected)
    assert not rotary.state_dict()


SCALINGS = {
    "linear": (RopeScaling(8.0, kind="linear"), {}),
    "yarn": (
        RopeScaling(4.0, kind="yarn", original_context_tokens=4096),
        {"original_max_position_embeddings": 4096},
    ),
    "yarn, own ends": (
        RopeScaling(
            40.0,
            kind="yarn",
            original_context_tokens=4096,
            beta_fast=16.0,
            beta_slow=2.0,
            attention_factor=1.3,
        ),
        {
            "original_max_position_embeddings": 4096,
            "beta_fast": 16,
            "beta_slow": 2,
            "attention_factor": 1.3,
        },
    ),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_linear_and_yarn_equal_transformers(name: str) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling, more = SCALINGS[name]
    rope = {"rope_type": scaling.kind, "rope_theta": 10_000.0, "factor": scaling.factor, **more}
    theirs = LlamaConfig(
        hidden_size=256,
        num_attention_heads=4,
        max_position_embeddings=int(4096 * scaling.factor),
        rope_parameters=rope,
    )
    expected, factor = ROPE_INIT_FUNCTIONS[scaling.kind](theirs, torch.device("cpu"))
    torch.testing.assert_close(
        rotary_frequencies(64, 10_000.0, scaling), expected, atol=0, rtol=1e-6
    )
    assert attention_factor(scaling) == pytest.approx(factor)


def test_linear_stretching_puts_positions_between_the_old_ones() -> None:
    stretched, plain = Rotary(16, scaling=RopeScaling(4.0, kind="linear")), Rotary(16)
    torch.testing.assert_close(
        stretched(torch.tensor([[40]])).cosine, plain(torch.tensor([[10]])).cosine
    )


def test_alibi_slopes_are_those_of_the_paper() -> None:
    """Press et al. 2022, section 3: 1/2, 1/4, ... 1/256 for 8 heads; for 12 those of 8 and every other of 16."""
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(12).tolist() == pytest.approx(
        [2.0**-i for i in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    )


def test_alibi_takes_off_in_proportion_to_distance() -> None:
    bias = alibi_bias(
        torch.tensor([0.5, 0.25]), torch.tensor([[2, 3]]), torch.tensor([[0, 1, 2, 3]])
    )
    assert bias[0, 0].tolist() == [[-1, -0.5, 0, 0.5], [-1.5, -1, -0.5, 0]]
    assert torch.equal(bias[0, 1], bias[0, 0] / 2)


def losses_near_and_far(
    model: LanguageModel, *, learned_tokens: int, read_tokens: int
) -> tuple[float, float]:
    """Teaches "the next token is the one three before" on short texts; gives the loss there and on the far end of long ones."""
    generator = torch.Generator().manual_seed(1)
    period = 3

    def texts(rows: int, tokens: int) -> Tensor:
        start = torch.randint(0, model.config.vocab_size, (rows, period), generator=generator)
        return start.repeat(1, tokens // period + 2)[:, : tokens + 1]

    def loss(batch: Tensor, first: int) -> Tensor:
        logits = model(batch[:, :-1])[:, first:]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch[:, first + 1 :].flatten()
        )

    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(250):
        optimizer.zero_grad()
        loss(texts(32, learned_tokens), period).backward()
        optimizer.step()
    with torch.no_grad():
        return loss(texts(64, learned_tokens), period).item(), loss(
            texts(64, read_tokens), read_tokens - 6
        ).item()


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["alibi", "learned", "sinusoidal"])
def test_alibi_holds_in_texts_longer_than_any_it_learned_from(
    config_of: Callable[..., ModelConfig], positions: str
) -> None:
    """The property it is for: from 12 tokens to 96. The others learn the short texts better, and know nothing of places never seen."""
    shape = config_of(
        positions=positions, vocab_size=10, context_tokens=96, num_layers=2, num_kv_heads=4
    )
    model = LanguageModel(shape)
    initialise(model, torch.Generator().manual_seed(0))
    near, far = losses_near_and_far(model, learned_tokens=12, read_tokens=96)
    assert near < 1.0 < math.log(10)
    assert far < near + 0.3 if positions == "alibi" else far > near + 1.5
