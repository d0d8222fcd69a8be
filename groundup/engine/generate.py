"""Prompt ids -> answer ids: prefill the prompt, in chunks, then decode token by token with the
key/value cache (the loop is in `answer_ids.py`). `generate_uncached` is the slow, simple version
that tests this one.

Generation ends at a stop id (which is yielded as the last one), after `max_tokens`, or when prompt
and answer fill the context. The last two have the finish reason "length".
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.answer_ids import answer_ids, require_room
from groundup.engine.next_token import SeededGenerator, choose
from groundup.engine.request import Constraint
from groundup.engine.sampling import Sampling
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.threads import ThreadTuner, tuned_threads

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
    return answer_ids(
        lambda: TorchDecoder(model, len(prompt_ids) + limit, compute),
        prompt_ids,
        limit,
        sampling,
        stop_ids,
        constraint=constraint,
        draft_tokens=most_drafts(model, draft_tokens),
    )


class TorchDecoder:
    """One text on a model of torch, by its own step where it has one."""

    def __init__(self, model: LanguageModel, capacity: int, compute: Compute) -> None:
        self.model, self.device = model, compute.device
        self.cache = KVCache(model.config, 1, capacity, compute.device, compute.dtype)
        self.tuner = ThreadTuner(compute.thread_counts, torch.get_num_threads())

    @property
    def length(self) -> int:
        return self.cache.length

    def shorten(self, length: int) -> None:
        self.cache.shorten(length)

    @torch.inference_mode()
    def prefill(self, ids: Sequence[int]) -> Any:
        return prefill(self.model, torch.tensor([ids], device=self.device), self.cache)[None]

    @torch.inference_mode()
    def decode(self, ids: Sequence[int]) -> Any:
        return decode(self.model, torch.tensor([ids], device=self.device), self.cache, self.tuner)


def most_drafts(model: LanguageModel, draft_tokens: int) -> int:
    """With a token before them no more than the model's own step takes."""
    if model.decode_step is None:
        return draft_tokens
    return min(draft_tokens, model.decode_step.max_rows - 1)


def prefill(model: LanguageModel, ids: Tensor, cache: KVCache) -> Float[Tensor, " V"]:
    """Run ids [1, T] into the cache; return the logits after the last of them."""
    step = model.decode_step
    if step is not None and (step.takes_prompts or ids.shape[1] <= step.max_rows):
        for part in ids.split(step.max_rows, dim=1):
            logits = step.after_cache(part, cache, [part.shape[1] - 1])
        return logits[0]
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
    with tuned_threads(tuner, is_timed=new_ids.shape[1] == 1):  # with drafts it takes longer
        return step.after_cache(new_ids, cache)


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
    random = SeededGenerator(sampling.seed)
    history = list(prompt_ids)
    while len(history) < len(prompt_ids) + limit:
        logits = model(torch.tensor([history], device=compute.device))[0, -1]
        history.append(choose(logits, history, sampling, random))
        if history[-1] in stop_ids:
            break
    return history[len(prompt_ids) :]
