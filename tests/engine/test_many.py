"""Many prompts at once give what each gives alone."""

import pytest

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.many import choice_logprobs, greedy_answers, shared_prefix
from groundup.engine.sampling import Sampling
from groundup.engine.score import score
from groundup.errors import ModelError
from groundup.model.heads import LanguageModel

PROMPTS = [[5, 6, 7, 8, 9], [5, 6, 7, 20], [5, 6, 7, 30, 31, 32, 33, 34, 35], [5, 6, 7, 8]]


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1], [[1], [2, 3], [4, 5, 6]], [[7, 7], [7, 7]]])
def test_answers_together_equal_answers_alone(prompts: list[list[int]], model: LanguageModel, compute: Compute) -> None:
    alone = [list(generate_ids(model, p, Sampling(temperature=0, max_tokens=20), (), compute=compute)) for p in prompts]
    done: list[int] = []
    assert greedy_answers(model, prompts, max_tokens=20, stop_ids=(), compute=compute, done=done.append) == alone
    assert sum(done) == len(prompts)


def test_an_answer_ends_before_its_stop_id_and_the_others_go_on(model: LanguageModel, compute: Compute) -> None:
    free = greedy_answers(model, PROMPTS, max_tokens=12, stop_ids=(), compute=compute)
    stop = free[0][4]
    expected = [answer[: answer.index(stop)] if stop in answer else answer for answer in free]
    assert greedy_answers(model, PROMPTS, max_tokens=12, stop_ids={stop}, compute=compute) == expected


def test_answers_end_where_the_longest_prompt_fills_the_context(model: LanguageModel, compute: Compute) -> None:
    prompts = [[1] * 60, [1] * 3]
    answers = greedy_answers(model, prompts, max_tokens=20, stop_ids=(), compute=compute)
    assert [len(answer) for answer in answers] == [4, 4]  # a context of 64
    with pytest.raises(ModelError, match="no room"):
        greedy_answers(model, [[1] * 64], max_tokens=1, stop_ids=(), compute=compute)


@pytest.mark.parametrize("choices", [[[3], [4]], [[3, 9, 11], [4], [3, 9]]])
def test_choices_score_as_whole_continuations_do(
    choices: list[list[int]], model: LanguageModel, compute: Compute
) -> None:
    rows = choice_logprobs(model, PROMPTS, choices, compute=compute)
    for prompt, row in zip(PROMPTS, rows, strict=True):
        expected = [each.logprob for each in score(model, [(prompt, choice) for choice in choices], compute=compute)]
        assert row == pytest.approx(expected, abs=1e-4)


def test_the_shared_beginning_leaves_each_prompt_a_token_of_its_own() -> None:
    assert shared_prefix(PROMPTS) == 3
    assert shared_prefix([[1, 2, 3]]) == 2
    assert shared_prefix([[1, 2], [1, 2]]) == 1
    assert shared_prefix([[1], [2, 3]]) == 0
