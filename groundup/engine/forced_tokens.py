"""Scores of given continuations by a `BatchEngine`, beside the answers that it generates: a request
whose answer can only be those tokens.

    scoring_request(context, continuation, ...) -> BatchEngine -> ChatEvents -> sum of their
        logprobs = ln P(continuation | context)

`score.score` computes the same in one pass at once; here a step takes one token, as of any other
answer, and prompts with a common prefix share it.
"""

import uuid
from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from groundup.engine.events import ChatEvent
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling


class ForcedTokens:
    """The `Constraint` of an answer that is known."""

    def __init__(self, ids: Sequence[int], vocab_size: int) -> None:
        self._ids, self._vocab_size = tuple(ids), vocab_size
        self._place = 0

    @property
    def finished(self) -> bool:
        """Whether all of it was written."""
        return self._place == len(self._ids)

    def mask(self) -> Bool[Tensor, " V"]:
        """Return True for the next token alone."""
        mask = torch.zeros(self._vocab_size, dtype=torch.bool)
        mask[self._ids[self._place]] = True
        return mask

    def accept(self, token_id: int) -> None:
        """Go on to the next one."""
        assert token_id == self._ids[self._place]
        self._place += 1


def scoring_request(
    context: Sequence[int], continuation: Sequence[int], *, vocab_size: int, context_tokens: int
) -> Request:
    """Return a request whose events have the logprobs of a continuation; a context that is too long
    loses its oldest tokens.
    """
    assert context and 0 < len(continuation) < context_tokens
    prompt = tuple(context)[-(context_tokens - len(continuation)) :]
    sampling = Sampling(temperature=0.0, max_tokens=len(continuation))
    constraint = ForcedTokens(continuation, vocab_size)
    return Request(uuid.uuid4().hex, prompt, sampling, logprobs=0, constraint=constraint)


def logprob_of(event: ChatEvent) -> float:
    """Return the sum of an event's logprobs."""
    return sum((each.token.logprob or 0.0 for each in event.logprobs), 0.0)
