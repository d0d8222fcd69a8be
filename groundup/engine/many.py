"""Many prompts at once: greedy answers, and how probable each of a few choices is after each prompt.

A machine that reads all its weights for one token can as well use them for thirty. What the prompts begin with in common (a system turn, a
question) goes through the model once; the rests are padded on the left, so that all rows end together and go on together. The results are those
of one prompt alone (`generate_ids`, `score`), but for rounding.
"""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from groundup.device import Compute
from groundup.engine.generate import require_room
from groundup.engine.padding import BATCH_TOKENS, batches_by_length
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel

Prompts = Sequence[Sequence[int]]
Done = Callable[[int], None]


def greedy_answers(
    model: LanguageModel,
    prompts: Prompts,
    *,
    max_tokens: int,
    stop_ids: Collection[int],
    compute: Compute,
    done: Done = lambda rows: None,
) -> list[list[int]]:
    """For each prompt the most probable token, and again, until a stop id (left out), `max_tokens`, or no room behind the longest prompt.

    `done` hears how many are finished. Raises ModelError when a prompt fills the context alone.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    limit = min([max_tokens, *(require_room(len(prompt), model.config.context_tokens) for prompt in prompts)])
    for batch in batches_by_length([len(prompt) + limit for prompt in prompts], BATCH_TOKENS):
        chosen = _greedy(model, [prompts[i] for i in batch], limit, stop_ids, compute)
        for index, answer in zip(batch, chosen, strict=True):
            answers[index] = answer
        done(len(batch))
    return answers


def choice_logprobs(
    model: LanguageModel, prompts: Prompts, choices: Prompts, *, compute: Compute, done: Done = lambda rows: None
) -> list[list[float]]:
    """ln P(choice | prompt) for each prompt and each of the same few choices; a prompt goes through the model once, not once a choice.

    Raises ModelError when a prompt and the longest choice don't fit into the context together.
    """
    rows: list[list[float]] = [[] for _ in prompts]
    longest = max(map(len, choices))
    for prompt in prompts:
        require_room(len(prompt) + longest - 1, model.config.context_tokens)
    for batch in batches_by_length([len(prompt) + longest for prompt in prompts], BATCH_TOKENS):
        for index, row in zip(batch, _choices(model, [prompts[i] for i in batch], choices, compute), strict=True):
            rows[index] = row
        done(len(batch))
    return rows


@torch.inference_mode()
def _greedy(
    model: LanguageModel, prompts: Prompts, max_tokens: int, stop_ids: Collection[int], compute: Compute
) -> list[list[int]]:
    cache, hidden = _prefill(model, prompts, max_tokens, compute)
    answers: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for _ in range(max_tokens):
        chosen = model.logits(hidden).argmax(dim=-1)  # [B]
        for row in sorted(running):
            token = int(chosen[row])
            if token in stop_ids:
                running.discard(row)
            else:
                answers[row].append(token)
        if not running or len(max(answers, key=len)) == max_tokens:
            break
        hidden = model.hidden(chosen[:, None], cache=cache)[:, -1]
    return answers


@torch.inference_mode()
def _choices(model: LanguageModel, prompts: Prompts, choices: Prompts, compute: Compute) -> list[list[float]]:
    cache, hidden = _prefill(model, prompts, max(map(len, choices)), compute)
    start = cache.length
    first = torch.log_softmax(model.logits(hidden).float(), dim=-1)  # [B, V]
    columns = []
    for choice in choices:
        total = first[:, choice[0]]
        if len(choice) > 1:
            ids = torch.tensor([choice], device=compute.device).expand(len(prompts), -1)
            after = torch.log_softmax(model(ids[:, :-1], cache=cache).float(), dim=-1)  # [B, T-1, V]
            total = total + after.gather(2, ids[:, 1:, None]).sum(dim=(1, 2))
            cache.truncate(start)
        columns.append(total)
    rows: list[list[float]] = torch.stack(columns, dim=1).tolist()
    return rows


def _prefill(model: LanguageModel, prompts: Prompts, more_tokens: int, compute: Compute) -> tuple[KVCache, Tensor]:
    """A cache that holds all prompts and has room for `more_tokens`, and the hidden state [B, C] of each last token."""
    shared = shared_prefix(prompts)
    longest = max(map(len, prompts))
    cache = KVCache(model.config, len(prompts), longest + more_tokens, compute.device, compute.dtype)
    if shared:
        one = KVCache(model.config, 1, shared, compute.device, compute.dtype)
        model.hidden(torch.tensor([prompts[0][:shared]], device=compute.device), cache=one)
        cache.keys[:, :, :, :shared] = one.keys
        cache.values[:, :, :, :shared] = one.values
        cache.advance(shared)
    missing = [longest - len(prompt) for prompt in prompts]
    ids = torch.tensor(
        [[0] * gap + list(prompt[shared:]) for gap, prompt in zip(missing, prompts, strict=True)], device=compute.device
    )
    places = torch.arange(longest - shared, device=compute.device)
    mask = places[None] >= torch.tensor(missing, device=compute.device)[:, None]
    return cache, model.hidden(ids, mask=mask, cache=cache)[:, -1]


def shared_prefix(prompts: Prompts) -> int:
    """How many tokens all prompts begin with in common; each keeps at least one of its own.

    >>> shared_prefix([[1, 2, 3], [1, 2, 4, 5]])
    2
    """
    shortest = min(map(len, prompts))
    for place in range(shortest - 1):
        if len({prompt[place] for prompt in prompts}) > 1:
            return place
    return shortest - 1
