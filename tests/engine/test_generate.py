"""Generating: the cache changes nothing, and every answer ends where it was told to."""

from copy import deepcopy

import pytest
import torch

import groundup.engine.generate as generate_module
from groundup.device import Compute
from groundup.engine.generate import generate_ids, generate_uncached
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.threads import ThreadTuner

PROMPT = [3, 141, 59, 26, 5, 35]


class SeenStep:
    """Stands for the compiled step."""

    max_rows, takes_prompts = 32, True

    def after_cache(self, ids: torch.Tensor, cache: KVCache) -> torch.Tensor:
        return torch.zeros(ids.numel(), 1)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, max_tokens=40),
        Sampling(max_tokens=40, top_p=0.9, repetition_penalty=1.3, seed=5),
    ],
)
def test_cached_ids_are_the_uncached_ids(
    model: LanguageModel, compute: Compute, sampling: Sampling
) -> None:
    cached = list(generate_ids(model, PROMPT, sampling, (), compute=compute))
    assert cached == generate_uncached(model, PROMPT, sampling, (), compute=compute)
    assert len(set(cached)) > 3


def test_a_prompt_prefilled_in_pieces_gives_the_same_ids(
    model: LanguageModel, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Sampling(temperature=0, max_tokens=20)
    whole = list(generate_ids(model, PROMPT, sampling, (), compute=compute))
    monkeypatch.setattr(generate_module, "PREFILL_TOKENS", 4)
    assert list(generate_ids(model, PROMPT, sampling, (), compute=compute)) == whole


@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=0, max_tokens=50), Sampling(max_tokens=50, seed=3)]
)
@pytest.mark.parametrize("circling", [True, False])
def test_draft_tokens_change_no_id_and_save_passes_where_the_text_repeats_itself(
    model: LanguageModel,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
    sampling: Sampling,
    circling: bool,
) -> None:
    """Without blocks that do anything each token has its own follower, so that greedy text soon goes round in a circle."""
    model, passes = deepcopy(model), []
    for block in model.transformer.blocks if circling else ():
        block.attention.output.weight.detach().zero_()
        block.feedforward.down.weight.detach().zero_()
    decode = generate_module.decode

    def counted(
        model: LanguageModel, new_ids: torch.Tensor, cache: KVCache, tuner: ThreadTuner
    ) -> torch.Tensor:
        passes.append(new_ids.shape[1])
        return decode(model, new_ids, cache, tuner)

    monkeypatch.setattr(generate_module, "decode", counted)
    plain = list(generate_ids(model, PROMPT, sampling, (), compute=compute))
    without = len(passes)
    assert list(generate_ids(model, PROMPT, sampling, (), compute=compute, draft_tokens=6)) == plain
    assert without == 49 and max(passes[:49]) == 1
    if circling and sampling.temperature == 0:
        assert len(passes) - without < 49 / 2
    stop = plain[20]
    stopped = list(generate_ids(model, PROMPT, sampling, {stop}, compute=compute, draft_tokens=6))
    assert stopped == plain[: plain.index(stop) + 1]


def test_passes_with_drafts_do_not_tell_the_tuner(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take longer, whatever the number of threads."""
    told: list[float] = []
    tuner, cache = ThreadTuner((), 1), KVCache(model.config, 1, 8)
    monkeypatch.setattr(tuner, "told", told.append)
    monkeypatch.setattr(model, "decode_step", SeenStep())
    for ids in ([3], [5, 7], [9]):
        generate_module.decode(model, torch.tensor([ids]), cache, tuner)
    assert len(told) == 2


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_a_limit_of_n_gives_exactly_n_ids(
    model: LanguageModel, compute: Compute, limit: int
) -> None:
    assert (
        len(
            list(
                generate_ids(model, PROMPT, Sampling(max_tokens=limit, seed=1), (), compute=compute)
            )
        )
        == limit
    )


def test_a_stop_id_ends_it_and_is_given_too(model: LanguageModel, compute: Compute) -> None:
    sampling = Sampling(temperature=0, max_tokens=30)
    free = list(generate_ids(model, PROMPT, sampling, (), compute=compute))
    stop = free[9]
    expected = free[: free.index(stop) + 1]
    assert list(generate_ids(model, PROMPT, sampling, {stop}, compute=compute)) == expected
    assert generate_uncached(model, PROMPT, sampling, {stop}, compute=compute) == expected


def test_prompt_and_answer_fill_the_context_and_no_more(
    model: LanguageModel, compute: Compute
) -> None:
    sampling = Sampling(temperature=0, max_tokens=1000)
    cached = list(generate_ids(model, PROMPT, sampling, (), compute=compute))
    assert len(PROMPT) + len(cached) == model.config.context_tokens
    assert cached == generate_uncached(model, PROMPT, sampling, (), compute=compute)


def test_a_prompt_that_leaves_no_room_is_refused_at_once_with_numbers(
    model: LanguageModel, compute: Compute
) -> None:
    with pytest.raises(ModelError, match=r"64 tokens.*context of 64"):
        generate_ids(model, [1] * 64, Sampling(), (), compute=compute)
    assert len(list(generate_ids(model, [1] * 63, Sampling(), (), compute=compute))) == 1


def test_an_empty_prompt_is_refused(model: LanguageModel, compute: Compute) -> None:
    with pytest.raises(ModelError, match="no tokens"):
        generate_ids(model, [], Sampling(), (), compute=compute)


def test_interleaved_answers_do_not_disturb_each_other(
    model: LanguageModel, compute: Compute
) -> None:
    seeds = [Sampling(seed=seed, max_tokens=15) for seed in (1, 2)]
    alone = [list(generate_ids(model, PROMPT, sampling, (), compute=compute)) for sampling in seeds]
    together = zip(
        *(generate_ids(model, PROMPT, sampling, (), compute=compute) for sampling in seeds),
        strict=True,
    )
    assert [list(row) for row in zip(*together, strict=True)] == alone


def test_generating_leaves_gradients_as_they_were(model: LanguageModel, compute: Compute) -> None:
    answer = generate_ids(model, PROMPT, Sampling(seed=1, max_tokens=4), (), compute=compute)
    next(answer)
    assert not torch.is_inference_mode_enabled()
    assert all(parameter.requires_grad for parameter in model.parameters())
