"""Scoring: batches give what each pair gives alone, and what the definition says."""

import math

import pytest
import torch

import groundup.engine.score as score_module
from groundup.device import Compute
from groundup.engine.generate import generate_uncached
from groundup.engine.padded_batch import batches_by_length
from groundup.engine.sampling import Sampling
from groundup.engine.score import Pair, score
from groundup.errors import ModelError
from groundup.model.heads import LanguageModel

PAIRS: list[Pair] = [
    ([1, 2, 3], [4]),
    ([9], [8, 7, 6, 5]),
    ([5] * 30, [6] * 20),
    ([2, 4], []),
    ([7, 7], [1, 250]),
]


@torch.no_grad()
def logprobs_by_definition(
    model: LanguageModel, context: list[int], continuation: list[int]
) -> list[float]:
    """One full softmax for each token, over everything before it."""
    ids = [*context, *continuation]
    result = []
    for place in range(len(context), len(ids)):
        logits = model(torch.tensor([ids[:place]]))[0, -1].double()
        result.append(math.log(float(logits.softmax(-1)[ids[place]])))
    return result


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_batches_give_what_each_pair_gives_alone(
    model: LanguageModel, compute: Compute, batch_tokens: int
) -> None:
    together = score(model, PAIRS, compute=compute, batch_tokens=batch_tokens)
    for pair, result in zip(PAIRS, together, strict=True):
        expected = logprobs_by_definition(model, list(pair[0]), list(pair[1]))
        assert result.token_logprobs == pytest.approx(expected, abs=1e-4)
        assert result.logprob == pytest.approx(sum(expected), abs=1e-3)


def test_a_shared_context_gives_what_each_pair_gives_alone(
    model: LanguageModel, compute: Compute
) -> None:
    """Three questions of four choices each, two of the questions beginning alike; and choices of one token only."""
    stem = [token * 7 % 250 for token in range(24)]
    contexts = [[*stem, 3, 1], [*stem, 8], [9] * 5]
    choices = [[4], [4, 5, 6], [7] * 9, [250, 249]]
    pairs: list[Pair] = [(context, choice) for context in contexts for choice in choices]
    done: list[int] = []
    for batch_tokens in (30, 4096):
        together = score(model, pairs, compute=compute, batch_tokens=batch_tokens, done=done.append)
        for (context, choice), result in zip(pairs, together, strict=True):
            expected = logprobs_by_definition(model, list(context), list(choice))
            assert result.token_logprobs == pytest.approx(expected, abs=1e-4)
    assert sum(done) == 2 * len(pairs)


def test_a_shared_context_goes_through_the_model_once(
    model: LanguageModel, compute: Compute
) -> None:
    """Three questions of 40 tokens, each with four tokens behind it that predict: the second ones of the choices."""
    seen: list[int] = []
    watch = model.transformer.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].numel())
    )
    try:
        score(
            model,
            [([kind] * 40, [choice, choice]) for kind in (1, 2, 3) for choice in (4, 5, 6, 7)],
            compute=compute,
        )
    finally:
        watch.remove()
    assert seen == [3 * (40 + 4)]


def test_logits_held_piece_by_piece_give_the_same(
    model: LanguageModel, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(model, PAIRS, compute=compute)
    monkeypatch.setattr(score_module, "MAX_LOGITS", 1000)  # three positions at a time
    for left, right in zip(whole, score(model, PAIRS, compute=compute), strict=True):
        assert left.token_logprobs == pytest.approx(right.token_logprobs, abs=1e-5)


def test_greedy_is_what_greedy_decoding_gives(model: LanguageModel, compute: Compute) -> None:
    greedy = generate_uncached(
        model, [3, 1, 4], Sampling(temperature=0, max_tokens=6), (), compute=compute
    )
    other = [*greedy[:-1], (greedy[-1] + 1) % model.config.vocab_size]
    results = score(model, [([3, 1, 4], greedy), ([3, 1, 4], other)], compute=compute)
    assert [result.is_greedy for result in results] == [True, False]


def test_the_probabilities_of_all_next_tokens_add_up_to_one(
    model: LanguageModel, compute: Compute
) -> None:
    results = score(
        model, [([5, 6], [token]) for token in range(model.config.vocab_size)], compute=compute
    )
    assert sum(math.exp(result.logprob) for result in results) == pytest.approx(1, abs=1e-4)


def test_a_context_too_long_loses_its_oldest_tokens(model: LanguageModel, compute: Compute) -> None:
    continuation = [11, 12, 13]
    context = [token % 200 for token in range(90)]
    kept = context[-(model.config.context_tokens - len(continuation) + 1) :]
    [long] = score(model, [(context, continuation)], compute=compute)
    [short] = score(model, [(kept, continuation)], compute=compute)
    assert long == short


def test_an_empty_continuation_is_certain(model: LanguageModel, compute: Compute) -> None:
    [result] = score(model, [([1], [])], compute=compute)
    assert (result.logprob, result.is_greedy, result.token_logprobs) == (0.0, True, ())
    assert score(model, [], compute=compute) == []


def test_what_cannot_be_scored_is_refused_with_numbers(
    model: LanguageModel, compute: Compute
) -> None:
    with pytest.raises(ModelError, match="at least one token"):
        score(model, [([], [1])], compute=compute)
    with pytest.raises(ModelError, match=r"65 tokens.*context of 64"):
        score(model, [([1], [1] * 65)], compute=compute)


def test_batches_are_bounded_and_hold_every_row_once() -> None:
    lengths = [5, 90, 3, 3, 40, 1, 8]
    batches = list(batches_by_length(lengths, 45))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert batches[0] == [1]  # longer than the bound: alone
    assert all(len(batch) * max(lengths[i] for i in batch) <= 45 for batch in batches[1:])
    assert len(batches) == 3
