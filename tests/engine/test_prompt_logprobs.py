"""Log-probabilities of a prompt: those of a full forward pass, whatever the pieces."""

import pytest
import torch

import groundup.engine.score as module
from groundup.device import Compute
from groundup.engine.score import prompt_logprobs
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer


@pytest.mark.parametrize("piece", [1, 3, 512])
def test_each_token_after_the_first_has_its_logprob_and_the_best_ones_there(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PREFILL_TOKENS", piece)
    ids = tokenizer.encode("not to be, that is the question")
    pieces = list(prompt_logprobs(model, tokenizer, ids, 3, compute=compute))
    assert max(map(len, pieces)) <= piece
    found = [each for part in pieces for each in part]
    with torch.inference_mode():
        expected = model(torch.tensor([ids]))[0, :-1].log_softmax(dim=-1)
    best = expected.topk(3)
    assert [each.token.id for each in found] == ids[1:]
    for place, each in enumerate(found):
        assert each.token.logprob == pytest.approx(float(expected[place, ids[place + 1]]), abs=1e-4)
        assert [other.id for other in each.alternatives] == best.indices[place].tolist()
        assert [other.logprob for other in each.alternatives] == pytest.approx(
            best.values[place].tolist(), abs=1e-4
        )


def test_a_prompt_of_one_token_has_nothing_to_score(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> None:
    assert list(prompt_logprobs(model, tokenizer, [1], 3, compute=compute)) == []
