"""Echoes: the prompt of an answer as its first event, with the logprobs of its tokens where they
are requested.
"""

import functools
from collections.abc import AsyncIterator, Sequence

from groundup.engine.events import ChatEvent, RankedToken, TokenLogprob
from groundup.engine.request import Request
from groundup.serve.loaded_models import LoadedModel
from groundup.serve.requests import GenerateRequest, TextPrompt
from groundup.serve.worker import Worker, in_own_thread
from groundup.tokenizer.spec import well_formed


async def echo_prompts(
    request: GenerateRequest, prepared: Sequence[Request], loaded: LoadedModel, worker: Worker
) -> AsyncIterator[tuple[int, ChatEvent]]:
    """Yield the echo of each answer with its index; `prepared` are the engine's requests."""
    tokenizer = loaded.engine.tokenizer
    for place, prompt in enumerate(request.prompts):
        ids = prepared[place * request.choices].prompt_ids
        text = tokenizer.decode(ids)
        if isinstance(prompt, TextPrompt):
            text = well_formed(prompt.text)
        scores: tuple[TokenLogprob, ...] = ()
        if request.logprobs is not None:
            scores = with_text(await _scores(ids, request.logprobs, loaded, worker), text)
        event = ChatEvent(text, None, len(ids), 0, logprobs=scores)
        for choice in range(request.choices):
            yield place * request.choices + choice, event


async def _scores(
    ids: Sequence[int], count: int, loaded: LoadedModel, worker: Worker
) -> list[TokenLogprob]:
    """Return the logprobs of all tokens of a prompt; the engine's steps run in between."""
    from groundup.engine.score import prompt_logprobs

    model = await in_own_thread(loaded.engine.language_model)
    tokenizer = loaded.engine.tokenizer
    first = RankedToken(ids[0], tokenizer.token_bytes(ids[0]), None)
    scores = [TokenLogprob(first, ())]
    pieces = prompt_logprobs(model, tokenizer, ids, count, compute=loaded.engine.compute)
    while (piece := await worker.run(functools.partial(next, pieces, None))) is not None:
        scores += piece
    return scores


def with_text(scores: Sequence[TokenLogprob], text: str) -> tuple[TokenLogprob, ...]:
    """Return the scores with tokens that join to `text`: without a bos token, or a space of
    SentencePiece, that the prompt does not have.
    """
    joined, wanted = b"".join(each.token.text for each in scores), text.encode()
    extra = 0
    if joined.endswith(wanted):
        extra = len(joined) - len(wanted)
    found = []
    for each in scores:
        cut = min(extra, len(each.token.text))
        extra -= cut
        token = RankedToken(each.token.id, each.token.text[cut:], each.token.logprob)
        found.append(TokenLogprob(token, each.alternatives))
    return tuple(found)
