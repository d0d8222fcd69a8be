"""Many prompts at once give what each gives alone."""

import copy

import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import generate_answers
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

PROMPTS = [
    [5, 6, 7, 8, 9],
    [5, 6, 7, 20],
    [5, 6, 7, 30, 31, 32, 33, 34, 35],
    [5, 6, 7, 8],
    [1] * 60,
]
GREEDY = Sampling(temperature=0, max_tokens=20)


def test_answers_together_equal_answers_alone(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> None:
    """The last prompt leaves room for four tokens; the answers of the others end at a stop id or at 20."""
    alone = [list(generate_ids(model, prompt, GREEDY, (), compute=compute)) for prompt in PROMPTS]
    stop_ids = frozenset({alone[0][4], alone[2][9]})
    stopped = [
        list(generate_ids(model, prompt, GREEDY, stop_ids, compute=compute)) for prompt in PROMPTS
    ]
    assert len(alone[4]) == 4 and len(stopped[0]) < 20
    expected = [
        tokenizer.decode([id for id in ids if id not in stop_ids], skip_control=True)
        for ids in stopped
    ]
    done: list[int] = []
    texts = generate_answers(
        PROMPTS, model, tokenizer, GREEDY, compute=compute, stop_ids=stop_ids, done=done.append
    )
    assert texts == expected
    assert sum(done) == len(PROMPTS)


def test_what_cannot_be_answered_is_an_error(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> None:
    with pytest.raises(ModelError, match="no room"):
        generate_answers([[1] * 64], model, tokenizer, GREEDY, compute=compute)
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.head_weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite numbers"):
        generate_answers(PROMPTS, broken, tokenizer, GREEDY, compute=compute)
