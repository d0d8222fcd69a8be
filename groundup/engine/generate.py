"""Prompt ids -> answer ids: prefill the prompt, in chunks, then decode token by token with the
key/value cache. `generate_uncached` is the slow, simple version that tests this one.

Generation ends at a stop id (which is yielded as the last one), after `max_tokens`, or when prompt
and answer fill the context. The last two have the finish reason "length".
"""

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute, set_threads
from groundup.engine.next_token import choose, seeded_generator
from groundup.engine.prompt_lookup import PromptLookup
from groundup.engine.request import Constraint
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.threads import ThreadTuner

# Bounds the mask (T x S) and the activations of a long prompt's prefill; larger pieces are no
# faster on a CPU.
PREFILL_TOKENS = 512
# `fast_matmul` is faster from this number of rows on (model/matmul_precision.py).
FAST_TOKENS = 32


def generate_ids(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    stop_ids: Collection[int],
    *,
    compute: Compute,
    constraint: Constraint | None = None,
    draft_tokens: int = 0,
) -> Iterator[int]:
    """The answer's ids, a stop id included. `draft_tokens`: the most that are proposed from the
    text and verified in one pass (prompt_lookup.py); the ids are those without. Raises ModelError
    at once when there is no room for an answer.
    """
    limit = min(sampling.max_tokens, require_room(len(prompt_ids), model.config.context_tokens))

    @torch.inference_mode()
    def answer() -> Iterator[int]:
        history, random = list(prompt_ids), seeded_generator(sampling.seed)
        cache = KVCache(model.config, 1, len(history) + limit, compute.device, compute.dtype)
        lookup = PromptLookup(most_drafts(model, draft_tokens))
        tuner = ThreadTuner(compute.thread_counts, torch.get_num_threads())
        logits = prefill(model, torch.tensor([history], device=compute.device), cache)[None]
        drafts: list[int] = []
        remaining = limit
        while True:
            for row, draft in zip(logits.unbind(), [*drafts, None], strict=True):
                allowed = None if constraint is None else constraint.mask()
                chosen = choose(row, history, sampling, random, allowed)
                history.append(chosen)
                remaining -= 1
                yield chosen
                if chosen in stop_ids or remaining == 0:
                    return
                if constraint is not None:
                    constraint.accept(chosen)
                if chosen != draft:
                    break
            stored = len(history) - 1
            if drafts:
                lookup.report_accepted(len(drafts), stored - (cache.length - len(drafts)))
                cache.shorten(stored)
            if draft_tokens:
                drafts = lookup.drafts(history)[: remaining - 1]
            new_ids = torch.tensor([[chosen, *drafts]], device=compute.device)
            logits = decode(model, new_ids, cache, tuner)

    return answer() if limit else iter(())


def most_drafts(model: LanguageModel, draft_tokens: int) -> int:
    """With a token before them no more than the model's own step takes."""
    if model.decode_step is None:
        return draft_tokens
    return min(draft_tokens, model.decode_step.max_rows - 1)


def require_room(prompt_tokens: int, context_tokens: int) -> int:
    """The tokens left in the context. Raises ModelError when none, or for an empty prompt."""
    if prompt_tokens == 0:
        raise ModelError("The prompt has no tokens.", fix="Give at least one token to continue.")
    if prompt_tokens >= context_tokens:
        raise ModelError(
            f"The prompt has {prompt_tokens:,} tokens, and the model's context of "
            f"{context_tokens:,} leaves no room for an answer.",
            fix="Shorten the prompt, or use a model with a longer context.",
        )
    return context_tokens - prompt_tokens


def prefill(model: LanguageModel, ids: Tensor, cache: KVCache) -> Float[Tensor, " V"]:
    """Run ids [1, T] into the cache; return the logits after the last of them."""
    if model.decode_step is not None and ids.shape[1] <= model.decode_step.max_rows:
        return model.decode_step.after_cache(ids, cache, [ids.shape[1] - 1])[0]
    for chunk in ids.split(PREFILL_TOKENS, dim=1):
        with fast_matmul(ids.device) if chunk.shape[1] >= FAST_TOKENS else contextlib.nullcontext():
            hidden = model.hidden(chunk, cache=cache)
    return model.logits(hidden[0, -1])


def decode(
    model: LanguageModel, new_ids: Tensor, cache: KVCache, tuner: ThreadTuner
) -> Float[Tensor, "T V"]:
    """Run a few new ids [1, T] into the cache; return the logits after each. The model's own step
    runs on the number of threads measured to be fastest: its results do not depend on it, torch's
    may.
    """
    step = model.decode_step
    if step is None:
        return model.logits(model.hidden(new_ids, cache=cache)[0])
    before, started_s = torch.get_num_threads(), time.perf_counter()
    set_threads(tuner.count if tuner.counts else before)
    try:
        return step.after_cache(new_ids, cache)
    finally:
        if new_ids.shape[1] == 1:  # one with drafts takes longer
            tuner.told(time.perf_counter() - started_s)
        set_threads(before)


@torch.inference_mode()
def generate_uncached(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    stop_ids: Collection[int],
    *,
    compute: Compute,
) -> list[int]:
    """The whole text runs through the model for every token."""
    limit = min(sampling.max_tokens, require_room(len(prompt_ids), model.config.context_tokens))
    random = seeded_generator(sampling.seed)
    history = list(prompt_ids)
    while len(history) < len(prompt_ids) + limit:
        logits = model(torch.tensor([history], device=compute.device))[0, -1]
        history.append(choose(logits, history, sampling, random))
        if history[-1] in stop_ids:
            break
    return history[len(prompt_ids) :]
