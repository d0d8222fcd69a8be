"""Scores of given tokens beside answers in one BatchEngine equal those of one pass."""

import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import BatchEngine
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.score import ForcedTokens, logprob_of, score, scoring_request
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer


def test_scores_beside_answers_are_those_of_one_pass(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> None:
    common = tokenizer.encode("To be, or not to be, that is the question: ")
    pairs = [
        (common, tokenizer.encode("whether 'tis nobler")),
        (common[:9], tokenizer.encode("whether 'tis nobler")),
        (common, [int(torch.randint(model.config.vocab_size, ()))]),
        (
            common * 5,
            tokenizer.encode("in the mind to suffer"),
        ),  # longer than the context: its oldest tokens are left out
    ]
    kept = [
        (context[-(model.config.context_tokens - len(continuation)) :], continuation)
        for context, continuation in pairs
    ]
    engine = BatchEngine(model, tokenizer, compute)
    engine.submit(Request("other", tuple(common), Sampling(temperature=1.0, max_tokens=20, seed=1)))
    sizes = {"vocab_size": model.config.vocab_size, "context_tokens": model.config.context_tokens}
    requests = [scoring_request(*pair, **sizes) for pair in pairs]
    found = {request.id: 0.0 for request in requests}
    for request in requests:
        engine.submit(request)
    while engine.busy:
        for id, event in engine.step():
            if id in found:
                found[id] += logprob_of(event)
    expected = [each.logprob for each in score(model, kept, compute=compute)]
    assert list(found.values()) == pytest.approx(expected, abs=1e-3)


def test_nothing_else_can_be_written() -> None:
    forced = ForcedTokens([3, 1], 5)
    for id in (3, 1):
        assert not forced.finished and forced.mask().nonzero().flatten().tolist() == [id]
        forced.accept(id)
    assert forced.finished
