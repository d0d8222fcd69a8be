"""Sampling: each filter by a worked example, and draws against the known distribution."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from groundup.engine.next_token import (
    SeededGenerator,
    choose,
    draw,
    gumbel_noise,
    next_scores,
    penalise,
)
from groundup.engine.sampling import Sampling, keep_min_p, keep_top_k, keep_top_p
from groundup.errors import ConfigError, ModelError

# Logits of a distribution that can be read off: 50 %, 25 %, 15 %, 10 %.
PROBABILITIES = torch.tensor([0.15, 0.5, 0.1, 0.25])
LOGITS = PROBABILITIES.log().numpy()


def softmax(scores: np.ndarray) -> torch.Tensor:
    return torch.tensor(scores).softmax(-1)


def kept(logits: np.ndarray) -> list[int]:
    return [index for index, value in enumerate(logits.tolist()) if value > -math.inf]


def counts(sampling: Sampling, draws: int, history: list[int] | None = None) -> torch.Tensor:
    generator = SeededGenerator(sampling.seed)
    ids = [choose(LOGITS, history or [], sampling, generator) for _ in range(draws)]
    return torch.bincount(torch.tensor(ids), minlength=4) / draws


def test_temperature_0_is_greedy_whatever_the_seed() -> None:
    for seed in (None, 0, 1, 2**70, -5):
        sampling = Sampling(temperature=0, seed=seed)
        assert choose(LOGITS, [], sampling, SeededGenerator(seed)) == 1


def test_draws_follow_the_distribution() -> None:
    # Standard error of a share of 0.5 over 4,000 draws is 0.008: 0.03 is almost four of them.
    assert torch.allclose(counts(Sampling(temperature=1, seed=3), 4000), PROBABILITIES, atol=0.03)


def test_temperature_2_takes_the_square_root_of_the_odds() -> None:
    expected = PROBABILITIES.sqrt() / PROBABILITIES.sqrt().sum()
    assert torch.allclose(softmax(next_scores(LOGITS, Sampling(temperature=2))).float(), expected)
    assert torch.allclose(counts(Sampling(temperature=2, seed=3), 4000), expected, atol=0.03)


def test_a_tiny_temperature_is_greedy_and_finite() -> None:
    assert softmax(next_scores(LOGITS * 100, Sampling(temperature=1e-38))).tolist() == [
        0,
        1,
        0,
        0,
    ]


def test_same_seed_same_tokens_and_no_seed_other_tokens() -> None:
    logits = np.zeros(1000, np.float32)

    def draw(seed: int | None) -> list[int]:
        generator = SeededGenerator(seed)
        return [choose(logits, [], Sampling(seed=seed), generator) for _ in range(8)]

    assert draw(11) == draw(11)
    assert draw(11) != draw(12)
    assert draw(None) != draw(None)


@pytest.mark.parametrize(
    ("k", "expected"), [(0, [0, 1, 2, 3]), (1, [1]), (2, [1, 3]), (9, [0, 1, 2, 3])]
)
def test_top_k_keeps_the_k_most_probable(k: int, expected: list[int]) -> None:
    assert kept(keep_top_k(LOGITS, k)) == expected


def test_choosing_among_the_k_best_alone_draws_what_filtering_all_would() -> None:
    logits = 3 * torch.randn(5000, generator=torch.Generator().manual_seed(0)).numpy()
    sampling = Sampling(top_k=40, top_p=0.9, min_p=0.02, temperature=1.5)
    drawn = set()
    for seed in range(200):
        chosen = choose(logits, [], sampling, SeededGenerator(seed))
        assert chosen == draw(next_scores(logits, sampling), SeededGenerator(seed))
        drawn.add(chosen)
    assert len(drawn) > 5


def test_top_k_keeps_exactly_k_among_equals() -> None:
    assert len(kept(keep_top_k(np.zeros(10), 3))) == 3


@pytest.mark.parametrize(
    ("p", "expected"),
    [(1.0, [0, 1, 2, 3]), (0.85, [0, 1, 3]), (0.7, [1, 3]), (0.3, [1]), (1e-9, [1])],
)
def test_top_p_keeps_the_smallest_set_that_holds_p(p: float, expected: list[int]) -> None:
    assert kept(keep_top_p(LOGITS, p)) == expected


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0, [0, 1, 2, 3]), (0.25, [0, 1, 3]), (0.45, [1, 3]), (0.9, [1]), (1.0, [1])],
)
def test_min_p_keeps_tokens_near_the_best(p: float, expected: list[int]) -> None:
    assert kept(keep_min_p(LOGITS, p)) == expected


def test_filters_see_the_distribution_before_the_temperature() -> None:
    # At temperature 10 all four are nearly alike; min-p 0.45 of the untempered ones still keeps two.
    assert kept(next_scores(LOGITS, Sampling(temperature=10, min_p=0.45))) == [1, 3]


def test_repetition_penalty_weakens_both_signs() -> None:
    logits = np.array([2.0, -2.0, 1.0, 0.0])
    assert penalise(logits, [0, 1, 1, 3], Sampling(repetition_penalty=2)).tolist() == [
        1.0,
        -4.0,
        1.0,
        0.0,
    ]
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.0]  # the caller's array is untouched


def test_presence_counts_once_and_frequency_every_time() -> None:
    logits, seen = np.array([2.0, -2.0, 1.0, 0.0]), [0, 1, 1, 3, 1]
    assert penalise(logits, seen, Sampling(presence_penalty=0.5)).tolist() == [1.5, -2.5, 1.0, -0.5]
    assert penalise(logits, seen, Sampling(frequency_penalty=0.5)).tolist() == [
        1.5,
        -3.5,
        1.0,
        -0.5,
    ]
    both = Sampling(repetition_penalty=2, presence_penalty=-1, frequency_penalty=0.5)
    assert penalise(logits, seen, both).tolist() == [1.5, -4.5, 1.0, 0.5]


@pytest.mark.parametrize(
    "penalty",
    [{"repetition_penalty": 5}, {"presence_penalty": 1.0}, {"frequency_penalty": 1.0}],
    ids=str,
)
def test_penalties_look_back_as_far_as_they_are_told(penalty: dict[str, float]) -> None:
    logits, history = torch.tensor([2.0, 1.9, -5.0]), [0, *[2] * 64]

    def chosen(**change: int) -> int:
        return choose(
            logits, history, Sampling(temperature=0, **penalty, **change), SeededGenerator(0)
        )  # type: ignore[arg-type]

    assert chosen() == 0
    assert chosen(repeat_last_n=65) == 1
    assert chosen(repeat_last_n=-1) == 1
    assert chosen(repeat_last_n=0) == 0


def test_only_what_is_allowed_is_chosen() -> None:
    allowed = torch.tensor([True, False, True, False])
    assert choose(LOGITS, [], Sampling(temperature=0), SeededGenerator(0), allowed) == 0
    generator = SeededGenerator(1)
    assert {
        choose(LOGITS, [], Sampling(temperature=3), generator, allowed) for _ in range(100)
    } == {0, 2}
    with pytest.raises(ModelError, match="No token is allowed"):
        choose(LOGITS, [], Sampling(), generator, torch.zeros(4, dtype=torch.bool))


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": 101},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": 1e-308},
        {"repetition_penalty": 1e308},
        {"presence_penalty": -1e308},
        {"frequency_penalty": -1e308},
        {"logit_bias": ((5, 101),)},
        {"logit_bias": ((-1, 1.0),)},
        {"presence_penalty": math.nan},
        {"frequency_penalty": math.inf},
        {"repeat_last_n": -2},
        {"max_tokens": -1},
        {"stop": ("",)},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(Sampling(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="not finite"):
        choose(torch.tensor([0.0, bad]), [], Sampling(), SeededGenerator(0))


@pytest.mark.parametrize(
    ("scores", "drawn"),
    [
        ([0.0, math.inf, math.nan, math.inf], {1, 3}),
        ([math.nan, 0.0, -math.inf, 0.0], {1, 3}),
        ([math.nan, -math.inf, math.nan, -math.inf], {0, 1, 2, 3}),
        ([math.nan] * 4, {0, 1, 2, 3}),
    ],
    ids=str,
)
def test_any_scores_give_a_token_and_nan_is_never_preferred(
    scores: list[float], drawn: set[int]
) -> None:
    for dtype in (np.float32, np.float64):
        found = [draw(np.array(scores, dtype), SeededGenerator(seed)) for seed in range(100)]
        assert set(found) == drawn
        of_others = draw(np.array(scores, dtype), SeededGenerator(0), np.array([10, 20, 30, 40]))
        assert of_others // 10 - 1 in drawn


def test_every_bound_of_a_penalty_together_still_gives_a_token() -> None:
    logits, allowed = torch.tensor([3e38, -3e38, 1.0, 0.0]), torch.tensor([True, True, False, True])
    for least in (-100, 100):
        for repetition in (0.01, 100):
            for temperature in (0, 1e-38, 1, 100):
                extreme = Sampling(
                    temperature=temperature,
                    repetition_penalty=repetition,
                    presence_penalty=least,
                    frequency_penalty=least,
                    min_p=1,
                    top_p=1e-9,
                    logit_bias=((0, 100), (1, -100)),
                )
                assert 0 <= choose(logits, [0, 1, 3] * 30, extreme, SeededGenerator(1), allowed) < 4


def test_a_bias_is_added_before_everything_else() -> None:
    assert (
        choose(LOGITS, [], Sampling(temperature=0, logit_bias=((2, 100),)), SeededGenerator(0)) == 2
    )
    banned = Sampling(temperature=1, logit_bias=((1, -100), (3, -100)))
    generator = SeededGenerator(1)
    assert {choose(LOGITS, [], banned, generator) for _ in range(200)} == {0, 2}
    # e ** ln 3 times as probable as before: 0.25 becomes 0.75 of 1.5.
    shares = counts(Sampling(temperature=1, seed=3, logit_bias=((3, math.log(3)),)), 4000)
    assert torch.allclose(shares, torch.tensor([0.1, 0.5 / 1.5, 0.1 / 1.5, 0.5]), atol=0.03)
    with pytest.raises(ModelError, match="0 to 3, not 4"):
        choose(LOGITS, [], Sampling(logit_bias=((4, 1.0),)), generator)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.99, 0.9999])
def test_top_p_keeps_what_sorting_all_tokens_would_keep(p: float) -> None:
    logits = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * 4
    ordered, ids = logits.softmax(-1).sort(descending=True)
    number = int((ordered.cumsum(-1) < p).sum()) + 1
    assert kept(keep_top_p(logits.numpy(), p)) == sorted(ids[:number].tolist())


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    scores = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0]).log().numpy()
    generator = SeededGenerator(0)
    assert {draw(scores, generator) for _ in range(500)} == {1, 3}


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5, 2**63 - 1])
def test_keys_of_draws_are_the_numbers_of_torch_s_generator(seed: int) -> None:
    expected, generator = torch.Generator().manual_seed(seed), SeededGenerator(seed)
    for _ in range(700):  # the state of 624 numbers is made anew on the way
        assert generator.key() == int(torch.randint(2**63 - 1, (1,), generator=expected))


def test_noise_is_the_stream_of_splitmix64_and_of_each_id_the_same_whichever_others_are_kept() -> (
    None
):
    # The first two numbers of SplitMix64 from the state 1234567, as published with its reference code.
    published = [6457827717110365317, 3203168211198807973]
    expected = [-math.log(-math.log(((number >> 12) + 0.5) / 2**52)) for number in published]
    assert gumbel_noise(1234567, np.array([0, 1])).tolist() == pytest.approx(expected, rel=1e-12)
    every = gumbel_noise(99, np.arange(5000))
    assert gumbel_noise(99, np.array([17, 4321])).tolist() == every[[17, 4321]].tolist()
    assert abs(every.mean() - 0.5772) < 0.1 and abs(every.std() - math.pi / math.sqrt(6)) < 0.1


def test_rounding_in_the_logits_does_not_decide_a_draw_over_a_large_vocabulary() -> None:
    """Drawn along the cumulative sum, 13 of these 200 draws change."""
    rounding = torch.linspace(
        -1e-5, 1e-5, 49_152
    )  # what float32 differs by between one row and several, all in one direction
    random, changed = torch.Generator().manual_seed(5), 0
    for seed in range(200):
        logits = torch.randn(49_152, generator=random)
        first, second = (
            choose(each, [], Sampling(temperature=1), SeededGenerator(seed))
            for each in (logits, logits + rounding)
        )
        changed += first != second
    assert changed == 0
